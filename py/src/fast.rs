//! `Endpoint.send` and `Endpoint.recv` as functions of CPython's C API, in place of those that PyO3 makes.
//!
//! PyO3's functions look the class up, count nested calls in thread-local memory, and unpack the arguments by a table:
//! see bench/README.md for what that takes. They stay for calls whose arguments do not fit, and raise the exceptions.

use std::ffi::{CStr, CString};
use std::iter;
use std::slice;

use pyo3::exceptions::PySystemError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFloat, PyInt, PyString, PyTuple, PyType};

use crate::calls;
use crate::convert::Seconds;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::interpreter::guarded;

/// What the functions need of Python.
struct Names {
    /// The interned string: in source text, the name of an argument is this object.
    timeout: Py<PyString>,
    /// PyO3's methods.
    send: Py<PyAny>,
    recv: Py<PyAny>,
}

static NAMES: PyOnceLock<Names> = PyOnceLock::new();

/// Puts the functions of this file into the class. Each has the text and the signature of the one that it replaces.
pub fn install(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    let names = Names {
        timeout: PyString::intern(py, "timeout").unbind(),
        send: class.getattr("send")?.unbind(),
        recv: class.getattr("recv")?.unbind(),
    };
    replace(class, c"send", send)?;
    replace(class, c"recv", recv)?;
    NAMES.get_or_init(py, || names);
    Ok(())
}

fn replace(
    class: &Bound<'_, PyType>,
    name: &'static CStr,
    function: ffi::PyCFunctionFastWithKeywords,
) -> PyResult<()> {
    let text = name.to_string_lossy();
    let method = class.getattr(&*text)?;
    let (signature, doc) = (method.getattr("__text_signature__")?, method.getattr("__doc__")?);
    let doc = CString::new(format!("{text}{signature}\n--\n\n{doc}"))?;
    let definition = ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.into_raw(),
    };
    let definition = Box::leak(Box::new(definition));
    // SAFETY: the class lives, and the definition and what it points to are never freed.
    let descriptor = unsafe { ffi::PyDescr_NewMethod(class.as_ptr().cast(), definition) };
    // SAFETY: it is a new reference, or null with an exception.
    let descriptor = unsafe { Bound::from_owned_ptr_or_err(class.py(), descriptor) }?;
    class.setattr(&*text, descriptor)
}

/// The arguments of a call, and the endpoint whose method it is.
struct Call<'py> {
    py: Python<'py>,
    slf: *mut PyObject,
    /// First the positional ones.
    all: &'py [*mut PyObject],
    /// How many are positional.
    positional: usize,
    /// The names of the others: a tuple, or null.
    names: *mut PyObject,
}

impl<'py> Call<'py> {
    /// # Safety
    /// The interpreter calls this, as a method of `Endpoint` by the convention of `METH_FASTCALL | METH_KEYWORDS`. The
    /// result is not used after the call.
    #[inline(always)]
    unsafe fn new(
        py: Python<'py>,
        slf: *mut PyObject,
        args: *const *mut PyObject,
        nargs: ffi::Py_ssize_t,
        names: *mut PyObject,
    ) -> Self {
        let positional = nargs as usize;
        // SAFETY: the names are a tuple if they are there.
        let named = if names.is_null() { 0 } else { unsafe { ffi::PyTuple_Size(names) as usize } };
        let count = positional + named;
        // SAFETY: the convention: as many objects, which live for the call. Without any the pointer may be null.
        let all = if count == 0 { &[] } else { unsafe { slice::from_raw_parts(args, count) } };
        Call { py, slf, all, positional, names }
    }

