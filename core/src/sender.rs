//! The half of an endpoint that writes and sends.

mod ready;

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::attachment::Content;
use crate::batch::BatchError;
use crate::endpoint::Side;
use crate::error::{Error, Result};
use crate::outlet::{LEGACY_PATIENCE, Outlet};
use crate::patience::Patience;
use crate::queue::QueueSender;
use crate::sync::spin_hint;
use crate::wait::{Deadline, Fences, Wait};

/// Hints between two looks for room.
const LOOK_PAUSES: u32 = 8;
/// How many messages of a batch with a time-out go between two looks at the time.
const CHUNK: usize = 1024;
/// How often a sender looks that waits for the carry-over: for room in a segment that is not its own yet.
const CARRY_POLL: Duration = Duration::from_millis(1);

/// The half that writes and sends. One thread at a time uses it.
#[derive(Debug)]
pub struct Sender {
    pub(crate) side: Side,
    outlet: Outlet,
    patience: Patience,
    /// Whether a wait for room was begun and is not over: one that is done in parts counts once.
    waiting: bool,
    /// Where a loan is built on a segment without a queue, and its length.
    draft: Vec<u8>,
    drafted: Option<usize>,
}

/// Room for a message, to be filled in place and sent. It derefs to its bytes, whose content is arbitrary at first.
///
/// Dropping it gives the room back; nothing is sent.
///
/// ```
/// let mut master = eshm::Endpoint::master("doc-loan")?;
/// let mut loan = master.loan(3)?;
/// loan.copy_from_slice(b"abc");
/// loan.send()?;
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Debug)]
pub struct Loan<'a> {
    sender: &'a mut Sender,
    start: *mut u8,
    len: usize,
}

impl Sender {
    pub(crate) fn new(side: Side) -> Result<Self> {
        let outlet = Outlet::open(side.attachment.clone()).map_err(|broken| side.broken(broken))?;
        let patience = Patience::new(side.link.config().wait);
        Ok(Sender { side, outlet, patience, waiting: false, draft: Vec::new(), drafted: None })
    }

