//! The atomics and fences that this crate uses. Under `--cfg loom` they are loom's.

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

/// Defines an atomic with the bytes of the standard library's. It is a type of its own, so that clippy finds code that uses
/// the standard library's elsewhere.
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
