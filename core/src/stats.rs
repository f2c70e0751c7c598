//! What an endpoint counts.

use crate::sync::{AtomicU64, Ordering};

/// A snapshot of a segment and of one endpoint of it: the fields of ESHM 1.x, then ours.
///
/// Counts of the segment (`m2s_…`: master to slave) have been kept by both processes since it was made; those of
/// the endpoint (`skipped` and on) since it was opened. Values are those of `write` and `read`; messages of the queues are
/// not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The master's heartbeats.
    pub master_heartbeat: u64,
    /// The slave's heartbeats.
    pub slave_heartbeat: u64,
    /// The master's pid, in its own PID namespace.
    pub master_pid: i32,
    /// The slave's pid, in its own PID namespace.
    pub slave_pid: i32,
    /// Whether the master has attached, not said goodbye, and, as far as this endpoint has found out, not been killed; a
    /// frozen one counts: see [`Endpoint::peer_state`](crate::Endpoint::peer_state).
    pub master_alive: bool,
    /// As `master_alive`, for the slave.
    pub slave_alive: bool,
    /// The creator's stale threshold, in milliseconds.
    pub stale_threshold: u32,
    /// Heartbeats of the master since this endpoint's statistics were last asked for.
    pub master_heartbeat_delta: u64,
    /// Heartbeats of the slave since this endpoint's statistics were last asked for.
    pub slave_heartbeat_delta: u64,
    /// Values written by the master.
    pub m2s_write_count: u64,
    /// Values read by the slave.
    pub m2s_read_count: u64,
    /// Values written by the slave.
    pub s2m_write_count: u64,
    /// Values read by the master.
    pub s2m_read_count: u64,
    /// Values that were overwritten before this endpoint read them.
    pub skipped: u64,
    /// Calls of this endpoint whose time ran out.
    pub timeouts: u64,
    /// How often this endpoint found its peer again after it had been frozen, dead or closed.
    pub reconnects: u64,
    /// How often this endpoint made a system call to wake its peer.
    pub wakeups: u64,
}

/// The counts that an endpoint keeps by itself. Any thread may read them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// What the sender wrote and sent; only its thread counts.
    pub(crate) sent: OwnCounter,
    /// What the receiver read and released; only its thread counts.
    pub(crate) received: OwnCounter,
    pub(crate) skipped: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) reconnects: Counter,
    pub(crate) wakeups: Counter,
}

/// A count that one thread keeps, with nothing else in its cache lines: others do something else meanwhile.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct OwnCounter(Counter);

impl OwnCounter {
    /// Only the thread that keeps the count calls this.
    #[inline(always)]
    pub(crate) fn count(&self, more: u64) {
        self.0.set(self.get().wrapping_add(more));
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A count. It orders nothing: every access is relaxed.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
