//! Event descriptors: what makes them readable, what makes them unreadable, and what they outlive.

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use common::{Child, Name, WATCHDOG, poll, say, scenario, told};
use eshm::{Domain, Endpoint, Error, Events, Interest, PeerState, Role};
use nix::poll::{PollFd, PollFlags, PollTimeout};

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match scenario.as_str() {
        "sender" => {
            let mut slave = Endpoint::slave(&segment).unwrap();
            say("ready");
            loop {
                slave.send(told().as_bytes()).unwrap();
                say("sent");
            }
        }
        "waiter" => {
            let mut slave = Endpoint::slave(&segment).unwrap();
            let events = slave.events(Interest::READABLE).unwrap();
            assert!(slave.try_recv().unwrap().is_none());
            say("armed");
            wait(&events);
            let text = slave.try_recv().unwrap().expect("a message").text().unwrap();
            // The message is released: it is not received again.
            say(text);
            told();
        }
        "master" => {
            let mut master = Endpoint::master(&segment).unwrap();
            say("ready");
            loop {
                let word = told();
                if word == "close" {
                    break;
                }
                master.send(word.as_bytes()).unwrap();
                say("sent");
            }
        }
        other => panic!("no scenario {other}"),
    }
}

fn is_readable(events: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
}

/// Waits until the descriptor is readable.
#[track_caller]
fn wait(events: &impl AsFd) {
    let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(WATCHDOG).unwrap();
    assert_eq!(nix::poll::poll(&mut fds, timeout).unwrap(), 1, "the descriptor should be readable");
}

/// Calls a verb that finds nothing until the descriptor stays unreadable: a change of the peer's state may still come in.
fn quiet(events: &Events, mut verb: impl FnMut()) {
    poll("quiet", || {
        events.peer_state();
        verb();
        (!is_readable(events)).then_some(())
    });
}

fn pair(name: &Name) -> (Endpoint, Endpoint) {
    let (master, slave) = (Endpoint::master(name).unwrap(), Endpoint::slave(name).unwrap());
    master.wait_for_peer(WATCHDOG).unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    (master, slave)
}

fn empty(endpoint: &mut Endpoint) {
    assert!(endpoint.try_recv().unwrap().is_none());
}

/// The FIFOs in the directory, by their names.
fn fifos() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev/shm").unwrap().map_while(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_fifo()))
        .map(|entry| entry.path())
        .collect()
}

fn fifo_of(name: &str, role: char) -> PathBuf {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("/dev/shm/eshm_.eshm-tmp-bell-{role}-{hash:016x}").into()
}

#[test]
fn a_message_makes_it_readable_until_a_verb_finds_nothing() {
    let name = Name::new("events-message");
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::READABLE).unwrap();
    assert!(is_readable(&events), "a new descriptor is not armed yet");
    quiet(&events, || empty(&mut slave));
    for text in ["one", "two"] {
        master.send(text.as_bytes()).unwrap();
        wait(&events);
        master.send(b"more").unwrap();
        assert_eq!(slave.recv().unwrap(), text.as_bytes());
        assert!(is_readable(&events));
        assert_eq!(slave.recv().unwrap(), b"more");
        quiet(&events, || empty(&mut slave));
    }
}

#[test]
fn a_value_makes_it_readable() {
    let name = Name::new("events-value");
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::VALUE).unwrap();
    quiet(&events, || assert!(slave.try_read().unwrap().is_none()));
    master.write(b"value").unwrap();
    wait(&events);
    assert_eq!(slave.try_read().unwrap().unwrap(), b"value");
    quiet(&events, || assert!(slave.try_read().unwrap().is_none()));
}

/// A verb of one kind does not hide an event of another.
#[test]
fn each_kind_of_interest_is_level_triggered_for_itself() {
    let name = Name::new("events-kinds");
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::VALUE | Interest::READABLE).unwrap();
    let both_empty = |slave: &mut Endpoint| {
        empty(slave);
        assert!(slave.try_read().unwrap().is_none());
    };
    quiet(&events, || both_empty(&mut slave));
    master.write(b"value").unwrap();
    empty(&mut slave);
    wait(&events);
    assert_eq!(slave.try_read().unwrap().unwrap(), b"value");
    quiet(&events, || both_empty(&mut slave));
    master.send(b"message").unwrap();
    assert!(slave.try_read().unwrap().is_none());
    wait(&events);
    assert_eq!(slave.try_recv().unwrap().unwrap(), b"message");
    quiet(&events, || both_empty(&mut slave));
}

#[test]
fn without_a_queue_messages_arrive_in_the_mailbox() {
    let name = Name::new("events-mailbox");
    let builder = Endpoint::builder(&name).queue_capacity(0);
    let mut master = builder.clone().role(Role::Master).open().unwrap();
    let mut slave = builder.role(Role::Slave).open().unwrap();
    let events = slave.events(Interest::READABLE).unwrap();
    quiet(&events, || empty(&mut slave));
    master.send(b"message").unwrap();
    wait(&events);
    assert_eq!(slave.try_recv().unwrap().unwrap(), b"message");
    quiet(&events, || empty(&mut slave));
}

