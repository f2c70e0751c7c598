//! Converts arguments to the core's types, and the core's results to Python's.

use std::fmt;
use std::time::{Duration, SystemTime};

use eshm::raw::SETTINGS;
use eshm::{Disconnect, Error, PeerState, Result, Role, WaitStrategy};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

/// Returns the error of an argument that no value of the core's type stands for.
pub fn invalid(segment: &str, setting: &'static str, found: String, expected: &'static str) -> Error {
    Error::InvalidConfig { segment: segment.into(), setting, found, expected }
}

/// A number of seconds, as every duration is given in Python. Integers beyond all floats are infinite.
#[derive(Clone, Copy)]
pub struct Seconds(pub f64);

impl FromPyObject<'_, '_> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.extract() {
            Ok(value) => Ok(Seconds(value)),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                Ok(Seconds(if object.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY }))
            }
            Err(error) => Err(error),
        }
    }
}

/// A whole number, which has no limits in Python.
#[derive(Clone, Copy)]
pub enum Whole {
    /// One of 64 bits.
    Within(i64),
    /// Any other one, in words.
    Beyond(&'static str),
}

impl Whole {
    /// Returns the number, if the type has it.
    pub fn get<T: TryFrom<i64>>(self) -> Option<T> {
        match self {
            Whole::Within(value) => T::try_from(value).ok(),
            Whole::Beyond(_) => None,
        }
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whole::Within(value) => value.fmt(f),
            Whole::Beyond(words) => words.fmt(f),
        }
    }
}

impl FromPyObject<'_, '_> for Whole {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.extract() {
            Ok(value) => Ok(Whole::Within(value)),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                let is_negative = object.call_method0("__index__")?.lt(0)?;
                Ok(Whole::Beyond(if is_negative { "less than -2^63" } else { "2^63 or more" }))
            }
            Err(error) => Err(error),
        }
    }
}

/// Converts a number of seconds. The core checks its range.
pub fn seconds(segment: &str, setting: &'static str, Seconds(value): Seconds) -> Result<Duration> {
    // `{:?}` has an exponent where `{}` has up to 300 zeros.
    Duration::try_from_secs_f64(value)
        .map_err(|_| invalid(segment, setting, format!("{value:?} s"), expected(setting)))
}

/// Converts a whole number. The core checks its range.
pub fn whole<T: TryFrom<i64>>(segment: &str, setting: &'static str, value: Whole) -> Result<T> {
    value.get().ok_or_else(|| invalid(segment, setting, value.to_string(), expected(setting)))
}

/// Returns the range of an argument in Python's words.
fn expected(setting: &str) -> &'static str {
    match setting {
        "timeout" | "connect_timeout" => "0 to 1.8e19 seconds",
        "reconnect_timeout" => "more than 0 and at most 1.8e19 seconds, or None for no limit",
        "reconnect_attempts" => "1 to 4294967295, or None for no limit",
        "mode" => "permission bits that let the owner read and write, such as 0o600 or 0o660",
        "size" => "0 to max_message bytes",
        _ => {
            let range = SETTINGS.iter().find(|entry| entry.name == setting).and_then(|entry| entry.range);
            range.map_or("0 to 9223372036854775807", |range| range.text)
        }
    }
}

/// Converts a limit; `None` is without limit. Refuses a zero as the core does, in Python's words.
pub fn limit<T: Default + PartialEq>(
    segment: &str,
    setting: &'static str,
    value: Option<T>,
) -> Result<Option<T>> {
    if value == Some(T::default()) {
        let expected =
            "more than 0, or None for no limit (disconnect=\"immediately\" never waits for a peer)";
        return Err(invalid(segment, setting, "0".to_owned(), expected));
    }
    Ok(value)
}

/// Converts the name of a role; `None` is auto. `eshm.Role` is a `str`, too.
pub fn role(segment: &str, word: &str) -> Result<Option<Role>> {
    match word {
        "master" => Ok(Some(Role::Master)),
        "slave" => Ok(Some(Role::Slave)),
        "auto" => Ok(None),
        _ => Err(invalid(segment, "role", format!("{word:?}"), "\"master\", \"slave\" or \"auto\"")),
    }
}

/// Converts the name of a disconnect behaviour. `eshm.Disconnect` is a `str`, too.
pub fn disconnect(segment: &str, word: &str) -> Result<Disconnect> {
    match word {
        "immediately" => Ok(Disconnect::Immediately),
        "on_timeout" => Ok(Disconnect::OnTimeout),
        "never" => Ok(Disconnect::Never),
        _ => Err(invalid(
            segment,
            "disconnect",
            format!("{word:?}"),
            "\"immediately\", \"on_timeout\" or \"never\"",
        )),
    }
}

/// Converts the name of a wait strategy. `eshm.Wait` is a `str`, too.
pub fn wait(segment: &str, word: &str) -> Result<WaitStrategy> {
    match word {
        "adaptive" => Ok(WaitStrategy::Adaptive),
        "spin" => Ok(WaitStrategy::Spin),
        "spin_then_park" => Ok(WaitStrategy::SpinThenPark),
        "park" => Ok(WaitStrategy::Park),
        _ => {
            let expected = "\"adaptive\", \"spin\", \"spin_then_park\" or \"park\"";
            Err(invalid(segment, "wait", format!("{word:?}"), expected))
        }
    }
}

