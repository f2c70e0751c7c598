//! Parks a thread until a doorbell rings, without losing a wake-up.

use std::time::Duration;

use super::EventBell;
use crate::sys::{AtomicU32, Ordering, fence, futex_wait, futex_wake, heavy_fence, light_fence};

/// The longest park of a receiver for which the kernel cannot order the stores of the peer (see [`heavy_fence`]).
/// Such a receiver can miss a wake-up.
const UNORDERED_SLICE: Duration = Duration::from_millis(1);

/// The fields of a word that holds a count of parked threads. The number of parked threads, in the low bits.
pub const WAITERS_COUNT: u32 = 0xFFFF;
/// The side that rings orders its stores and loads itself. A thread that parks sets it after its heavy fence, and needs no
/// other while it stays set. The side that rings clears it when that has cost more than it has saved.
pub const WAITERS_ORDERED: u32 = 1 << 16;
/// The side that waits asks for a ring of its event descriptor. The side that rings clears it.
pub const WAITERS_BELL: u32 = 1 << 17;
/// One ring of an ordered bell for which no thread was parked. The bits from here on count them since the last park.
pub const WAITERS_IN_VAIN: u32 = 1 << 20;
/// The number of rings in vain that cost as much as one [`heavy_fence`]: 256 times some 10 ns.
const MOST_IN_VAIN: u32 = if cfg!(loom) { 1 } else { 256 };

/// A futex word that changes with each event, and the number of threads that are parked on it.
#[derive(Clone, Copy)]
pub(crate) struct Doorbell<'a> {
    pub(crate) word: &'a AtomicU32,
    /// See [`WAITERS_COUNT`], [`WAITERS_ORDERED`], [`WAITERS_BELL`] and [`WAITERS_IN_VAIN`].
    pub(crate) waiters: &'a AtomicU32,
    pub(crate) fences: Fences,
}

/// Which side executes a full fence between "change the word, then load the waiter count" and "increment the waiter
/// count, then load the word".
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fences {
    /// Both sides, because the other side may be an ESHM 1.2 process.
    Symmetric,
    /// Only the side that parks, through `membarrier`, as waiters of this crate always do. The side that rings has a
    /// compiler fence (see [`light_fence`]), until a thread that parks asks it to order its accesses itself.
    Asymmetric,
}

