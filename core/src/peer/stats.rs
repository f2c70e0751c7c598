//! What an endpoint counts.

use std::time::Duration;

use crate::peer::settings::table::{Kind, Value};

/// Declares [`Stats`] and [`STATISTICS`] from one list: each field with its type, its kind and its documentation.
macro_rules! statistics {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $kind:ident $value:expr;)+) => {
        /// A snapshot of a segment and of one endpoint of it: the fields of ESHM 1.x, then ours.
        ///
        /// Counts of values of the segment (`m2s_…`: master to slave) have been kept by both processes since it was made; those of
        /// the endpoint (`skipped` and on) since it was opened. *Values* are those of `write` and `read`, *messages* those of `send`
        /// and `recv`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        /// The statistics of an endpoint: the fields of [`Stats`], in their order.
        ///
        /// ```
        /// let stats = eshm::Endpoint::master("doc-statistics")?.stats()?;
        /// for statistic in eshm::raw::STATISTICS {
        ///     println!("{}: {:?}", statistic.name, (statistic.value)(&stats));
        /// }
        /// # Ok::<(), eshm::Error>(())
        /// ```
        pub const STATISTICS: &[Statistic] = &[
            $(Statistic {
                name: stringify!($name),
                kind: Kind::$kind,
                doc: concat!($($doc),+),
                value: |stats| {
                    let value: fn($type) -> Value = $value;
                    value(stats.$name)
                },
            },)+
        ];
    };
}

statistics! {
    /// The master's heartbeats.
    master_heartbeat: u64 = Count number;
    /// The slave's heartbeats.
    slave_heartbeat: u64 = Count number;
    /// The master's pid, in its own PID namespace.
    master_pid: i32 = Id number;
    /// The slave's pid, in its own PID namespace.
    slave_pid: i32 = Id number;
    /// Whether the master has attached, has not closed, and, as far as this endpoint has found out, was not killed; a
    /// frozen one counts: see [`Endpoint::peer_state`](crate::Endpoint::peer_state).
    master_alive: bool = Flag Value::Flag;
    /// As `master_alive`, for the slave.
    slave_alive: bool = Flag Value::Flag;
    /// The master's stale threshold.
    stale_threshold: Duration = Time Value::Time;
    /// Heartbeats of the master since this endpoint's statistics were last asked for.
    master_heartbeat_delta: u64 = Count number;
    /// Heartbeats of the slave since this endpoint's statistics were last asked for.
    slave_heartbeat_delta: u64 = Count number;
    /// Values written by the master.
    m2s_write_count: u64 = Count number;
    /// Values read by the slave.
    m2s_read_count: u64 = Count number;
    /// Values written by the slave.
    s2m_write_count: u64 = Count number;
    /// Values read by the master.
    s2m_read_count: u64 = Count number;
    /// Values that were overwritten before this endpoint read them.
    skipped: u64 = Count number;
    /// Calls of this endpoint whose time ran out.
    timeouts: u64 = Count number;
    /// How often another peer followed the one before: another process, or the same one again after a close.
    reconnects: u64 = Count number;
    /// How often this endpoint made a system call to wake its peer.
    wakeups: u64 = Count number;
    /// How often the peer stood still for the stale threshold, and then went on.
    stalls: u64 = Count number;
    /// Messages that this endpoint's `send` accepted.
    messages_sent: u64 = Count number;
    /// Messages that this endpoint received and released.
    messages_received: u64 = Count number;
    /// Bytes of the messages sent.
    bytes_sent: u64 = Bytes number;
    /// Bytes of the messages received and released.
    bytes_received: u64 = Bytes number;
    /// Messages in the queue from master to slave that are not released, now.
    m2s_queue_depth: u32 = Count number;
    /// Messages in the queue from slave to master that are not released, now.
    s2m_queue_depth: u32 = Count number;
    /// The greatest depth that the queue from master to slave has had, as its sender's process has seen it: it looks at
    /// each heartbeat, and whenever it finds the queue full. 0 if that process is one of ESHM 2.0.
    m2s_queue_high_water: u32 = Count number;
    /// As `m2s_queue_high_water`, from slave to master.
    s2m_queue_high_water: u32 = Count number;
    /// How often a `send` or `loan` of this endpoint found no room, or no peer, for so long that its thread slept.
    room_waits: u64 = Count number;
    /// How long these calls have waited in all.
    room_wait_time: Duration = Time Value::Time;
    /// Messages that this endpoint has sent and that no receiver has released.
    unreceived: u64 = Count number;
}

/// A statistic of an endpoint.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Statistic {
    /// The canonical name: that of the field of [`Stats`]. Each language spells it as its names are spelt.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it counts.
    pub doc: &'static str,
    /// Returns its value.
    pub value: fn(&Stats) -> Value,
}

fn number(number: impl Into<i128>) -> Value {
    Value::Number(number.into())
}
