//! Ending the calls of an endpoint from another thread.

mod common;

use std::thread;

use common::{Name, WATCHDOG, poll, within};
use eshm::{Builder, Endpoint, Error, Role, WaitStrategy};

fn open(name: &str, role: Role, set: impl FnOnce(Builder) -> Builder) -> Endpoint {
    set(Endpoint::builder(name).role(role).queue_capacity(1024)).open().unwrap()
}

/// A call that waits, as its error.
type Call = fn(&mut Endpoint) -> Option<Error>;

/// Every call that waits, of an endpoint whose outgoing queue is full and whose incoming one is empty.
const WAITING: [(&str, Call); 10] = [
    ("recv", |end| end.recv().err()),
    ("recv_timeout", |end| end.recv_timeout(WATCHDOG * 2).err()),
    ("recv_many", |end| end.recv_many(8, |_| ()).err()),
    ("read", |end| end.read().err()),
    ("read_timeout", |end| end.read_timeout(WATCHDOG * 2).err()),
    ("send", |end| end.send(&[0; 1000]).err()),
    ("send_timeout", |end| end.send_timeout(&[0; 1000], WATCHDOG * 2).err()),
    ("send_many", |end| end.send_many(&[[0; 1000], [0; 1000]]).err().map(|error| error.source)),
    ("loan", |end| end.loan(1000).err()),
    ("wait_for_peer", |end| end.wait_for_peer(WATCHDOG * 2).err()),
];

/// Stops an endpoint while `call` waits on it, and asserts that this ends the call.
fn assert_stop_ends(what: &str, call: Call, set: impl Fn(Builder) -> Builder) {
    let name = Name::new("stop");
    let mut master = open(&name, Role::Master, set);
    while master.try_send(&[0; 1000]).is_ok() {}
    let inspector = master.inspector();
    let waiting = thread::spawn(move || (call(&mut master), master));
    inspector.stop();
    let ended = within(WATCHDOG, move || waiting.join().unwrap());
    let (error, mut master) = ended.unwrap_or_else(|| panic!("{what} did not end"));
    assert!(matches!(error, Some(Error::Closed { .. })), "{what}: {error:?}");
    assert!(matches!(call(&mut master), Some(Error::Closed { .. })), "{what}, called later");
    assert!(inspector.stats().is_ok(), "questions are answered until the close");
}

#[test]
fn a_stop_ends_every_call_that_waits() {
    for (what, call) in WAITING {
        assert_stop_ends(what, call, |builder| builder);
    }
}

#[test]
fn a_stop_ends_calls_whatever_the_wait_strategy() {
    for strategy in
        [WaitStrategy::Adaptive, WaitStrategy::Spin, WaitStrategy::SpinThenPark, WaitStrategy::Park]
    {
        for (what, call) in [WAITING[0], WAITING[3], WAITING[5]] {
            assert_stop_ends(what, call, |builder| builder.wait(strategy));
        }
    }
}

#[test]
fn a_stop_ends_calls_without_queues_and_without_the_background_thread() {
    for (what, call) in WAITING {
        assert_stop_ends(what, call, |builder| builder.queue_capacity(0));
        assert_stop_ends(what, call, |builder| builder.background(false));
    }
}

#[test]
fn a_stopped_endpoint_keeps_its_seat_and_its_messages_until_it_is_closed() {
    let name = Name::new("stop-keeps");
    let mut master = Endpoint::master(&name).unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    master.send(b"for whoever comes").unwrap();
    slave.inspector().stop();
    slave.inspector().stop();
    assert!(matches!(slave.try_recv(), Err(Error::Closed { .. })));
    assert!(matches!(slave.try_send(b"x"), Err(Error::Closed { .. })));
    assert!(matches!(slave.write(b"x"), Err(Error::Closed { .. })));
    master.wait_for_peer(WATCHDOG).unwrap();
    assert!(matches!(Endpoint::slave(&name), Err(Error::SeatTaken { .. })));
    assert_eq!(slave.close().unwrap(), 0);
    let mut successor = Endpoint::slave(&name).unwrap();
    assert_eq!(&*successor.recv_timeout(WATCHDOG).unwrap().unwrap(), b"for whoever comes");
}

#[test]
fn a_stopped_slave_stays_stopped_when_it_finds_a_new_master() {
    let name = Name::new("stop-moves");
    let master = Endpoint::master(&name).unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    let inspector = slave.inspector();
    inspector.stop();
    master.close().unwrap();
    let _master = Endpoint::master(&name).unwrap();
    poll("the move to the new master", || (inspector.stats().unwrap().reconnects > 0).then_some(()));
    assert!(matches!(slave.try_recv(), Err(Error::Closed { .. })));
}
