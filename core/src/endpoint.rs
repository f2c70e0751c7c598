//! What users hold: an endpoint, its two halves, and a received message.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::attach::Attachment;
use crate::config::{Builder, Role};
use crate::error::{Error, Result};
use crate::heartbeat::PeerState;
use crate::link::Link;
use crate::mailbox::{Cursor, First, Oversize, Value};
use crate::name::SegmentName;
use crate::stats::Stats;
use crate::sync::Ordering;
use crate::text;
use crate::wait::{self, Deadline};

/// One process's attachment to a segment: a [`Sender`] and a [`Receiver`].
///
/// The verbs take `&mut self`: one thread at a time. [`Endpoint::split`] and [`Endpoint::into_split`] let one
/// thread send while another receives. Dropping the endpoint closes it; so does a panic, and the process's exit.
///
/// ```
/// let mut master = eshm::Endpoint::master("doc-endpoint")?;
/// let mut slave = eshm::Endpoint::slave("doc-endpoint")?;
/// master.send(b"pose 1 2 3")?;
/// assert_eq!(&*slave.recv()?, b"pose 1 2 3");
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Debug)]
pub struct Endpoint {
    sender: Sender,
    receiver: Receiver,
}

/// The half that writes and sends. One thread at a time uses it.
#[derive(Debug)]
pub struct Sender {
    side: Side,
    /// The count of an ESHM 1.x reader's reads when a message was last put before it, until it is acknowledged.
    unacknowledged: Option<u64>,
}

/// The half that reads and receives. One thread at a time uses it.
#[derive(Debug)]
pub struct Receiver {
    side: Side,
    cursor: Cursor,
    buffer: Vec<u8>,
}

/// What the halves have in common.
#[derive(Debug)]
struct Side {
    link: Arc<Open>,
    attachment: Arc<Attachment>,
    epoch: u64,
}

/// Closes the link when the last half is gone.
#[derive(Debug)]
struct Open(Arc<Link>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A message that was read or received. It derefs to its bytes.
///
/// It borrows the receiver: the next call that reads invalidates it.
pub struct Message<'a> {
    bytes: &'a [u8],
    skipped: u64,
    generation: u64,
}

impl Message<'_> {
    /// How many values were overwritten between the one read before and this one. 0 for messages that our peers
    /// send with `send`.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The peer's generation when this message was taken: greater after each restart of the peer.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The message as text: see [`text::decode`].
    ///
    /// # Errors
    /// [`Error::InvalidText`].
    pub fn text(&self) -> Result<&str> {
        text::decode(self.bytes)
    }
}

impl Deref for Message<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl AsRef<[u8]> for Message<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Message({} bytes, skipped {}, generation {})",
            self.bytes.len(),
            self.skipped,
            self.generation
        )
    }
}

