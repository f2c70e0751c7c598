//! A seat: the header fields of one role. The owner writes them and the peer reads them.

use std::time::Duration;

use crate::role::Role;
use crate::segment::layout::{self, Header};
use crate::sys::{AtomicI32, AtomicU32, AtomicU64, Ordering};

/// The header fields of one role. See the module.
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

/// The fields of a seat that show life, each read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) heartbeat: u64,
    pub(crate) pid: i32,
    pub(crate) alive: bool,
}

/// The stale threshold of the peer, by which the peer judges this endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threshold {
    /// No peer has taken the seat yet.
    Nobody,
    /// The peer does not publish it, for example because it is an ESHM 1.x process.
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
            Role::Master => Seat {
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
            // Acquire: pairs with the Release store of `alive` in `occupy` and `leave`. A thread that sees 1 also
            // sees the fields above it, and one that sees 0 after a close sees everything that was written before.
            alive: self.alive.load(Ordering::Acquire) != 0,
        }
    }

    /// Returns whether the present or last owner of this seat is a 2.0 endpoint.
    pub(crate) fn is_ours(&self) -> bool {
        // Acquire: pairs with the Release store of `pid` in `occupy`. A thread that sees the pid also sees its
        // signature.
        let pid = self.pid.load(Ordering::Acquire);
        pid != 0
            // Acquire: pairs with the Release store of `signature` in `occupy`. A thread that sees the signature also
            // sees the seat empty, or taken.
            && self.signature.load(Ordering::Acquire) == pid
            && self.capabilities.load(Ordering::Relaxed) & layout::CAPABILITY_TAKEN != 0
    }

    /// Returns whether an ESHM 1.x process owns this seat.
    pub(crate) fn is_legacy(&self) -> bool {
        let is_stranger = || {
            let pulse = self.pulse();
            pulse.alive && pulse.pid != 0 && !self.is_ours()
        };
        // Checks twice. While a 2.0 endpoint takes the seat of a killed one, its signature is visible before its pid.
        // A thread that has seen this finds the seat empty, or taken, at the second check.
        is_stranger() && is_stranger()
    }

    /// Returns the stale threshold that the owner of this seat has published.
    pub(crate) fn threshold(&self) -> Threshold {
        if self.pid.load(Ordering::Relaxed) == 0 {
            return Threshold::Nobody;
        }
        // Relaxed: the value publishes nothing but itself. The owner replaces the value of a predecessor within a
        // moment.
        match self.threshold.load(Ordering::Relaxed) {
            0 => Threshold::Unknown,
            _ if !self.is_ours() => Threshold::Unknown,
            milliseconds => Threshold::Known(Duration::from_millis(milliseconds.into())),
        }
    }

    /// Publishes the stale threshold of this endpoint.
    pub(crate) fn publish_threshold(&self, threshold: Duration) {
        let milliseconds = u32::try_from(threshold.as_millis()).unwrap_or(u32::MAX);
        // Relaxed: see `threshold`.
        self.threshold.store(milliseconds, Ordering::Relaxed);
    }

    /// Increments the heartbeat.
    pub(crate) fn beat(&self) {
        // Relaxed: there is one writer, and the value publishes nothing but itself.
        self.heartbeat.store(self.heartbeat.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Fills in the fields for the process `pid`, which holds the lock of the seat.
    pub(crate) fn occupy(&self, pid: i32) {
        self.alive.store(0, Ordering::Relaxed);
        crash_point!("occupy.absent");
        let capabilities = layout::CAPABILITY_TAKEN | layout::CAPABILITY_QUEUE;
        self.capabilities.store(capabilities, Ordering::Relaxed);
        crash_point!("occupy.capable");
        // Release, both: pair with the Acquire loads of `signature` and `pid` in `is_ours`.
        self.signature.store(pid, Ordering::Release);
        crash_point!("occupy.signed");
        self.pid.store(pid, Ordering::Release);
        crash_point!("occupy.named");
        // Release: pairs with the Acquire in `RingDescriptor::generation`.
        self.generation.store(self.generation.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        crash_point!("occupy.counted");
        self.beat();
        crash_point!("occupy.beaten");
        // Release: pairs with the Acquire load in `pulse`.
        self.alive.store(1, Ordering::Release);
        crash_point!("occupy.alive");
    }

    /// Copies the identity of the owner of `other`, so that it appears as the last owner of this seat. No other
    /// thread reads the seat yet.
    pub(crate) fn copy_identity_from(&self, other: &Seat<'_>) {
        self.capabilities.store(other.capabilities.load(Ordering::Relaxed), Ordering::Relaxed);
        self.signature.store(other.signature.load(Ordering::Relaxed), Ordering::Relaxed);
        self.pid.store(other.pid.load(Ordering::Relaxed), Ordering::Relaxed);
        self.generation.store(other.generation.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Marks the seat as closed.
    pub(crate) fn leave(&self) {
        // Release: pairs with the Acquire load in `pulse`. A thread that sees the close also sees everything that was
        // written before.
        self.alive.store(0, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod models;
