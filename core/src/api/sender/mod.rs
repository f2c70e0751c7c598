//! The half of an endpoint that writes and sends.

mod batch;
mod loan;
mod ready;
mod wait;

use std::time::Duration;

use crate::api::side::Side;
use crate::error::{Error, Result};
use crate::peer::attachment::Content;
use crate::peer::outgoing::OutgoingChannel;
use crate::wait::{Backoff, Deadline, Fences, Wait};

pub use batch::BatchError;
pub use loan::Loan;

/// The half that writes and sends. One thread at a time uses it.
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
}

impl Sender {
    pub(crate) fn new(side: Side) -> Result<Self> {
        let outgoing =
            OutgoingChannel::open(side.attachment.clone()).map_err(|broken| side.broken(broken))?;
        let backoff = Backoff::new(side.link.config().wait);
        Ok(Sender { side, outgoing, backoff, waiting: false, draft: Vec::new(), drafted: None })
    }

    /// Replaces the latest value, whether it was read or not. Never waits.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the data size; of a slave without a master, [`Error::Reconnecting`], or
    /// [`Error::PeerStale`] and [`Error::PeerClosed`] once the patience is over; [`Error::Displaced`].
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
    #[doc(hidden)]
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
            self.check_size(len, self.outgoing.limit())?;
        }
        Ok(followed)
    }

    /// Sends if nothing stands in the way: the shortest path there is.
    #[inline(always)]
    fn send_fast(&mut self, bytes: &[u8]) -> Result<bool> {
        if self.side.is_settled()
            && let Some(queue) = &mut self.outgoing.queue
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
        Err(Error::TooLarge { segment: self.side.link.segment(), size, capacity })
    }

    /// Sends if there is room. That ends a loan, as in the queue.
    fn attempt(&mut self, bytes: &[u8]) -> Result<bool> {
        self.drafted = None;
        let fences = self.fences();
        let sent = self.outgoing.try_send(bytes, fences).map_err(|broken| self.side.broken(broken))?;
        if let Some(woke) = sent {
            self.count_sent(1, bytes.len(), woke);
        }
        Ok(sent.is_some())
    }

    fn put(&mut self, bytes: &[u8], content: Content) {
        let fences = self.fences();
        let woke = self.outgoing.put(bytes, content, fences);
        match content {
            Content::Message => self.count_sent(1, bytes.len(), woke),
            Content::Value => self.side.link.counters.count_written(woke),
        }
    }

    /// What a reader that may be one of ESHM 1.x needs.
    fn fences(&self) -> Fences {
        if self.side.is_settled() { Fences::Asymmetric } else { Fences::Symmetric }
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