impl Endpoint {
    /// Opens a segment as its master, with the default settings.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn master(name: &str) -> Result<Self> {
        Self::builder(name).role(Role::Master).open()
    }

    /// Opens a segment as its slave, with the default settings: waits up to 5 s for a master to make it.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn slave(name: &str) -> Result<Self> {
        Self::builder(name).role(Role::Slave).open()
    }

    /// Opens a segment as its slave if a master is alive, and as its master otherwise.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn auto(name: &str) -> Result<Self> {
        Self::builder(name).role(Role::Auto).open()
    }

    /// The settings of an endpoint of this segment, to be changed and opened.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    pub(crate) fn open(name: SegmentName, config: Builder) -> Result<Self> {
        let link = Link::open(name, config)?;
        let (attachment, epoch) = link.attachment();
        let link = Arc::new(Open(link));
        let side = || Side { link: Arc::clone(&link), attachment: Arc::clone(&attachment), epoch };
        Ok(Endpoint {
            sender: Sender { side: side(), unacknowledged: None },
            receiver: Receiver { side: side(), cursor: Cursor::default(), buffer: Vec::new() },
        })
    }

    /// Both halves, for two scoped threads, or to send while a received message is borrowed.
    pub fn split(&mut self) -> (&mut Sender, &mut Receiver) {
        (&mut self.sender, &mut self.receiver)
    }

    /// Both halves, for good. The endpoint closes when both are dropped.
    pub fn into_split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// As [`Sender::write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.write(bytes)
    }

    /// As [`Sender::send`].
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.send(bytes)
    }

    /// As [`Sender::try_send`].
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.try_send(bytes)
    }

    /// As [`Sender::send_timeout`].
    pub fn send_timeout(&mut self, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.sender.send_timeout(bytes, timeout)
    }

    /// As [`Receiver::read`].
    pub fn read(&mut self) -> Result<Message<'_>> {
        self.receiver.read()
    }

    /// As [`Receiver::try_read`].
    pub fn try_read(&mut self) -> Result<Option<Message<'_>>> {
        self.receiver.try_read()
    }

    /// As [`Receiver::read_timeout`].
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        self.receiver.read_timeout(timeout)
    }

    /// As [`Receiver::recv`].
    pub fn recv(&mut self) -> Result<Message<'_>> {
        self.receiver.recv()
    }

    /// As [`Receiver::try_recv`].
    pub fn try_recv(&mut self) -> Result<Option<Message<'_>>> {
        self.receiver.try_recv()
    }

    /// As [`Receiver::recv_timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        self.receiver.recv_timeout(timeout)
    }

    /// Shows one sign of life: for endpoints opened with [`Builder::background`]`(false)`.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn update_heartbeat(&self) -> Result<()> {
        self.sender.side.link.0.update_heartbeat()
    }

    /// Says goodbye to the peer; a master removes the segment's name (see [`Builder::auto_cleanup`]). What the
    /// peer has not read yet it still can. Dropping does the same.
    ///
    /// # Errors
    /// [`Error::Forked`]: the endpoint is the parent's, and stays open there.
    pub fn close(self) -> Result<()> {
        self.sender.side.link.0.check()
    }
}

/// What can be asked of an endpoint and of either half. Any thread may ask.
macro_rules! inspection {
    ($type:ident, $($side:ident).+) => {
        impl $type {
            /// The segment's name.
            pub fn name(&self) -> &str {
                self.$($side).+.link.0.name.as_str()
            }

            /// Master or slave, as it was settled.
            pub fn role(&self) -> Role {
                self.$($side).+.link.0.role
            }

            /// The greatest message, in bytes.
            pub fn data_size(&self) -> usize {
                self.$($side).+.attachment.data_size()
            }

            /// What is known of the peer.
            pub fn peer_state(&self) -> PeerState {
                self.$($side).+.link.0.peer_state()
            }

            /// The peer's generation: greater after each restart of the peer.
            pub fn generation(&self) -> u64 {
                let side = &self.$($side).+;
                side.link.0.generation(&side.link.0.attachment().0)
            }

            /// Whether the peer is an ESHM 1.x process.
            pub fn peer_is_legacy(&self) -> bool {
                self.$($side).+.link.0.attachment().0.peer_is_legacy()
            }

            /// Waits until the peer is there and alive.
            ///
            /// # Errors
            /// [`Error::Timeout`]; [`Error::Forked`].
            pub fn wait_for_peer(&self, timeout: Duration) -> Result<()> {
                let link = &self.$($side).+.link.0;
                if link.wait_for_peer(timeout)? {
                    return Ok(());
                }
                let what = "the arrival of the peer";
                Err(Error::Timeout { segment: link.segment(), what, waited: timeout })
            }

            /// The segment's and the endpoint's counts.
            ///
            /// # Errors
            /// [`Error::Forked`].
            pub fn stats(&self) -> Result<Stats> {
                self.$($side).+.link.0.stats()
            }
        }
    };
}
inspection!(Endpoint, sender.side);
inspection!(Sender, side);
inspection!(Receiver, side);

impl Side {
    /// Moves over to the segment that replaced this one, if one did.
    #[inline]
    fn follow(&mut self) -> bool {
        let moved = self.link.0.epoch() != self.epoch;
        if moved {
            (self.attachment, self.epoch) = self.link.0.attachment();
        }
        moved
    }

    fn timeout(&self, what: &'static str, deadline: Deadline) -> Error {
        self.link.0.counters.timeouts.add(1);
        Error::Timeout { segment: self.link.0.segment(), what, waited: deadline.elapsed() }
    }
}

