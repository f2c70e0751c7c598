//! A process that opens and closes endpoints all day keeps nothing of them. Alone in its process: it counts what that has.

mod common;

use std::fs;

use common::{Name, WATCHDOG, poll};
use eshm::Endpoint;

/// What this process has open, and what it has mapped of segments.
fn possessions() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (descriptors, maps.lines().filter(|line| line.contains("eshm_") || line.contains("/dev/shm")).count())
}

fn live(name: &str) {
    let mut master = Endpoint::master(name).unwrap();
    let mut slave = Endpoint::slave(name).unwrap();
    master.send(b"one").unwrap();
    slave.send(b"two").unwrap();
    slave.write(b"three").unwrap();
    assert_eq!(&*slave.recv_timeout(WATCHDOG).unwrap().unwrap(), b"one");
    assert_eq!(&*master.recv_timeout(WATCHDOG).unwrap().unwrap(), b"two");
    assert_eq!(&*master.read_timeout(WATCHDOG).unwrap().unwrap(), b"three");
    slave.close().unwrap();
    master.close().unwrap();
}

#[test]
fn two_hundred_lives_in_one_process_leave_nothing() {
    let name = Name::new("repetition");
    // The first one starts the background thread, which stays.
    live(&name);
    let before = possessions();
    for _ in 0..200 {
        live(&name);
    }
    // The background thread may hold the last one for a moment.
    poll("the last endpoint's end", || (possessions() == before).then_some(()));
    assert!(!name.exists());
}
