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
mod half;
mod lease;
mod lending;
mod message;
mod observer;
mod raw;
mod ready;
mod text;

#[pyo3::pymodule]
mod _eshm {
    use pyo3::prelude::*;
    use pyo3::types::{IntoPyDict, PyCFunction};

    #[pymodule_export]
    use crate::domain::Domain;
    #[pymodule_export]
    use crate::endpoint::Endpoint;
    #[pymodule_export]
    use crate::observer::Observer;
    #[pymodule_export]
    use crate::text::{decode_text, encode_text};
    use crate::{batch, calls, half, lease, message, raw, ready};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        module.add("Message", message::make_class(py)?)?;
        module.add("Loan", lease::make_loan_class(py)?)?;
        module.add("Borrowed", lease::make_borrowed_class(py)?)?;
        let note_fork = PyCFunction::new_closure(py, None, None, |_, _| half::note_fork())?;
        let hooks = [("after_in_child", note_fork)].into_py_dict(py)?;
        py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
        let methods = calls::methods().into_iter().chain(batch::methods()).chain(ready::methods());
        raw::add_methods(&py.get_type::<Endpoint>(), methods)
    }
}
