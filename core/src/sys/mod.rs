//! Services of the system and the processor: atomics, fences, futex, process hooks, memory limits, scheduling.
//!
//! This folder does not know segments. Only this folder and `segment/file` make system calls that std and nix do not
//! wrap.

mod atomic;
#[macro_use]
pub(crate) mod crash;
#[cfg(not(loom))]
#[macro_use]
mod event;
#[cfg(not(loom))]
pub(crate) mod fork;
mod futex;
mod membarrier;
#[cfg(not(loom))]
pub(crate) mod memory_limits;
mod prefetch;
#[cfg(not(loom))]
pub(crate) mod schedule;

#[cfg(not(loom))]
pub(crate) use atomic::AtomicBool;
pub(crate) use atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering, UnsafeCell, fence, spin_hint, ticks};
pub(crate) use futex::{futex_wait, futex_wake, futex_wake_one};
pub(crate) use membarrier::{heavy_fence, light_fence};
#[cfg(not(loom))]
pub(crate) use membarrier::{register_fences, unregister_fences};
pub(crate) use prefetch::{prefetch_read, prefetch_write};