/// Returns the member of `eshm.Role`.
pub fn python_role(py: Python<'_>, role: Role) -> PyResult<Bound<'_, PyAny>> {
    types(py)?.getattr("Role")?.call1((role.to_string(),))
}

/// Returns the member of `eshm.PeerState`.
pub fn python_state(py: Python<'_>, state: PeerState) -> PyResult<Bound<'_, PyAny>> {
    types(py)?.getattr("PeerState")?.call1((state.to_string(),))
}

/// Returns an `eshm.Stats`.
pub fn python_stats<'py>(py: Python<'py>, stats: &eshm::Stats) -> PyResult<Bound<'py, PyAny>> {
    let numbers = [
        ("master_heartbeat", stats.master_heartbeat),
        ("slave_heartbeat", stats.slave_heartbeat),
        ("master_heartbeat_delta", stats.master_heartbeat_delta),
        ("slave_heartbeat_delta", stats.slave_heartbeat_delta),
        ("m2s_write_count", stats.m2s_write_count),
        ("m2s_read_count", stats.m2s_read_count),
        ("s2m_write_count", stats.s2m_write_count),
        ("s2m_read_count", stats.s2m_read_count),
        ("skipped", stats.skipped),
        ("timeouts", stats.timeouts),
        ("reconnects", stats.reconnects),
        ("wakeups", stats.wakeups),
        ("stalls", stats.stalls),
        ("messages_sent", stats.messages_sent),
        ("messages_received", stats.messages_received),
        ("bytes_sent", stats.bytes_sent),
        ("bytes_received", stats.bytes_received),
        ("m2s_queue_depth", stats.m2s_queue_depth.into()),
        ("s2m_queue_depth", stats.s2m_queue_depth.into()),
        ("m2s_queue_high_water", stats.m2s_queue_high_water.into()),
        ("s2m_queue_high_water", stats.s2m_queue_high_water.into()),
        ("room_waits", stats.room_waits),
        ("unreceived", stats.unreceived),
    ];
    let fields = numbers.into_py_dict(py)?;
    fields.set_item("stale_threshold", stats.stale_threshold.as_secs_f64())?;
    fields.set_item("master_pid", stats.master_pid)?;
    fields.set_item("slave_pid", stats.slave_pid)?;
    fields.set_item("master_alive", stats.master_alive)?;
    fields.set_item("slave_alive", stats.slave_alive)?;
    fields.set_item("room_wait_time", stats.room_wait_time.as_secs_f64())?;
    types(py)?.getattr("Stats")?.call((), Some(&fields))
}

/// Returns an `eshm.View`.
pub fn python_view<'py>(py: Python<'py>, view: &eshm::View) -> PyResult<Bound<'py, PyAny>> {
    let seat = |seat: &eshm::SeatView| {
        let state = python_state(py, seat.state)?;
        let fields = (state, seat.pid, seat.heartbeat, seat.generation, seat.is_legacy);
        types(py)?.getattr("SeatView")?.call1(fields)
    };
    let direction = |direction: &eshm::DirectionView| {
        let eshm::DirectionView { written, read, waiting, high_water, slots, .. } = *direction;
        let fields = (written, read, waiting, high_water, slots);
        types(py)?.getattr("DirectionView")?.call1(fields)
    };
    types(py)?.getattr("View")?.call1((
        seat(&view.master)?,
        seat(&view.slave)?,
        direction(&view.master_to_slave)?,
        direction(&view.slave_to_master)?,
    ))
}

/// Returns an `eshm.Segment`.
pub fn python_segment<'py>(py: Python<'py>, segment: &eshm::Segment) -> PyResult<Bound<'py, PyAny>> {
    let since = segment.since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok());
    let view = segment.view.as_ref().map(|view| python_view(py, view)).transpose()?;
    types(py)?.getattr("Segment")?.call1((
        &segment.name,
        segment.path.as_os_str(),
        types(py)?.getattr("SegmentKind")?.call1((segment.kind.to_string(),))?,
        &segment.reason,
        segment.size,
        segment.owner,
        segment.owner_name.as_deref(),
        segment.mode,
        since.map(|since| since.as_secs_f64()),
        view,
    ))
}

/// Returns an `eshm.Removal`.
pub fn python_removal<'py>(py: Python<'py>, removal: &eshm::Removal) -> PyResult<Bound<'py, PyAny>> {
    let removed = removal.removed.iter().map(|segment| python_segment(py, segment));
    let left = removal
        .left
        .iter()
        .map(|left| types(py)?.getattr("Left")?.call1((python_segment(py, &left.segment)?, &left.reason)));
    let (removed, left) = (removed.collect::<PyResult<Vec<_>>>()?, left.collect::<PyResult<Vec<_>>>()?);
    types(py)?.getattr("Removal")?.call1((removed, left))
}

fn types(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("eshm._types")
}
