//! Waits in parts, where the test sets the end of the whole wait or takes a loan or a message apart.

use std::time::Duration;

use crate::wait::Wait;
use crate::{Endpoint, Error, Receiver, Sender};

/// Long enough that a wait which ends before it was woken.
const LONG: Duration = Duration::from_secs(30);
/// For waits that are to end by themselves.
const SHORT: Duration = Duration::from_millis(2);

fn name(test: &str) -> String {
    format!("unit-api-{test}-{}", std::process::id())
}

/// Sends until there is no room.
fn fill(sender: &mut Sender) {
    while sender.try_send(b"in the way").is_ok() {}
    assert!(matches!(sender.try_send(b"in the way"), Err(Error::Full { .. })));
}

fn has_message(receiver: &mut Receiver) -> bool {
    receiver.wait_message_part(&Wait::new(None), SHORT).unwrap()
}

fn has_space(sender: &mut Sender, len: usize) -> bool {
    sender.wait_room_part(len, &Wait::new(None), SHORT).unwrap()
}

#[test]
fn a_whole_wait_ends_with_a_timeout() {
    let (mut sender, mut receiver) = Endpoint::master(&name("timeout")).unwrap().into_split();
    fill(&mut sender);
    let timeout = |outcome| assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
    timeout(receiver.wait_message_part(&Wait::new(Some(SHORT)), LONG));
    timeout(receiver.wait_value_part(&Wait::new(Some(SHORT)), LONG));
    timeout(sender.wait_room_part(1, &Wait::new(Some(SHORT)), LONG));
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
fn a_wait_for_room_leaves_a_loan_as_it_is() {
    let name = name("loan");
    let (mut sender, _receiver) = Endpoint::master(&name).unwrap().into_split();
    let mut slave = Endpoint::slave(&name).unwrap();
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
fn a_message_that_is_lent_stays_lent() {
    let name = name("lent");
    let mut master = Endpoint::master(&name).unwrap();
    let (_sender, mut receiver) = Endpoint::slave(&name).unwrap().into_split();
    master.send(b"lent").unwrap();
    let message = receiver.try_recv().unwrap().unwrap();
    assert!(message.is_in_place());
    let (start, len) = message.into_raw();
    assert!(!has_message(&mut receiver), "the message that is lent is not the next one");
    std::thread::scope(|scope| {
        let next = scope.spawn(|| receiver.wait_message_part(&Wait::new(None), LONG));
        master.send(b"next").unwrap();
        assert!(next.join().unwrap().unwrap());
    });
    // SAFETY: the message is lent until the next call that receives, and the receiver lives.
    assert_eq!(unsafe { std::slice::from_raw_parts(start, len) }, b"lent");
    assert_eq!(&*receiver.try_recv().unwrap().unwrap(), b"next");
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
