//! Waits that take nothing: what they announce is there for the call that follows, and nothing else has changed.

mod common;

use std::thread;
use std::time::Duration;

use common::{Name, WATCHDOG};
use eshm::{Endpoint, Error, Receiver, Sender, Wait};

/// Long enough that a wait which ends before it was woken.
const LONG: Duration = WATCHDOG;
/// For waits that are to end by themselves.
const SHORT: Duration = Duration::from_millis(2);

fn pair(name: &str) -> (Endpoint, Endpoint) {
    (Endpoint::master(name).unwrap(), Endpoint::slave(name).unwrap())
}

fn pair_without_queues(name: &str) -> (Endpoint, Endpoint) {
    let builder = Endpoint::builder(name).queue_capacity(0);
    (
        builder.clone().role(eshm::Role::Master).open().unwrap(),
        builder.role(eshm::Role::Slave).open().unwrap(),
    )
}

fn endless() -> Wait {
    Wait::new(None)
}

fn has_message(receiver: &mut Receiver) -> bool {
    receiver.wait_message_part(&endless(), SHORT).unwrap()
}

fn has_value(receiver: &mut Receiver) -> bool {
    receiver.wait_value_part(&endless(), SHORT).unwrap()
}

fn has_space(sender: &mut Sender, len: usize) -> bool {
    sender.wait_room_part(len, &endless(), SHORT).unwrap()
}

/// Sends until there is no room, and returns how many messages that took.
fn fill(sender: &mut Sender) -> usize {
    (0..).find(|_| matches!(sender.try_send(b"in the way"), Err(Error::Full { .. }))).unwrap()
}

#[test]
fn a_message_that_was_waited_for_is_still_the_next_one() {
    let name = Name::new("ready-message");
    let (mut master, slave) = pair(&name);
    let (_sender, mut receiver) = slave.into_split();
    assert!(!has_message(&mut receiver));
    master.send(b"a").unwrap();
    master.send(b"b").unwrap();
    for expected in [b"a", b"b"] {
        assert!(has_message(&mut receiver) && has_message(&mut receiver));
        assert_eq!(&*receiver.try_recv().unwrap().unwrap(), expected);
    }
    assert!(!has_message(&mut receiver));
}

#[test]
fn a_wait_for_a_message_releases_none() {
    let name = Name::new("ready-release");
    let (master, slave) = pair(&name);
    let (mut sender, _) = master.into_split();
    let (_sender, mut receiver) = slave.into_split();
    let room = fill(&mut sender);
    assert!(has_message(&mut receiver));
    assert!(matches!(sender.try_send(b"one more"), Err(Error::Full { .. })));
    assert_eq!(receiver.recv_many(usize::MAX, |_| {}).unwrap(), room);
}

#[test]
fn a_value_that_was_waited_for_is_not_counted_as_read() {
    let name = Name::new("ready-value");
    let (mut master, slave) = pair(&name);
    let (_sender, mut receiver) = slave.into_split();
    assert!(!has_value(&mut receiver), "nothing was ever written");
    master.write(b"old").unwrap();
    master.write(b"new").unwrap();
    assert!(has_value(&mut receiver) && has_value(&mut receiver));
    assert_eq!(receiver.stats().unwrap().m2s_read_count, 0);
    let value = receiver.try_read().unwrap().unwrap();
    assert_eq!((&*value, value.skipped()), (&b"new"[..], 1));
    drop(value);
    assert!(!has_value(&mut receiver));
    assert!(!has_message(&mut receiver), "a value is no message");
}

#[test]
fn without_queues_a_message_is_waited_for_in_the_mailbox() {
    let name = Name::new("ready-mailbox");
    let (mut master, slave) = pair_without_queues(&name);
    let (_sender, mut receiver) = slave.into_split();
    assert!(!has_message(&mut receiver));
    master.send(b"a").unwrap();
    assert!(has_message(&mut receiver) && has_message(&mut receiver));
    let message = receiver.try_recv().unwrap().unwrap();
    assert!(!message.is_in_place());
    assert_eq!(&*message, b"a");
    drop(message);
    assert!(!has_message(&mut receiver));
}

#[test]
fn without_queues_there_is_room_once_the_message_was_taken() {
    let name = Name::new("ready-taken");
    let (master, mut slave) = pair_without_queues(&name);
    let (mut sender, _receiver) = master.into_split();
    assert!(has_space(&mut sender, 1));
    sender.send(b"a").unwrap();
    assert!(!has_space(&mut sender, 1));
    assert_eq!(&*slave.recv().unwrap(), b"a");
    assert!(has_space(&mut sender, 1));
}

