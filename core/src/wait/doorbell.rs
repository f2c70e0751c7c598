//! Parks a thread until a bell rings, without losing the ring.

use std::time::Duration;

use crate::sys::{AtomicU32, Ordering, fence, futex_wait, futex_wake, heavy_fence, light_fence};

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
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fences {
    /// Both sides: for a waiter that may be an ESHM 1.2 process.
    Symmetric,
    /// The one who parks, which our waiters always do: the one who rings shall not wait for its own store to drain.
    Asymmetric,
}

impl Doorbell<'_> {
    /// Wakes whoever is parked, after the word was changed. Returns whether that took a system call.
    #[inline(always)]
    pub(crate) fn ring(self) -> bool {
        let parked = self.is_waited_at();
        if parked {
            crash_point!("wake.seen");
            futex_wake(self.word);
            crash_point!("wake.done");
        }
        parked
    }

    /// Whether somebody is parked, or will find the word changed otherwise.
    #[inline(always)]
    pub(crate) fn is_waited_at(self) -> bool {
        // Pairs with the fence in `park`: either the load below sees the waiter, or the kernel's comparison in the
        // waiter's futex call sees the changed word. (Store, fence, load on both sides.)
        match self.fences {
            Fences::Symmetric => fence(Ordering::SeqCst),
            Fences::Asymmetric => light_fence(),
        }
        self.waiters.load(Ordering::Relaxed) != 0
    }

    /// The word, to be handed to `park` if what is waited for is not there after this.
    pub(crate) fn sample(self) -> u32 {
        // Acquire: pairs with the Release stores that change the word.
        self.word.load(Ordering::Acquire)
    }

    /// Parks until the word differs from `sample`, at most for `timeout`; may return early.
    pub(crate) fn park(self, sample: u32, timeout: Duration) {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        crash_point!("park.counted");
        // Pairs with either fence in `ring`.
        let ordered = heavy_fence();
        futex_wait(self.word, sample, if ordered { timeout } else { timeout.min(UNORDERED_SLICE) });
        crash_point!("park.woken");
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        crash_point!("park.left");
    }
}
