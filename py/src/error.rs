//! Failures, and the core's among them as the exceptions of `eshm._errors`.

use eshm::Error;
use pyo3::prelude::*;

/// The result of everything that may fail here.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What goes wrong: in the core, or in Python.
pub enum Failure {
    /// Becomes the exception of `eshm._errors` that stands for it.
    Core(Error),
    /// Becomes an `InUseError` with this text: a borrow that the core's compiler would have refused.
    InUse(String),
    /// Becomes an `InvalidError` with this text.
    Invalid(String),
    /// Raised as it is.
    Python(PyErr),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Core(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        let made = match failure {
            Failure::Python(error) => return error,
            Failure::InUse(text) => {
                Python::attach(|py| instance(py, "InUseError", &text).map(PyErr::from_value))
            }
            Failure::Invalid(text) => {
                Python::attach(|py| instance(py, "InvalidError", &text).map(PyErr::from_value))
            }
            Failure::Core(error) => Python::attach(|py| exception(py, &error).map(PyErr::from_value)),
        };
        made.unwrap_or_else(|error| error)
    }
}

/// The exception for `error`, with its text and its number.
fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let exception = instance(py, class_name(error), &error.to_string())?;
    exception.setattr("code", error.code())?;
    if let Error::PeerClosed { unreceived, .. } = error {
        exception.setattr("unreceived", unreceived)?;
    }
    Ok(exception)
}

fn instance<'py>(py: Python<'py>, class: &str, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("eshm._errors")?.getattr(class)?.call1((text,))
}

fn class_name(error: &Error) -> &'static str {
    match error {
        Error::InvalidName { .. }
        | Error::InvalidDomain { .. }
        | Error::InvalidConfig { .. }
        | Error::InvalidText { .. } => "InvalidError",
        Error::Create { .. } => "CreateError",
        Error::NotFound { .. } => "NotFoundError",
        Error::Attach { .. } | Error::Foreign { .. } | Error::Directory { .. } => "AttachError",
        Error::SeatTaken { .. } => "SeatTakenError",
        Error::TooLarge { .. } => "TooLargeError",
        Error::Full { .. } => "FullError",
        Error::Timeout { .. } => "TimeoutError",
        Error::Reconnecting { .. } => "ReconnectingError",
        Error::PeerStale { .. } => "PeerStaleError",
        Error::PeerClosed { .. } => "PeerClosedError",
        Error::Corrupt { .. } => "CorruptError",
        Error::Forked { .. } => "ForkedError",
        Error::Closed { .. } => "ClosedError",
        Error::Displaced { .. } => "DisplacedError",
        // The enum may grow; until its new error has a class here, it is still an eshm.Error.
        _ => "Error",
    }
}
