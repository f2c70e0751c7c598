//! Arming the event descriptor after a look that found nothing: see `peer/link/events.rs`.

use super::poll::{Found, What};
use super::{Message, Receiver};
use crate::error::Result;
use crate::peer::events::Interest;
use crate::wait::Fences;

impl Receiver {
    /// Looks as `poll_once` does. If it finds nothing, it arms the event descriptor, if there is one.
    #[inline(always)]
    pub(super) fn poll_or_arm(&mut self, what: What) -> Result<Option<Found>> {
        match self.poll_once(what)? {
            None if self.side.link.events().is_some() => self.arm(what),
            found => Ok(found),
        }
    }

    /// Arms the event descriptor, and looks again.
    #[cold]
    pub(super) fn arm(&mut self, what: What) -> Result<Option<Found>> {
        let kind = match what {
            What::Message => Interest::READABLE,
            What::Value => Interest::VALUE,
        };
        loop {
            let epoch = self.epoch_of(what);
            let attachment = match what {
                What::Message => &self.side.attachment,
                What::Value => &self.values.attachment,
            };
            let wants = match self.arrivals(what) {
                Some(queue) => self.side.link.arm_events(kind, queue.arrival_bell(), attachment),
                None => {
                    let bell = self.values.mailbox.channel().value_bell(Fences::Asymmetric);
                    self.side.link.arm_events(kind, bell, attachment)
                }
            };
            if !wants {
                return Ok(None);
            }
            match self.poll_once(what) {
                // The endpoint may have moved to another segment, which is not armed.
                Ok(None) if self.epoch_of(what) != epoch => {}
                Ok(None) => {
                    self.side.link.ring_for_others(kind);
                    return Ok(None);
                }
                found => {
                    // There may be more, or another thread may wait for the error.
                    self.side.link.ring_events();
                    return found;
                }
            }
        }
    }

    /// As [`Receiver::try_recv`], for a caller that waits for the event descriptor: see
    /// [`Limit::Poll`](crate::raw::Limit::Poll).
    pub(crate) fn poll_recv(&mut self) -> Result<Option<Message<'_>>> {
        let found = self.attempt(What::Message)?;
        Ok(found.map(|found| self.message(found)))
    }

    /// As [`Receiver::poll_recv`], for a value.
    pub(crate) fn poll_read(&mut self) -> Result<Option<Message<'_>>> {
        let found = self.attempt(What::Value)?;
        Ok(found.map(|found| self.message(found)))
    }

    /// As [`Receiver::poll_recv`], for either kind, without the borrow: see [`Receiver::message`].
    pub(crate) fn attempt(&mut self, what: What) -> Result<Option<Found>> {
        match self.poll_or_arm(what)? {
            Some(found) => Ok(Some(found)),
            None => self.end_of_wait(what),
        }
    }

    /// Returns the error that ends a wait without limit, after [`Receiver::try_recv`] has found nothing, or a message that
    /// has come meanwhile.
    pub(crate) fn end_of_receiving(&mut self) -> Result<Option<Message<'_>>> {
        let found = self.end_of_wait(What::Message)?;
        Ok(found.map(|found| self.message(found)))
    }

    /// As [`Receiver::end_of_receiving`], for [`Receiver::try_read`].
    pub(crate) fn end_of_reading(&mut self) -> Result<Option<Message<'_>>> {
        let found = self.end_of_wait(What::Value)?;
        Ok(found.map(|found| self.message(found)))
    }

    fn end_of_wait(&mut self, what: What) -> Result<Option<Found>> {
        let Some(error) = self.side.link.terminal_error(&self.side.attachment, false) else {
            return Ok(None);
        };
        // Another thread may wait for the same error, and the byte that told of it was read.
        self.side.link.ring_events();
        // What came before the peer's close is received first.
        self.poll_once(what)?.map_or(Err(error), |found| Ok(Some(found)))
    }

    fn epoch_of(&self, what: What) -> u32 {
        match what {
            What::Message => self.side.epoch,
            What::Value => self.values.epoch,
        }
    }
}
