//! Waiting: a doorbell that loses no wake-up, deadlines, and the spin count before a park.
//!
//! This folder knows words of memory, and does not know segments.

#[cfg(not(loom))]
mod backoff;
mod deadline;
mod doorbell;
mod event_bell;
#[cfg(not(loom))]
mod poll_timing;
#[cfg(not(loom))]
mod strategy;
mod turn_lock;

#[cfg(not(loom))]
pub(crate) use backoff::{Activity, Backoff, SLICE};
#[cfg(not(loom))]
pub(crate) use deadline::coarse_now;
pub(crate) use deadline::{Deadline, Wait};
pub(crate) use doorbell::{Doorbell, Fences};
pub use doorbell::{WAITERS_BELL, WAITERS_COUNT, WAITERS_IN_VAIN, WAITERS_ORDERED};
pub(crate) use event_bell::{EventBell, RingDescriptor};
#[cfg(not(loom))]
pub(crate) use poll_timing::PollTiming;
#[cfg(not(loom))]
pub use strategy::WaitStrategy;
pub(crate) use turn_lock::{TurnGuard, TurnLock};
