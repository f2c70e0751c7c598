//! The half of an endpoint that reads and receives.

mod ready;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::attachment::Attachment;
use crate::endpoint::Side;
use crate::error::{Error, Result};
use crate::link::{Link, Reading};
use crate::mailbox::{Cursor, First, MailboxMemory, Oversize, Value};
use crate::pace::Pace;
use crate::patience::{self, Patience};
use crate::queue::{Lent, QueueReceiver};
use crate::text;
use crate::wait::{Deadline, Fences, Wait, coarse_now};

/// The half that reads and receives. One thread at a time uses it.
#[derive(Debug)]
pub struct Receiver {
    /// Where messages are received.
    pub(crate) side: Side,
    queue: Option<QueueReceiver>,
    /// Where values are read: each kind is read out before it continues in the next segment.
    values: Values,
    patience: Patience,
    /// When to look for values, and for messages.
    value_pace: Pace,
    message_pace: Pace,
    buffer: Vec<u8>,
    /// The length of the message of the queue that was given out by [`Message::into_raw`].
    lent: Option<usize>,
}

/// The reading end of one segment's mailbox.
#[derive(Debug)]
struct Values {
    attachment: Arc<Attachment>,
    epoch: u32,
    /// The link's attention while all is well: see [`Link::is_calm`].
    calm: u32,
    mailbox: MailboxMemory,
    cursor: Cursor,
    /// When the last value was read, on the coarse clock.
    read_at: Duration,
}

/// A message that was read or received. It derefs to its bytes.
///
/// A received one lies in the queue: while it exists its room is not used again, and a process that is killed before
/// dropping it receives it again when it is back. Who must be safe from a peer that changes the bytes under its
/// reader copies them first.
pub struct Message<'a> {
    receiver: &'a mut Receiver,
    start: *const u8,
    len: usize,
    skipped: u64,
    /// Whether it lies in the queue.
    lent: bool,
}

/// In less than this nobody writes 2³¹ values: each takes some nanoseconds.
const RECENT: Duration = Duration::from_secs(1);

/// What was found.
#[derive(Clone, Copy)]
enum Found {
    /// In the queue.
    Lent(Lent),
    /// In the receiver's buffer.
    Copied(Value),
}

/// What is looked for.
#[derive(Clone, Copy, PartialEq)]
enum What {
    /// The latest value.
    Value,
    /// The next message.
    Message,
}

impl Receiver {
    pub(crate) fn new(side: Side) -> Self {
        Receiver {
            values: Values::new(&side.link, Arc::clone(&side.attachment), side.epoch),
            queue: side.attachment.incoming_queue().map(QueueReceiver::resume),
            patience: Patience::new(side.link.config().wait),
            value_pace: Pace::new(side.link.role),
            message_pace: Pace::new(side.link.role),
            side,
            buffer: Vec::new(),
            lent: None,
        }
    }

