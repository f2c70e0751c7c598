//! The end of an endpoint: stop, close, and close at the exit of its process.

use std::sync::Arc;

use super::status::{CLOSED, STOPPED};
use super::wake::wake_peer_threads;
use super::{Link, State};
use crate::error::Result;
use crate::peer::attachment::Attachment;
use crate::peer::carry_over::{CarryOver, WHOLE_QUEUE};
use crate::peer::monitor;
use crate::segment::file;
use crate::segment::name::SegmentName;
use crate::sys::Ordering;
use crate::sys::fork;

impl Link {
    /// Ends the calls of the endpoint that wait, and all later calls. The endpoint keeps its seat until it is closed.
    /// Does nothing in a forked child, because the endpoint belongs to the parent.
    pub(crate) fn stop(&self) {
        if self.is_forked() {
            return;
        }
        let mut state = self.state();
        self.status.set(STOPPED);
        let attachment = Arc::clone(&state.attachment);
        self.wake_own_threads(&mut state, &attachment);
    }

    /// Closes the endpoint, once. Does nothing in a forked child, because the endpoint belongs to the parent.
    pub(crate) fn close(&self) {
        if self.is_forked() {
            return;
        }
        let unlinked = {
            let mut state = self.state();
            let unlinked = self.leave(&mut state, &mut self.carry(), Attachment::leave);
            // Closing its file unlocks both of its seats.
            state.stand_in = None;
            unlinked
        };
        let Some(unlinked) = unlinked else { return };
        monitor::forget(self);
        let unreceived = self.unreceived();
        event!(debug, segment = self.name.as_str(), role = %self.role, unreceived, "closed");
        if let Err(error) = unlinked {
            let error = file::errno(&error);
            // Relaxed: only a caller that has waited for this close reads it.
            self.not_removed.store(error as i32, Ordering::Relaxed);
            let error = file::remove_error(&self.name, error);
            event!(warn, segment = self.name.as_str(), %error, "the segment's name could not be removed");
        }
    }

    /// Checks that the close removed the name of the segment, if it was to remove it.
    ///
    /// # Errors
    /// Returns [`Error::Remove`] if the name could not be removed.
    pub(crate) fn check_removed(&self) -> Result<()> {
        match self.not_removed.load(Ordering::Relaxed) {
            0 => Ok(()),
            error => Err(file::remove_error(&self.name, nix::Error::from_raw(error))),
        }
    }

    /// Closes the endpoint at the exit of the process. Emits no event, because loggers may be gone, and does not wait
    /// for locks that this thread may hold itself. The seats stay locked until the kernel ends the process, because
    /// other threads may be in calls and use the segment until then.
    pub(super) fn close_without_waiting(&self) {
        if self.is_forked() {
            return;
        }
        let Some(mut state) = fork::lock_at_exit(&self.state) else { return };
        if let Some(mut carry) = fork::lock_at_exit(&self.carry) {
            // Nobody is left to receive an error of the removal.
            let _ = self.leave(&mut state, &mut carry, Attachment::mark_closed);
        }
    }

    /// Closes the endpoint. `part` closes each of its segments. Returns `None` if the endpoint was already closed.
    pub(super) fn leave(
        &self,
        state: &mut State,
        carry: &mut CarryOver,
        part: fn(&Attachment, &SegmentName, bool) -> std::io::Result<()>,
    ) -> Option<std::io::Result<()>> {
        if self.is_closed() {
            return None;
        }
        self.advance_carry(&mut state.notices, carry, WHOLE_QUEUE);
        let unreceived = state.attachment.outgoing_depth() + carry.unreceived();
        self.unreceived_at_close.store(unreceived, Ordering::Relaxed);
        self.status.set(CLOSED);
        let leave = |attachment: &Attachment| part(attachment, &self.name, self.config.auto_cleanup);
        let unlinked = state.stand_in.as_ref().map_or(Ok(()), leave);
        let left = leave(&state.attachment);
        let attachment = Arc::clone(&state.attachment);
        wake_peer_threads(&attachment);
        // Not `wake_own_threads`, which may allocate: this may be the exit of a process that holds the allocator's lock.
        self.wake_threads_of(&attachment);
        if let Some(source) = self.events() {
            source.descriptor.ring();
            source.descriptor.unname();
        }
        Some(unlinked.and(left))
    }
}
