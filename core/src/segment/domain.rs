//! The location of segment files: a directory and a prefix.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The directory in which `shm_open` of glibc and musl creates shared memory objects, and ESHM 1.x its segments.
const DIRECTORY: &str = "/dev/shm";
/// The default prefix of segment files, in every version.
const PREFIX: &str = "eshm_";
/// The environment variables that choose the default domain of a process.
const DIRECTORY_VARIABLE: &str = "ESHM_DIRECTORY";
const PREFIX_VARIABLE: &str = "ESHM_PREFIX";
/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 64;
/// `NAME_MAX`: the longest file name, in bytes.
const MAX_FILE_NAME: usize = 255;

/// A location for segments: the segment `name` is the file `directory/prefix` + `name`.
///
/// Two endpoints meet if they have the same domain and the same name. Two users with different prefixes can both have
/// a segment `robot`. In a sandbox that allows only certain names or directories, choose a domain that it allows.
///
/// Endpoints and observers without a domain use that of the environment: see [`Domain::from_env`]. The default is
/// `/dev/shm` and `eshm_`, which is the only domain that ESHM 1.x knows.
///
/// The directory should be on a tmpfs. On a disk the system writes the segments back from time to time. On a network
/// file system, machines do not share memory.
///
/// ```
/// use eshm::{Domain, Endpoint};
///
/// let mine = Domain::new("/dev/shm", "doc-domain_")?;
/// let mut master = Endpoint::builder("robot").domain(mine.clone()).open()?;
/// let mut slave = Endpoint::builder("robot").domain(mine).open()?;
/// master.send(b"pose 1 2 3")?;
/// assert_eq!(&*slave.recv()?, b"pose 1 2 3");
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    directory: PathBuf,
    prefix: String,
}

impl Default for Domain {
    /// Returns `/dev/shm` and `eshm_`, independent of the environment.
    fn default() -> Self {
        Domain { directory: DIRECTORY.into(), prefix: PREFIX.to_owned() }
    }
}

impl Domain {
    /// Creates the domain of this directory and prefix. `directory` is absolute and need not exist yet. `prefix` has
    /// 0 to 64 bytes, without `/`, `..` or NUL.
    ///
    /// # Errors
    /// Returns [`Error::InvalidDomain`] if a part breaks these rules.
    pub fn new(directory: impl Into<PathBuf>, prefix: impl Into<String>) -> Result<Domain> {
        let directory = checked_directory("the directory", directory.into())?;
        Ok(Domain { directory, prefix: checked_prefix("the prefix", prefix.into())? })
    }

    /// Returns the domain of the environment: `ESHM_DIRECTORY` is the directory, `ESHM_PREFIX` the prefix. A variable
    /// that is unset or empty means the default.
    ///
    /// Each call reads the variables. As with every use of the environment, no other thread may change it at the same
    /// time through `setenv` of C.
    ///
    /// # Errors
    /// Returns [`Error::InvalidDomain`] if [`Domain::new`] refuses the value of a variable.
    pub fn from_env() -> Result<Domain> {
        Domain::from_parts(None, None)
    }

    /// Returns the domain of these parts. A part that is `None` comes from the environment, as in
    /// [`Domain::from_env`].
    ///
    /// # Errors
    /// Returns [`Error::InvalidDomain`] if a part breaks the rules of [`Domain::new`].
    pub fn from_parts(directory: Option<PathBuf>, prefix: Option<String>) -> Result<Domain> {
        let directory = match directory {
            Some(directory) => checked_directory("the directory", directory)?,
            None => directory_of(variable(DIRECTORY_VARIABLE))?,
        };
        let prefix = match prefix {
            Some(prefix) => checked_prefix("the prefix", prefix)?,
            None => prefix_of(variable(PREFIX_VARIABLE))?,
        };
        Ok(Domain { directory, prefix })
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the prefix of the file names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the length of the longest segment name in this domain, in bytes.
    pub fn max_name(&self) -> usize {
        MAX_FILE_NAME - self.prefix.len()
    }
}

fn directory_of(variable: Option<OsString>) -> Result<PathBuf> {
    variable.map_or_else(|| Ok(DIRECTORY.into()), |value| checked_directory(DIRECTORY_VARIABLE, value.into()))
}

fn prefix_of(variable: Option<OsString>) -> Result<String> {
    let Some(value) = variable else { return Ok(PREFIX.to_owned()) };
    let prefix = value.into_string().map_err(|value| bad_prefix(PREFIX_VARIABLE, &value))?;
    checked_prefix(PREFIX_VARIABLE, prefix)
}

/// Returns the value of a variable, or `None` if it is unset or empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn checked_directory(what: &'static str, directory: PathBuf) -> Result<PathBuf> {
    if directory.is_absolute() && !directory.as_os_str().as_bytes().contains(&0) {
        return Ok(directory);
    }
    let expected = "an absolute path without NUL";
    Err(Error::InvalidDomain { what, found: shown(directory.as_os_str()), expected })
}

