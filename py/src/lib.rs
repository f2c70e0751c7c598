//! `eshm._eshm`: the part of the Python package `eshm` that calls the core. The rest is in `python/eshm`.
//!
//! These modules convert arguments, results and errors, and tell the core how to release the interpreter while it
//! waits. The crate `eshm` defines what each call does.

mod attempts;
mod batch;
mod buffer;
mod calls;
mod convert;
mod descriptor;
mod domain;
mod endpoint;
mod error;
mod events;
mod fast;
mod interpreter;
mod lent;
mod message;
mod observer;
mod schedule;
mod text;
mod wait_set;

// `gil_used`: a free-threaded Python enables its lock when it imports this module. `buffer.rs` relies on it: no other
// thread changes the bytes that it borrows.
#[pyo3::pymodule(gil_used = true)]
mod _eshm {
    use pyo3::exceptions::PyImportError;
    use pyo3::prelude::*;
    use pyo3::types::{IntoPyDict, PyCFunction};
    use pyo3::wrap_pyfunction;

    use crate::attempts::Attempts;
    use crate::descriptor::Events;
    use crate::domain::{Domain, find_dead, remove_dead, segments};
    use crate::endpoint::Endpoint;
    use crate::lent::{Borrowed, Loan};
    use crate::observer::Observer;
    use crate::schedule::configure_monitor;
    use crate::text::{decode_text, encode_text};
    use crate::wait_set::WaitSet;
    use crate::{events, fast, interpreter, message};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        // Checked first: classes are created once per process, and would belong to an interpreter that ends.
        if !interpreter::is_main(py)? {
            return Err(PyImportError::new_err(
                "eshm cannot be used in a sub-interpreter: import it in the main interpreter, or in a process of its own",
            ));
        }
        module.add_class::<Domain>()?;
        module.add_class::<Endpoint>()?;
        fast::install(&py.get_type::<Endpoint>())?;
        module.add_class::<Borrowed>()?;
        module.add_class::<Loan>()?;
        module.add_class::<Observer>()?;
        module.add_class::<Events>()?;
        module.add_class::<WaitSet>()?;
        module.add_class::<Attempts>()?;
        module.add_function(wrap_pyfunction!(configure_monitor, module)?)?;
        module.add_function(wrap_pyfunction!(find_dead, module)?)?;
        module.add_function(wrap_pyfunction!(remove_dead, module)?)?;
        module.add_function(wrap_pyfunction!(segments, module)?)?;
        module.add_function(wrap_pyfunction!(encode_text, module)?)?;
        module.add_function(wrap_pyfunction!(decode_text, module)?)?;
        module.add_function(wrap_pyfunction!(events::start_events, module)?)?;
        module.add_function(wrap_pyfunction!(events::stop_events, module)?)?;
        module.add_function(wrap_pyfunction!(events::take_events, module)?)?;
        module.add("Message", message::make_class(py)?)?;
        let note_fork = PyCFunction::new_closure(py, None, None, |_, _| events::note_fork())?;
        let hooks = [("after_in_child", note_fork)].into_py_dict(py)?;
        py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
        Ok(())
    }
}