    /// The latest value, if there is one that this endpoint has not read. Never waits.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the peer announces more bytes than the channel holds.
    pub fn try_read(&mut self) -> Result<Option<Message<'_>>> {
        let found = self.look(What::Value)?;
        Ok(found.map(|found| self.message(found)))
    }

    /// The latest value, once there is one that this endpoint has not read. Waits as long as one may come.
    ///
    /// # Errors
    /// [`Error::PeerClosed`] and [`Error::PeerStale`] when nothing will come; [`Error::Corrupt`].
    pub fn read(&mut self) -> Result<Message<'_>> {
        let found = match self.look_for_news()? {
            Some(found) => found,
            None => self.wait(What::Value, None)?,
        };
        Ok(self.message(found))
    }

    /// As [`Receiver::read`], for a limited time: `Ok(None)` when it ran out.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; of a slave that has given its master up, [`Error::PeerStale`].
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        let found = match self.look_for_news()? {
            Some(found) => Some(found),
            None => in_time(self.wait(What::Value, Some(timeout)))?,
        };
        Ok(found.map(|found| self.message(found)))
    }

    /// Waits for `part` of a longer wait of [`Receiver::read`] or [`Receiver::read_timeout`]. `Ok(None)`: nothing
    /// yet, call again.
    ///
    /// # Errors
    /// As [`Receiver::read_timeout`], and [`Error::Timeout`] when the whole wait is over.
    pub fn read_part(&mut self, wait: &Wait, part: Duration) -> Result<Option<Message<'_>>> {
        let found = self.wait_part(What::Value, wait.0, Deadline::after(Some(part)))?;
        Ok(found.map(|found| self.message(found)))
    }

    /// The next message, if it is there. Never waits.
    ///
    /// # Errors
    /// As [`Receiver::try_read`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<Option<Message<'_>>> {
        let found = match self.look_fast()? {
            Some(found) => Some(found),
            None => self.look(What::Message)?,
        };
        Ok(found.map(|found| self.message(found)))
    }

    /// The next message: every one that was sent, once, in order. Waits as long as one may come.
    ///
    /// A message that was sent to a predecessor of this process, and not released by it, is delivered here.
    ///
    /// # Errors
    /// As [`Receiver::read`].
    #[inline]
    pub fn recv(&mut self) -> Result<Message<'_>> {
        let found = match self.look_eagerly()? {
            Some(found) => found,
            None => self.wait(What::Message, None)?,
        };
        Ok(self.message(found))
    }

    /// As [`Receiver::recv`], for a limited time: `Ok(None)` when it ran out.
    ///
    /// # Errors
    /// As [`Receiver::read_timeout`].
    #[inline]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        let found = match self.look_eagerly()? {
            Some(found) => Some(found),
            None => in_time(self.wait(What::Message, Some(timeout)))?,
        };
        Ok(found.map(|found| self.message(found)))
    }

    /// Waits for `part` of a longer wait of [`Receiver::recv`] or [`Receiver::recv_timeout`], so that the caller can
    /// look up in between. `Ok(None)`: nothing yet, call again.
    ///
    /// ```
    /// use std::time::Duration;
    /// # let mut master = eshm::Endpoint::master("doc-part")?;
    /// # let (_, receiver) = master.split();
    /// let wait = eshm::Wait::new(Some(Duration::from_millis(30)));
    /// let error = loop {
    ///     match receiver.recv_part(&wait, Duration::from_millis(10)) {
    ///         Ok(Some(message)) => println!("{} bytes", message.len()),
    ///         Ok(None) => println!("nothing yet"),
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert!(matches!(error, eshm::Error::Timeout { .. }));
    /// # Ok::<(), eshm::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`], and [`Error::Timeout`] when the whole wait is over.
    pub fn recv_part(&mut self, wait: &Wait, part: Duration) -> Result<Option<Message<'_>>> {
        let found = match self.look_fast()? {
            Some(found) => Some(found),
            None => self.wait_part(What::Message, wait.0, Deadline::after(Some(part)))?,
        };
        Ok(found.map(|found| self.message(found)))
    }

    /// Hands each of up to `most` messages that are there to `each`, in place, and releases them all at once. Waits
    /// for the first one as [`Receiver::recv`] does. Returns how many there were; 0 only if `most` is.
    ///
    /// A panic of `each`, or a kill, before the end leaves all of them to be received again.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub fn recv_many(&mut self, most: usize, each: impl FnMut(&[u8])) -> Result<usize> {
        self.recv_many_until(most, None, each)
    }

    /// As [`Receiver::recv_many`], for a limited time: 0 when it ran out.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`].
    pub fn recv_many_timeout(
        &mut self,
        most: usize,
        timeout: Duration,
        each: impl FnMut(&[u8]),
    ) -> Result<usize> {
        self.recv_many_until(most, Some(timeout), each)
    }

    fn recv_many_until(
        &mut self,
        most: usize,
        timeout: Option<Duration>,
        mut each: impl FnMut(&[u8]),
    ) -> Result<usize> {
        if most == 0 {
            return Ok(0);
        }
        let found = match self.look_fast()? {
            Some(found) => Some(found),
            None => in_time(self.wait(What::Message, timeout))?,
        };
        let Some(Found::Lent(first)) = found else {
            let Some(found) = found else { return Ok(0) };
            each(&self.message(found));
            return Ok(1);
        };
        let Some(queue) = &mut self.queue else { return Ok(0) };
        // A peer that writes marks meanwhile could make more of them.
        let most = most.min(queue.slots());
        let (mut count, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(lent) = next {
            // SAFETY: a message of the queue, which is not released before the loop ends.
            each(unsafe { lent.bytes() });
            count += 1;
            bytes += lent.len;
            // What is broken is reported by the next call: what was handed over is released first.
            next = if (count as usize) < most { queue.peek_ahead(count).unwrap_or(None) } else { None };
        }
        let woke = queue.release(count);
        self.side.link.counters.count_received(count, bytes, woke);
        Ok(count as usize)
    }

    /// Releases the message that [`Message::into_raw`] took apart: for bindings, which cannot keep a borrow. The next
    /// call that receives does so too.
    pub fn release(&mut self) {
        if let Some(len) = self.lent.take() {
            self.release_one(len);
        }
    }

    #[inline]
    fn release_one(&mut self, len: usize) {
        // In a forked child the message is the parent's to release.
        if !self.side.link.is_forked()
            && let Some(queue) = &mut self.queue
        {
            let woke = queue.release(1);
            self.side.link.counters.count_received(1, len, woke);
        }
    }

    /// The next message of the queue, if it is there and nothing stands in the way: the shortest path there is.
    #[inline(always)]
    fn look_fast(&mut self) -> Result<Option<Found>> {
        if self.lent.is_some() {
            self.release();
        }
        if self.side.is_calm()
            && let Some(queue) = &self.queue
        {
            let lent = queue.peek().map_err(|broken| self.side.broken(broken))?;
            return Ok(lent.map(Found::Lent));
        }
        Ok(None)
    }

    /// As `look_fast`, for the time of an answer, and not before it can be expected.
    #[inline(always)]
    fn look_eagerly(&mut self) -> Result<Option<Found>> {
        if self.lent.is_some() {
            self.release();
        }
        if self.side.is_calm()
            && let Some(queue) = &self.queue
        {
            self.message_pace.hold(&self.side.link.counters.sent);
            let mut lent = queue.peek().map_err(|broken| self.side.broken(broken))?;
            if lent.is_some() {
                self.message_pace.was_there();
            } else {
                self.message_pace.was_early();
                lent = queue
                    .peek_often(self.patience.eager_looks())
                    .map_err(|broken| self.side.broken(broken))?;
                self.message_pace.is_over();
            }
            return Ok(lent.map(Found::Lent));
        }
        Ok(None)
    }

    fn wait(&mut self, what: What, timeout: Option<Duration>) -> Result<Found> {
        match self.spin(what)? {
            Some(found) => Ok(found),
            None => self.wait_long(what, timeout),
        }
    }

    #[cold]
    fn wait_long(&mut self, what: What, timeout: Option<Duration>) -> Result<Found> {
        let (deadline, whole) = (Deadline::after(timeout), Deadline::after(None));
        loop {
            if let Some(found) = self.park_and_spin(what, deadline, whole)? {
                return Ok(found);
            }
        }
    }

    /// `Ok(None)` at the end of the part.
    fn wait_part(&mut self, what: What, deadline: Deadline, part: Deadline) -> Result<Option<Found>> {
        match self.spin(what)? {
            Some(found) => Ok(Some(found)),
            None => self.park_and_spin(what, deadline, part),
        }
    }

    /// Looks as often as patience has it, without leaving the core.
    fn spin(&mut self, what: What) -> Result<Option<Found>> {
        for look in 0..self.patience.looks() {
            if self.may_be_there(what)
                && let Some(found) = self.look(what)?
            {
                self.patience.was_worth_it();
                return Ok(Some(found));
            }
            patience::pause(look);
        }
        self.patience.was_in_vain();
        Ok(None)
    }

    /// As `look_eagerly`, for a value.
    #[inline(always)]
    fn look_for_news(&mut self) -> Result<Option<Found>> {
        if self.lent.is_some() {
            self.release();
        }
        if !self.side.link.is_calm(self.values.calm) {
            return Ok(None);
        }
        self.value_pace.hold(&self.side.link.counters.sent);
        let channel = self.values.mailbox.channel();
        let looks = self.patience.eager_looks();
        let came = (0..looks).position(|_| channel.may_have_news(&self.values.cursor));
        if came == Some(0) {
            self.value_pace.was_there();
        } else {
            self.value_pace.is_over();
        }
        if came.is_none() {
            return Ok(None);
        }
        Ok(self.look_into_mailbox(What::Value)?.map(Found::Copied))
    }

    /// Whether it is worth a look: itself a look at one cache line of the segment, while nothing happens.
    #[inline(always)]
    fn may_be_there(&self, what: What) -> bool {
        match &self.queue {
            Some(queue) if what == What::Message => !self.side.is_calm() || queue.has_come(),
            _ => {
                !self.side.link.is_calm(self.values.calm)
                    || self.values.mailbox.channel().may_have_news(&self.values.cursor)
            }
        }
    }

    fn park_and_spin(&mut self, what: What, deadline: Deadline, part: Deadline) -> Result<Option<Found>> {
        let timed = !deadline.is_endless();
        loop {
            // Asked before the last look: what came before the goodbye is still found.
            let hopeless = self.side.link.hopeless(timed);
            let sample = match self.arrivals(what) {
                Some(queue) => queue.arrival().sample(),
                None => self.values.mailbox.channel().news(Fences::Asymmetric).sample(),
            };
            if let Some(found) = self.look(what)? {
                return Ok(Some(found));
            }
            if let Some(error) = hopeless {
                return Err(error);
            }
            let Some(left) = deadline.left() else {
                return Err(self.side.timeout("the arrival of a message", deadline));
            };
            let Some(part_left) = part.left() else { return Ok(None) };
            let left = left.min(part_left);
            match self.arrivals(what) {
                Some(queue) => self.patience.leave_core(queue.arrival(), sample, false, left),
                None => {
                    let silent = self.side.link.peer_is_silent(&self.values.attachment);
                    let news = self.values.mailbox.channel().news(Fences::Asymmetric);
                    self.patience.leave_core(news, sample, silent, left);
                }
            }
            if let Some(found) = self.spin(what)? {
                return Ok(Some(found));
            }
        }
    }

    /// The queue, if that is where what is waited for arrives.
    fn arrivals(&self, what: What) -> Option<&QueueReceiver> {
        self.queue.as_ref().filter(|_| what == What::Message && self.side.peer_has_queue())
    }

    /// Looks for what comes next, in the segments in which it may be, in their order.
    fn look(&mut self, what: What) -> Result<Option<Found>> {
        if what == What::Message
            && let Some(found) = self.look_fast()?
        {
            return Ok(Some(found));
        }
        self.release();
        self.side.link.check_running()?;
        let found = match what {
            What::Value => self.look_for_value()?.map(Found::Copied),
            What::Message => self.look_for_message()?,
        };
        if found.is_none() {
            self.side.link.check_displaced()?;
        }
        Ok(found)
    }

    fn look_for_message(&mut self) -> Result<Option<Found>> {
        loop {
            // Asked before the look: what came before the move is still found.
            let left_behind = self.side.is_left_behind();
            if let Some(queue) = &self.queue
                && let Some(lent) = queue.peek().map_err(|broken| self.side.broken(broken))?
            {
                return Ok(Some(Found::Lent(lent)));
            }
            if self.messages_in_mailbox()
                && let Some(value) = self.look_into_mailbox(What::Message)?
            {
                return Ok(Some(Found::Copied(value)));
            }
            if !left_behind {
                return Ok(None);
            }
            let (attachment, epoch) = self.side.link.next_segment(Reading::Messages, self.side.epoch);
            crash_point!("follow.receiver");
            self.queue = attachment.incoming_queue().map(QueueReceiver::resume);
            self.side.switch(attachment, epoch);
        }
    }

    /// Whether the mailbox may hold the next message. It is that of the segment where messages are received: values that are
    /// unread in older ones are out of date then.
    fn messages_in_mailbox(&mut self) -> bool {
        if self.queue.is_some() && self.side.peer_has_queue() {
            return false;
        }
        if self.values.epoch < self.side.epoch {
            self.values = Values::new(&self.side.link, Arc::clone(&self.side.attachment), self.side.epoch);
        }
        // Values that are ahead have read this segment's mailbox out.
        self.values.epoch == self.side.epoch
    }

    fn look_for_value(&mut self) -> Result<Option<Value>> {
        loop {
            // Asked before the look, as above.
            let left_behind = self.values.is_left_behind(&self.side.link);
            if let Some(value) = self.look_into_mailbox(What::Value)? {
                return Ok(Some(value));
            }
            if !left_behind {
                return Ok(None);
            }
            let (attachment, epoch) = self.side.link.next_segment(Reading::Values, self.values.epoch);
            crash_point!("follow.values");
            self.values = Values::new(&self.side.link, attachment, epoch);
        }
    }

    fn look_into_mailbox(&mut self, what: What) -> Result<Option<Value>> {
        let first = match what {
            What::Value => First::Current,
            What::Message => First::Untaken,
        };
        let Values { attachment, calm, mailbox, cursor, read_at, .. } = &mut self.values;
        let now = coarse_now();
        cursor.recent = now.saturating_sub(*read_at) < RECENT;
        let Some(value) =
            mailbox.channel().read(cursor, first, &mut self.buffer).map_err(|Oversize(found)| {
                Error::Corrupt {
                    segment: self.side.link.segment(),
                    what: "a message's size",
                    found: found.into(),
                    expected: format!("at most {}", attachment.data_size()),
                }
            })?
        else {
            return Ok(None);
        };
        *read_at = now;
        attachment.count_read();
        let counters = &self.side.link.counters;
        match what {
            What::Value => counters.received.count_value(),
            What::Message => counters.count_received(1, value.len, false),
        }
        if !self.side.link.is_calm(*calm) {
            // An ESHM 1.x writer may look at the count, and nobody else may bring it up to date.
            attachment.publish_reads();
        }
        if value.skipped > 0 {
            counters.skipped.add(value.skipped);
        }
        Ok(Some(value))
    }

    #[inline(always)]
    fn message(&mut self, found: Found) -> Message<'_> {
        match found {
            Found::Lent(Lent { start, len }) => {
                Message { receiver: self, start, len, skipped: 0, lent: true }
            }
            Found::Copied(Value { len, skipped }) => {
                let start = self.buffer.as_ptr();
                Message { receiver: self, start, len, skipped, lent: false }
            }
        }
    }
}