    /// Returns the endpoint.
    #[inline(always)]
    fn endpoint(&self) -> &Bound<'py, Endpoint> {
        // SAFETY: it lives for the call.
        let slf = unsafe { Bound::ref_from_ptr(self.py, &self.slf) };
        // SAFETY: the interpreter calls a method of a class for its instances only.
        unsafe { slf.cast_unchecked() }
    }

    /// Returns the argument of this index.
    #[inline(always)]
    fn argument(&self, index: usize) -> &Bound<'py, PyAny> {
        // SAFETY: it lives for the call.
        unsafe { Bound::ref_from_ptr(self.py, &self.all[index]) }
    }

    /// Returns the time-out of a call with `required` positional arguments before it. `None`: the arguments do not fit.
    #[inline(always)]
    fn timeout(&self, required: usize) -> Option<Option<Seconds>> {
        if self.all.len() == required && self.positional == required {
            return Some(None);
        }
        self.given_timeout(required)
    }

    fn given_timeout(&self, required: usize) -> Option<Option<Seconds>> {
        if self.all.len() != required + 1 || self.positional < required {
            return None;
        }
        if self.positional == required {
            // SAFETY: a tuple of one name, which it keeps.
            let name = unsafe { ffi::PyTuple_GetItem(self.names, 0) };
            if NAMES.get(self.py).is_none_or(|known| known.timeout.as_ptr() != name) {
                return None;
            }
        }
        let timeout = self.argument(required);
        // A number of another type may run code of the program, which must run once, in PyO3's method.
        let is_plain = timeout.is_none()
            || timeout.is_exact_instance_of::<PyFloat>()
            || timeout.is_exact_instance_of::<PyInt>();
        if is_plain { timeout.extract().ok() } else { None }
    }

    /// Calls PyO3's method.
    #[cold]
    fn by(&self, method: impl FnOnce(&Names) -> &Py<PyAny>) -> Result<Bound<'py, PyAny>> {
        let py = self.py;
        let Some(names) = NAMES.get(py) else {
            return Err(PySystemError::new_err("eshm is not imported").into());
        };
        let positional = (0..self.positional).map(|index| self.argument(index).clone());
        let arguments: Vec<_> = iter::once(self.endpoint().as_any().clone()).chain(positional).collect();
        let named = PyDict::new(py);
        for (at, index) in (self.positional..self.all.len()).enumerate() {
            // SAFETY: a tuple of as many names, which it keeps.
            let name = unsafe { ffi::PyTuple_GetItem(self.names, at as ffi::Py_ssize_t) };
            // SAFETY: the tuple lives for the call.
            let name = unsafe { Borrowed::from_ptr(py, name) };
            named.set_item(name, self.argument(index))?;
        }
        Ok(method(names).bind(py).call(PyTuple::new(py, arguments)?, Some(&named))?)
    }
}

/// Makes a C function out of a function of a [`Call`].
macro_rules! method {
    ($name:ident, $function:path) => {
        unsafe extern "C" fn $name(
            slf: *mut PyObject,
            args: *const *mut PyObject,
            nargs: ffi::Py_ssize_t,
            names: *mut PyObject,
        ) -> *mut PyObject {
            let function = |py| {
                // SAFETY: the interpreter calls this method.
                let call = unsafe { Call::new(py, slf, args, nargs, names) };
                $function(py, &call)
            };
            // SAFETY: as above.
            unsafe { guarded(function) }
        }
    };
}
method!(send, send_by);
method!(recv, recv_by);

#[inline(always)]
fn send_by<'py>(py: Python<'py>, call: &Call<'py>) -> Result<Bound<'py, PyAny>> {
    let Some(timeout) = call.timeout(1) else { return call.by(|names| &names.send) };
    let endpoint = call.endpoint().get();
    calls::send(py, endpoint, call.argument(0), endpoint.limit(timeout)?)?;
    Ok(py.None().into_bound(py))
}

#[inline(always)]
fn recv_by<'py>(py: Python<'py>, call: &Call<'py>) -> Result<Bound<'py, PyAny>> {
    let Some(timeout) = call.timeout(0) else { return call.by(|names| &names.recv) };
    let endpoint = call.endpoint().get();
    Ok(match calls::recv(py, endpoint, endpoint.limit(timeout)?)? {
        Some(message) => message.into_any(),
        None => py.None().into_bound(py),
    })
}
