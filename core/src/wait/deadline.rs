//! Deadlines, and a cheap clock.

use std::time::{Duration, Instant};

/// A wait that is done in parts, for a caller that must do other work in between: an interpreter with signals to
/// handle or a lock to release. See `Receiver::recv_part`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait(pub(crate) Deadline);

impl Wait {
    /// Starts a wait that ends after `timeout`, or never.
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Wait(Deadline::after(timeout))
    }
}

/// A wait is new for this long: less than a part of it lasts.
const NEW: Duration = Duration::from_millis(1);

/// The end of a wait.
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

    /// Returns whether the wait has begun just now.
    pub(crate) fn is_new(self) -> bool {
        self.elapsed() < NEW
    }

    pub(crate) fn is_endless(self) -> bool {
        self.timeout.is_none()
    }

    /// Returns the remaining time, or `None` after the deadline.
    pub(crate) fn left(self) -> Option<Duration> {
        match self.timeout {
            None => Some(Duration::MAX),
            Some(timeout) => timeout.checked_sub(self.elapsed()).filter(|left| !left.is_zero()),
        }
    }
}

/// Returns the time since a fixed point in the past. The clock is accurate to a few milliseconds, and a read takes a
/// few nanoseconds.
#[cfg(not(loom))]
pub(crate) fn coarse_now() -> Duration {
    // Linux always has this clock. An error would read as "long ago", which costs only a cache line.
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_COARSE).map_or(Duration::MAX, Duration::from)
}
