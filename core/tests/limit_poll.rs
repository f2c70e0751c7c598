//! `Limit::Poll`: what a caller sees that waits for the event descriptor in place of a thread.

mod common;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::legacy::{Heart, Legacy, SLAVE_TO_MASTER, VERSIONS};
use common::{Child, Name, WATCHDOG, poll, say, scenario, told};
use eshm::raw::{Limit, exclusive};
use eshm::{Endpoint, Error, Events, Interest, PeerState, Receiver, Role, Sender};
use nix::poll::{PollFd, PollFlags, PollTimeout};

/// The scenario of this file's child process.
#[test]
fn child() {
    let Some((_, segment)) = scenario() else { return };
    let _master = Endpoint::master(&segment).unwrap();
    say("ready");
    told();
}

fn is_readable(events: &Events) -> bool {
    let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
}

/// Waits until the descriptor is readable.
#[track_caller]
fn wait(events: &Events) {
    let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(WATCHDOG).unwrap();
    assert_eq!(nix::poll::poll(&mut fds, timeout).unwrap(), 1, "the descriptor should be readable");
}

fn recv(receiver: &mut Receiver) -> Result<Option<Vec<u8>>, Error> {
    Ok(exclusive::recv(receiver, Limit::Poll)?.map(|message| message.to_vec()))
}

fn send(sender: &mut Sender) -> Result<(), Error> {
    exclusive::send(sender, b"message", Limit::Poll)
}

/// Attempts, as a task does, whenever the descriptor is readable.
fn attempt<T>(events: &Events, mut verb: impl FnMut() -> Option<T>) -> T {
    loop {
        wait(events);
        if let Some(done) = verb() {
            return done;
        }
    }
}

#[test]
fn a_closed_peer_ends_it_after_the_last_message() {
    let name = Name::new("limit-poll-closed");
    let (mut sender, mut receiver) = Endpoint::master(&name).unwrap().into_split();
    let events = receiver.events(Interest::READABLE | Interest::VALUE).unwrap();
    assert!(recv(&mut receiver).unwrap().is_none());
    let mut slave = Endpoint::slave(&name).unwrap();
    slave.write(b"value").unwrap();
    slave.send(b"last").unwrap();
    slave.close().unwrap();
    assert_eq!(attempt(&events, || recv(&mut receiver).unwrap()), b"last");
    let error = attempt(&events, || recv(&mut receiver).err());
    assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
    assert_eq!(&*exclusive::read(&mut receiver, Limit::Poll).unwrap().unwrap(), b"value");
    let error = exclusive::read(&mut receiver, Limit::Poll).unwrap_err();
    assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
    assert!(
        exclusive::recv(&mut receiver, Limit::Now).unwrap().is_none(),
        "an attempt without a wait goes on"
    );
    let full = |sender: &mut Sender| send(sender).err();
    let error = (0..).find_map(|_| full(&mut sender)).unwrap();
    assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
}

#[test]
fn a_full_queue_is_no_end_and_room_is_rung() {
    let name = Name::new("limit-poll-full");
    let (mut sender, receiver) = Endpoint::master(&name).unwrap().into_split();
    let mut slave = Endpoint::slave(&name).unwrap();
    let events = receiver.events(Interest::WRITABLE).unwrap();
    let error = (0..).find_map(|_| send(&mut sender).err()).unwrap();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    while slave.try_recv().unwrap().is_some() {}
    attempt(&events, || send(&mut sender).ok());
}

/// A task waits for room for a long message, and another one sends a short one meanwhile.
#[test]
fn a_short_message_that_goes_leaves_the_wait_of_a_long_one_to_be_seen() {
    let name = Name::new("limit-poll-short");
    let (mut sender, receiver) = Endpoint::master(&name).unwrap().into_split();
    let mut slave = Endpoint::slave(&name).unwrap();
    let events = receiver.events(Interest::WRITABLE).unwrap();
    let long = vec![7; sender.max_message() / 4];
    sender.wait_for_peer(WATCHDOG).unwrap();
    while exclusive::send(&mut sender, &long, Limit::Poll).is_ok() {}
    let refused = |sender: &mut Sender| exclusive::send(sender, &long, Limit::Poll).is_err();
    poll("quiet", || (refused(&mut sender) && !is_readable(&events)).then_some(()));
    send(&mut sender).unwrap();
    assert!(attempt(&events, || Some(refused(&mut sender))));
    while slave.try_recv().unwrap().is_some() {}
    attempt(&events, || (!refused(&mut sender)).then_some(()));
}

