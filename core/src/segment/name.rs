//! Segment names, and the paths of their files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::role::Role;
use crate::segment::domain::Domain;
use crate::segment::layout;

/// The start of the names of temporary files, which are used where the system does not support files without a name.
/// The prefix of the domain comes before it, so that a sandbox that allows the names of segments also allows these.
pub(crate) const TEMPORARY: &str = ".eshm-tmp";

/// A checked segment name in its domain: at least 1 byte, at most 255 with the prefix, without `/`, `..` or NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentName {
    /// Errors share it, so that they allocate nothing.
    name: Arc<str>,
    domain: Domain,
    /// Stored, because a process that exits must not allocate: the exit may happen in a handler that interrupted the
    /// allocator.
    path: PathBuf,
}

impl SegmentName {
    /// Checks `name`.
    ///
    /// # Errors
    /// Returns [`Error::InvalidName`] with the rule that the name breaks.
    pub(crate) fn new(name: &str, domain: Domain) -> Result<Self> {
        let limit = domain.max_name();
        let file = format!("{}{name}", domain.prefix());
        let reason = if name.is_empty() {
            "is empty"
        } else if name.len() > limit {
            "is too long"
        } else if name.contains('\0') {
            "contains a NUL"
        } else if name.contains('/') {
            "contains '/'"
        } else if file.contains("..") {
            "contains '..'"
        } else if file == "." {
            "is that of the directory"
        } else if name.starts_with(TEMPORARY) || file.starts_with(TEMPORARY) {
            "is one of those for temporary files (.eshm-tmp…)"
        } else {
            let path = domain.directory().join(file);
            return Ok(SegmentName { name: name.into(), domain, path });
        };
        // Quotes only the start of an overlong name.
        let shown: String = name.chars().take(64).collect();
        Err(Error::InvalidName { name: shown, reason, limit })
    }

    /// Returns the name as the user gave it.
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns the name for an error, which shares it.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Returns the domain.
    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the event FIFO of an endpoint.
    pub(crate) fn bell_path(&self, role: Role) -> PathBuf {
        let role = if role == Role::Master { 'm' } else { 's' };
        self.domain.directory().join(layout::event_fifo(self.domain.prefix(), role, &self.name))
    }

    /// Returns the part of the name of an event FIFO that stands for the segment.
    pub(crate) fn bell_hash(&self) -> String {
        layout::event_hash(&self.name)
    }

    /// Returns the path of the file, for an error text.
    pub(crate) fn shown_path(&self) -> String {
        self.path().display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn named(name: &str, prefix: &str) -> Result<SegmentName> {
        SegmentName::new(name, Domain::new("/some/where", prefix).unwrap())
    }

    #[test]
    fn accepts_what_a_file_name_can_hold() {
        for name in ["a", ".", "robot", "my-segment.2", "größe", "a b", &"n".repeat(250)] {
            let segment = named(name, "eshm_").unwrap();
            assert_eq!(segment.path(), Path::new("/some/where").join(format!("eshm_{name}")));
        }
        assert_eq!(SegmentName::new("robot", Domain::default()).unwrap().shown_path(), "/dev/shm/eshm_robot");
    }

    #[test]
    fn event_fifos_have_names_that_no_segment_has() {
        let segment = named("robot", "eshm_").unwrap();
        let file = |role| segment.bell_path(role).file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(file(Role::Master), "eshm_.eshm-tmp-bell-m-af0d9146555c6adf");
        assert_eq!(file(Role::Slave), "eshm_.eshm-tmp-bell-s-af0d9146555c6adf");
        assert!(named(&file(Role::Slave)["eshm_".len()..], "eshm_").is_err());
    }

    #[test]
    fn refuses_other_names_with_the_reason() {
        for (name, prefix, reason, limit) in [
            ("", "eshm_", "is empty", 250),
            ("a/b", "eshm_", "contains '/'", 250),
            ("..", "eshm_", "contains '..'", 250),
            ("a..b", "eshm_", "contains '..'", 250),
            ("a\0b", "eshm_", "contains a NUL", 250),
            (&"n".repeat(251), "eshm_", "is too long", 250),
            (&"n".repeat(256), "", "is too long", 255),
            (&"n".repeat(192), &"p".repeat(64), "is too long", 191),
            (".", "", "is that of the directory", 255),
            (".b", "a.", "contains '..'", 253),
            (".eshm-tmp-1", "eshm_", "is one of those for temporary files", 250),
            ("-tmp-1", ".eshm", "is one of those for temporary files", 250),
        ] {
            match named(name, prefix) {
                Err(error @ Error::InvalidName { .. }) => {
                    let text = error.to_string();
                    assert!(text.contains(reason), "{text}");
                    assert!(text.contains(&format!("1 to {limit} bytes")), "{text}");
                }
                other => panic!("{name:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn prefix_and_name_share_255_bytes() {
        for prefix in ["", "p", &"p".repeat(64)] {
            let limit = 255 - prefix.len();
            assert!(named(&"n".repeat(limit), prefix).is_ok());
            assert!(named(&"n".repeat(limit + 1), prefix).is_err());
        }
    }
}
