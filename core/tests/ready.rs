//! Waits that take nothing: what they announce is there for the call that follows, and nothing else has changed.
//!
//! Waits that end at a time of their own are in `core/src/api/tests.rs`.

mod common;

use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use common::{Name, WATCHDOG};
use eshm::raw::{self, Content, Host, Limit, Plain, SharedEndpoint, SharedReceiver, SharedSender, Stop};
use eshm::{Endpoint, Error};

/// Long enough that a wait which ends before it was woken.
const LONG: Part = Part(WATCHDOG);
/// For waits that are to end by themselves.
const SHORT: Part = Part(Duration::from_millis(2));

/// A host whose waits last this long.
#[derive(Clone, Copy)]
struct Part(Duration);

impl Host for Part {
    type Error = raw::Error;

    fn slice(&self) -> Duration {
        self.0
    }
}

fn pair(name: &str) -> (SharedEndpoint, SharedEndpoint) {
    let (master, slave) = (Endpoint::master(name).unwrap(), Endpoint::slave(name).unwrap());
    (SharedEndpoint::new(master), SharedEndpoint::new(slave))
}

fn pair_without_queues(name: &str) -> (SharedEndpoint, SharedEndpoint) {
    let builder = Endpoint::builder(name).queue_capacity(0);
    let open = |role| SharedEndpoint::new(builder.clone().role(role).open().unwrap());
    (open(eshm::Role::Master), open(eshm::Role::Slave))
}

fn has_message(receiver: &SharedReceiver) -> bool {
    receiver.wait_message(&mut { SHORT }).unwrap()
}

fn has_value(receiver: &SharedReceiver) -> bool {
    receiver.wait_value(&mut { SHORT }).unwrap()
}

fn has_space(sender: &SharedSender, len: usize) -> bool {
    sender.wait_room(&mut { SHORT }, len).unwrap()
}

fn try_send(sender: &SharedSender, bytes: &[u8]) -> Result<(), raw::Error> {
    sender.send(&mut Plain, bytes, Limit::Now)
}

fn send(sender: &SharedSender, bytes: &[u8]) {
    try_send(sender, bytes).unwrap();
}

fn copy(_: &mut Plain, content: &Content<'_>) -> Result<Vec<u8>, raw::Error> {
    Ok(content.to_vec())
}

/// Returns the message that is there.
fn recv(receiver: &SharedReceiver) -> Vec<u8> {
    receiver.recv(&mut Plain, Limit::Now, copy).unwrap().unwrap()
}

/// Whether the message that is there lies in the queue. It stays the next one.
fn is_in_place(receiver: &SharedReceiver) -> bool {
    let mut in_place = false;
    let stop = |_: &mut Plain, message: &Content<'_>| {
        in_place = message.is_in_place();
        ControlFlow::Break(Stop::Before)
    };
    assert_eq!(receiver.recv_many(&mut Plain, Limit::Now, 1, stop).unwrap(), 0);
    in_place
}

/// Receives up to `most` messages that are there, and returns how many these were.
fn recv_many(receiver: &SharedReceiver, most: usize) -> usize {
    receiver.recv_many(&mut Plain, Limit::Forever, most, |_, _| ControlFlow::Continue(())).unwrap()
}

fn is_full(outcome: &Result<(), raw::Error>) -> bool {
    matches!(outcome, Err(raw::Error::Core(Error::Full { .. })))
}

/// Sends until there is no room, and returns how many messages that took.
fn fill(sender: &SharedSender) -> usize {
    (0..).find(|_| is_full(&try_send(sender, b"in the way"))).unwrap()
}

#[test]
fn a_message_that_was_waited_for_is_still_the_next_one() {
    let name = Name::new("ready-message");
    let (master, slave) = pair(&name);
    let receiver = slave.receiver();
    assert!(!has_message(receiver));
    send(master.sender(), b"a");
    send(master.sender(), b"b");
    for expected in [b"a", b"b"] {
        assert!(has_message(receiver) && has_message(receiver));
        assert_eq!(recv(receiver), expected);
    }
    assert!(!has_message(receiver));
}

#[test]
fn a_wait_for_a_message_releases_none() {
    let name = Name::new("ready-release");
    let (master, slave) = pair(&name);
    let room = fill(master.sender());
    assert!(has_message(slave.receiver()));
    assert!(is_full(&try_send(master.sender(), b"one more")));
    assert_eq!(recv_many(slave.receiver(), usize::MAX), room);
}

#[test]
fn a_value_that_was_waited_for_is_not_counted_as_read() {
    let name = Name::new("ready-value");
    let (master, slave) = pair(&name);
    let receiver = slave.receiver();
    assert!(!has_value(receiver), "nothing was ever written");
    master.sender().write(&mut Plain, b"old").unwrap();
    master.sender().write(&mut Plain, b"new").unwrap();
    assert!(has_value(receiver) && has_value(receiver));
    assert_eq!(receiver.inspector().stats().unwrap().m2s_read_count, 0);
    let with_skipped = |_: &mut Plain, value: &Content<'_>| Ok((value.to_vec(), value.skipped()));
    let value = receiver.read(&mut Plain, Limit::Now, with_skipped).unwrap().unwrap();
    assert_eq!(value, (b"new".to_vec(), 1));
    assert!(!has_value(receiver));
    assert!(!has_message(receiver), "a value is no message");
}