impl Values {
    fn new(link: &Link, attachment: Arc<Attachment>, epoch: u32) -> Self {
        let mailbox = attachment.incoming_mailbox();
        let calm = link.calm(epoch);
        Values { attachment, epoch, calm, mailbox, cursor: Cursor::default(), read_at: Duration::ZERO }
    }

    fn is_left_behind(&self, link: &Link) -> bool {
        link.epoch() != self.epoch
    }
}

/// A wait's outcome, with `None` for a time-out.
fn in_time(outcome: Result<Found>) -> Result<Option<Found>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(Error::Timeout { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Message<'_> {
    /// How many values were overwritten between the one read before and this one. 0 for messages that our peers
    /// send with `send`.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The peer's generation: greater after each restart of the peer.
    pub fn generation(&self) -> u64 {
        if self.lent {
            self.receiver.side.attachment.generation()
        } else {
            self.receiver.values.attachment.generation()
        }
    }

    /// Returns a copy of the message as text: see [`text::decode`]. It is copied before it is checked, so that a peer
    /// that goes on writing cannot make text of what is none.
    ///
    /// # Errors
    /// [`Error::InvalidText`].
    pub fn text(&self) -> Result<String> {
        let copy = self.to_vec();
        text::decode(&copy).map(str::to_owned)
    }

    /// The message's memory, without the borrow: for bindings. It is valid until [`Receiver::release`] or any other
    /// call of the receiver, and while the receiver exists.
    pub fn into_raw(self) -> (*const u8, usize) {
        let mut message = std::mem::ManuallyDrop::new(self);
        message.receiver.lent = message.lent.then_some(message.len);
        (message.start, message.len)
    }
}

impl Drop for Message<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.lent {
            self.receiver.release_one(self.len);
        }
    }
}

impl Deref for Message<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is `len` bytes in the receiver's buffer, or in the queue, checked to be inside it, and not
        // released before `self` is dropped; the borrow of the receiver keeps both.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl AsRef<[u8]> for Message<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes, skipped {})", self.len, self.skipped)
    }
}

// SAFETY: the pointer is to memory that the receiver keeps, and a `&mut Receiver` may go to another thread.
unsafe impl Send for Message<'_> {}
// SAFETY: a shared message only gives out its bytes and its receiver's counts.
unsafe impl Sync for Message<'_> {}
