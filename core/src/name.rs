//! Which names a segment may have.

use crate::error::{Error, Result};

/// Every ESHM segment's file starts so, in every version.
const PREFIX: &str = "eshm_";
/// `NAME_MAX` of tmpfs, less the prefix. In bytes.
const MAX_BYTES: usize = 255 - PREFIX.len();

/// A checked segment name: 1 to 250 bytes, without `/`, `..` or NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentName(String);

impl SegmentName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`Error::InvalidName`] says which rule it breaks.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let reason = if name.is_empty() {
            "is empty"
        } else if name.len() > MAX_BYTES {
            "is longer than 250 bytes"
        } else if name.contains('\0') {
            "contains a NUL"
        } else if name.contains('/') {
            "contains '/'"
        } else if name.contains("..") {
            "contains '..'"
        } else {
            return Ok(SegmentName(name.to_owned()));
        };
        // An over-long name is quoted only by its beginning.
        let shown: String = name.chars().take(64).collect();
        Err(Error::InvalidName { name: shown, reason })
    }

    /// The name as the user knows it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the shared memory object, without the leading slash that `shm_open` wants.
    pub(crate) fn file_name(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_a_file_name_can_hold() {
        for name in ["a", "robot", "my-segment.2", "größe", "a b", &"n".repeat(250)] {
            assert_eq!(SegmentName::new(name).unwrap().file_name(), format!("eshm_{name}"));
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        for (name, reason) in [
            ("", "is empty"),
            ("a/b", "contains '/'"),
            ("..", "contains '..'"),
            ("a..b", "contains '..'"),
            ("a\0b", "contains a NUL"),
            (&"n".repeat(251), "is longer than 250 bytes"),
        ] {
            match SegmentName::new(name) {
                Err(Error::InvalidName { reason: found, .. }) => assert_eq!(found, reason),
                other => panic!("{name:?}: {other:?}"),
            }
        }
    }
}
