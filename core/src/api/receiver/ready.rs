//! What a receiver can tell without taking anything: whether there is something to take, and where it lies.
//!
//! For callers that wait in one place and take in another, such as an event loop and its helper threads: a wait that
//! is given up has nothing in its hand.

use std::time::Duration;

use super::{Message, Receiver, What};
use crate::channel::mailbox::FirstRead;
use crate::error::Result;
use crate::wait::{Deadline, Wait};

impl Receiver {
    /// Waits for `part` of a longer wait until [`Receiver::try_recv`] is worth a call. Takes, releases and counts
    /// nothing. Returns `Ok(false)` when the part is over: call again.
    ///
    /// After `Ok(true)`, `try_recv` returns a message or an error. Seldom it returns `None`: when this endpoint has
    /// just moved to another segment.
    ///
    /// # Errors
    /// As [`Receiver::recv_part`].
    pub(crate) fn wait_message_part(&mut self, wait: &Wait, part: Duration) -> Result<bool> {
        self.wait_ready(What::Message, wait.0, Deadline::after(Some(part)))
    }

    /// As [`Receiver::wait_message_part`], for [`Receiver::try_read`].
    ///
    /// # Errors
    /// As [`Receiver::read_part`].
    pub(crate) fn wait_value_part(&mut self, wait: &Wait, part: Duration) -> Result<bool> {
        self.wait_ready(What::Value, wait.0, Deadline::after(Some(part)))
    }

    fn wait_ready(&mut self, what: What, deadline: Deadline, part: Deadline) -> Result<bool> {
        let timed = !deadline.is_endless();
        loop {
            self.side.link.check_running()?;
            // Asked before the poll, which still finds what came before the peer's close.
            let terminal_error = self.side.link.terminal_error(&self.side.attachment, timed);
            let sample = match self.arrivals(what) {
                Some(queue) => queue.message_bell_ahead(self.lent_ahead()).sample(),
                None => self.value_bell().sample(),
            };
            if self.is_ready(what)? {
                return Ok(true);
            }
            if let Some(error) = terminal_error {
                return Err(error);
            }
            let Some(left) = deadline.left() else {
                return Err(self.side.timeout("the arrival of a message", deadline));
            };
            let Some(part_left) = part.left() else { return Ok(false) };
            self.park_ready(what, sample, left.min(part_left));
        }
    }

    /// Returns whether `poll_once` would find something, or switch to another segment.
    fn is_ready(&self, what: What) -> Result<bool> {
        let left_behind = match what {
            What::Value => self.values.is_left_behind(&self.side.link),
            What::Message => self.side.is_left_behind(),
        };
        if left_behind {
            return Ok(true);
        }
        let first = match what {
            What::Value => FirstRead::Current,
            What::Message => FirstRead::Untaken,
        };
        if what == What::Message
            && let Some(queue) = &self.queue
            && queue.peek_ahead(self.lent_ahead()).map_err(|broken| self.side.broken(broken))?.is_some()
        {
            return Ok(true);
        }
        Ok(self.arrivals(what).is_none()
            && self.values.mailbox.channel().has_new_value(&self.values.cursor, first))
    }

    fn park_ready(&self, what: What, sample: u32, left: Duration) {
        match self.arrivals(what) {
            Some(queue) => {
                let bell = queue.message_bell_ahead(self.lent_ahead());
                self.side.link.park(&self.backoff, bell, sample, false, left);
            }
            None => {
                let silent = self.side.link.peer_is_silent(&self.values.attachment);
                self.side.link.park(&self.backoff, self.value_bell(), sample, silent, left);
            }
        }
    }

    /// Returns the position of the next message: 1 if [`Message::into_raw`] has lent the first one, otherwise 0.
    fn lent_ahead(&self) -> u32 {
        u32::from(self.lent.is_some())
    }
}

impl Message<'_> {
    /// Returns whether the message lies in the queue, where it stays the next one until it is dropped. Otherwise it is a copy
    /// that is released already.
    pub fn is_in_place(&self) -> bool {
        self.lent
    }
}
