//! Starting, meeting, leaving and starting again, within one process.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use common::{Name, WATCHDOG, poll};
use eshm::raw::exclusive;
use eshm::{Builder, Endpoint, Error, PeerState, Role};

fn master(name: &str) -> Builder {
    Endpoint::builder(name).role(Role::Master)
}

fn slave(name: &str) -> Builder {
    Endpoint::builder(name).role(Role::Slave)
}

fn assert_talk(one: &mut Endpoint, other: &mut Endpoint) {
    one.send(b"ping").unwrap();
    assert_eq!(&*other.recv_timeout(WATCHDOG).unwrap().unwrap(), b"ping");
    other.send(b"pong").unwrap();
    assert_eq!(&*one.recv_timeout(WATCHDOG).unwrap().unwrap(), b"pong");
}

/// The next message, and its sender's generation.
fn receive(endpoint: &mut Endpoint) -> (Vec<u8>, u64) {
    let message = endpoint.recv_timeout(WATCHDOG).unwrap().unwrap();
    (message.to_vec(), message.generation())
}

#[test]
fn master_and_slave_know_each_other_and_talk() {
    let name = Name::new("talk");
    let mut master = Endpoint::master(&name).unwrap();
    assert_eq!((master.name(), master.role(), master.data_size()), (&*name, Role::Master, 4096));
    assert_eq!(master.peer_state(), PeerState::Absent);
    let mut slave = Endpoint::slave(&name).unwrap();
    assert_eq!((slave.name(), slave.role(), slave.data_size()), (&*name, Role::Slave, 4096));
    master.wait_for_peer(WATCHDOG).unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    assert_talk(&mut master, &mut slave);
    assert!(!master.peer_is_legacy() && !slave.peer_is_legacy());
    master.write(b"value").unwrap();
    assert_eq!(&*slave.read().unwrap(), b"value");
    slave.write(b"value").unwrap();
    assert_eq!(&*master.read().unwrap(), b"value");
    let stats = master.stats().unwrap();
    assert_eq!((stats.m2s_write_count, stats.m2s_read_count), (1, 1));
    assert_eq!((stats.s2m_write_count, stats.s2m_read_count), (1, 1));
    let pid = std::process::id() as i32;
    assert_eq!((stats.master_pid, stats.slave_pid), (pid, pid));
}

#[test]
fn a_taken_seat_is_refused_with_its_pid() {
    let name = Name::new("seat");
    let _master = Endpoint::master(&name).unwrap();
    let _slave = Endpoint::slave(&name).unwrap();
    for role in [Role::Master, Role::Slave] {
        let error = Endpoint::builder(&name).role(role).open().unwrap_err();
        assert_eq!(error.code(), -15);
        match error {
            Error::SeatTaken { segment, role: found, pid } => {
                assert_eq!((&*segment, found, pid), (&*name, role, std::process::id() as i32));
            }
            other => panic!("{other}"),
        }
    }
    // Auto finds both seats taken.
    assert_eq!(Endpoint::auto(&name).unwrap_err().code(), -15);
    assert!(name.exists());
}

#[test]
fn a_left_seat_is_free_at_once() {
    let name = Name::new("left");
    let mut master = Endpoint::master(&name).unwrap();
    for _ in 0..20 {
        let mut slave = Endpoint::slave(&name).unwrap();
        assert_talk(&mut master, &mut slave);
        slave.close().unwrap();
    }
    assert!(master.generation() >= 20);
}

#[test]
fn a_slave_waits_for_its_master() {
    let name = Name::new("waits");
    thread::scope(|scope| {
        let slave = scope.spawn(|| slave(&name).connect_timeout(WATCHDOG).open());
        let mut master = Endpoint::master(&name).unwrap();
        let mut slave = slave.join().unwrap().unwrap();
        assert_talk(&mut master, &mut slave);
    });
}

#[test]
fn a_slave_that_shall_not_wait_does_not() {
    let name = Name::new("zero");
    let error = slave(&name).connect_timeout(Duration::ZERO).open().unwrap_err();
    assert_eq!(error.code(), -3);
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(!name.exists());
}