impl Sender {
    /// Replaces the latest value, whether it was read or not. Never waits.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; of a slave without a master, [`Error::Reconnecting`], or [`Error::PeerStale`] and
    /// [`Error::PeerClosed`] once it has given up.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.ready(bytes)?;
        self.side.link.0.check_writable()?;
        self.put(bytes);
        Ok(())
    }

    /// Sends a message that is delivered once and in order: waits until the one before it was taken, as long as
    /// the peer may still take it.
    ///
    /// With an ESHM 1.x peer the acknowledgement is its count of reads.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::PeerClosed`] and [`Error::PeerStale`] if it has to wait and nobody will come;
    /// the message was not sent.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.send_until(bytes, Deadline::after(None))
    }

    /// As [`Sender::send`], for a limited time.
    ///
    /// # Errors
    /// [`Error::Timeout`] when the message before was not taken in time: this one was not sent. With an ESHM 1.x
    /// peer, which swallows the first message it is shown, the one before counts as lost then, and the next call
    /// does not wait for it any more. Otherwise as [`Sender::send`].
    pub fn send_timeout(&mut self, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.send_until(bytes, Deadline::after(Some(timeout)))
    }

    /// As [`Sender::send`], without waiting.
    ///
    /// # Errors
    /// [`Error::Full`] when the message before was not taken yet; [`Error::Reconnecting`] of a slave without a
    /// master; otherwise as [`Sender::send`]. The message was not sent.
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<()> {
        self.ready(bytes)?;
        self.side.link.0.check_writable()?;
        if !self.is_free() {
            return Err(Error::Full { segment: self.side.link.0.segment() });
        }
        self.put(bytes);
        Ok(())
    }

    fn send_until(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        self.ready(bytes)?;
        if wait::spin(|| self.look(true))?.is_none() {
            self.wait_until_free(bytes, deadline)?;
        }
        self.put(bytes);
        Ok(())
    }

    fn wait_until_free(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        let timed = !deadline.is_endless();
        loop {
            // Another segment may have other limits.
            self.ready(bytes)?;
            let sample = self.side.attachment.outgoing().taken().sample();
            if self.look(timed)?.is_some() {
                return Ok(());
            }
            if let Some(error) = self.side.link.0.hopeless(timed) {
                return Err(error);
            }
            let Some(left) = deadline.left() else {
                self.unacknowledged = None;
                return Err(self.side.timeout("the reading of the previous message", deadline));
            };
            let attachment = &self.side.attachment;
            wait::leave_core(attachment.outgoing().taken(), sample, attachment.peer_is_legacy(), left);
        }
    }

    /// Whether a message can be put now.
    fn look(&mut self, timed: bool) -> Result<Option<()>> {
        match self.side.link.0.check_writable() {
            Ok(()) => Ok(self.is_free().then_some(())),
            Err(Error::Reconnecting { .. }) => Ok(None),
            Err(_) if !timed => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// That the endpoint is usable, and the message of a size that it can send.
    #[inline]
    fn ready(&mut self, bytes: &[u8]) -> Result<()> {
        self.side.link.0.check()?;
        if self.side.follow() {
            self.unacknowledged = None;
        }
        let capacity = self.side.attachment.data_size();
        if bytes.len() > capacity {
            return Err(Error::TooLarge { segment: self.side.link.0.segment(), size: bytes.len(), capacity });
        }
        Ok(())
    }

    /// Whether the previous message was taken.
    fn is_free(&mut self) -> bool {
        let channel = self.side.attachment.outgoing();
        if !self.side.attachment.peer_is_legacy() {
            return channel.is_taken();
        }
        // Acquire: the 1.x reader counts after it has copied.
        let reads = channel.tail.read_count.load(Ordering::Acquire);
        self.unacknowledged.take_if(|before| *before != reads);
        self.unacknowledged.is_none()
    }

    fn put(&mut self, bytes: &[u8]) {
        let channel = self.side.attachment.outgoing();
        self.unacknowledged = Some(channel.tail.read_count.load(Ordering::Acquire));
        if channel.write(bytes) {
            self.side.link.0.counters.wakeups.add(1);
        }
    }
}

impl Receiver {
    /// The latest value, if there is one that this endpoint has not read. Never waits.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the peer announces more bytes than the channel holds.
    pub fn try_read(&mut self) -> Result<Option<Message<'_>>> {
        let value = self.look(First::Current)?;
        Ok(value.map(|value| self.message(value)))
    }

    /// The latest value, once there is one that this endpoint has not read. Waits as long as one may come.
    ///
    /// # Errors
    /// [`Error::PeerClosed`] and [`Error::PeerStale`] when nothing will come; [`Error::Corrupt`].
    pub fn read(&mut self) -> Result<Message<'_>> {
        let value = self.wait(First::Current, Deadline::after(None))?;
        self.expect(value)
    }

    /// As [`Receiver::read`], for a limited time: `Ok(None)` when it ran out.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; of a slave that has given its master up, [`Error::PeerStale`].
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        let value = self.wait(First::Current, Deadline::after(Some(timeout)))?;
        Ok(value.map(|value| self.message(value)))
    }

    /// The next message, if it is there. Never waits.
    ///
    /// # Errors
    /// As [`Receiver::try_read`].
    pub fn try_recv(&mut self) -> Result<Option<Message<'_>>> {
        let value = self.look(First::Untaken)?;
        Ok(value.map(|value| self.message(value)))
    }

    /// The next message: every one that was sent, once, in order. Waits as long as one may come.
    ///
    /// A message counts as taken when this returns. One that was sent to a predecessor of this process and not
    /// taken is delivered here.
    ///
    /// # Errors
    /// As [`Receiver::read`].
    pub fn recv(&mut self) -> Result<Message<'_>> {
        let value = self.wait(First::Untaken, Deadline::after(None))?;
        self.expect(value)
    }

    /// As [`Receiver::recv`], for a limited time: `Ok(None)` when it ran out.
    ///
    /// # Errors
    /// As [`Receiver::read_timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        let value = self.wait(First::Untaken, Deadline::after(Some(timeout)))?;
        Ok(value.map(|value| self.message(value)))
    }

    fn wait(&mut self, first: First, deadline: Deadline) -> Result<Option<Value>> {
        if let Some(value) = wait::spin(|| self.look(first))? {
            return Ok(Some(value));
        }
        let timed = !deadline.is_endless();
        loop {
            // Asked before the last look: what came before the goodbye is still found.
            let hopeless = self.side.link.0.hopeless(timed);
            let sample = self.side.attachment.incoming().news().sample();
            if let Some(value) = self.look(first)? {
                return Ok(Some(value));
            }
            if let Some(error) = hopeless {
                return Err(error);
            }
            let Some(left) = deadline.left() else {
                self.side.link.0.counters.timeouts.add(1);
                return Ok(None);
            };
            let attachment = &self.side.attachment;
            let silent = self.side.link.0.peer_is_silent(attachment);
            wait::leave_core(attachment.incoming().news(), sample, silent, left);
        }
    }

    /// Reads the current segment, and only when it is read out the one that replaced it.
    fn look(&mut self, first: First) -> Result<Option<Value>> {
        self.side.link.0.check()?;
        loop {
            let channel = self.side.attachment.incoming();
            match channel.read(&mut self.cursor, first, &mut self.buffer) {
                Ok(Some(value)) => {
                    self.side.link.0.counters.skipped.add(value.skipped);
                    return Ok(Some(value));
                }
                Ok(None) if self.side.follow() => self.cursor = Cursor::default(),
                Ok(None) => return Ok(None),
                Err(Oversize(found)) => {
                    return Err(Error::Corrupt {
                        segment: self.side.link.0.segment(),
                        what: "a message's size",
                        found: found.into(),
                        expected: format!("at most {}", self.side.attachment.data_size()),
                    });
                }
            }
        }
    }

    fn message(&self, value: Value) -> Message<'_> {
        Message {
            bytes: &self.buffer[..value.len],
            skipped: value.skipped,
            generation: self.side.link.0.generation(&self.side.attachment),
        }
    }

    fn expect(&self, value: Option<Value>) -> Result<Message<'_>> {
        // An endless wait ends with a value or an error.
        value
            .map(|value| self.message(value))
            .ok_or_else(|| Error::Closed { segment: self.side.link.0.segment() })
    }
}
