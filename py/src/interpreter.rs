//! Which interpreter this module is loaded into.

use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;

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
