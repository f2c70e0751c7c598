//! The only door to atomics, fences and the futex. Under `--cfg loom` it leads to loom's instead.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is the door")]

#[cfg(loom)]
use loom::sync::atomic;
#[cfg(not(loom))]
use std::sync::atomic;
use std::time::Duration;

pub(crate) use atomic::{Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;
#[cfg(not(loom))]
pub(crate) use std::cell::UnsafeCell;

/// An atomic of this crate: the same bytes as the standard library's, but a type of its own, so that clippy can
/// tell code that came through this door from code that did not.
macro_rules! atomic {
    ($($name:ident: $value:ty),+) => {$(
        #[doc = concat!("An atomic `", stringify!($value), "` that other threads, and processes, may change.")]
        #[repr(transparent)]
        #[derive(Debug, Default)]
        pub struct $name(atomic::$name);

        #[allow(dead_code, reason = "not every width uses every operation")]
        impl $name {
            #[cfg(not(loom))]
            pub(crate) const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            #[cfg(loom)]
            pub(crate) fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            #[inline]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }

            #[inline]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, order);
            }

            #[inline]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.0.swap(value, order)
            }
        }
    )+};
}
atomic!(AtomicBool: bool, AtomicI32: i32, AtomicU32: u32, AtomicU64: u64);

impl AtomicU32 {
    #[inline]
    pub(crate) fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_add(value, order)
    }

    #[inline]
    pub(crate) fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_sub(value, order)
    }
}

impl AtomicU64 {
    #[inline]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }
}

/// Tells the core that this is a spin loop, so that a sibling hyper-thread gets the execution units.
#[inline]
pub(crate) fn spin_hint() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Whether this process has the kernel run a barrier on its cores when a peer calls [`heavy_fence`].
#[cfg(not(loom))]
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Registers this process for its peers' [`heavy_fence`], so that its [`light_fence`] costs nothing. Without it (an
/// old kernel, a seccomp filter) the light fence is a full one.
#[cfg(not(loom))]
pub(crate) fn register_fences() {
    // SAFETY: membarrier takes no pointers.
    let done =
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) };
    REGISTERED.store(done == 0, Ordering::Relaxed);
}

/// Forgets the registration, which a forked child does not inherit for certain.
#[cfg(not(loom))]
pub(crate) fn unregister_fences() {
    REGISTERED.store(false, Ordering::Relaxed);
}

/// The cheap half of an asymmetric pair of sequentially consistent fences: for the side that passes it with each
/// message. If the other side's [`heavy_fence`] follows in the order of all such fences, it sees what was stored
/// before this one; if not, the loads after this one see what was stored before that.
#[inline]
pub(crate) fn light_fence() {
    #[cfg(not(loom))]
    if REGISTERED.load(Ordering::Relaxed) {
        // The compiler must not move the load before the store; the heavy fence takes care of the processor.
        atomic::compiler_fence(Ordering::SeqCst);
        return;
    }
    fence(Ordering::SeqCst);
}

/// The dear half: for the side that is about to park. The kernel runs a full barrier on every core that runs a
/// registered process. Returns whether it did: if not, a store of the peer's may still be on its way.
pub(crate) fn heavy_fence() -> bool {
    fence(Ordering::SeqCst);
    // Miri knows no membarrier, and a program that it runs is not registered: the light fence is a full one.
    #[cfg(any(loom, miri))]
    return true;
    #[cfg(not(any(loom, miri)))]
    // SAFETY: membarrier takes no pointers.
    return unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) } == 0;
}

/// The processor's clock, in ticks of some fraction of a nanosecond; always 0 where there is none to be read for a few
/// nanoseconds.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    // SAFETY: every x86-64 processor has the instruction; where the system forbids it, it forbids std's clock too.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
    return 0;
}

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
    use super::{AtomicU32, Duration, Ordering};
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