/// A slave whose master was killed waits for the next one, also while the other half reads the descriptor empty.
#[test]
fn a_slave_without_a_master_is_rung_when_it_is_back() {
    let name = Name::new("limit-poll-master");
    let first = Child::start("master", &name);
    first.expect("ready");
    let builder = Endpoint::builder(&name).role(Role::Slave);
    let slave = builder.reconnect_interval(Duration::from_millis(1)).open().unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    let (mut sender, mut receiver) = slave.into_split();
    let events = receiver.events(Interest::READABLE | Interest::WRITABLE).unwrap();
    first.kill();
    poll("the death", || (sender.peer_state() == PeerState::Dead).then_some(()));
    let error = send(&mut sender).unwrap_err();
    assert!(matches!(error, Error::Reconnecting { .. }), "{error}");
    let second = Child::start("master", &name);
    second.expect("ready");
    attempt(&events, || {
        // The half that receives reads the pipe empty, and leaves no ring of the other one unseen.
        assert!(recv(&mut receiver).unwrap().is_none());
        wait(&events);
        send(&mut sender).ok()
    });
}

/// A program that only sends sleeps while there is no master, and is woken by the next one.
#[test]
fn a_sender_without_a_master_does_not_spin() {
    let name = Name::new("limit-poll-sleep");
    let first = Child::start("master", &name);
    first.expect("ready");
    let builder = Endpoint::builder(&name).role(Role::Slave);
    let slave = builder.reconnect_interval(Duration::from_millis(1)).open().unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    let (mut sender, receiver) = slave.into_split();
    let events = receiver.events(Interest::WRITABLE).unwrap();
    first.kill();
    poll("the death", || (sender.peer_state() == PeerState::Dead).then_some(()));
    poll("quiet", || {
        let error = send(&mut sender).unwrap_err();
        assert!(matches!(error, Error::Reconnecting { .. }), "{error}");
        (!is_readable(&events)).then_some(())
    });
    let second = Child::start("master", &name);
    second.expect("ready");
    attempt(&events, || send(&mut sender).ok());
}

/// The limit of a wait for a reader of ESHM 1.x is that of one message, and begins with its first refusal.
#[test]
fn a_legacy_reader_that_takes_each_message_late_loses_none() {
    let name = Name::new("limit-poll-late");
    let segment = Legacy::make(&name, 3);
    let _heart = Heart::of(&name, Role::Master);
    let (mut sender, _receiver) = Endpoint::slave(&name).unwrap().into_split();
    let full = |sender: &mut Sender| match send(sender) {
        Err(Error::Full { .. }) => {}
        outcome => panic!("{outcome:?}"),
    };
    send(&mut sender).unwrap();
    full(&mut sender);
    let refused = Instant::now();
    segment.read(SLAVE_TO_MASTER);
    // By a call that does not wait for the descriptor.
    exclusive::send(&mut sender, b"message", Limit::Now).unwrap();
    poll("the limit of the first refusal", || {
        (refused.elapsed() > Duration::from_millis(1100)).then_some(())
    });
    full(&mut sender);
    segment.read(SLAVE_TO_MASTER);
    send(&mut sender).unwrap();
}

/// A reader of ESHM 1.x may never take a message, and a wait for it has a limit.
#[test]
fn a_legacy_reader_that_takes_nothing_ends_it() {
    for version in VERSIONS {
        let name = Name::new("limit-poll-legacy");
        let _segment = Legacy::make(&name, version);
        let _heart = Heart::of(&name, Role::Master);
        let (mut sender, receiver) = Endpoint::slave(&name).unwrap().into_split();
        let events = receiver.events(Interest::WRITABLE).unwrap();
        send(&mut sender).unwrap();
        let begun = Instant::now();
        let error = send(&mut sender).unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
        let error = attempt(&events, || match send(&mut sender) {
            Err(Error::Full { .. }) => None,
            outcome => Some(outcome.unwrap_err()),
        });
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        assert!(begun.elapsed() >= Duration::from_secs(1));
        send(&mut sender).unwrap();
    }
}
