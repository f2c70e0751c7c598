//! The futex: parks a thread on a word of shared memory, and wakes it. Under `--cfg loom` it is a model.

#![allow(clippy::disallowed_methods, reason = "the one place that makes this system call")]

use std::time::Duration;

use super::atomic::AtomicU32;

/// How long to rest between two looks where a shared futex cannot be had: as long as ESHM 1.0 does.
#[cfg(not(loom))]
const REST: Duration = Duration::from_micros(100);

/// Parks the calling thread while `*word == expected`, for at most `timeout`.
///
/// Returns on a wake-up, on a time-out, on a signal, or at once when the word differs: the caller looks again
/// in every case, so the reason is not told. The futex is a shared one: the word lies in memory that several
/// processes map, at different addresses. Where a sandbox does not have such futexes, this is a short rest.
#[cfg(not(loom))]
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    let limit = libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: FUTEX_WAIT reads four bytes at `word`, which the borrow keeps mapped for the call, and a
    // timespec that lives in this frame. It writes no memory.
    let refused = unsafe {
        libc::syscall(libc::SYS_futex, word.0.as_ptr(), libc::FUTEX_WAIT, expected, &limit, 0, 0) == -1
    };
    if refused
        && !matches!(nix::Error::last(), nix::Error::EAGAIN | nix::Error::EINTR | nix::Error::ETIMEDOUT)
    {
        std::thread::sleep(timeout.min(REST));
    }
}

/// Wakes every thread, of any process, that is parked on `word`.
#[cfg(not(loom))]
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE uses the address only as a key, and the borrow keeps it mapped.
    unsafe {
        libc::syscall(libc::SYS_futex, word.0.as_ptr(), libc::FUTEX_WAKE, i32::MAX, 0, 0, 0);
    }
}

#[cfg(loom)]
pub(crate) use model::{futex_wait, futex_wake};

/// A futex for loom: the kernel's hash-bucket lock is a mutex, its wait queue a condition variable.
///
/// A park never times out here, so that a lost wake-up shows as a deadlock, which loom reports.
#[cfg(loom)]
mod model {
    use super::{AtomicU32, Duration};
    use crate::sys::Ordering;
    use loom::sync::{Condvar, Mutex};
    use std::collections::HashMap;

    loom::lazy_static! {
        /// How often each word was woken, by its address.
        static ref BUCKET: (Mutex<HashMap<usize, u32>>, Condvar) = (Mutex::new(HashMap::new()), Condvar::new());
    }

    fn key(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word) as usize
    }

    pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, _timeout: Duration) {
        let mut woken = BUCKET.0.lock().unwrap();
        let before = woken.get(&key(word)).copied();
        // Relaxed: the kernel reads the word as plain memory under the bucket lock.
        if word.load(Ordering::Relaxed) != expected {
            return;
        }
        while woken.get(&key(word)).copied() == before {
            woken = BUCKET.1.wait(woken).unwrap();
        }
    }

    pub(crate) fn futex_wake(word: &AtomicU32) {
        *BUCKET.0.lock().unwrap().entry(key(word)).or_default() += 1;
        BUCKET.1.notify_all();
    }
}
