//! Several messages in one call.

use std::ops::ControlFlow;
use std::time::Duration;

use super::Receiver;
use super::poll::{Found, What};
use crate::channel::queue::Lent;
use crate::error::Result;

/// Where a batch is cut off.
pub(crate) enum Cut {
    /// Behind this message.
    After,
    /// Before this message, which stays the next one.
    Before,
    /// Before all of it: every message stays.
    All,
}

impl Receiver {
    /// Waits for a message as [`Receiver::recv`] does, passes up to `most` messages that are there to `each`, in place, and
    /// releases them all at once. Returns their number; 0 only if `most` is 0.
    ///
    /// If `each` panics, or the process is killed before the end, none is released: all are received again.
    ///
    /// ```
    /// let mut master = eshm::Endpoint::master("doc-recv-many")?;
    /// let mut slave = eshm::Endpoint::slave("doc-recv-many")?;
    /// master.send_many(&[b"one", b"two", b"six"])?;
    /// let mut bytes = 0;
    /// assert_eq!(slave.recv_many(100, |message| bytes += message.len())?, 3);
    /// assert_eq!(bytes, 9);
    /// # Ok::<(), eshm::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub fn recv_many(&mut self, most: usize, each: impl FnMut(&[u8])) -> Result<usize> {
        self.recv_many_until(most, None, each)
    }

    /// As [`Receiver::recv_many`], and waits no longer than `timeout`. Returns 0 when no message came in time.
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

    /// As [`Receiver::recv_many`], without waiting. Returns 0 when there is no message.
    ///
    /// # Errors
    /// As [`Receiver::try_recv`].
    pub fn try_recv_many(&mut self, most: usize, each: impl FnMut(&[u8])) -> Result<usize> {
        if most == 0 {
            return Ok(0);
        }
        let Some(found) = self.poll_or_arm(What::Message)? else { return Ok(0) };
        Ok(self.drain_from(found, most, each))
    }

    /// Passes the message that was found, and those after it, to `each`: see [`Receiver::recv_many`].
    pub(crate) fn drain_from(&mut self, found: Found, most: usize, mut each: impl FnMut(&[u8])) -> usize {
        let Found::Lent(first) = found else {
            each(&self.message(found));
            return 1;
        };
        self.drain(first, most, |bytes| {
            each(bytes);
            ControlFlow::Continue(())
        })
    }

    fn recv_many_until(
        &mut self,
        most: usize,
        timeout: Option<Duration>,
        each: impl FnMut(&[u8]),
    ) -> Result<usize> {
        if most == 0 {
            return Ok(0);
        }
        let found = match self.poll_fast()? {
            Some(found) => Some(found),
            None => self.wait_in_time(What::Message, timeout)?,
        };
        Ok(found.map_or(0, |found| self.drain_from(found, most, each)))
    }

    /// Hands the messages of the queue from `first` on to `each`, up to `most`, and releases those that it was done with at
    /// once. Returns how many these were. A panic of `each` leaves all of them.
    fn drain(&mut self, first: Lent, most: usize, mut each: impl FnMut(&[u8]) -> ControlFlow<Cut>) -> usize {
        let Some(queue) = &mut self.queue else { return 0 };
        // A peer that writes marks meanwhile could make more of them.
        let most = most.min(queue.slots());
        let (mut count, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(lent) = next {
            // SAFETY: a message of the queue, which is not released before the loop ends.
            let flow = each(unsafe { lent.bytes() });
            match flow {
                ControlFlow::Break(Cut::All) => return 0,
                ControlFlow::Break(Cut::Before) => break,
                _ => {}
            }
            count += 1;
            bytes += lent.len;
            // What is broken is reported by the next call: what was handed over is released first.
            let goes_on = flow.is_continue() && (count as usize) < most;
            next = if goes_on { queue.peek_ahead(count).unwrap_or(None) } else { None };
        }
        if count > 0 {
            let woke = queue.release(count);
            self.side.link.counters.count_received(count, bytes, woke);
        }
        count as usize
    }

    /// As `drain`, from the next message of the queue on, which [`Receiver::try_recv`] has just found there.
    pub(crate) fn drain_found(
        &mut self,
        most: usize,
        each: impl FnMut(&[u8]) -> ControlFlow<Cut>,
    ) -> Result<usize> {
        let Some(queue) = &self.queue else { return Ok(0) };
        match queue.peek().map_err(|broken| self.side.broken(broken))? {
            Some(first) => Ok(self.drain(first, most, each)),
            None => Ok(0),
        }
    }
}
