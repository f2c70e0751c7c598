//! Waits in parts, where the test sets the end of the whole wait.

use std::time::Duration;

use crate::wait::Wait;
use crate::{Endpoint, Error};

/// Long enough that a wait which ends before it was woken.
const LONG: Duration = Duration::from_secs(30);
/// For waits that are to end by themselves.
const SHORT: Duration = Duration::from_millis(2);

fn name(test: &str) -> String {
    format!("unit-api-{test}-{}", std::process::id())
}

#[test]
fn a_wait_in_parts_ends_with_a_timeout() {
    let (_sender, mut receiver) = Endpoint::master(&name("parts")).unwrap().into_split();
    let wait = Wait::new(Some(Duration::from_millis(30)));
    let error = loop {
        match receiver.recv_part(&wait, Duration::from_millis(10)) {
            Ok(found) => assert!(found.is_none(), "nothing was sent"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[test]
fn a_wait_goes_on_in_the_segment_of_the_next_master() {
    let name = name("move");
    let master = Endpoint::master(&name).unwrap();
    let (_sender, mut receiver) = Endpoint::slave(&name).unwrap().into_split();
    drop(master);
    let mut master = Endpoint::master(&name).unwrap();
    std::thread::scope(|scope| {
        let arrival = scope.spawn(|| {
            let wait = Wait::new(Some(LONG));
            loop {
                if let Some(message) = receiver.recv_part(&wait, SHORT).unwrap() {
                    break message.to_vec();
                }
            }
        });
        master.send(b"hello").unwrap();
        assert_eq!(arrival.join().unwrap(), b"hello");
    });
}
