//! Asymmetric fences: one side is free, and the side that parks makes the kernel order both (`membarrier`).

#![allow(clippy::disallowed_methods, reason = "the one place that makes this system call")]

#[cfg(not(loom))]
use super::atomic::{AtomicBool, compiler_fence};
use super::atomic::{Ordering, fence};

/// Set if the kernel runs a barrier on the cores of this process when a peer calls [`heavy_fence`].
#[cfg(not(loom))]
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Registers this process for the [`heavy_fence`] of its peers, so that its [`light_fence`] is free. If that fails
/// (an old kernel, a seccomp filter), the light fence is a full fence.
#[cfg(not(loom))]
pub(crate) fn register_fences() {
    // SAFETY: membarrier takes no pointers.
    let done =
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) };
    REGISTERED.store(done == 0, Ordering::Relaxed);
}

/// Clears the registration. A forked child does not inherit it reliably.
#[cfg(not(loom))]
pub(crate) fn unregister_fences() {
    REGISTERED.store(false, Ordering::Relaxed);
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
