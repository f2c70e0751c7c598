//! Arming the event descriptor after a look that found nothing: see `peer/link/events.rs`.

use super::Receiver;
use super::poll::{Found, What};
use crate::error::Result;
use crate::peer::events::Interest;
use crate::wait::Fences;

impl Receiver {
    /// Looks as `poll_once` does. If it finds nothing, it arms the event descriptor, if there is one.
    pub(super) fn poll_or_arm(&mut self, what: What) -> Result<Option<Found>> {
        let found = self.poll_once(what)?;
        if found.is_none() && self.side.link.events().is_some() {
            return self.arm(what);
        }
        Ok(found)
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

    fn epoch_of(&self, what: What) -> u32 {
        match what {
            What::Message => self.side.epoch,
            What::Value => self.values.epoch,
        }
    }
}
