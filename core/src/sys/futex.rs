//! The futex: parks a thread on a word of shared memory and wakes it. Under `--cfg loom` it is a model.

#![allow(clippy::disallowed_methods, reason = "the one place that makes this system call")]

use std::time::Duration;

use super::atomic::AtomicU32;

/// The time between two polls where no shared futex is available. ESHM 1.0 uses the same.
#[cfg(not(loom))]
const REST: Duration = Duration::from_micros(100);

/// Parks the calling thread while `*word == expected`, for at most `timeout`.
///
/// Returns on a wake-up, a timeout or a signal, and at once if the word differs. The caller checks its condition
/// again in every case, so no reason is returned. The futex is a shared one, because several processes map the word
/// at different addresses. Where a sandbox forbids futexes, the function sleeps for a short time instead.
#[cfg(not(loom))]
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    let limit = libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: FUTEX_WAIT reads four bytes at `word`, which the borrow keeps mapped during the call, and a timespec in
    // this stack frame. It writes no memory.
    let refused = unsafe {
        libc::syscall(libc::SYS_futex, word.0.as_ptr(), libc::FUTEX_WAIT, expected, &limit, 0, 0) == -1
    };
    if refused
        && !matches!(nix::Error::last(), nix::Error::EAGAIN | nix::Error::EINTR | nix::Error::ETIMEDOUT)
    {
        std::thread::sleep(timeout.min(REST));
    }
}

/// Wakes every thread of every process that is parked on `word`.
#[cfg(not(loom))]
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE uses the address only as a key, and the borrow keeps it mapped.
    unsafe {
        libc::syscall(libc::SYS_futex, word.0.as_ptr(), libc::FUTEX_WAKE, i32::MAX, 0, 0, 0);
    }
}

/// Wakes one thread that is parked on `word`: the one that has waited longest, if all have the same priority.
#[cfg(not(loom))]
pub(crate) fn futex_wake_one(word: &AtomicU32) {
    // SAFETY: as in `futex_wake`.
    unsafe {
        libc::syscall(libc::SYS_futex, word.0.as_ptr(), libc::FUTEX_WAKE, 1, 0, 0, 0);
    }
}

#[cfg(loom)]
pub(crate) use model::{futex_wait, futex_wake, futex_wake_one};

/// A model of the futex for loom. A mutex stands for the hash-bucket lock of the kernel, a condition variable for its
/// wait queue.
///
/// A park never times out in the model, so that loom reports a lost wake-up as a deadlock.
#[cfg(loom)]
mod model {
    use super::{AtomicU32, Duration};
    use crate::sys::Ordering;
    use loom::sync::{Condvar, Mutex};
    use std::collections::{HashMap, VecDeque};

    /// The threads that wait, by numbers that count up, the first that came first.
    #[derive(Default)]
    struct Queue {
        next: u32,
        waiting: VecDeque<u32>,
    }

    loom::lazy_static! {
        /// The wait queues, by the address of the word.
        static ref BUCKET: (Mutex<HashMap<usize, Queue>>, Condvar) = (Mutex::new(HashMap::new()), Condvar::new());
    }

    fn key(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word) as usize
    }

    pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, _timeout: Duration) {
        let mut bucket = BUCKET.0.lock().unwrap();
        // Relaxed: the kernel reads the word as plain memory under the bucket lock.
        if word.load(Ordering::Relaxed) != expected {
            return;
        }
        let queue = bucket.entry(key(word)).or_default();
        let own = queue.next;
        queue.next += 1;
        queue.waiting.push_back(own);
        while bucket[&key(word)].waiting.contains(&own) {
            bucket = BUCKET.1.wait(bucket).unwrap();
        }
    }

    pub(crate) fn futex_wake(word: &AtomicU32) {
        BUCKET.0.lock().unwrap().entry(key(word)).or_default().waiting.clear();
        BUCKET.1.notify_all();
    }

    pub(crate) fn futex_wake_one(word: &AtomicU32) {
        BUCKET.0.lock().unwrap().entry(key(word)).or_default().waiting.pop_front();
        BUCKET.1.notify_all();
    }
}
