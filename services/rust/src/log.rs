//! One line per call, if wanted.

use std::sync::OnceLock;
use std::time::Duration;

static CALLS: OnceLock<bool> = OnceLock::new();

/// Has calls logged to stderr, or not, for the rest of the process's life. Only the first call counts.
pub fn log_calls(wanted: bool) {
    CALLS.get_or_init(|| wanted);
}

/// Whether calls are logged.
pub fn calls_are_logged() -> bool {
    CALLS.get().copied().unwrap_or(false)
}

/// A call is over, with this code's name.
pub fn call(transport: &str, method: &str, code: &str, time: Duration) {
    if calls_are_logged() {
        eprintln!("{transport} {method} {code} {time:.1?}");
    }
}
