//! Asymmetric fences: one side pays nothing, and the side that parks has the kernel order both (`membarrier`).

#![allow(clippy::disallowed_methods, reason = "the one place that makes this system call")]

#[cfg(not(loom))]
use super::atomic::{AtomicBool, compiler_fence};
use super::atomic::{Ordering, fence};

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
        compiler_fence(Ordering::SeqCst);
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
