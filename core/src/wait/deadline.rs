//! Deadlines, and a clock that costs little.

use std::time::{Duration, Instant};

/// A wait that is done in parts, by a caller that must look up in between: an interpreter that has signals to
/// handle, or a lock to hand on. See [`Receiver::recv_part`](crate::Receiver::recv_part).
#[derive(Clone, Copy, Debug)]
pub struct Wait(pub(crate) Deadline);

impl Wait {
    /// A wait that begins now, and ends after `timeout`, or never.
    pub fn new(timeout: Option<Duration>) -> Self {
        Wait(Deadline::after(timeout))
    }
}

/// When a wait ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    started: Instant,
    /// `None`: never.
    timeout: Option<Duration>,
}

impl Deadline {
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Deadline { started: Instant::now(), timeout }
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn is_endless(self) -> bool {
        self.timeout.is_none()
    }

    /// What is left, or `None` when it has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        match self.timeout {
            None => Some(Duration::MAX),
            Some(timeout) => timeout.checked_sub(self.elapsed()).filter(|left| !left.is_zero()),
        }
    }
}

/// The time since some point in the past, right to a few milliseconds, for a few nanoseconds.
#[cfg(not(loom))]
pub(crate) fn coarse_now() -> Duration {
    // Always available on Linux; an error would read as "long ago", which costs a cache line and nothing else.
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_COARSE).map_or(Duration::MAX, Duration::from)
}
