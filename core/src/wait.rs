//! Spin, then park, then time out.

use std::time::{Duration, Instant};

use crate::sync::{AtomicU32, Ordering, fence, futex_wait, futex_wake, spin_hint};

/// How often a waiter looks before it parks: some ten microseconds, about what a park and a wake-up cost.
const SPINS: u32 = 1000;
/// The longest park. A waiter looks up from time to time for what nobody rings a bell for: a peer that was
/// killed, a segment that was replaced. ESHM 1.2 uses the same.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// How long a waiter sleeps when its peer, an ESHM 1.0 process, never rings.
const SILENT_PEER_POLL: Duration = Duration::from_micros(100);

/// A futex word that changes with each event, and the count of those who are parked on it.
#[derive(Clone, Copy)]
pub(crate) struct Doorbell<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) waiters: &'a AtomicU32,
}

impl Doorbell<'_> {
    /// Wakes whoever is parked, after the word was changed. Returns whether that took a system call.
    pub(crate) fn ring(self) -> bool {
        // Pairs with the SeqCst fence in `park`: either the load below sees the waiter, or the kernel's
        // comparison in the waiter's futex call sees the changed word. (Store, fence, load on both sides.)
        fence(Ordering::SeqCst);
        let parked = self.waiters.load(Ordering::Relaxed) != 0;
        if parked {
            futex_wake(self.word);
        }
        parked
    }

    /// The word, to be handed to `park` if what is waited for is not there after this.
    pub(crate) fn sample(self) -> u32 {
        // Acquire: pairs with the Release stores that change the word (`Channel::write`, `Channel::take`).
        self.word.load(Ordering::Acquire)
    }

    /// Parks until the word differs from `sample`, at most for `timeout`; may return early.
    pub(crate) fn park(self, sample: u32, timeout: Duration) {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Pairs with the SeqCst fence in `ring`.
        fence(Ordering::SeqCst);
        futex_wait(self.word, sample, timeout);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
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

/// Looks a bounded number of times, without leaving the core.
pub(crate) fn spin<T, E>(mut look: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    for _ in 0..SPINS {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        spin_hint();
    }
    Ok(None)
}

/// Leaves the core until the bell rings, at most for a slice. A silent peer's bell is replaced by a short sleep.
pub(crate) fn leave_core(bell: Doorbell<'_>, sample: u32, silent: bool, left: Duration) {
    if silent {
        std::thread::sleep(SILENT_PEER_POLL.min(left));
    } else {
        bell.park(sample, SLICE.min(left));
    }
}