#[test]
fn a_parked_wait_is_woken() {
    let name = Name::new("ready-woken");
    let (master, slave) = pair(&name);
    let (mut sender, _) = master.into_split();
    let (_sender, mut receiver) = slave.into_split();
    let messages = fill(&mut sender);
    thread::scope(|scope| {
        let room = scope.spawn(|| sender.wait_room_part(1, &endless(), LONG));
        assert_eq!(receiver.recv_many(messages, |_| {}).unwrap(), messages);
        assert!(room.join().unwrap().unwrap());
    });
    thread::scope(|scope| {
        let message = scope.spawn(|| receiver.wait_message_part(&endless(), LONG));
        sender.send(b"a").unwrap();
        assert!(message.join().unwrap().unwrap());
    });
    thread::scope(|scope| {
        let value = scope.spawn(|| receiver.wait_value_part(&endless(), LONG));
        sender.write(b"b").unwrap();
        assert!(value.join().unwrap().unwrap());
    });
}

#[test]
fn a_message_that_is_lent_stays_lent() {
    let name = Name::new("ready-lent");
    let (mut master, slave) = pair(&name);
    let (_sender, mut receiver) = slave.into_split();
    master.send(b"lent").unwrap();
    let message = receiver.try_recv().unwrap().unwrap();
    assert!(message.is_in_place());
    let (start, len) = message.into_raw();
    assert!(!has_message(&mut receiver), "the message that is lent is not the next one");
    thread::scope(|scope| {
        let next = scope.spawn(|| receiver.wait_message_part(&endless(), LONG));
        master.send(b"next").unwrap();
        assert!(next.join().unwrap().unwrap());
    });
    // SAFETY: the message is lent until the next call that receives, and the receiver lives.
    assert_eq!(unsafe { std::slice::from_raw_parts(start, len) }, b"lent");
    assert_eq!(&*receiver.try_recv().unwrap().unwrap(), b"next");
}

#[test]
fn a_wait_for_room_leaves_a_loan_as_it_is() {
    let name = Name::new("ready-loan");
    let (master, mut slave) = pair(&name);
    let (mut sender, _receiver) = master.into_split();
    for len in [3, 3000] {
        let mut loan = sender.loan(len).unwrap();
        loan.fill(7);
        loan.into_raw();
        assert!(has_space(&mut sender, 3) && has_space(&mut sender, 3000));
        sender.send_loaned().unwrap();
        assert_eq!(&*slave.recv().unwrap(), &vec![7; len]);
    }
}

#[test]
fn there_is_room_for_a_long_message_only_in_the_arena() {
    let name = Name::new("ready-arena");
    let (master, mut slave) = pair(&name);
    let (mut sender, _receiver) = master.into_split();
    let most = sender.max_message();
    sender.send(&vec![1; most]).unwrap();
    assert!(!has_space(&mut sender, most));
    assert!(has_space(&mut sender, 1));
    assert_eq!(slave.recv().unwrap().len(), most);
    assert!(has_space(&mut sender, most));
}

#[test]
fn a_message_that_never_fits_is_worth_a_call() {
    let name = Name::new("ready-large");
    let (master, _slave) = pair(&name);
    let (mut sender, _receiver) = master.into_split();
    let most = sender.max_message();
    fill(&mut sender);
    assert!(has_space(&mut sender, most + 1));
    assert!(matches!(sender.try_send(&vec![0; most + 1]), Err(Error::TooLarge { .. })));
}

#[test]
fn what_was_sent_before_a_close_is_announced_before_it() {
    let name = Name::new("ready-close");
    let (mut master, slave) = pair(&name);
    let (mut sender, mut receiver) = slave.into_split();
    fill(&mut sender);
    master.send(b"last").unwrap();
    drop(master);
    assert!(receiver.wait_message_part(&endless(), LONG).unwrap());
    assert_eq!(&*receiver.try_recv().unwrap().unwrap(), b"last");
    let closed = |outcome| assert!(matches!(outcome, Err(Error::PeerClosed { .. })), "{outcome:?}");
    closed(receiver.wait_message_part(&endless(), LONG));
    closed(receiver.wait_value_part(&endless(), LONG));
    closed(sender.wait_room_part(1, &endless(), LONG));
}

#[test]
fn a_wait_goes_on_in_the_segment_of_the_next_master() {
    let name = Name::new("ready-move");
    let (master, slave) = pair(&name);
    let (_sender, mut receiver) = slave.into_split();
    drop(master);
    let mut master = Endpoint::master(&name).unwrap();
    thread::scope(|scope| {
        let arrival = scope.spawn(|| {
            let wait = Wait::new(Some(WATCHDOG));
            loop {
                if receiver.wait_message_part(&wait, LONG).unwrap()
                    && let Some(message) = receiver.try_recv().unwrap()
                {
                    break message.to_vec();
                }
            }
        });
        master.send(b"hello").unwrap();
        assert_eq!(arrival.join().unwrap(), b"hello");
    });
}

#[test]
fn a_whole_wait_ends_with_a_timeout() {
    let name = Name::new("ready-timeout");
    let (mut sender, mut receiver) = Endpoint::master(&name).unwrap().into_split();
    fill(&mut sender);
    let timeout = |outcome| assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
    timeout(receiver.wait_message_part(&Wait::new(Some(SHORT)), LONG));
    timeout(receiver.wait_value_part(&Wait::new(Some(SHORT)), LONG));
    timeout(sender.wait_room_part(1, &Wait::new(Some(SHORT)), LONG));
}
