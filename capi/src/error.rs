//! The numbers of errors, their texts, and each thread's last one.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};

use eshm::{Error, raw};

/// `enum ESHMError`.
pub const SUCCESS: c_int = 0;
/// See [`SUCCESS`], as for all that follow.
pub const INVALID_PARAM: c_int = -1;
/// The segment could not be created.
pub const SHM_CREATE: c_int = -2;
/// Nothing to read, and the call was not to wait.
pub const NO_DATA: c_int = -9;
/// The time ran out.
pub const TIMEOUT: c_int = -10;
/// A slave has given its master up.
pub const MASTER_STALE: c_int = -11;
/// A message or a value does not fit.
pub const BUFFER_TOO_SMALL: c_int = -13;
/// The handle is none, or was destroyed.
pub const NOT_INITIALIZED: c_int = -14;
/// The peer closed its endpoint.
pub const PEER_CLOSED: c_int = -16;
/// What belongs to the parent of this process.
pub const FORKED: c_int = -18;
/// Another segment has the name.
pub const DISPLACED: c_int = -19;
/// A defect of this library.
pub const INTERNAL: c_int = -99;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The core's error.
    Core(Error),
    /// The core's error, under the number that ESHM 1.x has for it.
    Renumbered(c_int, Error),
    /// An error of this interface.
    Own(c_int, Cow<'static, str>),
}

/// The result of everything below the exported functions.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Core(error)
    }
}

impl From<raw::Error> for Failure {
    fn from(error: raw::Error) -> Self {
        match error {
            raw::Error::Core(error) => Failure::Core(error),
            raw::Error::Lent { .. } => {
                Failure::invalid("a loan is open: call eshm_loan_send or eshm_loan_drop first")
            }
            other => Failure::invalid(other.to_string()),
        }
    }
}

impl Failure {
    /// Returns the failure of a call with an invalid argument.
    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Failure::Own(INVALID_PARAM, text.into())
    }

    pub(crate) fn no_handle() -> Self {
        let text =
            "the handle is not one that eshm_init or eshm_open returned, or it was destroyed; open a new one";
        Failure::Own(NOT_INITIALIZED, text.into())
    }

    /// Returns the failure of a call with an unknown handle.
    #[cold]
    pub(crate) fn unknown<H>(handle: *mut H) -> Self {
        if handle.is_null() {
            Failure::invalid("handle is NULL, expected one of eshm_init or eshm_open")
        } else {
            Failure::no_handle()
        }
    }

    /// Converts the error of a call that gives something back. `nothing` is the text for "nothing is lent".
    pub(crate) fn of_token(error: raw::Error, nothing: &'static str) -> Self {
        match error {
            raw::Error::Stale { .. } => Failure::invalid(nothing),
            error => error.into(),
        }
    }

    /// Converts to the codes of ESHM 1.x, which has one code for a lost master.
    pub(crate) fn into_1x(self) -> Self {
        match self {
            Failure::Core(error @ Error::PeerClosed { .. }) => Failure::Renumbered(MASTER_STALE, error),
            other => other,
        }
    }

    pub(crate) fn code(&self) -> c_int {
        match self {
            Failure::Core(error) => error.code(),
            Failure::Renumbered(code, _) | Failure::Own(code, _) => *code,
        }
    }

    fn text(&self) -> Cow<'static, str> {
        match self {
            Failure::Core(error) | Failure::Renumbered(_, error) => error.to_string().into(),
            Failure::Own(_, text) => text.clone(),
        }
    }

    /// Makes it the thread's last failure, and returns its number.
    pub(crate) fn keep(self) -> c_int {
        let code = self.code();
        // Fails only while the thread ends: then it cannot ask for its last failure any more.
        let _ = LAST.try_with(|last| last.borrow_mut().failure = Some(self));
        code
    }
}

#[derive(Default)]
struct Last {
    failure: Option<Failure>,
    /// The text that the thread was given last; kept until it asks again.
    text: CString,
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

/// Returns the text of this thread's last failure, valid until it asks again. The text is made only here, so that a
/// program that polls does not pay for texts that it never reads.
pub(crate) fn last_text() -> *const c_char {
    let text = LAST.try_with(|last| {
        let last = &mut *last.borrow_mut();
        let text = last.failure.as_ref().map_or(Cow::Borrowed(""), Failure::text);
        // A name may contain anything but NUL, and the texts of this library contain none.
        last.text = CString::new(text.into_owned()).unwrap_or_default();
        last.text.as_ptr()
    });
    text.unwrap_or(c"".as_ptr())
}

/// Returns the number of this thread's last failure.
pub(crate) fn last_code() -> c_int {
    let code = LAST.try_with(|last| last.borrow().failure.as_ref().map_or(SUCCESS, Failure::code));
    code.unwrap_or(SUCCESS)
}

/// Returns what a number means in general.
pub(crate) fn describe(code: c_int) -> &'static CStr {
    match code {
        SUCCESS => c"Success",
        INVALID_PARAM => c"Invalid parameter",
        SHM_CREATE => c"Failed to create shared memory",
        -3 => c"Failed to attach to shared memory",
        -4 => c"Failed to detach from shared memory",
        -5 => c"Failed to delete shared memory",
        -6 => c"Failed to initialize mutex",
        -7 => c"Failed to lock mutex",
        -8 => c"Failed to unlock mutex",
        NO_DATA => c"No data available",
        TIMEOUT => c"Operation timed out",
        MASTER_STALE => c"Master is stale",
        -12 => c"Buffer full",
        BUFFER_TOO_SMALL => c"Buffer too small",
        NOT_INITIALIZED => c"Not initialized",
        -15 => c"Role mismatch",
        PEER_CLOSED => c"Peer closed",
        -17 => c"Corrupt segment",
        FORKED => c"Handle belongs to the parent process",
        DISPLACED => c"Displaced by another segment",
        INTERNAL => c"Internal error",
        _ => c"Unknown error",
    }
}
