//! Asymmetric fences: one side is free, and the side that parks makes the kernel order both (`membarrier`).

#![allow(clippy::disallowed_methods, reason = "the one place that makes this system call")]

#[cfg(not(loom))]
use std::os::linux::fs::MetadataExt;

#[cfg(not(loom))]
use super::atomic::{AtomicBool, compiler_fence};
use super::atomic::{Ordering, fence};
#[cfg(not(loom))]
use super::schedule::{is_real_time, spawn};

/// Set if the kernel runs a barrier on the cores of this process when a peer calls [`heavy_fence`].
#[cfg(not(loom))]
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Set if the registration of this process was started.
#[cfg(not(loom))]
static STARTED: AtomicBool = AtomicBool::new(false);

/// Registers this process for the [`heavy_fence`] of its peers, so that its [`light_fence`] is free. Until that is
/// done, and if it fails (an old kernel, a seccomp filter), the light fence is a full fence.
///
/// In a process with several threads the kernel waits until each processor has passed through its scheduler, for 10 to
/// 30 ms. A thread of its own then does it. A real-time thread waits instead, because it could starve the new one.
#[cfg(not(loom))]
pub(crate) fn register_fences() {
    // Miri has no membarrier: the light fence stays a full one.
    if cfg!(miri) {
        return;
    }
    // Relaxed: the registration needs nothing from the thread that was first.
    if STARTED.load(Ordering::Relaxed) || STARTED.swap(true, Ordering::Relaxed) {
        return;
    }
    if has_one_thread() || is_real_time() || spawn("eshm-register", register).is_err() {
        register();
    }
}

#[cfg(not(loom))]
fn register() {
    // SAFETY: membarrier takes no pointers.
    let done =
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) };
    // Relaxed: the registration runs a full barrier on each processor of this process before it returns. A thread that
    // loads the new value has therefore passed that barrier, and a later heavy fence of a peer reaches it.
    REGISTERED.store(done == 0, Ordering::Relaxed);
}

/// Returns whether this process has no other thread. Returns `false` if the system does not report it.
#[cfg(not(loom))]
fn has_one_thread() -> bool {
    // Two links are its own, and each thread has one.
    std::fs::metadata("/proc/self/task").is_ok_and(|tasks| tasks.st_nlink() == 3)
}

/// Clears the registration. A forked child does not inherit it reliably.
#[cfg(not(loom))]
pub(crate) fn unregister_fences() {
    REGISTERED.store(false, Ordering::Relaxed);
    STARTED.store(false, Ordering::Relaxed);
}

/// The cheap half of an asymmetric pair of sequentially consistent fences, for the side that executes it with each
/// message. If the [`heavy_fence`] of the other side comes later in the order of all such fences, the other side sees
/// the stores before this fence. Otherwise the loads after this fence see the stores before that one.
#[inline]
pub(crate) fn light_fence() {
    #[cfg(not(loom))]
    if REGISTERED.load(Ordering::Relaxed) {
        // The compiler must not move the load before the store. The heavy fence orders the processor.
        compiler_fence(Ordering::SeqCst);
        return;
    }
    fence(Ordering::SeqCst);
}

/// The expensive half, for the side that is about to park. The kernel runs a full barrier on every core that runs a
/// registered process. Returns whether it did. If not, a store of the peer may still be in flight.
pub(crate) fn heavy_fence() -> bool {
    fence(Ordering::SeqCst);
    // Miri has no membarrier. A program that runs under it is not registered, so its light fence is a full fence.
    #[cfg(any(loom, miri))]
    return true;
    #[cfg(not(any(loom, miri)))]
    // SAFETY: membarrier takes no pointers.
    return unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) } == 0;
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_process_with_several_threads_is_registered_soon() {
        // SAFETY: membarrier takes no pointers.
        let commands = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_QUERY, 0, 0) };
        if commands < 0 || commands & libc::c_long::from(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0
        {
            println!("SKIPPED: a_process_with_several_threads_is_registered_soon needs membarrier");
            return;
        }
        // A test runs in a thread of its own.
        assert!(!has_one_thread());
        register_fences();
        let since = Instant::now();
        while !REGISTERED.load(Ordering::Relaxed) {
            assert!(since.elapsed() < Duration::from_secs(30), "not registered");
            std::thread::yield_now();
        }
    }
}
