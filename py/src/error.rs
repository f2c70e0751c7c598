//! Failures, and their conversion to exceptions.

use eshm::{Error, raw};
use pyo3::prelude::*;

/// The result of a call that may fail.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// A failure of the core, or of Python.
pub enum Failure {
    /// Becomes the exception of its kind in `eshm._errors`.
    Core(Error),
    /// Becomes an `InUseError`: memory that was lent is still in use, or no longer lent. The text names what was lent.
    Lent(Box<raw::Error>, &'static str),
    /// Becomes an `InvalidError` with this text.
    Invalid(String),
    /// Raised as it is.
    Python(PyErr),
}

impl Failure {
    /// An exception of this class of `eshm._errors`.
    pub fn named(py: Python<'_>, class: &str, text: &str) -> Self {
        Failure::Python(instance(py, class, text).map_or_else(|error| error, PyErr::from_value))
    }

    /// Converts the error for the half that receives.
    pub fn of_receiver(self) -> Self {
        match self {
            Failure::Lent(error, _) => Failure::Lent(error, "borrowed message"),
            failure => failure,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Core(error)
    }
}

impl From<raw::Error> for Failure {
    fn from(error: raw::Error) -> Self {
        match error {
            raw::Error::Core(error) => Failure::Core(error),
            error => Failure::Lent(Box::new(error), "loan"),
        }
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
            Failure::Lent(error, lent) => {
                let text = in_use(&error, lent);
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

fn in_use(error: &raw::Error, lent: &str) -> String {
    match error {
        raw::Error::Lent { segment } => {
            format!("segment '{segment}': a {lent} is open: send or release it first")
        }
        raw::Error::InUse { segment } => format!(
            "segment '{segment}': views of the {lent} (memoryviews, NumPy arrays) are still in use: delete them first"
        ),
        raw::Error::Stale { segment } => {
            format!("segment '{segment}': the {lent} is over: it was sent or released")
        }
        error => error.to_string(),
    }
}

/// Returns the exception for `error`, with its text and its number.
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
        // The enum may grow. An error without a class here is an eshm.Error.
        _ => "Error",
    }
}
