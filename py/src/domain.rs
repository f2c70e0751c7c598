//! `eshm.Domain`: the directory and the prefix of segments' files.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::convert;
use crate::error::Result;

/// The directory and the prefix of segments' files: the segment `name` is the file directory/prefix + name.
///
/// Two endpoints connect if they have the same domain and the same name. None takes the value of the environment
/// variable ESHM_DIRECTORY or ESHM_PREFIX when the domain is created; if that is not set, or empty, /dev/shm or eshm_.
///
/// directory: an absolute path, preferably on a tmpfs. prefix: 0 to 64 bytes of UTF-8, without "/" or "..".
#[pyclass(module = "eshm", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Domain(pub eshm::Domain);

#[pymethods]
impl Domain {
    #[new]
    #[pyo3(signature = (directory = None, prefix = None))]
    fn new(directory: Option<PathBuf>, prefix: Option<String>) -> Result<Self> {
        Ok(Domain(eshm::Domain::from_parts(directory, prefix)?))
    }

    /// The directory.
    #[getter]
    fn directory(&self) -> &std::ffi::OsStr {
        self.0.directory().as_os_str()
    }

    /// The prefix of the files' names.
    #[getter]
    fn prefix(&self) -> &str {
        self.0.prefix()
    }

    /// Returns the segments of this domain, and other files with a segment's name, sorted by name. Changes nothing.
    fn segments<'py>(&self, py: Python<'py>) -> Result<Vec<Bound<'py, PyAny>>> {
        let found = py.detach(|| self.0.segments())?;
        Ok(found.iter().map(|segment| convert::python_segment(py, segment)).collect::<PyResult<_>>()?)
    }

    /// Removes the segments that no process uses, with all that is unread in them, and the temporary files of killed
    /// processes. Safe while processes open segments.
    fn remove_dead<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let removal = py.detach(|| self.0.remove_dead())?;
        Ok(convert::python_removal(py, &removal)?)
    }

    /// Returns what remove_dead would remove and leave, and removes nothing.
    fn find_dead<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let removal = py.detach(|| self.0.find_dead())?;
        Ok(convert::python_removal(py, &removal)?)
    }

    fn __repr__(&self) -> String {
        format!("Domain({:?}, {:?})", self.0.directory(), self.0.prefix())
    }
}

/// Returns the segments of a domain, by default of that of the environment: see Domain.segments.
///
/// >>> for segment in eshm.segments():
/// ...     print(segment.name, segment.kind, segment.size, segment.owner_name)
#[pyfunction]
#[pyo3(signature = (*, domain = None))]
pub fn segments<'py>(py: Python<'py>, domain: Option<&Domain>) -> Result<Vec<Bound<'py, PyAny>>> {
    Domain(chosen(domain)?).segments(py)
}

/// Removes the segments of a domain that no process uses, by default of that of the environment: see
/// Domain.remove_dead.
#[pyfunction]
#[pyo3(signature = (*, domain = None))]
pub fn remove_dead<'py>(py: Python<'py>, domain: Option<&Domain>) -> Result<Bound<'py, PyAny>> {
    Domain(chosen(domain)?).remove_dead(py)
}

/// Returns what remove_dead would remove and leave in a domain, and removes nothing: see Domain.find_dead.
#[pyfunction]
#[pyo3(signature = (*, domain = None))]
pub fn find_dead<'py>(py: Python<'py>, domain: Option<&Domain>) -> Result<Bound<'py, PyAny>> {
    Domain(chosen(domain)?).find_dead(py)
}

/// Returns the given domain, or that of the environment.
pub fn chosen(domain: Option<&Domain>) -> Result<eshm::Domain> {
    Ok(domain.map_or_else(eshm::Domain::from_env, |domain| Ok(domain.0.clone()))?)
}