    /// Replaces the latest value, whether it was read or not. Never waits.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the data size; of a slave without a master, [`Error::Reconnecting`], or
    /// [`Error::PeerStale`] and [`Error::PeerClosed`] once the patience is over; [`Error::Displaced`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.side.is_calm() {
            let followed = self.prepare()?;
            self.side.link.check_writable()?;
            // Messages that are still to be carried over do not hold a value up.
            if !followed && let Some(written) = self.side.link.write_while_carrying(bytes) {
                return written;
            }
        }
        self.check_size(bytes.len(), self.outlet.attachment.data_size())?;
        self.put(bytes, Content::Value);
        Ok(())
    }

    /// Sends a message that is delivered once and in order. When the queue is full it waits for room, as long as the
    /// peer may still make some.
    ///
    /// On a segment without queues one message is in flight: it waits until the one before was taken. So it does
    /// with an ESHM 1.x peer, whose acknowledgement is its count of reads; for that one it waits at most a second.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`Sender::max_message`]; [`Error::PeerClosed`] and [`Error::PeerStale`] if it has
    /// to wait and nobody will come; [`Error::Corrupt`] when the peer broke the queue. The message was not sent.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        if self.send_fast(bytes)? {
            return Ok(());
        }
        self.send_until(bytes, None)
    }

    /// As [`Sender::send`], for a limited time.
    ///
    /// # Errors
    /// [`Error::Timeout`] when there was no room in time: this message was not sent. With an ESHM 1.x peer, which
    /// swallows the first message it is shown, the one before counts as lost then, and the next call does not wait
    /// for it any more. Otherwise as [`Sender::send`].
    #[inline]
    pub fn send_timeout(&mut self, bytes: &[u8], timeout: Duration) -> Result<()> {
        if self.send_fast(bytes)? {
            return Ok(());
        }
        self.send_until(bytes, Some(timeout))
    }

    /// Waits for `part` of a longer wait of [`Sender::send`] or [`Sender::send_timeout`]. `Ok(false)`: not sent yet,
    /// call again.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`], with [`Error::Timeout`] when the whole wait is over.
    pub fn send_part(&mut self, bytes: &[u8], wait: &Wait, part: Duration) -> Result<bool> {
        if self.send_fast(bytes)? {
            return Ok(true);
        }
        let part = Deadline::after(Some(part));
        let sent = self.wait(bytes.len(), wait.0, part, |sender| Ok(sender.attempt(bytes)?.then_some(())))?;
        Ok(sent.is_some())
    }

    /// As [`Sender::send`], without waiting.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room; [`Error::Reconnecting`] of a slave without a master; otherwise as
    /// [`Sender::send`]. The message was not sent.
    #[inline]
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<()> {
        if self.send_fast(bytes)? {
            return Ok(());
        }
        if self.is_ready(bytes.len())? && self.attempt(bytes)? { Ok(()) } else { Err(self.full()) }
    }

    /// Whether a message of `len` bytes may be put now, if there is room. `Ok(false)`: others go first.
    fn is_ready(&mut self, len: usize) -> Result<bool> {
        let followed = self.prepare()?;
        self.side.link.check_writable()?;
        if followed {
            self.check_size(len, self.outlet.limit())?;
        }
        Ok(followed)
    }

    /// Sends messages in order, as [`Sender::send`] does, with at most one wake-up for as many as there is room for.
    ///
    /// # Errors
    /// As [`Sender::send`], for the first message that could not be sent: [`BatchError::sent`] says how many were sent
    /// before it.
    pub fn send_many<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), BatchError> {
        self.send_many_until(messages, None)
    }

    /// As [`Sender::send_many`], for a limited time, which is that of the whole batch.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`], with the number of messages that were sent.
    pub fn send_many_timeout<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        timeout: Duration,
    ) -> Result<(), BatchError> {
        self.send_many_until(messages, Some(timeout))
    }

    fn send_many_until<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        timeout: Option<Duration>,
    ) -> Result<(), BatchError> {
        let deadline = Deadline::after(timeout);
        let mut sent = 0;
        while sent < messages.len() {
            // What stands in the way of the next one is found below, where it is waited for as by `send`.
            sent += self.send_some(&messages[sent..messages.len().min(sent + CHUNK)]).unwrap_or(0);
            let Some(next) = messages.get(sent) else { break };
            if sent > 0 && deadline.left().is_none() {
                // Room that keeps coming does not prolong the time.
                let source = self.side.timeout("room for the whole batch", deadline);
                return Err(BatchError { sent, source });
            }
            let left = timeout.map(|_| deadline.left().unwrap_or_default());
            match self.send_until(next.as_ref(), left) {
                Ok(()) => sent += 1,
                Err(source) => return Err(BatchError { sent, source }),
            }
        }
        Ok(())
    }

    /// As [`Sender::send_many`], without waiting.
    ///
    /// # Errors
    /// As [`Sender::try_send`], for the first message that could not be sent: [`BatchError::sent`] says how many were
    /// sent before it.
    pub fn try_send_many<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), BatchError> {
        let mut sent = 0;
        while sent < messages.len() {
            match self.send_some(&messages[sent..]) {
                Ok(0) => return Err(BatchError { sent, source: self.full() }),
                Ok(count) => sent += count,
                Err(source) => return Err(BatchError { sent, source }),
            }
        }
        Ok(())
    }

    /// Sends as many of the messages, in order, as there is room for now, and returns how many: 0 when there is none.
    /// An error is that of the first message: nothing was sent.
    fn send_some<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<usize> {
        if self.side.is_calm()
            && let Some(queue) = &mut self.outlet.queue
        {
            let capacity = queue.capacity();
            let fitting = messages.iter().map(AsRef::as_ref).take_while(|bytes| bytes.len() <= capacity);
            let (sent, woke) = queue.send_many(fitting).map_err(|broken| self.side.broken(broken))?;
            let bytes = messages[..sent].iter().map(|message| message.as_ref().len()).sum();
            self.count_sent(sent, bytes, woke);
            match messages.get(sent) {
                Some(next) if sent == 0 => self.check_size(next.as_ref().len(), capacity)?,
                _ => {}
            }
            return Ok(sent);
        }
        for (sent, bytes) in messages.iter().enumerate() {
            match self.try_send(bytes.as_ref()) {
                Ok(()) => {}
                Err(Error::Full { .. }) => return Ok(sent),
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
        Ok(messages.len())
    }

    /// Room for a message of `len` bytes, to be built in place. Waits for it as [`Sender::send`] does.
    ///
    /// # Errors
    /// As [`Sender::send`].
    #[inline]
    pub fn loan(&mut self, len: usize) -> Result<Loan<'_>> {
        let start = match self.loan_fast(len)? {
            Some(start) => start,
            None => self.loan_until(len, None)?,
        };
        Ok(Loan { sender: self, start, len })
    }

    /// As [`Sender::loan`], for a limited time.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`].
    #[inline]
    pub fn loan_timeout(&mut self, len: usize, timeout: Duration) -> Result<Loan<'_>> {
        let start = match self.loan_fast(len)? {
            Some(start) => start,
            None => self.loan_until(len, Some(timeout))?,
        };
        Ok(Loan { sender: self, start, len })
    }

    /// As [`Sender::loan`], without waiting.
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    #[inline]
    pub fn try_loan(&mut self, len: usize) -> Result<Loan<'_>> {
        if let Some(start) = self.loan_fast(len)? {
            return Ok(Loan { sender: self, start, len });
        }
        if self.is_ready(len)?
            && let Some(start) = self.attempt_loan(len)?
        {
            return Ok(Loan { sender: self, start, len });
        }
        Err(self.full())
    }

    /// Sends the loan that [`Loan::into_raw`] took apart: for bindings, which cannot keep a borrow.
    ///
    /// # Errors
    /// [`Error::Closed`] if there is none, or another call has ended it; [`Error::Reconnecting`] if the segment was
    /// replaced meanwhile; otherwise as [`Sender::try_send`]. The loan is gone in every case.
    #[inline]
    pub fn send_loaned(&mut self) -> Result<()> {
        if !self.side.is_calm()
            && let Err(error) = self.check_loan()
        {
            self.forget_loan();
            return Err(error);
        }
        if let Some(len) = self.drafted.take() {
            let draft = std::mem::take(&mut self.draft);
            self.put(&draft[..len], Content::Message);
            self.draft = draft;
            return Ok(());
        }
        match self.outlet.queue.as_mut().and_then(QueueSender::send_loan) {
            Some((len, woke)) => {
                self.count_sent(1, len, woke);
                Ok(())
            }
            None => Err(Error::Closed { segment: self.side.link.segment() }),
        }
    }

    /// That the segment which the loan lies in is still the one that the peer looks into.
    fn check_loan(&self) -> Result<()> {
        self.side.link.check_running()?;
        if self.side.is_left_behind() {
            return Err(Error::Reconnecting { segment: self.side.link.segment() });
        }
        self.side.link.check_writable()
    }

    /// Gives the loan that [`Loan::into_raw`] took apart back, unsent.
    pub fn forget_loan(&mut self) {
        self.drafted = None;
        if let Some(queue) = &mut self.outlet.queue {
            queue.forget_loan();
        }
    }

    /// Sends if nothing stands in the way: the shortest path there is.
    #[inline(always)]
    fn send_fast(&mut self, bytes: &[u8]) -> Result<bool> {
        if self.side.is_calm()
            && let Some(queue) = &mut self.outlet.queue
            && bytes.len() <= queue.capacity()
        {
            match queue.send(bytes) {
                Ok(Some(woke)) => {
                    self.count_sent(1, bytes.len(), woke);
                    return Ok(true);
                }
                Ok(None) => {}
                Err(broken) => return Err(self.side.broken(broken)),
            }
        }
        Ok(false)
    }

    /// As `send_fast`, for a loan.
    #[inline(always)]
    fn loan_fast(&mut self, len: usize) -> Result<Option<*mut u8>> {
        if self.side.is_calm()
            && let Some(queue) = &mut self.outlet.queue
            && len <= queue.capacity()
        {
            self.drafted = None;
            return queue.loan(len).map_err(|broken| self.side.broken(broken));
        }
        Ok(None)
    }

    #[cold]
    fn send_until(&mut self, bytes: &[u8], timeout: Option<Duration>) -> Result<()> {
        self.wait_whole(bytes.len(), timeout, |sender| Ok(sender.attempt(bytes)?.then_some(())))
    }

    #[cold]
    fn loan_until(&mut self, len: usize, timeout: Option<Duration>) -> Result<*mut u8> {
        self.wait_whole(len, timeout, |sender| sender.attempt_loan(len))
    }

    /// Waits until `attempt` succeeds.
    fn wait_whole<T>(
        &mut self,
        len: usize,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        // An ESHM 1.x reader may never acknowledge: it swallows the first message that it is shown.
        let timeout = timeout.or_else(|| (!self.outlet.peer_has_queue()).then_some(LEGACY_PATIENCE));
        let (deadline, whole) = (Deadline::after(timeout), Deadline::after(None));
        loop {
            if let Some(done) = self.wait(len, deadline, whole, &mut attempt)? {
                return Ok(done);
            }
        }
    }

    /// Waits until `attempt` succeeds, or the part is over: `Ok(None)`.
    fn wait<T>(
        &mut self,
        len: usize,
        deadline: Deadline,
        part: Deadline,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let begun = Deadline::after(None);
        if let Some(done) = self.spin(len, deadline, &mut attempt)? {
            self.waiting = false;
            return Ok(Some(done));
        }
        let done = self.park_and_spin(len, deadline, part, attempt);
        self.side.link.counters.count_room_wait(!self.waiting, begun.elapsed());
        self.waiting = matches!(done, Ok(None));
        done
    }

    fn park_and_spin<T>(
        &mut self,
        len: usize,
        deadline: Deadline,
        part: Deadline,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        loop {
            let sample = self.outlet.room().0.sample();
            if self.may_put(len, deadline)?
                && let Some(done) = attempt(self)?
            {
                return Ok(Some(done));
            }
            if let Some(error) = self.side.link.hopeless(!deadline.is_endless()) {
                return Err(error);
            }
            let Some(left) = deadline.left() else {
                self.outlet.forget_unacknowledged();
                return Err(self
                    .side
                    .timeout("room for a message, or the reading of the one before,", deadline));
            };
            let Some(part_left) = part.left() else { return Ok(None) };
            self.park(sample, left.min(part_left));
            if let Some(done) = self.spin(len, deadline, &mut attempt)? {
                return Ok(Some(done));
            }
        }
    }

    /// Tries as often as patience has it, without leaving the core.
    fn spin<T>(
        &mut self,
        len: usize,
        deadline: Deadline,
        attempt: &mut impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        for _ in 0..self.patience.looks() {
            if self.may_put(len, deadline)?
                && let Some(done) = attempt(self)?
            {
                self.patience.was_worth_it();
                return Ok(Some(done));
            }
            // Not at once: every look takes the cache line away from the receiver that is to make room, and should find
            // more than one slot.
            for _ in 0..LOOK_PAUSES {
                spin_hint();
            }
        }
        self.patience.was_in_vain();
        Ok(None)
    }

    fn park(&self, sample: u32, left: Duration) {
        if self.side.is_left_behind() {
            return std::thread::sleep(left.min(CARRY_POLL));
        }
        let (room, silent) = self.outlet.room();
        self.patience.leave_core(room, sample, silent, left);
    }

    /// Whether a message of `len` bytes may be put, if there is room. `Ok(false)`: not yet; an error where waiting is in
    /// vain.
    fn may_put(&mut self, len: usize, deadline: Deadline) -> Result<bool> {
        match self.is_ready(len) {
            Err(Error::Reconnecting { .. }) => Ok(false),
            // A wait with a limit lasts that long, whatever the peer's state; one without is ended by `hopeless`.
            Err(Error::PeerStale { .. } | Error::PeerClosed { .. })
                if deadline.is_endless() || !self.side.link.search_is_over() =>
            {
                Ok(false)
            }
            ready => ready,
        }
    }

    /// Checks that the endpoint is usable, and switches to the segment that its link is attached to. `Ok(false)`: not
    /// yet, since messages that were accepted before are still to be carried over.
    fn prepare(&mut self) -> Result<bool> {
        self.side.link.check_running()?;
        if !self.side.is_left_behind() {
            return Ok(true);
        }
        let ended = self.side.link.end_carry().map_err(|broken| self.side.broken(broken))?;
        let Some((outlet, epoch)) = ended else { return Ok(false) };
        crash_point!("follow.sender");
        self.drafted = None;
        self.side.switch(outlet.attachment.clone(), epoch);
        self.outlet = outlet;
        Ok(!self.side.is_left_behind())
    }

    #[inline]
    fn check_size(&self, size: usize, capacity: usize) -> Result<()> {
        if size <= capacity {
            return Ok(());
        }
        Err(Error::TooLarge { segment: self.side.link.segment(), size, capacity })
    }

    /// Sends if there is room. That ends a loan, as in the queue.
    fn attempt(&mut self, bytes: &[u8]) -> Result<bool> {
        self.drafted = None;
        let fences = self.fences();
        let sent = self.outlet.attempt(bytes, fences).map_err(|broken| self.side.broken(broken))?;
        if let Some(woke) = sent {
            self.count_sent(1, bytes.len(), woke);
        }
        Ok(sent.is_some())
    }

    /// Finds room for a loan.
    fn attempt_loan(&mut self, len: usize) -> Result<Option<*mut u8>> {
        if let Some(queue) = self.outlet.queue_in_use() {
            return queue.loan(len).map_err(|broken| self.side.broken(broken));
        }
        if !self.outlet.is_free() {
            return Ok(None);
        }
        if self.draft.len() < len {
            self.draft.resize(len, 0);
        }
        self.drafted = Some(len);
        Ok(Some(self.draft.as_mut_ptr()))
    }

    fn put(&mut self, bytes: &[u8], content: Content) {
        let fences = self.fences();
        let woke = self.outlet.put(bytes, content, fences);
        match content {
            Content::Message => self.count_sent(1, bytes.len(), woke),
            Content::Value => self.side.link.counters.count_written(woke),
        }
    }

    /// What a reader that may be one of ESHM 1.x needs.
    fn fences(&self) -> Fences {
        if self.side.is_calm() { Fences::Asymmetric } else { Fences::Symmetric }
    }

    /// `woke`: whether that took a system call.
    #[inline(always)]
    fn count_sent(&self, count: usize, bytes: usize, woke: bool) {
        self.side.link.counters.count_sent(count, bytes, woke);
    }

    fn full(&self) -> Error {
        Error::Full { segment: self.side.link.segment() }
    }
}

impl Loan<'_> {
    /// Publishes the message.
    ///
    /// # Errors
    /// As [`Sender::send_loaned`]: the message was not sent, and is gone.
    pub fn send(self) -> Result<()> {
        let mut loan = std::mem::ManuallyDrop::new(self);
        loan.sender.send_loaned()
    }

    /// The loan's memory, without the borrow: for bindings. It is valid until [`Sender::send_loaned`],
    /// [`Sender::forget_loan`], or any other call of the sender that sends or writes, and while the sender exists.
    pub fn into_raw(self) -> (*mut u8, usize) {
        let loan = std::mem::ManuallyDrop::new(self);
        (loan.start, loan.len)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.sender.forget_loan();
    }
}

impl Deref for Loan<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as in `deref_mut`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl DerefMut for Loan<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: `start` is `len` bytes in the queue, or in the sender's draft, that belong to this loan alone until
        // it is sent or dropped: the borrow of the sender keeps the memory, and everybody else out. They are
        // initialised: a mapping's bytes always are.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

// SAFETY: the pointer is to memory that the sender keeps, and a `&mut Sender` may go to another thread.
unsafe impl Send for Loan<'_> {}
