//! Parks a thread until a doorbell rings, without losing a wake-up.

use std::time::Duration;

use super::EventBell;
use crate::sys::{AtomicU32, Ordering, fence, futex_wait, futex_wake, heavy_fence, light_fence};

/// The longest park of a receiver for which the kernel cannot order the stores of the peer (see [`heavy_fence`]).
/// Such a receiver can miss a wake-up.
const UNORDERED_SLICE: Duration = Duration::from_millis(1);

/// The number of parked threads, in the low bits of [`Doorbell::waiters`].
const COUNT: u32 = 0xFFFF;
/// Set in `waiters` while the side that waits asks for a ring of its event descriptor. The side that rings clears it.
const BELL: u32 = 1 << 17;

/// A futex word that changes with each event, and the number of threads that are parked on it.
#[derive(Clone, Copy)]
pub(crate) struct Doorbell<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) waiters: &'a AtomicU32,
    pub(crate) fences: Fences,
}

/// Which side executes a full fence between "change the word, then load the waiter count" and "increment the waiter
/// count, then load the word".
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fences {
    /// Both sides, because the waiter may be an ESHM 1.2 process.
    Symmetric,
    /// Only the side that parks, through `membarrier`, as waiters of this crate always do. The side that rings has a
    /// compiler fence: see [`light_fence`].
    Asymmetric,
}

impl Doorbell<'_> {
    /// Wakes the parked threads, and rings the event descriptor if that is asked for. The caller has changed the word
    /// before. Returns whether that took a system call.
    #[inline(always)]
    pub(crate) fn ring(self, bell: &EventBell) -> bool {
        let waits = self.has_waiters();
        if waits {
            self.wake(bell);
        }
        waits
    }

    /// Wakes those for whom [`Doorbell::has_waiters`] has returned `true`.
    #[cold]
    pub(crate) fn wake(self, bell: &EventBell) {
        crash_point!("wake.seen");
        // Relaxed: `has_waiters` has ordered it.
        let waiters = self.waiters.load(Ordering::Relaxed);
        if waiters & COUNT != 0 {
            futex_wake(self.word);
            crash_point!("wake.done");
        }
        if waiters & BELL != 0 {
            // Acquire: pairs with the Release in `arm`. A thread that sees the flag sees who has set it.
            let before = self.waiters.fetch_and(!BELL, Ordering::Acquire);
            crash_point!("bell.cleared");
            if before & BELL != 0 {
                bell.ring();
                crash_point!("bell.rung");
            }
        }
    }

    /// Asks for one ring of the event descriptor, at the next event. The caller then looks for the event again.
    pub(crate) fn arm(self) {
        // Release: pairs with the Acquire in `wake`.
        let before = self.waiters.fetch_or(BELL, Ordering::Release);
        crash_point!("arm.asked");
        if before & BELL == 0 {
            // Pairs with either fence in `has_waiters`. Where the kernel cannot order the stores of the peer, the background
            // thread finds what this misses.
            heavy_fence();
            crash_point!("arm.ordered");
        }
    }

    /// Returns whether a ring is asked for, and has not begun.
    pub(crate) fn is_armed(self) -> bool {
        // Relaxed: the answer orders nothing.
        self.waiters.load(Ordering::Relaxed) & BELL != 0
    }

    /// Asks for no ring any more.
    pub(crate) fn disarm(self) {
        // Relaxed: as above.
        self.waiters.fetch_and(!BELL, Ordering::Relaxed);
    }

    /// Returns whether a thread is parked, or a ring is asked for. A thread that this misses will see the changed word.
    #[inline(always)]
    pub(crate) fn has_waiters(self) -> bool {
        // Pairs with the fence in `park`: either the load below sees the waiter, or the comparison of the kernel in
        // the futex call of the waiter sees the changed word. (Store, fence, load on both sides.)
        match self.fences {
            Fences::Symmetric => fence(Ordering::SeqCst),
            Fences::Asymmetric => light_fence(),
        }
        self.waiters.load(Ordering::Relaxed) != 0
    }

    /// Returns the word. If the event is not there after this, the caller passes the word to `park`.
    pub(crate) fn sample(self) -> u32 {
        // Acquire: pairs with the Release stores that change the word.
        self.word.load(Ordering::Acquire)
    }

    /// Parks until the word differs from `sample`, for at most `timeout`. Can return early: the caller checks for the event
    /// again.
    pub(crate) fn park(self, sample: u32, timeout: Duration) {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        crash_point!("park.counted");
        // Pairs with either fence in `has_waiters`.
        let ordered = heavy_fence();
        futex_wait(self.word, sample, if ordered { timeout } else { timeout.min(UNORDERED_SLICE) });
        crash_point!("park.woken");
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        crash_point!("park.left");
    }
}
