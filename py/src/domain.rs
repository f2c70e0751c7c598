//! Where the files of segments are.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::convert;
use crate::error::Result;

/// Where the files of segments are: the segment `name` is the file directory/prefix + name.
///
/// Two endpoints meet if they have the same domain and the same name. A part that is None is the one that the environment
/// variable ESHM_DIRECTORY or ESHM_PREFIX says when the domain is made; if that is not set, or empty, /dev/shm or eshm_.
///
/// directory: an absolute path, of a tmpfs for choice. prefix: 0 to 64 bytes of UTF-8, without "/" or "..".
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

    /// How the names of the files begin.
    #[getter]
    fn prefix(&self) -> &str {
        self.0.prefix()
    }

    /// The segments of this domain, in the order of their names, and what else has a segment's name. Only reads: see Segment.
    fn segments<'py>(&self, py: Python<'py>) -> Result<Vec<Bound<'py, PyAny>>> {
        let found = py.detach(|| self.0.segments())?;
        Ok(found.iter().map(|segment| convert::python_segment(py, segment)).collect::<PyResult<_>>()?)
    }

    /// Removes the segments in which nobody sits, with all that is unread in them, and the temporary files that killed
    /// processes have left. With dry_run, only says which these are. Safe beside processes that start at the same moment.
    #[pyo3(signature = (*, dry_run = false))]
    fn remove_dead<'py>(&self, py: Python<'py>, dry_run: bool) -> Result<Bound<'py, PyAny>> {
        let removal = py.detach(|| self.0.remove_dead(dry_run))?;
        Ok(convert::python_removal(py, &removal)?)
    }

    fn __repr__(&self) -> String {
        format!("Domain({:?}, {:?})", self.0.directory(), self.0.prefix())
    }
}

/// The segments of the domain, by default of the one that the environment says: see Domain.segments.
#[pyfunction]
#[pyo3(signature = (*, domain = None))]
pub fn segments<'py>(py: Python<'py>, domain: Option<&Domain>) -> Result<Vec<Bound<'py, PyAny>>> {
    Domain(chosen(domain)?).segments(py)
}

/// Removes the segments of the domain in which nobody sits, by default of the one that the environment says: see
/// Domain.remove_dead.
#[pyfunction]
#[pyo3(signature = (*, dry_run = false, domain = None))]
pub fn remove_dead<'py>(
    py: Python<'py>,
    dry_run: bool,
    domain: Option<&Domain>,
) -> Result<Bound<'py, PyAny>> {
    Domain(chosen(domain)?).remove_dead(py, dry_run)
}

/// The domain that was given, or that of the environment.
pub fn chosen(domain: Option<&Domain>) -> Result<eshm::Domain> {
    Ok(domain.map_or_else(eshm::Domain::from_env, |domain| Ok(domain.0.clone()))?)
}
