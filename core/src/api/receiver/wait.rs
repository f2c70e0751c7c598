//! How a receiver waits: it spins, then parks.

use std::time::Duration;

use super::Receiver;
use super::poll::{Found, What};
use crate::channel::queue::QueueReceiver;
use crate::error::{Error, Result};
use crate::wait::{Deadline, Doorbell, Fences};

impl Receiver {
    pub(super) fn wait(&mut self, what: What, timeout: Option<Duration>) -> Result<Found> {
        let deadline = Deadline::after(timeout);
        match self.spin(what, deadline)? {
            Some(found) => Ok(found),
            None => self.wait_long(what, deadline),
        }
    }

    /// As `wait`, with `None` for a time-out.
    pub(super) fn wait_in_time(&mut self, what: What, timeout: Option<Duration>) -> Result<Option<Found>> {
        match self.wait(what, timeout) {
            Ok(found) => Ok(Some(found)),
            Err(Error::Timeout { .. }) if self.side.link.events().is_some() => self.arm(what),
            Err(Error::Timeout { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[cold]
    fn wait_long(&mut self, what: What, deadline: Deadline) -> Result<Found> {
        let whole = Deadline::after(None);
        loop {
            if let Some(found) = self.park(what, deadline, whole)? {
                return Ok(found);
            }
        }
    }

    /// `Ok(None)` at the end of the part.
    pub(super) fn wait_part(
        &mut self,
        what: What,
        deadline: Deadline,
        part: Deadline,
    ) -> Result<Option<Found>> {
        // A later part of a wait goes on where the part before ended: with a park.
        if deadline.is_new()
            && let Some(found) = self.spin(what, deadline)?
        {
            return Ok(Some(found));
        }
        self.park(what, deadline, part)
    }

    /// Polls as the wait strategy says, without a park.
    fn spin(&mut self, what: What, deadline: Deadline) -> Result<Option<Found>> {
        let mut backoff = self.backoff;
        let activity = self.side.link.counters.activity();
        let found = backoff.spin(1, activity, deadline.left().unwrap_or_default(), || self.look(what));
        self.backoff = backoff;
        found
    }

    /// Returns whether polls without a yield or a park pay at present.
    pub(crate) fn polls_pay(&self) -> bool {
        self.backoff.polls_pay()
    }

    /// Looks for what a prompt peer brings, without arming the event descriptor.
    pub(crate) fn look(&mut self, what: What) -> Result<Option<Found>> {
        if self.may_be_there(what) { self.poll_once(what) } else { Ok(None) }
    }

    /// Returns whether `poll_once` may find something. Loads one cache line of the segment while nothing happens.
    #[inline(always)]
    fn may_be_there(&self, what: What) -> bool {
        match &self.queue {
            Some(queue) if what == What::Message => !self.side.is_settled() || queue.has_next(),
            _ => {
                !self.side.link.is_settled(self.values.settled)
                    || self.values.mailbox.channel().may_have_new_value(&self.values.cursor)
            }
        }
    }

    fn park(&mut self, what: What, deadline: Deadline, part: Deadline) -> Result<Option<Found>> {
        let timed = !deadline.is_endless();
        loop {
            // Determined before the last poll, which then still finds what arrived before the peer's close.
            let terminal_error = self.side.link.terminal_error(&self.side.attachment, timed);
            let sample = match self.arrivals(what) {
                Some(queue) => queue.message_bell().sample(),
                None => self.value_bell().sample(),
            };
            if let Some(found) = self.poll_once(what)? {
                return Ok(Some(found));
            }
            if let Some(error) = terminal_error {
                return Err(error);
            }
            let Some(left) = deadline.left() else {
                return Err(self.side.timeout("the arrival of a message", deadline));
            };
            let Some(part_left) = part.left() else { return Ok(None) };
            let left = left.min(part_left);
            if !self.backoff.parks() {
                if let Some(found) = self.spin(what, deadline)? {
                    return Ok(Some(found));
                }
                continue;
            }
            match self.arrivals(what) {
                Some(queue) => {
                    self.side.link.park(&self.backoff, queue.message_bell(), sample, false, left);
                }
                None => {
                    let silent = self.side.link.peer_is_silent(&self.values.attachment);
                    self.side.link.park(&self.backoff, self.value_bell(), sample, silent, left);
                }
            }
        }
    }

    /// Returns the doorbell on which this receiver waits for a value, of a writer that may be one of ESHM 1.x.
    pub(super) fn value_bell(&self) -> Doorbell<'_> {
        let fences = if self.side.is_settled() { Fences::Asymmetric } else { Fences::Symmetric };
        self.values.mailbox.channel().value_bell(fences)
    }

    /// Returns the queue if the content arrives there.
    pub(super) fn arrivals(&self, what: What) -> Option<&QueueReceiver> {
        self.queue.as_ref().filter(|_| what == What::Message && self.side.peer_has_queue())
    }
}
