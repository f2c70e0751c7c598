//! What a careless user and a hostile peer can try: nothing changes a message in flight, and every call ends.

mod common;

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use common::{Child, Name, poll, say, scenario, within};
use eshm::raw::exclusive;
use eshm::{Endpoint, PeerState, Role};

/// Offsets in the header: PROTOCOL.md, section 2.
const SLAVE_PID: i64 = 28;
const SLAVE_ALIVE: u64 = 36;

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match &*scenario {
        "interrupted" => open_a_large_segment_under_a_timer(&segment),
        other => panic!("no scenario {other}"),
    }
}

#[test]
fn a_send_ends_a_loan_that_was_taken_apart() {
    let name = Name::new("sound-loan");
    let mut master = Endpoint::builder(&name).role(Role::Master).queue_capacity(8192).open().unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    let loan = exclusive::lend(master.loan(100).unwrap());
    assert_eq!(loan.len, 100);
    master.send(&[1; 1000]).unwrap();
    assert_eq!(exclusive::send_loan(master.split().0).unwrap_err().code(), -14);
    let (sender, receiver) = (master.split().0, slave.split().1);
    let message = receiver.recv().unwrap();
    sender.send(&[2; 1000]).unwrap();
    assert_eq!(&*message, [1; 1000]);
}

#[test]
fn a_send_ends_a_loan_without_queues_too() {
    let name = Name::new("sound-draft");
    let mut master = Endpoint::builder(&name).role(Role::Master).queue_capacity(0).open().unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    exclusive::lend(master.loan(5).unwrap());
    master.send(b"first").unwrap();
    assert_eq!(exclusive::send_loan(master.split().0).unwrap_err().code(), -14);
    assert_eq!(&*slave.recv().unwrap(), b"first");
}

#[test]
fn a_batch_ends_though_the_peer_goes_on_writing_marks() {
    let name = Name::new("sound-marks");
    let mut master = Endpoint::builder(&name).role(Role::Master).queue_capacity(4096).open().unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    master.send(b"first").unwrap();
    let file = OpenOptions::new().read(true).write(true).open(name.path()).unwrap();
    let mut offset = [0; 8];
    file.read_exact_at(&mut offset, 88).unwrap();
    let slots = u64::from_ne_bytes(offset) + 384;
    let mut number = 1u32;
    let mark = |number: u32| {
        let slot = slots + u64::from(number % 64) * 64;
        file.write_all_at(&(number + 1).to_ne_bytes(), slot).unwrap();
        file.write_all_at(&0u32.to_ne_bytes(), slot + 4).unwrap();
    };
    let received = slave.recv_many(1_000_000, |_| {
        mark(number);
        number += 1;
    });
    assert_eq!(received.unwrap(), 64);
}

#[test]
fn a_peer_that_is_stopped_while_it_closes_becomes_frozen() {
    let name = Name::new("sound-closing");
    let master = Endpoint::builder(&name).role(Role::Master).open().unwrap();
    let slave = Endpoint::builder(&name).role(Role::Slave).background(false).open().unwrap();
    master.wait_for_peer(Duration::from_secs(10)).unwrap();
    // Its flag is down and its lock still held, as between two steps of a close.
    let file = OpenOptions::new().read(true).write(true).open(name.path()).unwrap();
    file.write_all_at(&0u32.to_ne_bytes(), SLAVE_ALIVE).unwrap();
    poll("the verdict", || (master.peer_state() == PeerState::Frozen).then_some(()));
    drop(slave);
    poll("the close", || (master.peer_state() == PeerState::Closed).then_some(()));
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: SLAVE_PID,
        l_len: 4,
        l_pid: 0,
    };
    // SAFETY: an open file, and a lock on four bytes of it.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) }, 0, "the seat is free");
}

#[test]
fn text_is_a_copy() {
    let name = Name::new("sound-text");
    let mut master = Endpoint::builder(&name).role(Role::Master).open().unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    master.send(b"text\0").unwrap();
    let text: String = slave.recv().unwrap().text().unwrap();
    assert_eq!(text, "text");
}

/// A timer that interrupts this thread each millisecond, as a profiler's does.
fn open_a_large_segment_under_a_timer(segment: &str) {
    extern "C" fn ignore(_: libc::c_int) {}
    let handler = ignore as extern "C" fn(libc::c_int);
    let each = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let interval = libc::itimerspec { it_interval: each, it_value: each };
    // SAFETY: all zeros are a sigevent.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = libc::SIGPROF;
    // SAFETY: takes no pointers.
    event.sigev_notify_thread_id = unsafe { libc::gettid() };
    let mut timer: libc::timer_t = std::ptr::null_mut();
    // SAFETY: a handler that does nothing.
    unsafe { libc::signal(libc::SIGPROF, handler as libc::sighandler_t) };
    // SAFETY: valid pointers to initialised values.
    assert_eq!(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) }, 0);
    // SAFETY: the timer was made above.
    unsafe { libc::timer_settime(timer, 0, &raw const interval, std::ptr::null_mut()) };
    let opened = Endpoint::builder(segment).role(Role::Master).queue_capacity(200 << 20).open();
    say(opened.is_ok());
}

/// Linux 6.18 and later do not interrupt a reservation on tmpfs; before, this test fails without the pieces.
#[test]
fn a_periodic_signal_does_not_keep_a_large_segment_from_being_made() {
    let name = Name::new("sound-timer");
    let segment = name.to_string();
    let opened = within(Duration::from_secs(30), move || {
        let child = Child::start("interrupted", &segment);
        child.expect("true");
        child.ended()
    });
    assert!(opened.expect("the segment was not made").success());
}
