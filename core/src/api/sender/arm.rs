//! Arming the event descriptor after a message was refused for lack of room: see `peer/link/events.rs`.

use super::{BatchError, Loan, Sender};
use crate::error::{Error, Result};
use crate::peer::events::Interest;
use crate::peer::outgoing::LEGACY_ACK_TIMEOUT;
use crate::wait::Deadline;

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
            if !self.arm_for_room() {
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
                    if matches!(error, Error::Reconnecting { .. }) {
                        self.await_master();
                    } else {
                        self.side.link.ring_events();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Arms the event descriptor for room where the next message will lie.
    fn arm_for_room(&self) -> bool {
        let link = &self.side.link;
        if self.side.is_left_behind() {
            // Messages of the carry-over go first. Room for them is in the segment that the endpoint has moved to.
            let attachment = link.attachment();
            return attachment.with_bell(Interest::WRITABLE, |bell| {
                link.arm_events(Interest::WRITABLE, bell, &attachment)
            });
        }
        link.arm_events(Interest::WRITABLE, self.outgoing.space_bell().0, &self.outgoing.attachment)
    }

    /// As [`Sender::try_send`], for a caller that waits for the event descriptor: see
    /// [`Limit::Poll`](crate::raw::Limit::Poll).
    pub(crate) fn poll_send(&mut self, bytes: &[u8]) -> Result<()> {
        self.try_send(bytes).map_err(|error| self.end_of_wait(error))
    }

    /// As [`Sender::poll_send`], for messages in order.
    pub(crate) fn poll_send_many<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), BatchError> {
        self.try_send_many(messages)
            .map_err(|error| BatchError { source: self.end_of_wait(error.source), ..error })
    }

    /// As [`Sender::poll_send`], for a loan.
    pub(crate) fn poll_loan(&mut self, len: usize) -> Result<Loan<'_>> {
        let start = self.poll_start(len)?;
        Ok(self.loan_at(start, len))
    }

    /// As [`Sender::poll_loan`], without the borrow: see [`Sender::loan_at`].
    pub(crate) fn poll_start(&mut self, len: usize) -> Result<*mut u8> {
        self.start_loan(len).map_err(|error| self.end_of_wait(error))
    }

    /// Returns the loan that begins there. The caller has just found room, and has not used the sender since.
    pub(crate) fn loan_at(&mut self, start: *mut u8, len: usize) -> Loan<'_> {
        Loan { sender: self, start, len }
    }

    /// Returns the error that ends a wait without limit after a refusal, and the refusal if such a wait would go on.
    pub(crate) fn end_of_wait(&mut self, refusal: Error) -> Error {
        if !refusal.is_transient() {
            return refusal;
        }
        if let Some(error) = self.side.link.terminal_error(&self.side.attachment, false) {
            // Another thread may wait for the same error, and the byte that told of it was read.
            self.side.link.ring_events();
            return error;
        }
        let waits_for_legacy = matches!(refusal, Error::Full { .. }) && !self.outgoing.peer_has_queue();
        // As `longest_wait` says.
        match self.unacknowledged.filter(|_| waits_for_legacy) {
            Some(deadline) if deadline.left().is_none() => {
                self.unacknowledged = None;
                self.outgoing.forget_unacknowledged();
                return self.side.timeout("the reading of the message before", deadline);
            }
            None if waits_for_legacy => {
                self.unacknowledged = Some(Deadline::after(Some(LEGACY_ACK_TIMEOUT)));
            }
            _ => {}
        }
        refusal
    }

    /// Takes note that messages are refused until the master is back, of which the event descriptor tells.
    #[cold]
    pub(super) fn await_master(&self) {
        self.side.link.await_master();
    }

    /// Returns whether the event descriptor is armed for room.
    #[cfg(any(feature = "async", feature = "tokio"))]
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Disarms the event descriptor, because the program tries again.
    pub(super) fn forget_refusal(&mut self) {
        self.refused = false;
        self.side.return_to_fast_path();
        let Some(source) = self.side.link.events() else { return };
        source.disarm(Interest::WRITABLE);
        let bell = self.outgoing.space_bell().0;
        if bell.is_armed() {
            // The peer has made no room yet. Another task may wait for more than this message needs, and tries again.
            bell.disarm();
            source.descriptor.ring();
        }
    }
}
