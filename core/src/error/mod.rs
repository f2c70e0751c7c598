//! What can go wrong, as one type with the stable numbers of ESHM 1.x.
//!
//! Every message names the segment, what was found, what was expected, and what to do about it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::peer_state::PeerState;
use crate::role::Role;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of an endpoint.
///
/// [`Error::code`] returns the number that every binding shares. Numbers −1 … −15 are those of ESHM 1.x. A number that is no
/// longer used is never given to another error.
///
/// The errors that calls return often, such as [`Error::Full`] and [`Error::Timeout`], share the segment's name with the
/// endpoint and allocate nothing.
///
/// ```
/// let error = eshm::Endpoint::slave("no/slashes").unwrap_err();
/// assert_eq!(error.code(), -1);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is not a valid segment name. Code −1.
    #[error("segment name {name:?}: {reason}; expected 1 to {limit} bytes without '/', '..' or NUL")]
    InvalidName {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
        /// The longest name that the domain admits, in bytes.
        limit: usize,
    },
    /// The directory or the prefix of a [`Domain`](crate::Domain) is not valid. Code −1.
    #[error("domain: {what} is {found}; expected {expected}")]
    InvalidDomain {
        /// What was given: the directory or the prefix, or the environment variable for it.
        what: &'static str,
        /// The value that was given, quoted.
        found: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// A setting is out of its range. Code −1.
    #[error("segment '{segment}': {setting} is {found}; expected {expected}")]
    InvalidConfig {
        /// The segment's name.
        segment: Arc<str>,
        /// The setting's name.
        setting: &'static str,
        /// The value that was given.
        found: String,
        /// The range that is accepted.
        expected: &'static str,
    },
    /// The text is not UTF-8, or contains a NUL before its end. Code −1.
    #[error("text {reason} at byte {at}; expected UTF-8 with no NUL before its end")]
    InvalidText {
        /// What is wrong with it.
        reason: &'static str,
        /// The offset of the first offending byte.
        at: usize,
    },
    /// The segment could not be created. Code −2.
    #[error("segment '{segment}': cannot create {path} ({action}: {source}); {hint}")]
    Create {
        /// The segment's name.
        segment: Arc<str>,
        /// The segment's file.
        path: String,
        /// The step that failed.
        action: &'static str,
        /// What the system said.
        source: io::Error,
        /// What to do.
        hint: String,
    },
    /// There is no segment of that name, or its creation was not finished in time. Code −3.
    #[error(
        "segment '{segment}': {found} after waiting {waited:?} for {path}; start its master, or check the name"
    )]
    NotFound {
        /// The segment's name.
        segment: Arc<str>,
        /// The segment's file.
        path: String,
        /// What is there instead.
        found: &'static str,
        /// How long the call waited: at least `connect_timeout`.
        waited: Duration,
    },
    /// The segment exists but could not be opened or mapped. Code −3.
    #[error("segment '{segment}': cannot attach to {path} ({action}: {source}); {hint}")]
    Attach {
        /// The segment's name.
        segment: Arc<str>,
        /// The segment's file.
        path: String,
        /// The step that failed.
        action: &'static str,
        /// What the system said.
        source: io::Error,
        /// What to do.
        hint: String,
    },
    /// The endpoint is closed, and the segment's name could not be removed. Code −5.
    #[error(
        "segment '{segment}': the endpoint is closed, but {path} could not be removed ({source}); {hint}"
    )]
    Remove {
        /// The segment's name.
        segment: Arc<str>,
        /// The segment's file.
        path: String,
        /// What the system said.
        source: io::Error,
        /// What to do.
        hint: String,
    },
    /// The directory of a domain could not be read. Code −3.
    #[error(
        "domain: cannot read the directory {path} ({source}); make it, or choose one that this user may read"
    )]
    Directory {
        /// The directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file of that name is not a usable ESHM segment. Code −3.
    #[error(
        "segment '{segment}': {what} is {found}, expected {expected}; it was left untouched: if no process \
         needs {path}, remove it"
    )]
    Foreign {
        /// The segment's name.
        segment: Arc<str>,
        /// The file.
        path: String,
        /// The part that does not fit.
        what: &'static str,
        /// The value found there.
        found: String,
        /// The value that would have been accepted.
        expected: String,
    },
    /// A live process already has this role. Code −15.
    #[error(
        "segment '{segment}': already has a live {role} (pid {pid}); a segment joins one master and one \
         slave: use another name, or stop that process"
    )]
    SeatTaken {
        /// The segment's name.
        segment: Arc<str>,
        /// The role that was asked for.
        role: Role,
        /// The pid of that process, in its own PID namespace.
        pid: i32,
    },
    /// A message is longer than the mailbox, or the queue, can ever hold. Code −13.
    #[error(
        "segment '{segment}': a message of {size} bytes is too long: at most {capacity} bytes fit; create the segment with a larger data_size (for write) or queue_capacity (for send)"
    )]
    TooLarge {
        /// The segment's name.
        segment: Arc<str>,
        /// The message's size in bytes.
        size: usize,
        /// The channel's capacity in bytes.
        capacity: usize,
    },
    /// There is no room, and the call does not wait. Code −12.
    #[error(
        "segment '{segment}': there is no room, the peer has not read what was sent before; wait, or send again later"
    )]
    Full {
        /// The segment's name.
        segment: Arc<str>,
    },
    /// The time of the call ran out. Code −10.
    #[error("segment '{segment}': {what} did not happen within {waited:?}")]
    Timeout {
        /// The segment's name.
        segment: Arc<str>,
        /// What was waited for.
        what: &'static str,
        /// How long the call waited.
        waited: Duration,
    },
    /// The slave has no live master and searches for one; nothing was written. Code −10.
    #[error("segment '{segment}': reconnecting, its master gives no sign of life; try again")]
    Reconnecting {
        /// The segment's name.
        segment: Arc<str>,
    },
    /// The peer is stale, and the limits of the reconnect are used up. Code −11.
    #[error(
        "segment '{segment}': the {peer} gives no sign of life any more ({state}); restart it, or raise stale_threshold if it is only slow"
    )]
    PeerStale {
        /// The segment's name.
        segment: Arc<str>,
        /// The peer's role.
        peer: Role,
        /// The peer's state.
        state: PeerState,
    },
    /// The peer has closed its endpoint, and everything that it sent has been received. Code −16.
    #[error("segment '{segment}': the {peer} closed its endpoint{}", not_received(*.unreceived))]
    PeerClosed {
        /// The segment's name.
        segment: Arc<str>,
        /// The peer's role.
        peer: Role,
        /// How many messages of this endpoint were not received. A slave that stays open carries its own over to the next
        /// master.
        unreceived: u64,
    },
    /// The segment's file was removed, and another segment has its name now. Code −19.
    #[error(
        "segment '{segment}': its file was removed, and another segment has its name; close this endpoint, and see which process made that one"
    )]
    Displaced {
        /// The segment's name.
        segment: Arc<str>,
    },
    /// The peer wrote something that the protocol forbids. Code −17.
    #[error(
        "segment '{segment}': {what} is {found}, expected {expected}; the peer is broken or hostile: restart both ends on a new segment"
    )]
    Corrupt {
        /// The segment's name.
        segment: Arc<str>,
        /// The field.
        what: &'static str,
        /// The value found.
        found: u64,
        /// The values that are allowed.
        expected: String,
    },
    /// The endpoint was opened before a fork and is used in the child. Code −18.
    #[error(
        "segment '{segment}': this endpoint was opened by the parent of this process, before a fork; open a new one in the child"
    )]
    Forked {
        /// The segment's name.
        segment: Arc<str>,
    },
    /// The endpoint is closed. Code −14.
    #[error("segment '{segment}': this endpoint is closed; open a new one")]
    Closed {
        /// The segment's name.
        segment: Arc<str>,
    },
}

