//! Text in messages: UTF-8 that ends with a NUL, so that C and C++ can read it in place.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::buffer::Bytes;
use crate::error::Result;

/// Returns text as bytes that every language reads as text: UTF-8 with a NUL at its end.
///
/// Raises InvalidError (a ValueError) for text that contains a NUL.
#[pyfunction]
pub fn encode_text<'py>(py: Python<'py>, text: &str) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &eshm::text::encode(text)?))
}

/// Returns the text in a message, without the NUL that ends it.
///
/// Raises InvalidError (a ValueError) for bytes that are not UTF-8, or contain another NUL.
#[pyfunction]
pub fn decode_text<'py>(data: &Bound<'py, PyAny>) -> Result<Bound<'py, PyString>> {
    decode(data.py(), &Bytes::of(data)?)
}

/// Does the work of [`decode_text`] and `Message.text`.
pub fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyString>> {
    Ok(PyString::new(py, eshm::text::decode(bytes)?))
}
