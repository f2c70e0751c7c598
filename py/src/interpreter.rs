//! The interpreter, as the core's `raw` module needs to know it.

use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::time::{Duration, Instant};

use eshm::raw::{Glance, Host};
use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::error::{Failure, Result};

/// How long signals and other threads may have to wait for a thread that waits for its peer.
const SLICE: Duration = Duration::from_millis(20);
/// How long a batch may keep the interpreter from other threads.
const BREATH: Duration = Duration::from_micros(200);
/// How long to poll for what a prompt peer sends before the interpreter is released, which takes as long.
const GLANCE: Duration = Duration::from_micros(4);

/// How to poll before the interpreter is released.
#[derive(Clone, Copy)]
pub enum Polling {
    None,
    /// For the next message, as soon as it is there.
    Eager,
    /// For many messages at once. A poll slows the peer down, whose next store needs the cache line that was read.
    Calm,
}

/// The interpreter, to which this thread is attached, during a call of an endpoint.
pub struct Interpreter<'py> {
    pub py: Python<'py>,
    pub polling: Polling,
    pub slice: Duration,
}

impl<'py> Interpreter<'py> {
    pub fn new(py: Python<'py>, polling: Polling) -> Self {
        Interpreter { py, polling, slice: SLICE }
    }
}

impl Host for Interpreter<'_> {
    type Error = Failure;

    fn slice(&self) -> Duration {
        self.slice
    }

    fn block<T: Send>(&mut self, part: impl FnOnce() -> T + Send) -> T {
        self.py.detach(part)
    }

    fn between(&mut self) -> Result<()> {
        // A batch may not have released the interpreter since the last call.
        self.py.detach(|| {});
        Ok(self.py.check_signals()?)
    }

    fn breath(&self) -> Duration {
        BREATH
    }

    fn glance(&self) -> Option<Glance> {
        match self.polling {
            Polling::None => None,
            Polling::Eager => Some(Glance { time: GLANCE, looks: 24, pauses: 0 }),
            Polling::Calm => Some(Glance { time: GLANCE, looks: 1, pauses: 32 }),
        }
    }
}

/// When a wait that is done in slices ends.
#[derive(Clone, Copy)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// In this time from now; `None` is without limit.
    pub fn new(timeout: Option<Duration>) -> Self {
        Deadline(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Returns the next slice to wait for.
    pub fn slice(self) -> Duration {
        self.0.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()).min(SLICE))
    }

    pub fn is_over(self) -> bool {
        self.0.is_some_and(|end| end <= Instant::now())
    }
}

/// Runs a function of CPython's C API. Errors and panics become exceptions.
///
/// # Safety
/// The interpreter calls it, so that it is attached.
#[inline(always)]
pub unsafe fn guarded<'py>(
    function: impl FnOnce(Python<'py>) -> Result<Bound<'py, PyAny>>,
) -> *mut ffi::PyObject {
    // SAFETY: the caller says so.
    let py = unsafe { Python::assume_attached() };
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| function(py)));
    match outcome {
        Ok(Ok(object)) => object.into_ptr(),
        Ok(Err(failure)) => raise(py, failure.into()),
        Err(_) => raise(py, PySystemError::new_err("a bug in eshm: see the panic's message on stderr")),
    }
}

#[cold]
fn raise(py: Python<'_>, error: PyErr) -> *mut ffi::PyObject {
    error.restore(py);
    ptr::null_mut()
}

/// Returns whether this is the interpreter that the process started with. PyO3, and the state that this library keeps
/// per process, work in no other.
pub fn is_main(_: Python<'_>) -> PyResult<bool> {
    // SAFETY: the interpreter is attached, as the token shows.
    let interpreter = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: it is the current interpreter, which lives as long as this thread is attached to it.
    match unsafe { ffi::PyInterpreterState_GetID(interpreter) } {
        -1 => Err(PySystemError::new_err("the interpreter has no number")),
        id => Ok(id == 0),
    }
}