#[test]
fn a_slave_waits_no_longer_than_it_shall() {
    let name = Name::new("patience");
    let patience = Duration::from_millis(20);
    match slave(&name).connect_timeout(patience).open() {
        Err(Error::NotFound { waited, .. }) => assert!(waited >= patience),
        other => panic!("{other:?}"),
    }
}

#[test]
fn close_drop_and_panic_leave_nothing_behind() {
    let name = Name::new("clean");
    Endpoint::master(&name).unwrap().close().unwrap();
    assert!(!name.exists(), "after a close");
    drop(Endpoint::master(&name).unwrap());
    assert!(!name.exists(), "after a drop");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _master = Endpoint::master(&name).unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err() && !name.exists(), "after a panic");
    let (sender, receiver) = Endpoint::master(&name).unwrap().into_split();
    drop(sender);
    assert!(name.exists(), "one half is still there");
    drop(receiver);
    assert!(!name.exists(), "after the last half's drop");
}

#[test]
fn a_slave_and_a_master_told_so_leave_the_segment_alone() {
    let name = Name::new("keeps");
    let kept = master(&name).auto_cleanup(false).open().unwrap();
    Endpoint::slave(&name).unwrap().close().unwrap();
    assert!(name.exists(), "after a slave's close");
    kept.close().unwrap();
    assert!(name.exists(), "after the close of a master with auto_cleanup(false)");
}

#[test]
fn a_closed_peer_is_seen_once_everything_is_read() {
    for role in [Role::Master, Role::Slave] {
        let name = Name::new("closed");
        let (master, slave) = (Endpoint::master(&name).unwrap(), Endpoint::slave(&name).unwrap());
        let (mut leaver, mut stayer) = if role == Role::Master { (master, slave) } else { (slave, master) };
        leaver.send(b"the last words").unwrap();
        leaver.close().unwrap();
        assert_eq!(&*stayer.recv().unwrap(), b"the last words");
        match stayer.recv() {
            Err(Error::PeerClosed { peer, .. }) => assert_eq!(peer, role),
            other => panic!("{other:?}"),
        }
        assert_eq!(stayer.peer_state(), PeerState::Closed);
        assert_eq!(stayer.read().unwrap_err().code(), -16);
        assert!(stayer.recv_timeout(Duration::from_millis(1)).unwrap().is_none(), "timed calls wait");
    }
}

#[test]
fn a_waiting_receiver_and_a_waiting_sender_learn_of_a_close() {
    let name = Name::new("waiting");
    let mut master = master(&name).queue_capacity(0).open().unwrap();
    let slave = Endpoint::slave(&name).unwrap();
    master.send(b"never taken").unwrap();
    let (mut sender, mut receiver) = master.into_split();
    thread::scope(|scope| {
        let received = scope.spawn(move || receiver.recv().map(drop));
        let sent = scope.spawn(move || sender.send(b"never sent"));
        slave.close().unwrap();
        assert_eq!(received.join().unwrap().unwrap_err().code(), -16);
        assert_eq!(sent.join().unwrap().unwrap_err().code(), -16);
    });
}

