//! What an endpoint counts.

use std::time::Duration;

use crate::sys::{AtomicU64, Ordering};

/// A snapshot of a segment and of one endpoint of it: the fields of ESHM 1.x, then ours.
///
/// Counts of values of the segment (`m2s_…`: master to slave) have been kept by both processes since it was made; those of
/// the endpoint (`skipped` and on) since it was opened. *Values* are those of `write` and `read`, *messages* those of `send`
/// and `recv`.
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
    /// How often another peer followed the one before: another process, or the same one again after a close.
    pub reconnects: u64,
    /// How often this endpoint made a system call to wake its peer.
    pub wakeups: u64,
    /// How often the peer stood still for the stale threshold, and then went on.
    pub stalls: u64,
    /// Messages that this endpoint's `send` accepted.
    pub messages_sent: u64,
    /// Messages that this endpoint received and released.
    pub messages_received: u64,
    /// Bytes of the messages sent.
    pub bytes_sent: u64,
    /// Bytes of the messages received and released.
    pub bytes_received: u64,
    /// Messages in the queue from master to slave that are not released, now.
    pub m2s_queue_depth: u32,
    /// Messages in the queue from slave to master that are not released, now.
    pub s2m_queue_depth: u32,
    /// The greatest depth that the queue from master to slave has had, as its sender's process has seen it: it looks at
    /// each heartbeat, and whenever it finds the queue full. 0 if that process is one of ESHM 2.0.
    pub m2s_queue_high_water: u32,
    /// As `m2s_queue_high_water`, from slave to master.
    pub s2m_queue_high_water: u32,
    /// How often a `send` or `loan` of this endpoint found no room, or no peer, for so long that its thread slept.
    pub room_waits: u64,
    /// How long these calls have waited in all.
    pub room_wait_time: Duration,
    /// Messages that this endpoint has sent and that no receiver has released.
    pub unreceived: u64,
}

/// The counts that an endpoint keeps by itself. Any thread may read them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// What the sender wrote and sent; only its thread counts.
    pub(crate) sent: Traffic,
    /// What the receiver read and released; only its thread counts.
    pub(crate) received: Traffic,
    pub(crate) skipped: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) reconnects: Counter,
    pub(crate) stalls: Counter,
    pub(crate) wakeups: Counter,
    room_waits: Counter,
    room_wait_nanoseconds: Counter,
}

impl Counters {
    /// Counts messages and their bytes. `woke`: whether that took a system call.
    #[inline(always)]
    pub(crate) fn count_sent(&self, messages: usize, bytes: usize, woke: bool) {
        self.sent.count(messages as u64, bytes as u64);
        self.count_wakeup(woke);
    }

    /// As `count_sent`, for what was released.
    #[inline(always)]
    pub(crate) fn count_received(&self, messages: u32, bytes: usize, woke: bool) {
        self.received.count(messages.into(), bytes as u64);
        self.count_wakeup(woke);
    }

    /// Counts a value that was written.
    pub(crate) fn count_written(&self, woke: bool) {
        self.sent.count_value();
        self.count_wakeup(woke);
    }

    #[inline(always)]
    fn count_wakeup(&self, woke: bool) {
        if woke {
            self.wakeups.add(1);
        }
    }

    /// Counts a wait for room, and its time. Of one that is done in parts, the first part is `new`.
    pub(crate) fn count_room_wait(&self, new: bool, time: Duration) {
        self.room_waits.add(new.into());
        self.room_wait_nanoseconds.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Fills in what an endpoint counts by itself.
    pub(crate) fn fill(&self, stats: &mut Stats) {
        stats.skipped = self.skipped.get();
        stats.timeouts = self.timeouts.get();
        stats.reconnects = self.reconnects.get();
        stats.stalls = self.stalls.get();
        stats.wakeups = self.wakeups.get();
        stats.messages_sent = self.sent.messages.get();
        stats.bytes_sent = self.sent.bytes.get();
        stats.messages_received = self.received.messages.get();
        stats.bytes_received = self.received.bytes.get();
        stats.room_waits = self.room_waits.get();
        stats.room_wait_time = Duration::from_nanos(self.room_wait_nanoseconds.get());
    }
}

/// One direction's counts, which one thread keeps, with nothing else in their cache lines: others do something else meanwhile.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Traffic {
    messages: Counter,
    bytes: Counter,
    values: Counter,
}

impl Traffic {
    /// Only the thread that keeps the counts calls this.
    #[inline(always)]
    pub(crate) fn count(&self, messages: u64, bytes: u64) {
        self.messages.set(self.messages.get().wrapping_add(messages));
        self.bytes.set(self.bytes.get().wrapping_add(bytes));
    }

    /// As `count`, for a value.
    #[inline(always)]
    pub(crate) fn count_value(&self) {
        self.values.set(self.values.get().wrapping_add(1));
    }

    /// Returns how often anything went this way.
    #[inline(always)]
    pub(crate) fn events(&self) -> u64 {
        self.messages.get().wrapping_add(self.values.get())
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
