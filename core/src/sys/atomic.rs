//! The atomics and fences of this crate. Under `--cfg loom` they are those of loom.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the one place that uses them")]

#[cfg(loom)]
use loom::sync::atomic;
#[cfg(not(loom))]
use std::sync::atomic;

#[cfg(not(loom))]
pub(super) use atomic::compiler_fence;
pub(crate) use atomic::{Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;
#[cfg(not(loom))]
pub(crate) use std::cell::UnsafeCell;

/// Defines an atomic with the same representation as that of the standard library. The type is separate so that
/// clippy finds code elsewhere that uses the atomics of the standard library.
macro_rules! atomic {
    ($($name:ident: $value:ty),+) => {$(
        #[doc = concat!("An atomic `", stringify!($value), "` that other threads, and processes, may change.")]
        #[repr(transparent)]
        #[derive(Debug, Default)]
        pub struct $name(pub(super) atomic::$name);

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

    #[inline]
    pub(crate) fn fetch_and(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_and(value, order)
    }

    #[inline]
    pub(crate) fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_or(value, order)
    }
}

impl AtomicU32 {
    #[inline]
    pub(crate) fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.0.compare_exchange(current, new, success, failure)
    }
}

impl AtomicU64 {
    #[inline]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }
}

/// Tells the processor that this is a spin loop, so that a sibling hyper-thread gets the execution units.
#[inline]
pub(crate) fn spin_hint() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Returns the time-stamp counter of the processor. A tick is a fraction of a nanosecond, and a read takes a few
/// nanoseconds. Returns 0 where no such counter exists.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    // SAFETY: every x86-64 processor has the instruction. A system that forbids it also forbids the clock of std.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
    return 0;
}
