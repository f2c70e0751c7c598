//! How the threads of an endpoint park, and how they are woken for events that ring no doorbell.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::status::LEGACY;
use super::{Link, State};
use crate::peer::attachment::Attachment;
use crate::sys::{Ordering, futex_wake};
use crate::wait::{Backoff, Doorbell, Fences, SLICE};

/// The longest park of a thread that the monitor wakes for such events.
const LONG_SLICE: Duration = Duration::from_secs(1);
/// For how long the monitor wakes the threads again. A thread that is about to park, and has seen the state before the
/// event, misses the first wake-up.
const AGAIN: Duration = SLICE;

/// The attachments whose threads the monitor wakes again, each with the end of that. A thread that is parked there keeps
/// its attachment.
pub(super) type WakeAgain = Vec<(Weak<Attachment>, Instant)>;

impl Link {
    /// Waits until the doorbell rings, or until something else may have happened. See [`Backoff::wait`].
    pub(crate) fn park(
        &self,
        backoff: &Backoff,
        bell: Doorbell<'_>,
        sample: u32,
        silent: bool,
        left: Duration,
    ) {
        // The monitor watches no peer of ESHM 1.x so closely, and an endpoint may be without a monitor.
        let is_watched = self.config.background && self.status.flags(LEGACY) == 0;
        let slice = if is_watched { LONG_SLICE } else { SLICE };
        // Relaxed, both: a visit of the monitor that misses the count is followed by another one.
        self.parked.fetch_add(1, Ordering::Relaxed);
        backoff.wait(bell, sample, silent, left.min(slice));
        self.parked.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts the tasks that wait for the event descriptor as one thread that is parked.
    #[cfg(any(feature = "async", feature = "tokio"))]
    pub(crate) fn count_waiting_tasks(&self, before: bool, now: bool) {
        // Relaxed, both: as in `park`.
        match (before, now) {
            (false, true) => _ = self.parked.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.parked.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Wakes the waiting threads of this endpoint, and who waits for its event descriptor, and has the monitor wake them again. A thread of another process
    /// that waits there wakes up in vain.
    pub(super) fn wake_own_threads(&self, state: &mut State, attachment: &Arc<Attachment>) {
        if self.config.background {
            let until = Instant::now() + AGAIN;
            let attachment = Arc::downgrade(attachment);
            state.wake_again.retain(|(other, _)| !Weak::ptr_eq(other, &attachment));
            state.wake_again.push((attachment, until));
        }
        self.wake_threads_of(attachment);
        // Once is enough: a verb that has read the pipe empty looks again.
        self.ring_events();
    }

    /// Wakes the waiting threads for the events of the last visits.
    pub(super) fn wake_again(&self, state: &mut State, now: Instant) {
        for attachment in state.wake_again.iter().filter_map(|(attachment, _)| attachment.upgrade()) {
            self.wake_threads_of(&attachment);
        }
        state.wake_again.retain(|(_, until)| now < *until);
    }

    pub(super) fn wake_threads_of(&self, attachment: &Attachment) {
        self.changed.notify_all();
        futex_wake(attachment.incoming().value_bell(Fences::Asymmetric).word);
        futex_wake(attachment.outgoing().taken().word);
        if let Some(queue) = attachment.incoming_queue() {
            queue.wake_receiver();
        }
        if let Some(queue) = attachment.outgoing_queue() {
            futex_wake(queue.space_bell().word);
        }
    }
}

/// Wakes the waiting threads of the peer, so that they see at once that this endpoint has closed.
pub(super) fn wake_peer_threads(attachment: &Attachment) {
    futex_wake(attachment.outgoing().value_bell(Fences::Asymmetric).word);
    futex_wake(attachment.incoming().taken().word);
    if let Some(queue) = attachment.outgoing_queue() {
        queue.wake_receiver();
    }
    if let Some(queue) = attachment.incoming_queue() {
        futex_wake(queue.space_bell().word);
    }
    attachment.ring_peer_at_close();
}
