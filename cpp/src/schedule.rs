//! How the background thread is scheduled.

use eshm::{MonitorPolicy, MonitorSettings};

/// The number of [`eshm::Error::InvalidConfig`].
const INVALID: i32 = -1;

/// See `MonitorSettings` in `monitor.hpp`.
pub(crate) fn configure_monitor(policy: u8, priority: i32, cpus: &[u32], failure: &mut String) -> i32 {
    let level = u8::try_from(priority).ok();
    let policy = match (policy, level) {
        (0, Some(0)) => MonitorPolicy::Normal,
        (1, Some(level)) => MonitorPolicy::Fifo(level),
        (2, Some(level)) => MonitorPolicy::RoundRobin(level),
        _ => {
            let expected = "normal (0) with 0, or fifo (1) or round_robin (2) with 1 to 99";
            *failure = format!("policy is {policy} with a priority of {priority}; expected {expected}");
            return INVALID;
        }
    };
    match eshm::configure_monitor(MonitorSettings { policy, cpus: cpus.to_vec() }) {
        Ok(()) => 0,
        Err(error) => {
            *failure = format!("the background thread cannot be scheduled so: {error}");
            INVALID
        }
    }
}
