//! The half of an endpoint that writes and sends.

mod arm;
mod batch;
mod loan;
mod wait;

use std::time::Duration;

use crate::api::inspector::inspection;
use crate::api::side::Side;
use crate::error::{Error, Result};
use crate::peer::attachment::Content;
use crate::peer::outgoing::OutgoingChannel;
use crate::wait::{Backoff, Deadline, Fences, Wait};

pub use batch::BatchError;
pub use loan::Loan;

/// The half of an [`Endpoint`](crate::Endpoint) that writes and sends. It may move to another thread; one thread at a time
/// uses it.
#[derive(Debug)]
#[must_use = "the endpoint closes when both of its halves are dropped"]
pub struct Sender {
    pub(crate) side: Side,
    outgoing: OutgoingChannel,
    backoff: Backoff,
    /// Whether a wait for room was begun and is not over: one that is done in parts counts once.
    waiting: bool,
    /// Where a loan is built on a segment without a queue, and its length.
    draft: Vec<u8>,
    drafted: Option<usize>,
    /// Whether the event descriptor is armed for room. Then this half takes no fast path.
    refused: bool,
    /// When this half stops waiting for an ESHM 1.x reader, after a refusal that waits for the event descriptor.
    unacknowledged: Option<Deadline>,
}

impl Sender {
    pub(crate) fn new(side: Side) -> Result<Self> {
        let outgoing =
            OutgoingChannel::open(side.attachment.clone()).map_err(|broken| side.broken(broken))?;
        let backoff = Backoff::new(side.link.config().wait);
        Ok(Sender {
            side,
            outgoing,
            backoff,
            waiting: false,
            draft: Vec::new(),
            drafted: None,
            refused: false,
            unacknowledged: None,
        })
    }

