//! The bytes of a Python object: the only door to the buffer protocol.
//!
//! PyO3 offers the protocol to `abi3` modules from Python 3.11 on, when it joined the limited API. But every
//! CPython since 3.0 exports these two functions with this very structure (3.11 froze what had been there), so
//! one wheel can serve Python 3.9 as well, and no caller has to make a copy into `bytes` first.

use std::borrow::Cow;
use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::slice;

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi::{Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::message::Message;

/// `Py_buffer` of CPython's `Include/pybuffer.h`.
#[repr(C)]
struct RawView {
    buf: *mut c_void,
    obj: *mut PyObject,
    len: Py_ssize_t,
    itemsize: Py_ssize_t,
    readonly: c_int,
    ndim: c_int,
    format: *mut c_char,
    shape: *mut Py_ssize_t,
    strides: *mut Py_ssize_t,
    suboffsets: *mut Py_ssize_t,
    internal: *mut c_void,
}

/// `PyBUF_SIMPLE`: contiguous memory, whatever the items in it are; refused by what cannot give that.
const SIMPLE: c_int = 0;

unsafe extern "C" {
    fn PyObject_GetBuffer(object: *mut PyObject, view: *mut RawView, flags: c_int) -> c_int;
    fn PyBuffer_Release(view: *mut RawView);
}

/// A view of an object's memory, given back when dropped.
struct View<'py> {
    /// Boxed, because an exporter may keep pointers into the structure it has filled.
    raw: Box<RawView>,
    /// The view is released with the interpreter attached, as it was taken.
    attached: PhantomData<Python<'py>>,
}

impl<'py> View<'py> {
    fn new(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        let mut raw = Box::<RawView>::new_uninit();
        // SAFETY: `object` is alive and the interpreter attached for `'py`; `raw` has room for the structure.
        let status =
            unsafe { PyObject_GetBuffer(object.as_ptr(), MaybeUninit::as_mut_ptr(&mut raw), SIMPLE) };
        if status != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        // SAFETY: status 0 promises that every field has been set.
        let raw = unsafe { raw.assume_init() };
        Ok(View { raw, attached: PhantomData })
    }
}

impl Deref for View<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let Ok(len @ 1..) = usize::try_from(self.raw.len) else { return &[] };
        // SAFETY: a SIMPLE view is `len` readable bytes at `buf`, which the exporter neither moves nor frees
        // before the release. They change only under code that runs meanwhile, and that is none: the
        // interpreter stays attached while the slice is used (`Bytes::settle` copies before it is released).
        unsafe { slice::from_raw_parts(self.raw.buf.cast::<u8>(), len) }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        // SAFETY: `raw` was filled by PyObject_GetBuffer, is released once, and the interpreter is attached.
        unsafe { PyBuffer_Release(&mut *self.raw) }
    }
}

/// The bytes of any bytes-like object.
pub struct Bytes<'a, 'py>(Source<'a, 'py>);

enum Source<'a, 'py> {
    /// Of a `bytes` object, which nobody changes.
    Constant(&'a [u8]),
    /// Of any other object: its owner may change them whenever the interpreter is released.
    View(View<'py>),
}

impl<'a, 'py> Bytes<'a, 'py> {
    /// The bytes of `object`.
    ///
    /// # Errors
    /// `TypeError` for what has none, `str` in particular; `BufferError` for memory with gaps in it.
    pub fn of(object: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Bytes(Source::Constant(bytes.as_bytes())));
        }
        if let Ok(message) = object.cast::<Message>() {
            return Ok(Bytes(Source::Constant(message.get().bytes(object.py()))));
        }
        View::new(object).map(|view| Bytes(Source::View(view))).map_err(|error| explain(object, error))
    }

    /// Bytes that stay what they are while the interpreter is released.
    pub fn settle(self) -> Cow<'a, [u8]> {
        match self.0 {
            Source::Constant(bytes) => Cow::Borrowed(bytes),
            Source::View(view) => Cow::Owned(view.to_vec()),
        }
    }
}

impl Deref for Bytes<'_, '_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Source::Constant(bytes) => bytes,
            Source::View(view) => view,
        }
    }
}

/// Says what the caller can do about an object whose bytes cannot be had.
fn explain(object: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = object.py();
    if !error.is_instance_of::<PyTypeError>(py) {
        let clear = PyBufferError::new_err(format!(
            "the buffer cannot be sent as it is ({}): send a contiguous copy of it, such as bytes(data)",
            error.value(py)
        ));
        clear.set_cause(py, Some(error));
        return clear;
    }
    if object.is_instance_of::<PyString>() {
        return PyTypeError::new_err(
            "expected bytes, found str: eshm.encode_text(text) makes bytes of it that every language reads",
        );
    }
    let found = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("expected bytes or another object with the buffer protocol, found {found}"))
}
