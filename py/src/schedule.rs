//! How the background thread is scheduled.

use eshm::{MonitorPolicy, MonitorSettings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::Whole;

/// Sets how the background thread of this process is scheduled, which updates the heartbeats of all its endpoints.
///
/// policy: "normal", "fifo" or "round_robin".
/// priority: 1 to 99 with "fifo" and "round_robin", 0 with "normal".
/// cpus: the processors that it may run on, each less than 1024. None, the default: all that this process may use,
///     except those of the calling thread if that is a real-time thread.
///
/// It may be called at any time, also before the first endpoint is opened. The settings hold until the next call, also
/// in forked children. Raises ValueError for a value out of range, and OSError, such as PermissionError, for settings
/// that the system refuses.
#[pyfunction]
#[pyo3(
    signature = (policy = "normal", priority = Whole::Within(0), cpus = None),
    text_signature = "(policy='normal', priority=0, cpus=None)"
)]
pub fn configure_monitor(policy: &str, priority: Whole, cpus: Option<Vec<Whole>>) -> PyResult<()> {
    let policy = match (policy, priority.get()) {
        ("normal", Some(0)) => MonitorPolicy::Normal,
        ("fifo", Some(priority)) => MonitorPolicy::Fifo(priority),
        ("round_robin", Some(priority)) => MonitorPolicy::RoundRobin(priority),
        _ => {
            let expected = "'normal' with 0, or 'fifo' or 'round_robin' with 1 to 99";
            let text = format!("policy is {policy:?} with a priority of {priority}; expected {expected}");
            return Err(PyValueError::new_err(text));
        }
    };
    let processor = |cpu: Whole| {
        cpu.get().ok_or_else(|| PyValueError::new_err(format!("a processor is {cpu}; expected 0 to 1023")))
    };
    let cpus = cpus.unwrap_or_default().into_iter().map(processor).collect::<PyResult<_>>()?;
    let settings = MonitorSettings { policy, cpus };
    eshm::configure_monitor(settings).map_err(|error| match error.raw_os_error() {
        None => PyValueError::new_err(error.to_string()),
        Some(_) => error.into(),
    })
}
