//! `eshm.Observer`: read-only monitoring of a segment.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::convert;
use crate::domain::{self, Domain};
use crate::error::Result;

/// Read-only monitoring of a segment. Permission to read its file is enough.
///
/// any_owner: whether to accept a segment of another user. domain: the directory and the prefix of its file, by default
/// those of the environment. Raises NotFoundError when there is no segment: it does not wait for one.
#[pyclass(module = "eshm", frozen)]
pub struct Observer(Mutex<eshm::Observer>);

impl Observer {
    fn ask<T>(&self, question: impl FnOnce(&mut eshm::Observer) -> T) -> T {
        question(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Observer {
    #[new]
    #[pyo3(signature = (name, *, any_owner = false, domain = None))]
    fn new(name: &str, any_owner: bool, domain: Option<&Domain>) -> Result<Self> {
        let builder = eshm::Endpoint::builder(name).any_owner(any_owner).domain(domain::chosen(domain)?);
        let observer = builder.observe()?;
        Ok(Observer(Mutex::new(observer)))
    }

    /// Returns the current state of the segment: a View.
    fn look<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(convert::python_view(py, &self.ask(eshm::Observer::look))?)
    }

    /// The segment's name.
    #[getter]
    fn name(&self) -> String {
        self.ask(|observer| observer.name().to_owned())
    }

    /// Whether this segment still has its name. If not, it was removed or replaced.
    #[getter]
    fn is_current(&self) -> bool {
        self.ask(|observer| observer.is_current())
    }

    /// The greatest size of a value (write), in bytes.
    #[getter]
    fn data_size(&self) -> usize {
        self.ask(|observer| observer.data_size())
    }

    /// The greatest size of a message (send), in bytes.
    #[getter]
    fn max_message(&self) -> usize {
        self.ask(|observer| observer.max_message())
    }
}
