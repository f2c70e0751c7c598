//! Why a call of this module fails, and the table of the core's errors.

use std::fmt;
use std::sync::Arc;

/// Why a call of a shared half fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The core's error.
    #[error(transparent)]
    Core(#[from] crate::error::Error),
    /// A loan is open: until it is sent or given back, the half neither sends nor writes. Code −1.
    #[error("segment '{segment}': a loan is open: send it or give it back first")]
    Lent {
        /// The segment's name.
        segment: Arc<str>,
    },
    /// Somebody still uses the memory that was lent: see [`SharedReceiver::retain`](super::SharedReceiver::retain).
    /// Code −1.
    #[error("segment '{segment}': the memory that was lent is still in use")]
    InUse {
        /// The segment's name.
        segment: Arc<str>,
    },
    /// The token is stale: what it stands for was sent, released or given back. Code −1.
    #[error("segment '{segment}': what was lent was already sent or given back")]
    Stale {
        /// The segment's name.
        segment: Arc<str>,
    },
}

impl Error {
    /// Returns the number that every binding shares: see [`Error::code`](crate::Error::code).
    pub fn code(&self) -> i32 {
        match self {
            Error::Core(error) => error.code(),
            Error::Lent { .. } | Error::InUse { .. } | Error::Stale { .. } => -1,
        }
    }
}

/// A kind of error of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorKind {
    /// The canonical name.
    pub name: &'static str,
    /// The number that every binding shares: several kinds may have the same.
    pub code: i32,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.code)
    }
}

/// Declares [`ERRORS`] and [`error_name`] from one list.
macro_rules! errors {
    ($($variant:ident $name:literal $code:literal;)+) => {
        /// The kinds of errors of the core, in the order of their numbers.
        ///
        /// ```
        /// let error = eshm::Endpoint::slave("no/slashes").unwrap_err();
        /// let kind = eshm::raw::ERRORS.iter().find(|kind| kind.name == eshm::raw::error_name(&error)).unwrap();
        /// assert_eq!((kind.name, kind.code), ("invalid_name", error.code()));
        /// ```
        pub const ERRORS: &[ErrorKind] = &[$(ErrorKind { name: $name, code: $code },)+];

        /// Returns the canonical name of an error's kind: one of [`ERRORS`].
        pub fn error_name(error: &crate::error::Error) -> &'static str {
            match error {
                $(crate::error::Error::$variant { .. } => $name,)+
            }
        }
    };
}

errors! {
    InvalidName "invalid_name" -1;
    InvalidDomain "invalid_domain" -1;
    InvalidConfig "invalid_config" -1;
    InvalidText "invalid_text" -1;
    Create "create" -2;
    NotFound "not_found" -3;
    Attach "attach" -3;
    Foreign "foreign" -3;
    Directory "directory" -3;
    Remove "remove" -5;
    Timeout "timeout" -10;
    Reconnecting "reconnecting" -10;
    PeerStale "peer_stale" -11;
    Full "full" -12;
    TooLarge "too_large" -13;
    Closed "closed" -14;
    SeatTaken "seat_taken" -15;
    PeerClosed "peer_closed" -16;
    Corrupt "corrupt" -17;
    Forked "forked" -18;
    Displaced "displaced" -19;
}
