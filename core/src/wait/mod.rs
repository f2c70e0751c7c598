//! Waiting: a doorbell that loses no wake-up, deadlines, and the spin count before a park.
//!
//! This folder knows words of memory, and does not know segments.

#[cfg(not(loom))]
mod backoff;
mod deadline;
mod doorbell;
#[cfg(not(loom))]
mod poll_timing;
mod turn_lock;

#[cfg(not(loom))]
pub use backoff::WaitStrategy;
#[cfg(not(loom))]
pub(crate) use backoff::{Backoff, SLICE, pause};
#[cfg(not(loom))]
pub(crate) use deadline::coarse_now;
pub(crate) use deadline::{Deadline, Wait};
pub(crate) use doorbell::{Doorbell, Fences};
#[cfg(not(loom))]
pub(crate) use poll_timing::PollTiming;
pub(crate) use turn_lock::{TurnGuard, TurnLock};
