//! What any thread may ask of an endpoint, and the scheduling of the background thread.

use eshm::raw::{STATISTICS, Value};
use eshm::{MonitorPolicy, MonitorSettings, Stats};

use crate::convert::{INVALID, limit, longest};
use crate::ffi::{self, Outcome};

/// Queries an endpoint, for any thread.
pub(crate) struct Inspector(pub(crate) eshm::Inspector);

impl Inspector {
    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    pub(crate) fn role(&self) -> ffi::Role {
        match self.0.role() {
            eshm::Role::Master => ffi::Role::master,
            eshm::Role::Slave => ffi::Role::slave,
        }
    }

    pub(crate) fn data_size(&self) -> usize {
        self.0.data_size()
    }

    pub(crate) fn max_message(&self) -> usize {
        self.0.max_message()
    }

    pub(crate) fn peer_state(&self) -> ffi::PeerState {
        ffi::PeerState { repr: self.0.peer_state() as u8 }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.0.generation()
    }

    pub(crate) fn peer_is_legacy(&self) -> bool {
        self.0.peer_is_legacy()
    }

    pub(crate) fn unreceived(&self) -> u64 {
        self.0.unreceived()
    }

    pub(crate) fn stop(&self) {
        self.0.stop();
    }

    pub(crate) fn stats(&self, outcome: &mut Outcome) -> Box<Snapshot> {
        Box::new(Snapshot(outcome.take(self.0.stats()).unwrap_or_default()))
    }

    pub(crate) fn wait_for_peer(&self, wait: i64, outcome: &mut Outcome) {
        outcome.take(self.0.wait_for_peer(longest(limit(wait))));
    }

    pub(crate) fn check_removed(&self, outcome: &mut Outcome) {
        outcome.take(self.0.check_removed());
    }

    pub(crate) fn update_heartbeat(&self, outcome: &mut Outcome) {
        outcome.take(self.0.update_heartbeat());
    }
}

/// The statistics of one moment.
pub(crate) struct Snapshot(Stats);

impl Snapshot {
    /// Returns a statistic by its name; flags as 0 or 1, times in nanoseconds, counts as their 64 bits.
    pub(crate) fn value(&self, name: &str) -> i64 {
        let statistic = STATISTICS.iter().find(|statistic| statistic.name == name);
        match statistic.map(|statistic| (statistic.value)(&self.0)) {
            Some(Value::Flag(flag)) => flag.into(),
            Some(Value::Number(number)) => number as i64,
            Some(Value::Time(time)) => i64::try_from(time.as_nanos()).unwrap_or(i64::MAX),
            other => unreachable!("the facade knows the statistic {name:?}, the core says {other:?}"),
        }
    }
}

/// `MonitorSettings` in `monitor.hpp`.
pub(crate) fn configure_monitor(policy: u8, priority: i32, cpus: &[u32], outcome: &mut Outcome) {
    let scheduled = match (policy, u8::try_from(priority)) {
        (0, Ok(0)) => Ok(MonitorPolicy::Normal),
        (1, Ok(level)) => Ok(MonitorPolicy::Fifo(level)),
        (2, Ok(level)) => Ok(MonitorPolicy::RoundRobin(level)),
        _ => Err(format!(
            "the policy is {policy} with a priority of {priority}; expected normal (0) with 0, or fifo (1) or \
             round_robin (2) with 1 to 99"
        )),
    }
    .and_then(|policy| {
        let done = eshm::configure_monitor(MonitorSettings { policy, cpus: cpus.to_vec() });
        done.map_err(|error| format!("the background thread cannot be scheduled so: {error}"))
    });
    if let Err(text) = scheduled {
        *outcome = Outcome { code: INVALID, text };
    }
}
