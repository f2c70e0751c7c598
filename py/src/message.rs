//! What a read or a recv returns.

use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::buffer::Bytes;
use crate::error::Result;
use crate::text;

/// A message: bytes, and what is known about their coming.
///
/// bytes(message), len(message) and comparison with any bytes-like object work as with bytes.
#[pyclass(module = "eshm", frozen)]
pub struct Message {
    data: Py<PyBytes>,
    skipped: u64,
    generation: u64,
}

impl Message {
    /// Copies a message out of the endpoint that received it.
    pub fn new(py: Python<'_>, message: &eshm::Message<'_>) -> Self {
        Message {
            data: PyBytes::new(py, message).unbind(),
            skipped: message.skipped(),
            generation: message.generation(),
        }
    }

    /// The bytes, which never change.
    pub fn bytes<'a>(&'a self, py: Python<'_>) -> &'a [u8] {
        self.data.as_bytes(py)
    }
}

#[pymethods]
impl Message {
    /// The message, as bytes.
    #[getter]
    fn data(&self, py: Python<'_>) -> Py<PyBytes> {
        self.data.clone_ref(py)
    }

    /// How many values were overwritten unread before this one. Always 0 for recv.
    #[getter]
    fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The generation of the peer that sent it: it changes when the peer has been restarted.
    #[getter]
    fn generation(&self) -> u64 {
        self.generation
    }

    /// The message as text, without the NUL that ends it.
    ///
    /// Raises InvalidError (a ValueError) when it is not UTF-8, or has another NUL in it.
    fn text<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyString>> {
        text::decode(py, self.bytes(py))
    }

    fn __bytes__(&self, py: Python<'_>) -> Py<PyBytes> {
        self.data.clone_ref(py)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.bytes(py).len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.data.bind(py).as_any().get_item(key)
    }

    fn __richcmp__(&self, other: &Bound<'_, PyAny>, operator: CompareOp) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let equal = Bytes::of(other).map(|other| *other == *self.bytes(py));
        match (operator, equal) {
            (CompareOp::Eq, Ok(equal)) => Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind()),
            (CompareOp::Ne, Ok(equal)) => Ok((!equal).into_pyobject(py)?.to_owned().into_any().unbind()),
            _ => Ok(py.NotImplemented()),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.data.bind(py).hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let data = self.data.bind(py).repr()?;
        Ok(format!("Message({data}, skipped={}, generation={})", self.skipped, self.generation))
    }
}
