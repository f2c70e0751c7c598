//! A lock that a thread can hand to one that waits, and that a fork leaves usable: all of its state is in itself.
//!
//! The standard library's mutex cannot be handed on. A mutex that queues its threads in a table of the process, as
//! `parking_lot` does, copies the parent's queue into a forked child, where no such threads exist.

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use crate::sys::{
    AtomicU32, Ordering, futex_wait, futex_wake, futex_wake_one, heavy_fence, light_fence, spin_hint,
};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Reserved for the threads that waited when it was handed on.
const HANDED_ON: u32 = 2;
/// How long it is reserved: those threads may have left just then.
const RESERVED: Duration = Duration::from_millis(20);

/// How often a thread tries before it waits. A holder that does not wait itself is done by then.
const BRIEF: u32 = if cfg!(loom) { 0 } else { 50 };
/// The longest sleep of a thread whose fence failed: the holder may not see that it waits.
const UNORDERED: Duration = Duration::from_millis(1);

/// No time passes in a loom model.
const HAS_TIME: bool = cfg!(not(loom));

/// See the module.
pub(crate) struct TurnLock<T> {
    word: AtomicU32,
    /// The number of threads in [`TurnLock::try_lock_for`].
    waiting: AtomicU32,
    /// The number of the next thread that waits.
    next: AtomicU32,
    /// The number of the first thread that came after the lock was last handed on.
    reserved_until: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the word lets one thread at a time reach the value, which may go to another thread.
unsafe impl<T: Send> Sync for TurnLock<T> {}

impl<T> TurnLock<T> {
    pub(crate) fn new(value: T) -> Self {
        TurnLock {
            word: AtomicU32::new(FREE),
            waiting: AtomicU32::new(0),
            next: AtomicU32::new(0),
            reserved_until: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Locks, if the lock is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<TurnGuard<'_, T>> {
        if self.take(FREE) || self.take_unclaimed() { Some(TurnGuard { lock: self }) } else { None }
    }

    /// Locks, or returns `None` when the lock was not free in time.
    pub(crate) fn try_lock_for(&self, time: Duration) -> Option<TurnGuard<'_, T>> {
        for _ in 0..BRIEF {
            if self.take(FREE) {
                return Some(TurnGuard { lock: self });
            }
            spin_hint();
        }
        let until = Instant::now() + time;
        // Relaxed: only the number counts.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Release: pairs with the Acquire load in `hand_on`, which then sees the number, too.
        self.waiting.fetch_add(1, Ordering::Release);
        // Pairs with the fence in `release`: either that sees this thread, or this thread sees the new word, in the comparison
        // of the kernel at the latest.
        let most = if heavy_fence() { time } else { UNORDERED };
        let mut reserved_since = None;
        let locked = loop {
            // A thread that was woken tries before it looks at the time, so that no wake-up is lost with it.
            if self.take(FREE) {
                break true;
            }
            // Acquire: pairs with the store in `release`: a thread that sees it handed on sees for whom.
            let word = self.word.load(Ordering::Acquire);
            if word == FREE {
                // It was unlocked just now. Parked on this word, the thread would miss that.
                continue;
            }
            let now = Instant::now();
            let mut left = until.saturating_duration_since(now);
            if word == HANDED_ON {
                let since = *reserved_since.get_or_insert(now);
                let has_lapsed = HAS_TIME && now - since >= RESERVED;
                if (self.is_reserved_for(number) || has_lapsed) && self.take(HANDED_ON) {
                    break true;
                }
                left = left.min(RESERVED);
            } else {
                reserved_since = None;
            }
            if HAS_TIME && now >= until {
                break false;
            }
            futex_wait(&self.word, word, left.min(most));
        };
        // Relaxed: a thread that sees it late wakes nobody, or waits for its turn.
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        // Not `then_some`: a guard that is made and dropped unlocks.
        locked.then(|| TurnGuard { lock: self })
    }

    fn is_reserved_for(&self, number: u32) -> bool {
        // Relaxed: stored before the word, which was loaded with Acquire. Numbers wrap around.
        self.reserved_until.load(Ordering::Relaxed).wrapping_sub(number).wrapping_sub(1) < u32::MAX / 2
    }

