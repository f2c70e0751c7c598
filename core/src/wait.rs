//! Parking until a bell rings, and deadlines.

use std::time::{Duration, Instant};

use crate::sync::{AtomicU32, Ordering, fence, futex_wait, futex_wake, heavy_fence, light_fence};

/// The longest park of a receiver that cannot have the kernel order its peer's stores (see [`heavy_fence`]): such
/// a one may miss a bell.
const UNORDERED_SLICE: Duration = Duration::from_millis(1);

/// A futex word that changes with each event, and the count of those who are parked on it.
#[derive(Clone, Copy)]
pub(crate) struct Doorbell<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) waiters: &'a AtomicU32,
    pub(crate) fences: Fences,
}

/// Who pays for the order between "changed the word, then looks for waiters" and "counts as waiter, then looks at
/// the word".
#[derive(Clone, Copy)]
pub(crate) enum Fences {
    /// Both sides: the mailbox, whose other side may be an ESHM 1.2 process.
    Symmetric,
    /// The one who parks: the queue, whose sender shall not wait for its own store to drain.
    Asymmetric,
}

impl Doorbell<'_> {
    /// Wakes whoever is parked, after the word was changed. Returns whether that took a system call.
    #[inline(always)]
    pub(crate) fn ring(self) -> bool {
        // Pairs with the fence in `park`: either the load below sees the waiter, or the kernel's comparison in the
        // waiter's futex call sees the changed word. (Store, fence, load on both sides.)
        match self.fences {
            Fences::Symmetric => fence(Ordering::SeqCst),
            Fences::Asymmetric => light_fence(),
        }
        let parked = self.waiters.load(Ordering::Relaxed) != 0;
        if parked {
            futex_wake(self.word);
        }
        parked
    }

    /// The word, to be handed to `park` if what is waited for is not there after this.
    pub(crate) fn sample(self) -> u32 {
        // Acquire: pairs with the Release stores that change the word.
        self.word.load(Ordering::Acquire)
    }

    /// Parks until the word differs from `sample`, at most for `timeout`; may return early.
    pub(crate) fn park(self, sample: u32, timeout: Duration) {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `ring`.
        let ordered = match self.fences {
            Fences::Symmetric => {
                fence(Ordering::SeqCst);
                true
            }
            Fences::Asymmetric => heavy_fence(),
        };
        futex_wait(self.word, sample, if ordered { timeout } else { timeout.min(UNORDERED_SLICE) });
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A wait that is done in parts, by a caller that must look up in between: an interpreter that has signals to
/// handle, or a lock to hand on. See [`Receiver::recv_part`](crate::Receiver::recv_part).
#[derive(Clone, Copy, Debug)]
pub struct Wait(pub(crate) Deadline);

impl Wait {
    /// A wait that begins now, and ends after `timeout`, or never.
    pub fn new(timeout: Option<Duration>) -> Self {
        Wait(Deadline::after(timeout))
    }
}

/// When a wait ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    started: Instant,
    /// `None`: never.
    timeout: Option<Duration>,
}

impl Deadline {
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Deadline { started: Instant::now(), timeout }
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn is_endless(self) -> bool {
        self.timeout.is_none()
    }

    /// What is left, or `None` when it has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        match self.timeout {
            None => Some(Duration::MAX),
            Some(timeout) => timeout.checked_sub(self.elapsed()).filter(|left| !left.is_zero()),
        }
    }
}