impl Error {
    /// Returns the number of this error in every binding: −1 … −19.
    pub fn code(&self) -> i32 {
        match self {
            Error::InvalidName { .. }
            | Error::InvalidDomain { .. }
            | Error::InvalidConfig { .. }
            | Error::InvalidText { .. } => -1,
            Error::Create { .. } => -2,
            Error::Remove { .. } => -5,
            Error::NotFound { .. }
            | Error::Attach { .. }
            | Error::Foreign { .. }
            | Error::Directory { .. } => -3,
            Error::Timeout { .. } | Error::Reconnecting { .. } => -10,
            Error::PeerStale { .. } => -11,
            Error::Full { .. } => -12,
            Error::TooLarge { .. } => -13,
            Error::Closed { .. } => -14,
            Error::SeatTaken { .. } => -15,
            Error::PeerClosed { .. } => -16,
            Error::Corrupt { .. } => -17,
            Error::Forked { .. } => -18,
            Error::Displaced { .. } => -19,
        }
    }

    /// Returns whether the same call may succeed later without a change by the caller.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Timeout { .. } | Error::Reconnecting { .. } | Error::Full { .. })
    }
}

/// Returns what `PeerClosed` adds when something is left.
fn not_received(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => "; 1 message was not received".to_owned(),
        count => format!("; {count} messages were not received"),
    }
}

#[cfg(test)]
mod tests;