fn checked_prefix(what: &'static str, prefix: String) -> Result<String> {
    let is_good = prefix.len() <= MAX_PREFIX && !prefix.contains(['/', '\0']) && !prefix.contains("..");
    if is_good { Ok(prefix) } else { Err(bad_prefix(what, prefix.as_ref())) }
}

fn bad_prefix(what: &'static str, found: &OsStr) -> Error {
    let expected = "0 to 64 bytes of UTF-8 without '/', '..' or NUL";
    Error::InvalidDomain { what, found: shown(found), expected }
}

/// Returns the text that an error shows of this value: at most 200 characters.
fn shown(found: &OsStr) -> String {
    let quoted = format!("{:?}", found.to_string_lossy());
    match quoted.char_indices().nth(200) {
        Some((end, _)) => format!("{}…\"", &quoted[..end]),
        None => quoted,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[track_caller]
    fn assert_refused(domain: Result<Domain>, parts: [&str; 3]) {
        let error = domain.unwrap_err();
        assert_eq!(error.code(), -1);
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} not in {text:?}");
    }

    #[test]
    fn a_directory_is_absolute() {
        for directory in ["/", "/tmp", "/dev/shm/", "/größe/a b", "/a/../b"] {
            assert_eq!(Domain::new(directory, "p").unwrap().directory(), Path::new(directory));
        }
        for directory in ["", "shm", "./shm", "../shm", "~/shm"] {
            let quoted = format!("{directory:?}");
            assert_refused(
                Domain::new(directory, "p"),
                ["the directory", &quoted, "expected an absolute path"],
            );
        }
        assert_refused(Domain::new("/a\0b", "p"), ["the directory", "\\0", "without NUL"]);
    }

    #[test]
    fn a_prefix_is_a_short_part_of_a_file_name() {
        let longest = "p".repeat(64);
        for prefix in ["", ".", "eshm_", "snap.robot.", "größe ", &longest] {
            let domain = Domain::new("/tmp", prefix).unwrap();
            assert_eq!((domain.prefix(), domain.max_name()), (prefix, 255 - prefix.len()));
        }
        for prefix in ["a/", "/", "..", "a..b", "a\0", &format!("{longest}p")] {
            let quoted = format!("{prefix:?}");
            assert_refused(Domain::new("/tmp", prefix), ["the prefix", &quoted, "expected 0 to 64 bytes"]);
        }
        assert_refused(Domain::new("/tmp", "p".repeat(1 << 12)), ["the prefix", "ppp…\"", "expected"]);
    }

    #[test]
    fn variables_choose_the_parts_that_they_name() {
        let domain = |directory: Option<&str>, prefix: Option<Vec<u8>>| {
            let directory = directory_of(directory.map(OsString::from))?;
            Ok(Domain { directory, prefix: prefix_of(prefix.map(OsString::from_vec))? })
        };
        assert_eq!(domain(None, None).unwrap(), Domain::new("/dev/shm", "eshm_").unwrap());
        assert_eq!(domain(Some("/tmp"), None).unwrap(), Domain::new("/tmp", "eshm_").unwrap());
        assert_eq!(domain(None, Some("m_".into())).unwrap(), Domain::new("/dev/shm", "m_").unwrap());
        assert_refused(domain(Some("shm"), None), ["ESHM_DIRECTORY", "\"shm\"", "expected an absolute path"]);
        assert_refused(domain(None, Some(b"a/b".into())), ["ESHM_PREFIX", "\"a/b\"", "expected 0 to 64"]);
        assert_refused(domain(None, Some(vec![0xff])), ["ESHM_PREFIX", "\u{fffd}", "UTF-8"]);
    }
}
