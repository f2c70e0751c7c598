//! Wait sets: what one thread waits for, in turns, while others add and remove.

mod common;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{Name, WATCHDOG, poll};
use eshm::{Endpoint, Interest, WaitSet};

fn pair(name: &Name) -> (Endpoint, Endpoint) {
    (Endpoint::master(name).unwrap(), Endpoint::slave(name).unwrap())
}

fn empty(endpoint: &mut Endpoint) {
    assert!(endpoint.try_recv().unwrap().is_none());
}

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

#[test]
fn a_wait_set_waits_for_endpoints_and_other_descriptors() {
    let names = [Name::new("set-one"), Name::new("set-two")];
    let (mut pairs, set): (Vec<_>, _) = (names.iter().map(pair).collect(), WaitSet::new().unwrap());
    for (token, (_, slave)) in pairs.iter().enumerate() {
        set.add(&slave.events(Interest::READABLE).unwrap(), token as u64).unwrap();
    }
    let (mut there, here) = UnixStream::pair().unwrap();
    set.add_fd(&here, 9).unwrap();
    assert_eq!(set.add_fd(&here, 9).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    poll("quiet", || {
        pairs.iter_mut().for_each(|(_, slave)| empty(slave));
        (set.wait(Some(Duration::ZERO)).unwrap().len() == 0).then_some(())
    });
    pairs[1].0.send(b"message").unwrap();
    assert_eq!(set.wait(Some(WATCHDOG)).unwrap().collect::<Vec<_>>(), [1]);
    there.write_all(b"byte").unwrap();
    poll("both", || (set.wait(Some(WATCHDOG)).unwrap().count() == 2).then_some(()));
    set.remove(1).unwrap();
    assert_eq!(set.wait(Some(WATCHDOG)).unwrap().collect::<Vec<_>>(), [9]);
    assert_eq!(set.remove(1).unwrap_err().kind(), io::ErrorKind::NotFound);
    // The set has a descriptor of its own.
    drop(here);
    assert_eq!(set.wait(Some(WATCHDOG)).unwrap().collect::<Vec<_>>(), [9]);
    set.remove(9).unwrap();
    assert_eq!(set.wait(Some(Duration::from_millis(1))).unwrap().count(), 0);
}

#[test]
fn an_endpoint_is_added_and_removed_while_another_thread_waits() {
    let name = Name::new("set-thread");
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::READABLE).unwrap();
    let set = Arc::new(WaitSet::new().unwrap());
    let waiting = thread::spawn({
        let set = Arc::clone(&set);
        move || {
            loop {
                for token in set.wait(Some(WATCHDOG)).unwrap() {
                    assert_eq!(token, 5);
                    if let Some(message) = slave.try_recv().unwrap() {
                        return message.to_vec();
                    }
                }
            }
        }
    });
    for _ in 0..100 {
        set.add(&events, 5).unwrap();
        set.remove(5).unwrap();
    }
    set.add(&events, 5).unwrap();
    master.send(b"found").unwrap();
    assert_eq!(waiting.join().unwrap(), b"found");
}
