//! `eshm._eshm`: the core, as Python's package `eshm` (in `python/eshm`) presents it.
//!
//! These modules convert arguments, results and errors, and release the interpreter while waiting. They
//! decide nothing: what a verb means is said by the crate `eshm`.

mod batch;
mod buffer;
mod calls;
mod convert;
mod domain;
mod endpoint;
mod error;
mod interpreter;
mod lease;
mod message;
mod observer;
mod schedule;
mod text;

// `gil_used`: a free-threaded Python switches its lock on for this module. That one thread at a time runs these modules'
// code is what keeps the bytes still that `buffer.rs` borrows, and its lock from being waited for.
#[pyo3::pymodule(gil_used = true)]
mod _eshm {
    use pyo3::exceptions::PyImportError;
    use pyo3::prelude::*;
    use pyo3::wrap_pyfunction;

    use crate::domain::{Domain, remove_dead, segments};
    use crate::endpoint::Endpoint;
    use crate::lease::{Borrowed, Loan};
    use crate::observer::Observer;
    use crate::schedule::configure_monitor;
    use crate::text::{decode_text, encode_text};
    use crate::{interpreter, message};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        // Before anything is made: classes are made once per process, and would belong to an interpreter that ends.
        if !interpreter::is_main(py)? {
            return Err(PyImportError::new_err(
                "eshm cannot be used in a sub-interpreter: import it in the main interpreter, or in a process of its own",
            ));
        }
        module.add_class::<Domain>()?;
        module.add_class::<Endpoint>()?;
        module.add_class::<Borrowed>()?;
        module.add_class::<Loan>()?;
        module.add_class::<Observer>()?;
        module.add_function(wrap_pyfunction!(configure_monitor, module)?)?;
        module.add_function(wrap_pyfunction!(remove_dead, module)?)?;
        module.add_function(wrap_pyfunction!(segments, module)?)?;
        module.add_function(wrap_pyfunction!(encode_text, module)?)?;
        module.add_function(wrap_pyfunction!(decode_text, module)?)?;
        module.add("Message", message::make_class(py)?)?;
        Ok(())
    }
}