#[test]
fn without_queues_a_message_is_waited_for_in_the_mailbox() {
    let name = Name::new("ready-mailbox");
    let (master, slave) = pair_without_queues(&name);
    let receiver = slave.receiver();
    assert!(!has_message(receiver));
    send(master.sender(), b"a");
    assert!(has_message(receiver) && has_message(receiver));
    let with_place = |_: &mut Plain, message: &Content<'_>| Ok((message.to_vec(), message.is_in_place()));
    let message = receiver.recv(&mut Plain, Limit::Now, with_place).unwrap().unwrap();
    assert_eq!(message, (b"a".to_vec(), false));
    assert!(!has_message(receiver));
}

#[test]
fn without_queues_there_is_room_once_the_message_was_taken() {
    let name = Name::new("ready-taken");
    let (master, slave) = pair_without_queues(&name);
    let sender = master.sender();
    assert!(has_space(sender, 1));
    send(sender, b"a");
    assert!(!has_space(sender, 1));
    assert_eq!(recv(slave.receiver()), b"a");
    assert!(has_space(sender, 1));
}

#[test]
fn a_parked_wait_is_woken() {
    let name = Name::new("ready-woken");
    let (master, slave) = pair(&name);
    let (sender, receiver) = (master.sender(), slave.receiver());
    let messages = fill(sender);
    thread::scope(|scope| {
        let room = scope.spawn(|| sender.wait_room(&mut { LONG }, 1));
        assert_eq!(recv_many(receiver, messages), messages);
        assert!(room.join().unwrap().unwrap());
    });
    thread::scope(|scope| {
        let message = scope.spawn(|| receiver.wait_message(&mut { LONG }));
        send(sender, b"a");
        assert!(message.join().unwrap().unwrap());
    });
    thread::scope(|scope| {
        let value = scope.spawn(|| receiver.wait_value(&mut { LONG }));
        sender.write(&mut Plain, b"b").unwrap();
        assert!(value.join().unwrap().unwrap());
    });
}

#[test]
fn a_message_that_is_borrowed_stays_borrowed() {
    let name = Name::new("ready-lent");
    let (master, slave) = pair(&name);
    let receiver = slave.receiver();
    send(master.sender(), b"lent");
    assert!(is_in_place(receiver));
    let borrowed = receiver.borrow(&mut Plain, Limit::Now).unwrap().unwrap();
    assert!(!has_message(receiver), "the message that is borrowed is not the next one");
    thread::scope(|scope| {
        let next = scope.spawn(|| receiver.wait_message(&mut { LONG }));
        send(master.sender(), b"next");
        assert!(next.join().unwrap().unwrap());
    });
    assert_eq!(receiver.lent(), Some(borrowed.token));
    // SAFETY: the message is borrowed until the next call that receives, and the receiver lives.
    assert_eq!(unsafe { std::slice::from_raw_parts(borrowed.start, borrowed.len) }, b"lent");
    assert_eq!(recv(receiver), b"next");
}

#[test]
fn a_wait_for_room_leaves_a_loan_open() {
    let name = Name::new("ready-loan");
    let (master, slave) = pair(&name);
    let sender = master.sender();
    for len in [3, 3000] {
        let loan = sender.loan(&mut Plain, len, Limit::Now).unwrap();
        // SAFETY: `len` bytes that are lent to this test alone.
        unsafe { loan.start.write_bytes(7, loan.len) };
        assert!(has_space(sender, 3) && has_space(sender, 3000));
        sender.send_loan(&mut Plain, loan.token).unwrap();
        assert_eq!(recv(slave.receiver()), vec![7; len]);
    }
}

#[test]
fn there_is_room_for_a_long_message_only_in_the_arena() {
    let name = Name::new("ready-arena");
    let (master, slave) = pair(&name);
    let sender = master.sender();
    let most = sender.inspector().max_message();
    send(sender, &vec![1; most]);
    assert!(!has_space(sender, most));
    assert!(has_space(sender, 1));
    assert_eq!(recv(slave.receiver()).len(), most);
    assert!(has_space(sender, most));
}

#[test]
fn a_message_that_never_fits_is_worth_a_call() {
    let name = Name::new("ready-large");
    let (master, _slave) = pair(&name);
    let sender = master.sender();
    let most = sender.inspector().max_message();
    fill(sender);
    assert!(has_space(sender, most + 1));
    let outcome = try_send(sender, &vec![0; most + 1]);
    assert!(matches!(outcome, Err(raw::Error::Core(Error::TooLarge { .. }))), "{outcome:?}");
}

#[test]
fn what_was_sent_before_a_close_is_announced_before_it() {
    let name = Name::new("ready-close");
    let (master, slave) = pair(&name);
    let (sender, receiver) = (slave.sender(), slave.receiver());
    fill(sender);
    send(master.sender(), b"last");
    drop(master);
    assert!(receiver.wait_message(&mut { LONG }).unwrap());
    assert_eq!(recv(receiver), b"last");
    let closed = |outcome| {
        assert!(matches!(outcome, Err(raw::Error::Core(Error::PeerClosed { .. }))), "{outcome:?}");
    };
    closed(receiver.wait_message(&mut { LONG }));
    closed(receiver.wait_value(&mut { LONG }));
    closed(sender.wait_room(&mut { LONG }, 1));
}