    /// Takes the lock from this state.
    #[inline]
    fn take(&self, from: u32) -> bool {
        // Acquire: pairs with the store in `release`: this thread sees what the last holder wrote.
        self.word.compare_exchange(from, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes a lock that was handed on, if the threads that waited have left meanwhile.
    fn take_unclaimed(&self) -> bool {
        // Relaxed: a thread that waits and is not seen loses its turn, and not the lock.
        self.waiting.load(Ordering::Relaxed) == 0 && self.take(HANDED_ON)
    }

    /// Changes the word of a lock that this thread holds. Returns whether threads wait.
    #[inline]
    fn release(&self, to: u32) -> bool {
        // Release: pairs with the Acquire in `take`, and the one in `try_lock_for`.
        self.word.store(to, Ordering::Release);
        // Pairs with the fence in `try_lock_for`. A full fence would wait for the cache lines of the stores before it.
        light_fence();
        self.waiting.load(Ordering::Relaxed) != 0
    }
}

impl<T> fmt::Debug for TurnLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnLock").field("word", &self.word).finish_non_exhaustive()
    }
}

/// The lock is held. Dropping it unlocks.
pub(crate) struct TurnGuard<'a, T> {
    lock: &'a TurnLock<T>,
}

// SAFETY: a guard gives out `&T`; the lock is not tied to the thread that took it.
unsafe impl<T: Sync> Sync for TurnGuard<'_, T> {}

impl<T> TurnGuard<'_, T> {
    /// Unlocks, and hands the lock to a thread that waits, if there is one: this thread does not get it before.
    pub(crate) fn hand_on(guard: Self) {
        let lock = guard.lock;
        std::mem::forget(guard);
        // Acquire: pairs with the Release in `try_lock_for`.
        let to = if lock.waiting.load(Ordering::Acquire) == 0 {
            FREE
        } else {
            // Relaxed, both. A thread that was counted above had its number before. The store in `release` publishes this one.
            lock.reserved_until.store(lock.next.load(Ordering::Relaxed), Ordering::Relaxed);
            HANDED_ON
        };
        if lock.release(to) {
            // All: the system may wake a thread that came later and has a higher priority, and must wait on.
            futex_wake(&lock.word);
        }
    }
}

impl<T> Deref for TurnGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so no other thread has a reference.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for TurnGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for TurnGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.lock.release(FREE) {
            futex_wake_one(&self.lock.word);
        }
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn one_thread_at_a_time_has_the_value() {
        let lock = Arc::new(TurnLock::new(0_u32));
        let threads: Vec<_> = (0..4)
            .map(|index| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    for round in 0..2_000 {
                        let mut guard = lock.try_lock().or_else(|| lock.try_lock_for(LONG)).unwrap();
                        *guard += 1;
                        if (round + index) % 3 == 0 {
                            TurnGuard::hand_on(guard);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.try_lock().unwrap(), 8_000);
    }

    #[test]
    fn a_lock_that_is_handed_on_goes_to_the_thread_that_waits() {
        let lock = Arc::new(TurnLock::new(Vec::new()));
        let mut guard = lock.try_lock().unwrap();
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.try_lock_for(LONG).unwrap().push("other"))
        };
        while lock.waiting.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        guard.push("first");
        let handed_on = Instant::now();
        TurnGuard::hand_on(guard);
        let mut again = lock.try_lock().or_else(|| lock.try_lock_for(LONG)).unwrap();
        again.push("again");
        // The other thread may not have run for as long as the lock is reserved for it.
        assert!(again[..] == ["first", "other", "again"] || handed_on.elapsed() >= RESERVED, "{:?}", *again);
        drop(again);
        other.join().unwrap();
    }

    #[test]
    fn a_thread_whose_time_is_over_leaves_the_lock_held() {
        let lock = TurnLock::new(());
        let guard = lock.try_lock().unwrap();
        assert!(lock.try_lock_for(Duration::from_millis(1)).is_none());
        assert!(lock.try_lock().is_none(), "it is held");
        drop(guard);
    }

    #[test]
    fn a_turn_that_nobody_takes_any_more_is_free() {
        let lock = TurnLock::new(());
        lock.word.store(HANDED_ON, Ordering::Relaxed);
        assert!(lock.try_lock().is_some(), "the thread that waited has left");
        let guard = lock.try_lock().unwrap();
        assert!(lock.try_lock_for(Duration::from_millis(5)).is_none());
        drop(guard);
        assert!(lock.try_lock().is_some());
    }
}
