//! The half of an endpoint that reads and receives.

mod batch;
mod message;
mod poll;
mod ready;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use crate::api::inspector::inspection;
use crate::api::side::Side;
use crate::channel::mailbox::Value;
use crate::channel::queue::{Lent, QueueReceiver};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::wait::{Backoff, Deadline, PollTiming, Wait};

use poll::{Found, Values, What};
use wait::in_time;

pub(crate) use batch::Cut;
pub use message::Message;

/// The half of an [`Endpoint`](crate::Endpoint) that reads and receives. It may move to another thread; one thread at a time
/// uses it.
#[derive(Debug)]
#[must_use = "the endpoint closes when both of its halves are dropped"]
pub struct Receiver {
    /// Where messages are received.
    pub(crate) side: Side,
    queue: Option<QueueReceiver>,
    /// Where values are read: each kind is read out before it continues in the next segment.
    values: Values,
    backoff: Backoff,
    /// When to poll for messages.
    timing: PollTiming,
    buffer: Vec<u8>,
    /// The length of the message of the queue that was given out by [`Message::into_raw`].
    lent: Option<usize>,
}

impl Receiver {
    pub(crate) fn new(side: Side) -> Self {
        Receiver {
            values: Values::new(&side.link, Arc::clone(&side.attachment), side.epoch),
            queue: side.attachment.incoming_queue().map(QueueReceiver::resume),
            backoff: Backoff::new(side.link.config().wait),
            timing: PollTiming::new(side.link.role),
            side,
            buffer: Vec::new(),
            lent: None,
        }
    }

    /// Returns the latest value, or `None` if this endpoint has read it already. Never waits.
    ///
    /// # Errors
    /// - [`Error::Corrupt`]: the peer wrote what the protocol forbids.
    /// - [`Error::Displaced`]: another segment has this master's name, and nothing is left to read.
    /// - [`Error::Closed`], [`Error::Forked`]: the endpoint is stopped, or belongs to the parent process.
    pub fn try_read(&mut self) -> Result<Option<Message<'_>>> {
        let found = self.poll_once(What::Value)?;
        Ok(found.map(|found| self.message(found)))
    }

    /// Waits until there is a value that this endpoint has not read, and returns the latest.
    ///
    /// # Errors
    /// [`Error::PeerClosed`], [`Error::PeerStale`]: no value can come any more. Otherwise as [`Receiver::try_read`].
    pub fn read(&mut self) -> Result<Message<'_>> {
        let found = match self.poll_for_new_value()? {
            Some(found) => found,
            None => self.wait(What::Value, None)?,
        };
        Ok(self.message(found))
    }

    /// As [`Receiver::read`], and waits no longer than `timeout`. Returns `Ok(None)` when no value came in time; a peer that
    /// is stale or closed ends the wait only if [`Builder::give_up`](crate::Builder::give_up) or
    /// [`Disconnect::Immediately`](crate::Disconnect::Immediately) is set.
    ///
    /// # Errors
    /// As [`Receiver::try_read`]. [`Error::PeerClosed`], [`Error::PeerStale`]: this slave has stopped its search for a master.
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        let found = match self.poll_for_new_value()? {
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
    pub(crate) fn read_part(&mut self, wait: &Wait, part: Duration) -> Result<Option<Message<'_>>> {
        let found = self.wait_part(What::Value, wait.0, Deadline::after(Some(part)))?;
        Ok(found.map(|found| self.message(found)))
    }

    /// Returns the next message, or `None` if there is none. Never waits.
    ///
    /// # Errors
    /// As [`Receiver::try_read`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<Option<Message<'_>>> {
        let found = match self.poll_fast()? {
            Some(found) => Some(found),
            None => self.poll_once(What::Message)?,
        };
        Ok(found.map(|found| self.message(found)))
    }

    /// Waits until there is a message, and returns it. Every message is delivered once, in the order in which it was sent.
    ///
    /// The message is released when it is dropped. A message that an earlier process in this role has not released is
    /// delivered here.
    ///
    /// # Errors
    /// As [`Receiver::read`].
    #[inline(always)]
    pub fn recv(&mut self) -> Result<Message<'_>> {
        let found = match self.poll_eagerly()? {
            Some(found) => found,
            None => self.wait(What::Message, None)?,
        };
        Ok(self.message(found))
    }

    /// As [`Receiver::recv`], and waits no longer than `timeout`. Returns `Ok(None)` when no message came in time.
    ///
    /// # Errors
    /// As [`Receiver::read_timeout`].
    #[inline(always)]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        let found = match self.poll_eagerly()? {
            Some(found) => Some(found),
            None => in_time(self.wait(What::Message, Some(timeout)))?,
        };
        Ok(found.map(|found| self.message(found)))
    }

    /// Waits for `part` of a longer wait of [`Receiver::recv`] or [`Receiver::recv_timeout`], so that the caller can
    /// look up in between. `Ok(None)`: nothing yet, call again.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`], and [`Error::Timeout`] when the whole wait is over.
    pub(crate) fn recv_part(&mut self, wait: &Wait, part: Duration) -> Result<Option<Message<'_>>> {
        let found = match self.poll_fast()? {
            Some(found) => Some(found),
            None => self.wait_part(What::Message, wait.0, Deadline::after(Some(part)))?,
        };
        Ok(found.map(|found| self.message(found)))
    }

    /// Releases the message that [`Message::into_raw`] took apart: for bindings, which cannot keep a borrow. The next
    /// call that receives does so too.
    pub(crate) fn release(&mut self) {
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

    /// Returns the peer's generation in the segment where messages are received.
    pub(crate) fn message_generation(&self) -> u64 {
        self.side.attachment.generation()
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

inspection!(Receiver, side.link);