impl Doorbell<'_> {
    /// Wakes the parked threads, and rings the event descriptor if that is asked for, as the channels do. The caller has
    /// changed the word before. Returns whether that took a system call.
    #[cfg(test)]
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
        if waiters & WAITERS_COUNT != 0 {
            futex_wake(self.word);
            crash_point!("wake.done");
        }
        if waiters & WAITERS_BELL != 0 {
            // Loaded before the flag is cleared. Otherwise it could be that of a successor that has not made its descriptor
            // yet, and the one of its predecessor would be kept for it.
            let generation = bell.generation();
            // Acquire: pairs with the Release in `arm`. A thread that sees the flag sees who has set it.
            let before = self.waiters.fetch_and(!WAITERS_BELL, Ordering::Acquire);
            crash_point!("bell.cleared");
            if before & WAITERS_BELL != 0 {
                bell.ring(generation);
                crash_point!("bell.rung");
            }
        }
    }

    /// Asks for one ring of the event descriptor, at the next event. The caller then looks for the event again.
    pub(crate) fn arm(self) {
        // AcqRel: pairs with the Acquire in `wake`, and with the AcqRel in `has_waiters_for_certain` as in `park`.
        let before = self.waiters.fetch_or(WAITERS_BELL, Ordering::AcqRel);
        crash_point!("arm.asked");
        if before & WAITERS_BELL != 0 {
            return;
        }
        if before & WAITERS_ORDERED != 0 {
            self.trust_the_flag();
        } else if heavy_fence() {
            // As in `order`: the word was other than 0 since before the fence if the flag of this side is still set. If not,
            // the next time tries again. Relaxed: the word itself orders.
            let word = self.waiters.load(Ordering::Relaxed);
            if word & WAITERS_BELL != 0 {
                let _ = self.waiters.compare_exchange(
                    word,
                    word | WAITERS_ORDERED,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        }
        // Where the kernel cannot order the stores of the peer, the background thread finds what this misses.
        crash_point!("arm.ordered");
    }

    /// Returns whether a ring is asked for, and has not begun.
    pub(crate) fn is_armed(self) -> bool {
        // Relaxed: the answer orders nothing.
        self.waiters.load(Ordering::Relaxed) & WAITERS_BELL != 0
    }

    /// Asks for no ring any more.
    pub(crate) fn disarm(self) {
        // Relaxed: as above.
        self.waiters.fetch_and(!WAITERS_BELL, Ordering::Relaxed);
    }

    /// Returns whether a thread is parked, or a ring is asked for. A thread that this misses will see the changed word.
    #[inline(always)]
    pub(crate) fn has_waiters(self) -> bool {
        // Pairs with the fences in `park`: either the load below sees the waiter, or the comparison of the kernel in
        // the futex call of the waiter sees the changed word. (Store, fence, load on both sides.)
        match self.fences {
            Fences::Symmetric => fence(Ordering::SeqCst),
            Fences::Asymmetric => light_fence(),
        }
        self.waiters.load(Ordering::Relaxed) != 0 && self.has_waiters_for_certain()
    }

    /// As [`Doorbell::has_waiters`], where the waiter word is not 0.
    #[cold]
    fn has_waiters_for_certain(self) -> bool {
        if self.fences == Fences::Symmetric {
            // The fence has ordered the load. To an ESHM 1.x process the word is a count, which stays as it is.
            return self.waiters.load(Ordering::Relaxed) & (WAITERS_COUNT | WAITERS_BELL) != 0;
        }
        // AcqRel: pairs with the same in `park`. One of the two comes first. If it is the one in `park`, this one sees the
        // count, and the slot that the waiter published before. Otherwise that one sees the changed word.
        let before = self.waiters.fetch_add(WAITERS_IN_VAIN, Ordering::AcqRel);
        crash_point!("wake.ordered");
        if before & (WAITERS_COUNT | WAITERS_BELL) != 0 {
            return true;
        }
        if before / WAITERS_IN_VAIN >= MOST_IN_VAIN {
            // Relaxed: it fails if a thread parks meanwhile, which has seen the changed word. A thread that parks later
            // sees that the flag is gone, and executes a heavy fence.
            let _ = self.waiters.compare_exchange(
                before.wrapping_add(WAITERS_IN_VAIN),
                0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        false
    }

    /// Returns the word. If the event is not there after this, the caller passes the word to `park`.
    pub(crate) fn sample(self) -> u32 {
        // Acquire: pairs with the Release stores that change the word.
        self.word.load(Ordering::Acquire)
    }

    /// Parks until the word differs from `sample`, for at most `timeout`. Can return early: the caller checks for the event
    /// again.
    pub(crate) fn park(self, sample: u32, timeout: Duration) {
        // AcqRel: pairs with the same in `has_waiters_for_certain`.
        let before = self.waiters.fetch_add(1, Ordering::AcqRel);
        crash_point!("park.counted");
        let ordered = self.order(before);
        crash_point!("park.ordered");
        futex_wait(self.word, sample, if ordered { timeout } else { timeout.min(UNORDERED_SLICE) });
        crash_point!("park.woken");
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        crash_point!("park.left");
    }

    /// Orders the increment of the count before the comparison of the kernel, and the store of a side that rings before
    /// its load of the count. `before` is the word before the increment. Returns `false` if the latter was not possible.
    fn order(self, before: u32) -> bool {
        if self.fences == Fences::Symmetric {
            // The other side may be an ESHM 1.x process, to which every other word than 0 is a parked thread.
            self.waiters.fetch_and(WAITERS_COUNT, Ordering::Relaxed);
            return heavy_fence();
        }
        if before & WAITERS_ORDERED != 0 {
            self.trust_the_flag();
            return true;
        }
        // Pairs with either fence in `has_waiters`.
        let ordered = heavy_fence();
        if ordered {
            // After the fence, and while this thread is counted: every load that the heavy fence did not order sees a
            // word other than 0 from now on, until the side that rings clears the flag. Relaxed: the word itself orders.
            self.waiters.fetch_or(WAITERS_ORDERED, Ordering::Relaxed);
        }
        ordered
    }

    /// Begins to count the rings in vain anew.
    fn trust_the_flag(self) {
        // Relaxed: the number is a hint.
        self.waiters.fetch_and(WAITERS_COUNT | WAITERS_ORDERED | WAITERS_BELL, Ordering::Relaxed);
        // Pairs with the fence in `has_waiters` of a side that does not know yet what this side is.
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod models;
