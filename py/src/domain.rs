//! Where the files of segments are.

use std::path::PathBuf;

use pyo3::prelude::*;

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

    fn __repr__(&self) -> String {
        format!("Domain({:?}, {:?})", self.0.directory(), self.0.prefix())
    }
}

/// The domain that was given, or that of the environment.
pub fn chosen(domain: Option<&Domain>) -> Result<eshm::Domain> {
    Ok(domain.map_or_else(eshm::Domain::from_env, |domain| Ok(domain.0.clone()))?)
}