#[test]
fn a_change_of_the_peer_makes_it_readable_until_it_is_noticed() {
    let name = Name::new("events-peer");
    let mut master = Endpoint::master(&name).unwrap();
    let events = master.events(Interest::READABLE | Interest::PEER).unwrap();
    assert_eq!(events.peer_state(), PeerState::Absent);
    empty(&mut master);
    assert!(!is_readable(&events));
    let slave = Endpoint::slave(&name).unwrap();
    wait(&events);
    empty(&mut master);
    assert!(is_readable(&events), "a verb that finds nothing does not hide it");
    assert_eq!(events.peer_state(), PeerState::Alive);
    empty(&mut master);
    assert!(!is_readable(&events));
    drop(slave);
    wait(&events);
    assert_eq!(events.peer_state(), PeerState::Closed);
}

/// Whoever waits for the peer alone calls no other verb.
#[test]
fn a_state_that_was_noticed_makes_it_unreadable() {
    let name = Name::new("events-peer-alone");
    let mut master = Endpoint::master(&name).unwrap();
    let events = master.events(Interest::PEER).unwrap();
    quiet(&events, || assert_eq!(events.peer_state(), PeerState::Absent));
    let mut slave = Endpoint::slave(&name).unwrap();
    wait(&events);
    poll("the slave", || (events.peer_state() == PeerState::Alive).then_some(()));
    quiet(&events, || assert_eq!(events.peer_state(), PeerState::Alive));
    // It leaves what is due to others: here a message.
    let events = master.events(Interest::PEER | Interest::READABLE).unwrap();
    quiet(&events, || empty(&mut master));
    slave.send(b"message").unwrap();
    wait(&events);
    assert_eq!(events.peer_state(), PeerState::Alive);
    assert!(is_readable(&events));
    assert_eq!(master.try_recv().unwrap().unwrap(), b"message");
    quiet(&events, || empty(&mut master));
    master.inspector().stop();
    wait(&events);
    let _ = events.peer_state();
    assert!(is_readable(&events), "the next verb says that it is stopped");
}

#[test]
fn it_wakes_for_another_process_and_for_its_end() {
    let name = Name::new("events-kill");
    let mut master = Endpoint::master(&name).unwrap();
    let mut child = Child::start("sender", &name);
    child.expect("ready");
    master.wait_for_peer(WATCHDOG).unwrap();
    let events = master.events(Interest::READABLE | Interest::PEER).unwrap();
    quiet(&events, || empty(&mut master));
    for text in ["one", "two", "three"] {
        child.tell(text);
        wait(&events);
        assert_eq!(master.try_recv().unwrap().unwrap(), text.as_bytes());
        quiet(&events, || empty(&mut master));
    }
    child.kill();
    wait(&events);
    empty(&mut master);
    poll("the end", || (events.peer_state() == PeerState::Dead).then_some(()));
}

/// The FIFO of a killed process is removed by its peer, and its successor makes another.
#[test]
fn a_killed_waiter_leaves_nothing_and_its_successor_is_rung() {
    let name = Name::new("events-successor");
    let mut master = Endpoint::master(&name).unwrap();
    for text in ["one", "two"] {
        let child = Child::start("waiter", &name);
        child.expect("armed");
        assert!(fifos().contains(&fifo_of(&name, 's')));
        master.send(text.as_bytes()).unwrap();
        child.expect(text);
        child.kill();
        poll("the removal", || (!fifos().contains(&fifo_of(&name, 's'))).then_some(()));
    }
}

/// A master that closes before it has noticed the end of its slave leaves nothing of it either.
#[test]
fn a_close_removes_the_fifo_of_a_peer_that_was_just_killed() {
    let name = Name::new("events-just-killed");
    let master = Endpoint::builder(&name).role(Role::Master).background(false).open().unwrap();
    let child = Child::start("waiter", &name);
    child.expect("armed");
    assert!(fifos().contains(&fifo_of(&name, 's')));
    child.kill();
    master.close().unwrap();
    assert!(!fifos().contains(&fifo_of(&name, 's')));
}

/// The descriptor stays the same while the master is replaced, in place and by another segment.
#[test]
fn it_outlives_the_master() {
    let name = Name::new("events-restart");
    let master = Child::start("master", &name);
    master.expect("ready");
    let builder = Endpoint::builder(&name).role(Role::Slave);
    let mut slave = builder.reconnect_interval(Duration::from_millis(1)).open().unwrap();
    let events = slave.events(Interest::READABLE).unwrap();
    quiet(&events, || empty(&mut slave));
    master.kill();
    let mut master = Child::start("master", &name);
    master.expect("ready");
    let receive = |slave: &mut Endpoint, text: &str| {
        loop {
            wait(&events);
            if let Some(message) = slave.try_recv().unwrap() {
                return assert_eq!(message, text.as_bytes());
            }
        }
    };
    master.tell("taken over");
    receive(&mut slave, "taken over");
    master.tell("close");
    assert!(master.ended().success());
    let mut master = Endpoint::master(&name).unwrap();
    let sent = thread::spawn(move || master.send(b"replaced").map(|()| master));
    receive(&mut slave, "replaced");
    drop(sent.join().unwrap().unwrap());
}

