//! `eshm._eshm`: the core, as Python's package `eshm` (in `python/eshm`) presents it.
//!
//! These modules convert arguments, results and errors, and release the interpreter while waiting. They
//! decide nothing: what a verb means is said by the crate `eshm`.

mod buffer;
mod convert;
mod endpoint;
mod error;
mod half;
mod message;
mod text;

#[pyo3::pymodule]
mod _eshm {
    #[pymodule_export]
    use crate::endpoint::Endpoint;
    #[pymodule_export]
    use crate::message::Message;
    #[pymodule_export]
    use crate::text::{decode_text, encode_text};
}
