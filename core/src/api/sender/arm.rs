//! Arming the event descriptor after a message was refused for lack of room: see `peer/link/events.rs`.

use super::Sender;
use crate::error::Result;
use crate::peer::events::Interest;

impl Sender {
    /// Arms the event descriptor for room, if there is one, and tries again.
    ///
    /// # Errors
    /// Returns [`Error::Full`](crate::Error::Full) if there is no room.
    #[cold]
    pub(super) fn refuse<T>(
        &mut self,
        len: usize,
        mut again: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        loop {
            let epoch = self.side.epoch;
            let (bell, _) = self.outgoing.space_bell();
            if !self.side.link.arm_events(Interest::WRITABLE, bell, &self.outgoing.attachment) {
                return Err(self.full());
            }
            let done = match self.may_go(len) {
                Ok(true) => again(self),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            match done {
                // The endpoint has moved to another segment, which is not armed.
                Ok(None) if self.side.epoch != epoch => {}
                Ok(None) => {
                    self.refused = true;
                    self.side.leave_fast_path();
                    self.side.link.ring_for_others(Interest::WRITABLE);
                    return Err(self.full());
                }
                Ok(Some(done)) => {
                    self.forget_refusal();
                    self.side.link.ring_for_others(Interest::WRITABLE);
                    return Ok(done);
                }
                Err(error) => {
                    self.side.link.ring_events();
                    return Err(error);
                }
            }
        }
    }

    /// Disarms the event descriptor, because the program tries again.
    pub(super) fn forget_refusal(&mut self) {
        self.refused = false;
        self.side.return_to_fast_path();
        if let Some(source) = self.side.link.events() {
            source.disarm(Interest::WRITABLE);
        }
        self.outgoing.space_bell().0.disarm();
    }
}