#[test]
fn a_stop_a_close_and_a_removed_fifo() {
    let name = Name::new("events-close");
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::READABLE).unwrap();
    quiet(&events, || empty(&mut slave));
    // The background thread rings if the peer cannot.
    fs::remove_file(fifo_of(&name, 's')).unwrap();
    master.send(b"late").unwrap();
    wait(&events);
    assert_eq!(slave.try_recv().unwrap().unwrap(), b"late");
    quiet(&events, || empty(&mut slave));
    slave.inspector().stop();
    assert!(is_readable(&events));
    assert!(matches!(slave.try_recv(), Err(Error::Closed { .. })));
    assert!(is_readable(&events), "the error stays");
    drop(slave);
    assert!(is_readable(&events));
    let events = master.events(Interest::READABLE).unwrap();
    assert!(fifo_of(&name, 'm').exists());
    drop(master);
    assert!(!fifo_of(&name, 'm').exists());
    assert!(is_readable(&events));
}

/// Many messages of a thread that does not wait, taken by one that waits for each: none is missed.
#[test]
fn no_message_of_a_fast_sender_is_missed() {
    let name = Name::new("events-fast");
    let (mut master, mut slave) = pair(&name);
    const COUNT: u32 = 20_000;
    let sending = thread::spawn(move || {
        for number in 0..COUNT {
            master.send(&number.to_ne_bytes()).unwrap();
            if number % 64 == 0 {
                thread::yield_now();
            }
        }
        master
    });
    let events = slave.events(Interest::READABLE).unwrap();
    let mut next = 0_u32;
    while next < COUNT {
        wait(&events);
        while let Some(message) = slave.try_recv().unwrap() {
            assert_eq!(message, next.to_ne_bytes());
            next += 1;
        }
    }
    drop(sending.join().unwrap());
}

/// What a killed pair leaves is removed with its segment.
#[test]
fn remove_dead_removes_the_fifos_of_segments_that_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let domain = Domain::new(directory.path(), "p_").unwrap();
    let open = |role| Endpoint::builder("robot").domain(domain.clone()).role(role).open().unwrap();
    let (master, slave) = (open(Role::Master), open(Role::Slave));
    let events = [master.events(Interest::READABLE).unwrap(), slave.events(Interest::READABLE).unwrap()];
    let stray = directory.path().join("p_.eshm-tmp-bell-m-0123456789abcdef");
    nix::unistd::mkfifo(&stray, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(domain.segments().unwrap().len(), 1, "a FIFO is no segment");
    let count = || fs::read_dir(directory.path()).unwrap().count();
    assert!(domain.find_dead().unwrap().removed.is_empty());
    assert_eq!(count(), 4);
    domain.remove_dead().unwrap();
    assert_eq!(count(), 3, "those of a living segment stay");
    fs::remove_file(directory.path().join("p_robot")).unwrap();
    domain.remove_dead().unwrap();
    assert_eq!(count(), 2, "those of living endpoints stay, too");
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    drop((master, slave, events));
    assert_eq!(count(), 0);
    // As if they had been killed.
    for name in names {
        nix::unistd::mkfifo(&name, nix::sys::stat::Mode::S_IRUSR).unwrap();
    }
    domain.remove_dead().unwrap();
    assert_eq!(count(), 0);
}

/// After a refused message the descriptor becomes readable when the peer has made room, and stays so until the sender tries.
#[test]
fn room_makes_it_readable_after_a_refusal() {
    for queue in [0, 4096] {
        let name = Name::new("events-room");
        let builder = Endpoint::builder(&name).queue_capacity(queue);
        let mut master = builder.clone().role(Role::Master).open().unwrap();
        let mut slave = builder.role(Role::Slave).open().unwrap();
        slave.wait_for_peer(WATCHDOG).unwrap();
        let events = master.events(Interest::WRITABLE | Interest::READABLE).unwrap();
        quiet(&events, || empty(&mut master));
        for _ in 0..3 {
            while master.try_send(b"fill").is_ok() {}
            quiet(&events, || empty(&mut master));
            assert_eq!(slave.recv().unwrap(), b"fill");
            wait(&events);
            empty(&mut master);
            wait(&events);
            master.try_send(b"fill").unwrap();
            quiet(&events, || empty(&mut master));
            while slave.try_recv().unwrap().is_some() {}
        }
        master.try_send_many(&[b"fill"; 5000]).unwrap_err();
        quiet(&events, || empty(&mut master));
        assert_eq!(slave.recv().unwrap(), b"fill");
        wait(&events);
    }
}
