//! The memory of Python objects, by the buffer protocol.

use std::borrow::Cow;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr;
use std::slice;

use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// Contiguous memory with items of any kind. An object that has no such memory refuses it.
const SIMPLE: c_int = ffi::PyBUF_SIMPLE;
/// Memory that may be written to.
const WRITABLE: c_int = ffi::PyBUF_WRITABLE;
/// Contiguous memory, and its dimensions.
const DIMENSIONS: c_int = ffi::PyBUF_ND;

/// A view of an object's memory, released when dropped.
struct View<'py> {
    /// Boxed, because an exporter may keep pointers into the structure it has filled.
    raw: Box<ffi::Py_buffer>,
    /// The view is released with the interpreter attached, as it was taken.
    attached: PhantomData<Python<'py>>,
}

impl<'py> View<'py> {
    fn new(object: &Bound<'py, PyAny>, flags: c_int) -> PyResult<Self> {
        let mut raw = Box::<ffi::Py_buffer>::new_uninit();
        // SAFETY: `object` is alive and the interpreter attached for `'py`; `raw` has room for the structure.
        let status =
            unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), MaybeUninit::as_mut_ptr(&mut raw), flags) };
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
        // SAFETY: a contiguous view is `len` readable bytes at `buf`, which the exporter neither moves nor frees
        // before the release. Only code that runs meanwhile could change them, and none does: the interpreter
        // stays attached while the slice is used (`Bytes::settle` copies before the interpreter is released).
        unsafe { slice::from_raw_parts(self.raw.buf.cast::<u8>(), len) }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        // SAFETY: `raw` was filled by PyObject_GetBuffer, is released once, and the interpreter is attached.
        unsafe { ffi::PyBuffer_Release(&mut *self.raw) }
    }
}

/// The bytes of any bytes-like object.
pub struct Bytes<'a, 'py>(Source<'a, 'py>);

enum Source<'a, 'py> {
    /// Of a `bytes` object, which never changes.
    Constant(&'a [u8]),
    /// Of any other object. Its owner may change them whenever the interpreter is released.
    View(View<'py>),
}

impl<'a, 'py> Bytes<'a, 'py> {
    /// Returns the bytes of `object`.
    ///
    /// # Errors
    /// `TypeError` for an object without bytes, such as `str`; `BufferError` for memory that is not contiguous.
    #[inline]
    pub fn of(object: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Bytes(Source::Constant(bytes.as_bytes())));
        }
        View::new(object, SIMPLE)
            .map(|view| Bytes(Source::View(view)))
            .map_err(|error| explain(object, error))
    }

    /// Returns whether the bytes never change.
    pub fn is_constant(&self) -> bool {
        matches!(self.0, Source::Constant(_))
    }

    /// Returns bytes that do not change while the interpreter is released.
    pub fn settle(&self) -> Cow<'_, [u8]> {
        match &self.0 {
            Source::Constant(bytes) => Cow::Borrowed(bytes),
            Source::View(view) => Cow::Owned(view.to_vec()),
        }
    }
}

impl AsRef<[u8]> for Bytes<'_, '_> {
    fn as_ref(&self) -> &[u8] {
        self
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

/// The memory of an array whose items along its first axis are messages of the same size.
pub struct Records<'py> {
    view: View<'py>,
    count: usize,
    size: usize,
}

/// One of the records, whose bytes are looked at only when they are used.
pub struct Record<'a, 'py> {
    pub records: &'a Records<'py>,
    pub index: usize,
}

impl AsRef<[u8]> for Record<'_, '_> {
    fn as_ref(&self) -> &[u8] {
        self.records.get(self.index)
    }
}

impl<'py> Records<'py> {
    /// Returns records to be read.
    ///
    /// # Errors
    /// As [`Bytes::of`]; `ValueError` for an object without axes.
    pub fn of(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        Self::new(array, DIMENSIONS)
    }

    /// Returns records to be overwritten.
    ///
    /// # Errors
    /// As [`Records::of`]; `BufferError` for read-only memory.
    pub fn to_fill(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        Self::new(array, DIMENSIONS | WRITABLE)
    }

    fn new(array: &Bound<'py, PyAny>, flags: c_int) -> PyResult<Self> {
        let view = View::new(array, flags).map_err(|error| explain(array, error))?;
        let count = match view.raw.ndim {
            0 => None,
            // SAFETY: a view that was asked for its dimensions has as many of them there.
            _ => usize::try_from(unsafe { *view.raw.shape }).ok(),
        };
        let Some(count) = count else {
            return Err(PyValueError::new_err("expected an array of records, found a single value"));
        };
        let size = view.len().checked_div(count).unwrap_or(0);
        Ok(Records { view, count, size })
    }

    /// Returns the number of records.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the size of a record, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns record `index`.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.view[index * self.size..][..self.size]
    }

    /// Overwrites record `index`.
    ///
    /// # Panics
    /// If there is no such record, `record` has another size, or the records are read-only.
    pub fn set(&self, index: usize, record: &[u8]) {
        assert!(index < self.count && record.len() == self.size && self.view.raw.readonly == 0);
        // SAFETY: in bounds, by the assertion.
        let place = unsafe { self.view.raw.buf.cast::<u8>().add(index * self.size) };
        // SAFETY: `size` bytes there, writable by the assertion. They do not overlap `record`, which is a received
        // message: Python gets no writable view of one.
        unsafe { ptr::copy_nonoverlapping(record.as_ptr(), place, record.len()) };
    }
}

/// Returns an error that says what the caller can do about an object without usable bytes.
fn explain(object: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = object.py();
    if !error.is_instance_of::<PyTypeError>(py) {
        let clear = PyBufferError::new_err(format!(
            "the buffer cannot be used as it is ({}): pass a contiguous copy of it, such as bytes(data)",
            error.value(py)
        ));
        clear.set_cause(py, Some(error));
        return clear;
    }
    if object.is_instance_of::<PyString>() {
        return PyTypeError::new_err(
            "expected bytes, found str: eshm.encode_text(text) returns bytes that every language reads as text",
        );
    }
    let found = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("expected bytes or another object with the buffer protocol, found {found}"))
}
