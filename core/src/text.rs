//! Text on the wire: UTF-8 with one NUL at its end, as C programs expect it, in every language.

use crate::error::{Error, Result};

/// Returns the bytes of `text`, with a NUL at the end.
///
/// ```
/// assert_eq!(eshm::text::encode("pose 1 2 3")?, b"pose 1 2 3\0");
/// # Ok::<(), eshm::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidText`] if the text contains a NUL, which would end it early.
pub fn encode(text: &str) -> Result<Vec<u8>> {
    if let Some(at) = text.find('\0') {
        return Err(Error::InvalidText { reason: "contains a NUL", at });
    }
    let mut bytes = Vec::with_capacity(text.len() + 1);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    Ok(bytes)
}

/// Returns the text in `bytes`, without the NULs at its end. Accepts text without a NUL, too.
///
/// ```
/// assert_eq!(eshm::text::decode(b"ACK\0")?, "ACK");
/// assert!(eshm::text::decode(b"A\0K\0").is_err());
/// # Ok::<(), eshm::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidText`] if it is not UTF-8, or has a NUL before its end.
pub fn decode(bytes: &[u8]) -> Result<&str> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = &bytes[..end];
    if let Some(at) = text.iter().position(|byte| *byte == 0) {
        return Err(Error::InvalidText { reason: "contains a NUL", at });
    }
    std::str::from_utf8(text)
        .map_err(|error| Error::InvalidText { reason: "is not UTF-8", at: error.valid_up_to() })
}
