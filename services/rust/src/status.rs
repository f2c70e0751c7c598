//! How a call fails: one table of codes, and what each is called on each transport.

use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};

pub use crate::proto::Code;

/// The outcome of a call.
pub type Outcome<T> = Result<T, Status>;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The kind of failure. Never [`Code::Ok`].
    pub code: Code,
    /// What was found, what was expected, what to do.
    pub message: String,
}

/// A status as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// The code's name.
    pub code: String,
    /// The message.
    pub message: String,
}

/// What REST answers with, and the last line of a stream that fails.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorDocument {
    /// The error.
    pub error: ErrorBody,
}

/// Each code beside its HTTP status. Of two codes with the same status the first is what the status means.
const HTTP: [(Code, u16); 9] = [
    (Code::InvalidArgument, 400),
    (Code::NotFound, 404),
    (Code::AlreadyExists, 409),
    (Code::ResourceExhausted, 413),
    (Code::Unimplemented, 404),
    (Code::DeadlineExceeded, 504),
    (Code::Unavailable, 503),
    (Code::Cancelled, 499),
    (Code::Internal, 500),
];

impl Status {
    /// A status of this code. The function per code reads better.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Status { code, message: message.into() }
    }

    /// What was sent is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// A message of `size` bytes, where at most `most` fit.
    pub fn too_large(size: usize, most: usize) -> Self {
        Self::new(
            Code::ResourceExhausted,
            format!(
                "the message has {size} bytes, and at most {most} are taken; send less, or have the server started with more"
            ),
        )
    }

    /// There is no such method.
    pub fn no_method(method: &str) -> Self {
        let shown: String = method.chars().take(100).collect();
        Self::new(Code::Unimplemented, format!("there is no method '{shown}'"))
    }

    /// Time is up.
    pub fn deadline() -> Self {
        Self::new(Code::DeadlineExceeded, "the call was not over before its deadline")
    }

    /// The server cannot be reached, or went away.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// The client gave up.
    pub fn cancelled() -> Self {
        Self::new(Code::Cancelled, "the client gave the call up")
    }

    /// A fault of this program: its cause goes to the log, not to the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        eprintln!("internal error: {cause}");
        Self::new(Code::Internal, "a fault of the server; its log says more")
    }

    /// The HTTP status.
    pub fn http(&self) -> StatusCode {
        let number = HTTP.iter().find(|(code, _)| *code == self.code).map_or(500, |(_, number)| *number);
        StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What an HTTP status without a readable body means.
    pub fn from_http(status: StatusCode) -> Self {
        let code = HTTP
            .iter()
            .find(|(_, number)| *number == status.as_u16())
            .map_or(Code::Internal, |(code, _)| *code);
        Self::new(code, format!("the server answered {status}"))
    }

    /// As JSON.
    pub fn body(&self) -> ErrorBody {
        ErrorBody { code: self.code.as_str_name().to_owned(), message: self.message.clone() }
    }
}

impl From<ErrorBody> for Status {
    fn from(body: ErrorBody) -> Self {
        match Code::from_str_name(&body.code) {
            Some(code) => Self::new(code, body.message),
            None => Self::new(Code::Internal, format!("the server answered with an unknown code, {body:?}")),
        }
    }
}

impl From<Status> for tonic::Status {
    fn from(status: Status) -> Self {
        tonic::Status::new(tonic::Code::from(status.code as i32), status.message)
    }
}

impl From<tonic::Status> for Status {
    fn from(status: tonic::Status) -> Self {
        match Code::try_from(status.code() as i32) {
            Ok(code) => Self::new(code, status.message()),
            Err(_) => Self::new(Code::Internal, format!("{}: {}", status.code(), status.message())),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str_name(), self.message)
    }
}

impl std::error::Error for Status {}
