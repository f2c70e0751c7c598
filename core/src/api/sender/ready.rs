//! Whether a sender has room, asked without sending: see `Receiver::wait_message_part`.

use std::time::Duration;

use super::Sender;
use crate::error::{Error, Result};
use crate::wait::{Deadline, Wait};

impl Sender {
    /// Waits for `part` of a longer wait until [`Sender::try_send`] of a message of `len` bytes is worth a call. Sends
    /// and reserves nothing, and leaves a loan as it is. Returns `Ok(false)` when the part is over: call again.
    ///
    /// After `Ok(true)`, `try_send` sends the message or returns an error. Seldom that error is
    /// [`Error::Full`](crate::Error::Full): when this endpoint has just moved to another segment.
    ///
    /// # Errors
    /// As [`Sender::send_part`].
    pub(crate) fn wait_room_part(&mut self, len: usize, wait: &Wait, part: Duration) -> Result<bool> {
        let (deadline, part) = (wait.0, Deadline::after(Some(part)));
        loop {
            let sample = self.outgoing.space_bell().0.sample();
            let ready = match self.may_put(len, deadline) {
                // What `try_send` says at once.
                Err(Error::TooLarge { .. }) => true,
                may_put => may_put? && self.has_space(len)?,
            };
            if ready {
                return Ok(true);
            }
            if let Some(error) = self.side.link.terminal_error(&self.side.attachment, !deadline.is_endless())
            {
                return Err(error);
            }
            let Some(left) = deadline.left() else {
                return Err(self.side.timeout("room for a message", deadline));
            };
            let Some(part_left) = part.left() else { return Ok(false) };
            self.park(sample, left.min(part_left));
        }
    }

    /// Returns whether there is room for a message of `len` bytes.
    fn has_space(&mut self, len: usize) -> Result<bool> {
        match self.outgoing.queue_in_use() {
            Some(queue) => queue.has_space(len).map_err(|broken| self.side.broken(broken)),
            None => Ok(self.outgoing.is_free()),
        }
    }
}
