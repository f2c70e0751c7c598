//! What users read when something goes wrong: one line per kind of error.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::*;
use crate::{PeerState, Role};

fn segment() -> Arc<str> {
    "robot".into()
}

/// A place for each kind of error: a new one does not compile without.
fn kind(error: &Error) -> usize {
    match error {
        Error::InvalidName { .. } => 0,
        Error::InvalidConfig { .. } => 1,
        Error::InvalidText { .. } => 2,
        Error::Create { .. } => 3,
        Error::NotFound { .. } => 4,
        Error::Attach { .. } => 5,
        Error::Foreign { .. } => 6,
        Error::SeatTaken { .. } => 7,
        Error::TooLarge { .. } => 8,
        Error::Full { .. } => 9,
        Error::Timeout { .. } => 10,
        Error::Reconnecting { .. } => 11,
        Error::PeerStale { .. } => 12,
        Error::PeerClosed { .. } => 13,
        Error::Corrupt { .. } => 14,
        Error::Forked { .. } => 15,
        Error::Closed { .. } => 16,
        Error::Displaced { .. } => 17,
        Error::InvalidDomain { .. } => 18,
        Error::Directory { .. } => 19,
        Error::Remove { .. } => 20,
    }
}
const KINDS: usize = 21;

fn path() -> String {
    "/dev/shm/eshm_robot".to_owned()
}

fn of_opening() -> Vec<Error> {
    vec![
        Error::InvalidName { name: "a/b".to_owned(), reason: "contains '/'", limit: 250 },
        Error::InvalidDomain {
            what: "ESHM_DIRECTORY",
            found: "\"shm\"".to_owned(),
            expected: "an absolute path without NUL",
        },
        Error::InvalidConfig {
            segment: segment(),
            setting: "mode",
            found: "0o66".to_owned(),
            expected: "permission bits that let the owner read and write, such as 0600 or 0660",
        },
        Error::Create {
            segment: segment(),
            path: path(),
            action: "reserving its memory",
            source: io::Error::from_raw_os_error(libc::ENOSPC),
            hint: "/dev/shm is full: remove segments that nobody uses".to_owned(),
        },
        Error::NotFound {
            segment: segment(),
            path: path(),
            found: "there is no such segment",
            waited: Duration::from_secs(5),
        },
        Error::Attach {
            segment: segment(),
            path: path(),
            action: "opening it",
            source: io::Error::from_raw_os_error(libc::EACCES),
            hint: "open it as its owner".to_owned(),
        },
        Error::Foreign {
            segment: segment(),
            path: path(),
            what: "the magic",
            found: "0x00000001".to_owned(),
            expected: "0x4553484d".to_owned(),
        },
        Error::Directory {
            path: "/run/robots".to_owned(),
            source: io::Error::from_raw_os_error(libc::ENOENT),
        },
        Error::SeatTaken { segment: segment(), role: Role::Slave, pid: 4711 },
    ]
}

fn of_messages() -> Vec<Error> {
    vec![
        Error::InvalidText { reason: "contains a NUL", at: 3 },
        Error::TooLarge { segment: segment(), size: 5000, capacity: 4096 },
        Error::Full { segment: segment() },
        Error::Timeout {
            segment: segment(),
            what: "the arrival of the peer",
            waited: Duration::from_millis(250),
        },
        Error::Reconnecting { segment: segment() },
        Error::PeerStale { segment: segment(), peer: Role::Master, state: PeerState::Frozen },
        Error::PeerClosed { segment: segment(), peer: Role::Slave, unreceived: 0 },
        Error::PeerClosed { segment: segment(), peer: Role::Master, unreceived: 3 },
        Error::Displaced { segment: segment() },
        Error::Corrupt {
            segment: segment(),
            what: "a message's size",
            found: 4097,
            expected: "at most 4096".to_owned(),
        },
        Error::Forked { segment: segment() },
        Error::Closed { segment: segment() },
        Error::Remove {
            segment: segment(),
            path: path(),
            source: io::Error::from_raw_os_error(libc::EPERM),
            hint: "it belongs to user 1000".to_owned(),
        },
    ]
}

#[test]
#[cfg_attr(miri, ignore = "the snapshots' library runs cargo")]
fn every_message_says_what_was_found_and_what_to_do() {
    let errors: Vec<Error> = of_opening().into_iter().chain(of_messages()).collect();
    let kinds: BTreeSet<usize> = errors.iter().map(kind).collect();
    assert!(kinds.into_iter().eq(0..KINDS), "each kind of error is to be shown");
    let mut text = String::new();
    for error in &errors {
        writeln!(text, "{} {error}", error.code()).unwrap();
    }
    insta::assert_snapshot!(text);
}

/// Calls return an error by value, and some return one often.
#[test]
fn an_error_fits_into_two_cache_lines() {
    assert!(size_of::<Error>() <= 104, "{}", size_of::<Error>());
}

#[test]
fn the_numbers_are_those_of_eshm_1x_and_the_transient_ones_are_told() {
    let transient = |error: &&Error| error.is_transient();
    let errors: Vec<Error> = of_opening().into_iter().chain(of_messages()).collect();
    assert!(errors.iter().all(|error| (-19..=-1).contains(&error.code())));
    let codes: Vec<i32> = errors.iter().filter(transient).map(Error::code).collect();
    assert_eq!(codes, [-12, -10, -10]);
}
