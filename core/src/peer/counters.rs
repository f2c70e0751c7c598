//! The counts that an endpoint keeps in its own memory.

use std::time::Duration;

use super::stats::Stats;
use crate::sys::{AtomicU64, Ordering};
use crate::wait::Activity;

/// The counts that an endpoint keeps in its own memory. Any thread may read them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// What the sender wrote and sent. Only the thread of the sender counts.
    pub(crate) sent: Traffic,
    /// What the receiver read and released. Only the thread of the receiver counts.
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
    /// Counts messages and their bytes. `woke` is set if that took a system call.
    #[inline(always)]
    pub(crate) fn count_sent(&self, messages: usize, bytes: usize, woke: bool) {
        self.sent.count(messages as u64, bytes as u64);
        self.count_wakeup(woke);
    }

    /// Counts messages that were released, as `count_sent` does for sent ones.
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

    /// Returns what this endpoint has done.
    pub(crate) fn activity(&self) -> Activity {
        let bytes = self.sent.bytes.get().wrapping_add(self.received.bytes.get());
        Activity { sent: self.sent.events(), wakeups: self.wakeups.get(), bytes }
    }

    /// Counts a wait for space, and its duration. If the wait is done in parts, only the first part is `new`.
    pub(crate) fn count_room_wait(&self, new: bool, time: Duration) {
        self.room_waits.add(new.into());
        self.room_wait_nanoseconds.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Fills in the counts of the endpoint.
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

/// The counts of one direction. One thread keeps them. They have their own cache lines, because other threads work at
/// the same time.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Traffic {
    messages: Counter,
    bytes: Counter,
    values: Counter,
}

impl Traffic {
    /// Adds to the counts. Only the thread that keeps them calls this.
    #[inline(always)]
    pub(crate) fn count(&self, messages: u64, bytes: u64) {
        self.messages.set(self.messages.get().wrapping_add(messages));
        self.bytes.set(self.bytes.get().wrapping_add(bytes));
    }

    /// Counts a value. Only the thread that keeps the counts calls this.
    #[inline(always)]
    pub(crate) fn count_value(&self) {
        self.values.set(self.values.get().wrapping_add(1));
    }

    /// Returns how many messages and values went in this direction.
    #[inline(always)]
    pub(crate) fn events(&self) -> u64 {
        self.messages.get().wrapping_add(self.values.get())
    }
}

/// A count. It orders nothing, so every access is Relaxed.
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
