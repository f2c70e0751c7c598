//! Messages of the contract as JSON.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::status::{Outcome, Status};

/// Reads an object; `what` it is, for the error.
///
/// # Errors
/// INVALID_ARGUMENT, also for an array, which serde would take for an object's values in order.
pub fn object<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Outcome<T> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(Status::invalid(format!("{what} is no JSON object")));
    }
    serde_json::from_slice(text).map_err(|error| Status::invalid(format!("{what}: {error}")))
}

/// A field as it is written; `None` if it is absent, not if it is `null`.
///
/// # Errors
/// The deserializer's.
pub fn as_written<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::CreateUserRequest;
    use crate::status::Code;

    #[test]
    fn only_an_object_is_one() {
        let read = |text: &str| object::<CreateUserRequest>(text.as_bytes(), "it");
        assert_eq!(read(" {\"name\":\"Ada\",\"age\":3}").unwrap().name, "Ada");
        for bad in ["", "null", "[]", "[\"Ada\",\"a@b.c\"]", "{\"name\":null}", "{\"name\":1}", "{} {}", "{"]
        {
            assert_eq!(read(bad).unwrap_err().code, Code::InvalidArgument, "{bad}");
        }
    }
}
