//! A seat: the header's fields of one role, as its owner writes them and its peer reads them.

use std::time::Duration;

use crate::role::Role;
use crate::segment::layout::{self, Header};
use crate::sys::{AtomicI32, AtomicU32, AtomicU64, Ordering};

/// See the module.
pub(crate) struct Seat<'a> {
    pub(crate) heartbeat: &'a AtomicU64,
    pub(crate) pid: &'a AtomicI32,
    pub(crate) alive: &'a AtomicU32,
    pub(crate) capabilities: &'a AtomicU32,
    pub(crate) signature: &'a AtomicI32,
    pub(crate) generation: &'a AtomicU32,
    /// The stale threshold in milliseconds, or 0.
    pub(crate) threshold: &'a AtomicU32,
}

/// The peer's fields in the header, each read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) heartbeat: u64,
    pub(crate) pid: i32,
    pub(crate) alive: bool,
}

/// What a peer says of its stale threshold, by which it judges us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threshold {
    /// There has been no peer yet.
    Nobody,
    /// It does not say: an ESHM 1.x process, for one.
    Unknown,
    Known(Duration),
}

impl Header {
    pub(crate) fn seat(&self, role: Role) -> Seat<'_> {
        match role {
            Role::Slave => Seat {
                heartbeat: &self.slave_heartbeat,
                pid: &self.slave_pid,
                alive: &self.slave_alive,
                capabilities: &self.slave_capabilities,
                signature: &self.slave_signature,
                generation: &self.slave_generation,
                threshold: &self.slave_stale_threshold,
            },
            Role::Master | Role::Auto => Seat {
                heartbeat: &self.master_heartbeat,
                pid: &self.master_pid,
                alive: &self.master_alive,
                capabilities: &self.master_capabilities,
                signature: &self.master_signature,
                generation: &self.master_generation,
                threshold: &self.stale_threshold,
            },
        }
    }
}

impl Seat<'_> {
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse {
            heartbeat: self.heartbeat.load(Ordering::Relaxed),
            pid: self.pid.load(Ordering::Relaxed),
            // Acquire: pairs with the Release store in `occupy`: who sees it set sees the fields above it.
            alive: self.alive.load(Ordering::Acquire) != 0,
        }
    }

    /// Whether the endpoint that sits here, or sat here last, is one of ours.
    pub(crate) fn is_ours(&self) -> bool {
        // Acquire: pairs with the Release store in `occupy`: who sees the pid sees the signature that belongs to it.
        let pid = self.pid.load(Ordering::Acquire);
        pid != 0
            // Acquire: pairs with the Release store in `occupy`: who sees the signature sees the seat empty, or taken.
            && self.signature.load(Ordering::Acquire) == pid
            && self.capabilities.load(Ordering::Relaxed) & layout::CAPABILITY_TAKEN != 0
    }

    /// Whether an ESHM 1.x process sits here.
    pub(crate) fn is_legacy(&self) -> bool {
        let is_stranger = || {
            let pulse = self.pulse();
            pulse.alive && pulse.pid != 0 && !self.is_ours()
        };
        // Twice: on the seat of one that was killed, one of ours that just sits down shows a signature before the pid
        // that belongs to it. Whoever has seen that finds the seat empty, or taken, when he looks again.
        is_stranger() && is_stranger()
    }

    /// What whoever sits here says of its stale threshold.
    pub(crate) fn says(&self) -> Threshold {
        if self.pid.load(Ordering::Relaxed) == 0 {
            return Threshold::Nobody;
        }
        // Relaxed: it says nothing but itself. One of a predecessor is followed by this one's within a moment.
        match self.threshold.load(Ordering::Relaxed) {
            0 => Threshold::Unknown,
            _ if !self.is_ours() => Threshold::Unknown,
            milliseconds => Threshold::Known(Duration::from_millis(milliseconds.into())),
        }
    }

    /// Says what this endpoint's stale threshold is.
    pub(crate) fn say(&self, threshold: Duration) {
        let milliseconds = u32::try_from(threshold.as_millis()).unwrap_or(u32::MAX);
        // Relaxed: see `says`.
        self.threshold.store(milliseconds, Ordering::Relaxed);
    }

    /// Shows a sign of life.
    pub(crate) fn beat(&self) {
        // Relaxed: one writer; it publishes nothing but itself.
        self.heartbeat.store(self.heartbeat.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Fills the fields in for the process of this pid, which holds the seat's lock.
    pub(crate) fn occupy(&self, pid: i32) {
        self.alive.store(0, Ordering::Relaxed);
        crash_point!("occupy.absent");
        let capabilities = layout::CAPABILITY_TAKEN | layout::CAPABILITY_QUEUE;
        self.capabilities.store(capabilities, Ordering::Relaxed);
        crash_point!("occupy.capable");
        // Release, both: pair with the Acquire loads in `is_ours`.
        self.signature.store(pid, Ordering::Release);
        crash_point!("occupy.signed");
        self.pid.store(pid, Ordering::Release);
        crash_point!("occupy.named");
        self.generation.store(self.generation.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        crash_point!("occupy.counted");
        self.beat();
        crash_point!("occupy.beaten");
        // Release: pairs with the Acquire load in `pulse`.
        self.alive.store(1, Ordering::Release);
        crash_point!("occupy.alive");
    }

    /// Names the endpoint that sits in `other` as the one that sat here last. Nobody else looks yet.
    pub(crate) fn name(&self, other: &Seat<'_>) {
        self.capabilities.store(other.capabilities.load(Ordering::Relaxed), Ordering::Relaxed);
        self.signature.store(other.signature.load(Ordering::Relaxed), Ordering::Relaxed);
        self.pid.store(other.pid.load(Ordering::Relaxed), Ordering::Relaxed);
        self.generation.store(other.generation.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Says goodbye.
    pub(crate) fn leave(&self) {
        // Release: pairs with the Acquire load in `pulse`: who sees the goodbye sees all that was written.
        self.alive.store(0, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod models;