#[test]
fn a_slave_that_wants_another_size_is_refused() {
    let name = Name::new("size");
    let master = master(&name).data_size(1000).open().unwrap();
    assert_eq!(master.data_size(), 1000);
    match slave(&name).data_size(1001).open() {
        Err(Error::Foreign { found, expected, .. }) => {
            assert!(found.contains("1000") && expected.contains("1001"), "{found} / {expected}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(slave(&name).data_size(1000).open().unwrap().data_size(), 1000);
}

#[test]
fn a_message_too_large_is_refused_and_nothing_is_written() {
    for queue in [0, 100] {
        let name = Name::new("large");
        let mut master = master(&name).data_size(100).queue_capacity(queue).open().unwrap();
        let mut slave = Endpoint::slave(&name).unwrap();
        let large = [1; 101];
        let timeout = Duration::from_secs(1);
        let results = [
            master.write(&large),
            master.send(&large),
            master.try_send(&large),
            master.send_timeout(&large, timeout),
        ];
        for result in results {
            assert!(matches!(result, Err(Error::TooLarge { size: 101, capacity: 100, .. })), "{result:?}");
        }
        assert!(slave.try_read().unwrap().is_none() && slave.try_recv().unwrap().is_none());
        master.send(&[2; 100]).unwrap();
        assert_eq!(&*slave.recv().unwrap(), [2; 100]);
    }
}

/// Without queues there is one message in flight; with them, as many as they hold.
#[test]
fn a_full_channel_makes_the_sender_wait_and_loses_nothing() {
    for queue in [0, 4096] {
        let name = Name::new("full");
        let mut master = master(&name).queue_capacity(queue).open().unwrap();
        let mut slave = Endpoint::slave(&name).unwrap();
        let sent =
            (0u32..).take_while(|number| master.try_send(&number.to_ne_bytes()).is_ok()).count() as u32;
        assert!(if queue == 0 { sent == 1 } else { sent > 1 }, "{sent}");
        assert_eq!(master.try_send(b"refused").unwrap_err().code(), -12);
        let timeout = Duration::from_millis(5);
        match master.send_timeout(b"refused", timeout) {
            Err(Error::Timeout { waited, .. }) => assert!(waited >= timeout),
            other => panic!("{other:?}"),
        }
        for number in 0..sent {
            assert_eq!(&*slave.recv().unwrap(), number.to_ne_bytes());
        }
        assert!(slave.try_recv().unwrap().is_none(), "a refused message was sent");
        master.try_send(b"two").unwrap();
        assert_eq!(&*slave.recv().unwrap(), b"two");
    }
}

/// A slave that is attached when its master closes and another makes a new segment.
#[test]
fn a_slave_follows_to_a_segment_of_another_size() {
    let name = Name::new("follows");
    let mut first = master(&name).auto_cleanup(false).open().unwrap();
    let mut slave = slave(&name).reconnect_interval(Duration::from_millis(1)).open().unwrap();
    assert_talk(&mut first, &mut slave);
    let before = slave.generation();
    first.close().unwrap();
    poll("the slave's notice", || (slave.peer_state() == PeerState::Closed).then_some(()));

    let mut second = master(&name).data_size(8192).open().unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    second.send(&[7; 8192]).unwrap();
    let (bytes, generation) = receive(&mut slave);
    assert_eq!(bytes, [7; 8192]);
    assert!(generation > before, "{generation} > {before}");
    assert_eq!(slave.data_size(), 8192);
    assert_talk(&mut second, &mut slave);
    assert!(slave.stats().unwrap().reconnects > 0);
}

/// As above, and the message that the first master left unread is delivered first, as the first master's.
#[test]
fn what_the_first_master_left_is_read_before_what_the_second_sends() {
    let name = Name::new("order");
    let mut first = Endpoint::master(&name).unwrap();
    let mut slave = slave(&name).reconnect_interval(Duration::from_millis(1)).open().unwrap();
    assert_talk(&mut first, &mut slave);
    let before = slave.generation();
    first.send(b"of the first").unwrap();
    first.close().unwrap();
    poll("the slave's notice", || (slave.peer_state() == PeerState::Closed).then_some(()));

    let mut second = Endpoint::master(&name).unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    second.send(b"of the second").unwrap();
    assert_eq!(receive(&mut slave), (b"of the first".to_vec(), before));
    let (bytes, generation) = receive(&mut slave);
    assert_eq!(bytes, b"of the second");
    assert!(generation > before, "{generation} > {before}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let name = Name::new("settings");
    let ms = Duration::from_millis;
    let hour = Duration::from_secs(3600);
    for builder in [
        master(&name).data_size(0),
        master(&name).data_size(eshm::MAX_DATA_SIZE + 1),
        master(&name).heartbeat_interval(Duration::ZERO),
        master(&name).heartbeat_interval(ms(1001)),
        master(&name).heartbeat_interval(ms(6)).stale_threshold(ms(5)),
        master(&name).stale_threshold(Duration::ZERO),
        master(&name).stale_threshold(hour + ms(1)),
        master(&name).reconnect_interval(Duration::ZERO),
        master(&name).mode(0o1600),
        master(&name).mode(0o066),
    ] {
        let shown = format!("{builder:?}");
        assert_eq!(builder.open().map_err(|error| error.code()).unwrap_err(), -1, "{shown}");
        assert!(!name.exists(), "{shown}");
    }
}

#[test]
fn the_smallest_and_an_odd_data_size_work() {
    for size in [1, 7, 4097] {
        let name = Name::new("sizes");
        let mut master = master(&name).data_size(size).open().unwrap();
        let mut slave = Endpoint::slave(&name).unwrap();
        assert_eq!(slave.data_size(), size);
        for len in [size, 0] {
            master.send(&vec![9; len]).unwrap();
            assert_eq!(&*slave.recv().unwrap(), vec![9; len]);
        }
    }
}

/// A mailbox shows a newcomer the current value; `recv` gives each message to one receiver only.
#[test]
fn a_newcomer_reads_the_latest_value_but_receives_only_what_was_not_taken() {
    let name = Name::new("newcomer");
    let mut master = Endpoint::master(&name).unwrap();
    master.write(b"zero").unwrap();
    master.write(b"one").unwrap();
    let mut first = Endpoint::slave(&name).unwrap();
    {
        let message = first.read_timeout(WATCHDOG).unwrap().unwrap();
        assert_eq!((&*message, message.skipped()), (&b"one"[..], 1));
    }
    first.close().unwrap();
    let mut second = Endpoint::slave(&name).unwrap();
    assert_eq!(&*second.try_read().unwrap().unwrap(), b"one");
    second.close().unwrap();
    assert!(Endpoint::slave(&name).unwrap().try_recv().unwrap().is_none());
}

/// A loan lies in the segment that was there when it was made: once that is replaced, nobody would look into it.
#[test]
fn a_loan_in_a_segment_that_was_replaced_is_not_sent_into_the_void() {
    let name = Name::new("loan-replaced");
    let first = Endpoint::master(&name).unwrap();
    let (mut sender, _receiver) = Endpoint::slave(&name).unwrap().into_split();
    let before = sender.generation();
    exclusive::lend(sender.loan(10).unwrap());
    drop(first);
    let _second = Endpoint::builder(&name).role(Role::Master).data_size(8192).open().unwrap();
    let since = std::time::Instant::now();
    while sender.generation() == before {
        assert!(since.elapsed() < WATCHDOG, "the slave moves over to the new segment");
        std::thread::yield_now();
    }
    let error = exclusive::send_loan(&mut sender).unwrap_err();
    assert!(matches!(error, eshm::Error::Reconnecting { .. }), "{error}");
    sender.send(b"and it goes on").unwrap();
}

#[test]
fn an_endpoint_beats_every_fifth_interval_with_and_without_traffic() {
    let name = Name::new("idle");
    let mut master = master(&name).open().unwrap();
    let mut slave = slave(&name).open().unwrap();
    assert_talk(&mut master, &mut slave);
    // How many beats there are in a tenth of a second: a hundred intervals have passed.
    let beats = |endpoint: &Endpoint| {
        let before = endpoint.stats().unwrap().master_heartbeat;
        thread::sleep(Duration::from_millis(100));
        endpoint.stats().unwrap().master_heartbeat - before
    };
    poll("the slower beat", || (beats(&master) <= 30).then_some(()));
    // An endpoint at rest beats twice.
    poll("the slower beat, and no rest, beside traffic", || {
        // More than an endpoint at rest may exchange.
        for _ in 0..200 {
            assert_talk(&mut master, &mut slave);
        }
        (10..=30).contains(&beats(&master)).then_some(())
    });
}

#[test]
fn a_peer_that_has_just_come_is_known_at_once() {
    let name = Name::new("at-once");
    let master = master(&name).open().unwrap();
    for _ in 0..50 {
        let slave = slave(&name).open().unwrap();
        master.wait_for_peer(Duration::ZERO).unwrap();
        slave.close().unwrap();
        assert!(master.wait_for_peer(Duration::ZERO).is_err());
    }
}

#[test]
fn a_steady_heartbeat_never_slows_down() {
    let name = Name::new("steady");
    let master = master(&name).steady_heartbeat(true).open().unwrap();
    // As idle as an endpoint can be, for longer than it takes others to slow down.
    thread::sleep(Duration::from_millis(1500));
    poll("the usual beat", || {
        let before = master.stats().unwrap().master_heartbeat;
        thread::sleep(Duration::from_millis(100));
        (master.stats().unwrap().master_heartbeat - before > 40).then_some(())
    });
}