    /// Replaces the latest value, whether it was read or not. Never waits.
    ///
    /// # Errors
    /// The value was not written.
    /// - [`Error::TooLarge`]: it is longer than [`Sender::data_size`].
    /// - [`Error::Reconnecting`]: this slave has no master at present.
    /// - [`Error::PeerStale`], [`Error::PeerClosed`]: this slave has no master, and the limits of the reconnect are used up.
    /// - [`Error::Displaced`]: another segment has this master's name.
    /// - [`Error::Closed`], [`Error::Forked`]: the endpoint is stopped, or belongs to the parent process.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.side.is_settled() {
            let followed = self.prepare()?;
            self.side.link.check_writable()?;
            // Messages that are still to be carried over do not hold a value up.
            if !followed && let Some(written) = self.side.link.write_while_carrying(bytes) {
                return written;
            }
        }
        self.check_size(bytes.len(), self.outgoing.attachment.data_size())?;
        self.put(bytes, Content::Value);
        Ok(())
    }

    /// Sends a message, which is delivered once and in order. Waits for room while the queue is full and the peer may still
    /// make some.
    ///
    /// On a segment without queues one message is in flight: the call waits until the message before it was taken. With an
    /// ESHM 1.x peer it does so, too, but for at most one second.
    ///
    /// # Errors
    /// The message was not sent.
    /// - [`Error::TooLarge`]: it is longer than [`Sender::max_message`].
    /// - [`Error::PeerClosed`], [`Error::PeerStale`]: there is no room, and no peer that could make some.
    /// - [`Error::Timeout`]: an ESHM 1.x peer has not taken the message before within a second.
    /// - [`Error::Displaced`]: another segment has this master's name.
    /// - [`Error::Corrupt`]: the peer broke the queue.
    /// - [`Error::Closed`], [`Error::Forked`]: the endpoint is stopped, or belongs to the parent process.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        if self.send_fast(bytes)? {
            return Ok(());
        }
        self.send_until(bytes, None)
    }

    /// As [`Sender::send`], and waits no longer than `timeout`. With zero it does not park.
    ///
    /// # Errors
    /// [`Error::Timeout`]: there was no room in time; the message was not sent. An ESHM 1.x peer ignores the first message
    /// that it finds: after this error the message before counts as lost, and the next call does not wait for it.
    /// Otherwise as [`Sender::send`].
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
    pub(crate) fn send_part(&mut self, bytes: &[u8], wait: &Wait, part: Duration) -> Result<bool> {
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
    /// The message was not sent. [`Error::Full`]: there is no room. [`Error::Reconnecting`]: this slave has no master at
    /// present. Otherwise as [`Sender::send`].
    #[inline]
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<()> {
        if self.send_fast(bytes)? {
            return Ok(());
        }
        if self.is_ready(bytes.len())? && self.attempt(bytes)? {
            return Ok(());
        }
        self.refuse(bytes.len(), |sender| Ok(sender.attempt(bytes)?.then_some(())))
    }

    /// As [`Sender::try_send`], in a half that threads share.
    #[inline]
    pub(crate) fn try_send_shared(&mut self, bytes: &[u8]) -> Result<()> {
        if self.send_fast_in::<true>(bytes)? {
            return Ok(());
        }
        self.try_send(bytes)
    }

    /// Returns whether a message of `len` bytes may be put now, if there is room. `Ok(false)`: messages of the carry-over
    /// go first.
    fn is_ready(&mut self, len: usize) -> Result<bool> {
        if self.refused {
            self.forget_refusal();
        }
        self.may_go(len).inspect_err(|error| {
            if matches!(error, Error::Reconnecting { .. }) {
                self.await_master();
            }
        })
    }

    /// As `is_ready`, and leaves the event descriptor armed.
    fn may_go(&mut self, len: usize) -> Result<bool> {
        let followed = self.prepare()?;
        self.side.link.check_writable()?;
        if followed {
            self.check_size(len, self.outgoing.limit())?;
        }
        Ok(followed)
    }

    /// Sends if the half is settled. This is the fast path.
    #[inline(always)]
    pub(crate) fn send_fast(&mut self, bytes: &[u8]) -> Result<bool> {
        self.send_fast_in::<false>(bytes)
    }

    /// As `send_fast`, see [`QueueSender::send_in`](crate::channel::queue::QueueSender::send_in).
    #[inline(always)]
    fn send_fast_in<const SHARED: bool>(&mut self, bytes: &[u8]) -> Result<bool> {
        if self.side.is_settled()
            && let Some(queue) = &mut self.outgoing.queue
            && bytes.len() <= queue.capacity()
        {
            match queue.send_in::<SHARED>(bytes) {
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

    #[cold]
    fn send_until(&mut self, bytes: &[u8], timeout: Option<Duration>) -> Result<()> {
        self.wait_whole(bytes.len(), timeout, |sender| Ok(sender.attempt(bytes)?.then_some(())))
    }

    /// Checks that the endpoint is usable, and switches to the segment that its link is attached to. `Ok(false)`: not
    /// yet, since messages that were accepted before are still to be carried over.
    fn prepare(&mut self) -> Result<bool> {
        self.side.link.check_running()?;
        if !self.side.is_left_behind() {
            return Ok(true);
        }
        let ended = self.side.link.end_carry().map_err(|broken| self.side.broken(broken))?;
        let Some((outgoing, epoch)) = ended else { return Ok(false) };
        crash_point!("follow.sender");
        self.drafted = None;
        self.side.switch(outgoing.attachment.clone(), epoch);
        self.outgoing = outgoing;
        Ok(!self.side.is_left_behind())
    }

    #[inline]
    fn check_size(&self, size: usize, capacity: usize) -> Result<()> {
        if size <= capacity {
            return Ok(());
        }
        Err(self.too_large(size, capacity))
    }

    #[cold]
    fn too_large(&self, size: usize, capacity: usize) -> Error {
        Error::TooLarge { segment: self.side.link.segment(), size, capacity }
    }

    /// Sends if there is room. That ends a loan, as in the queue.
    fn attempt(&mut self, bytes: &[u8]) -> Result<bool> {
        self.drafted = None;
        let fences = self.fences();
        let sent = self.outgoing.try_send(bytes, fences).map_err(|broken| self.side.broken(broken))?;
        if let Some(woke) = sent {
            self.unacknowledged = None;
            self.count_sent(1, bytes.len(), woke);
        }
        Ok(sent.is_some())
    }

    fn put(&mut self, bytes: &[u8], content: Content) {
        let fences = self.fences();
        let woke = self.outgoing.put(bytes, content, fences);
        match content {
            Content::Message => {
                self.unacknowledged = None;
                self.count_sent(1, bytes.len(), woke);
            }
            Content::Value => self.side.link.counters.count_written(woke),
        }
    }

    /// Returns the fences that the reader needs, which may be of ESHM 1.x.
    fn fences(&self) -> Fences {
        if self.side.is_settled() { Fences::Asymmetric } else { Fences::Symmetric }
    }

    /// `woke`: whether that took a system call.
    #[inline(always)]
    fn count_sent(&self, count: usize, bytes: usize, woke: bool) {
        self.side.link.counters.count_sent(count, bytes, woke);
    }

    #[cold]
    fn full(&self) -> Error {
        Error::Full { segment: self.side.link.segment() }
    }
}

inspection!(Sender, side.link);
