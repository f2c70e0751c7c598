//! A wait set that is asked for a part of what is ready.

mod common;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;

use common::WATCHDOG;
use eshm::WaitSet;

/// A set that is asked for few tokens gives each its turn.
#[test]
fn a_wait_for_some_takes_turns() {
    let set = WaitSet::new().unwrap();
    let pairs: Vec<_> = (0..5).map(|_| UnixStream::pair().unwrap()).collect();
    for (token, (one, other)) in pairs.iter().enumerate() {
        set.add_fd(one, token as u64).unwrap();
        (&*other).write_all(b"1").unwrap();
    }
    let mut seen: Vec<u64> = (0..5)
        .map(|_| {
            let mut ready = set.wait_for_some(1, Some(WATCHDOG)).unwrap();
            assert_eq!(ready.len(), 1);
            ready.next().unwrap()
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(set.wait_for_some(0, None).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}
