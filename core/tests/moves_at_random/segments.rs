//! Single cases of switches between segments: values, carry-over, replacement, removal and broken queues.

use std::fs;
use std::time::{Duration, Instant};

use eshm::{Endpoint, Error, PeerState, Role};

use crate::common::{self, Name};
use crate::{SOON, master_of, searching_slave};

#[test]
fn heartbeat_deltas_belong_to_the_present_segment() {
    let segment = Name::new("random-delta");
    let first = Endpoint::master(&segment).unwrap();
    let slave = Endpoint::builder(&segment)
        .role(Role::Slave)
        .reconnect_interval(Duration::from_millis(5))
        .open()
        .unwrap();
    common::poll("some heartbeats", || (slave.stats().unwrap().master_heartbeat > 20).then_some(()));
    drop(first);
    let second = Endpoint::master(&segment).unwrap();
    second.wait_for_peer(SOON).unwrap();
    let stats = slave.stats().unwrap();
    assert!(stats.master_heartbeat_delta <= stats.master_heartbeat, "{stats:?}");
    assert!(stats.slave_heartbeat_delta <= stats.slave_heartbeat, "{stats:?}");
}

fn receive(endpoint: &mut Endpoint, count: usize) {
    for _ in 0..count {
        endpoint.recv_timeout(SOON).unwrap().expect("a message");
    }
}

fn last_value(endpoint: &mut Endpoint) -> Vec<u8> {
    let mut last = Vec::new();
    while let Some(value) = endpoint.try_read().unwrap() {
        last = value.to_vec();
    }
    last
}

#[test]
fn an_old_value_does_not_replace_a_newer_one_two_segments_later() {
    let segment = Name::new("random-stale-value");
    let first = Endpoint::master(&segment).unwrap();
    let mut slave = searching_slave(&segment);
    slave.write(b"old").unwrap();
    slave.send_many(&vec![[1u8; 8]; 100]).unwrap();
    drop(first);
    let mut second = master_of(&segment, 64);
    second.wait_for_peer(SOON).unwrap();
    // Messages remain to be carried over.
    slave.write(b"new").unwrap();
    assert_eq!(last_value(&mut second), b"new");
    drop(second);
    let mut third = Endpoint::master(&segment).unwrap();
    receive(&mut third, 100);
    slave.send_timeout(b"the end", SOON).unwrap();
    receive(&mut third, 1);
    assert_eq!(last_value(&mut third), b"new");
}

#[test]
fn a_value_written_during_a_carry_over_outlives_all_older_ones() {
    let segment = Name::new("random-stale-pending");
    let first = Endpoint::master(&segment).unwrap();
    let mut slave = searching_slave(&segment);
    slave.send_many(&vec![[1u8; 8]; 300]).unwrap();
    drop(first);
    let second = master_of(&segment, 1 << 15);
    second.wait_for_peer(SOON).unwrap();
    slave.write(b"two").unwrap();
    drop(second);
    let mut third = master_of(&segment, 64);
    third.wait_for_peer(SOON).unwrap();
    slave.write(b"three").unwrap();
    receive(&mut third, 300);
    slave.send_timeout(b"the end", SOON).unwrap();
    receive(&mut third, 1);
    assert_eq!(last_value(&mut third), b"three");
}

#[test]
fn a_close_carries_over_everything_that_fits() {
    let segment = Name::new("random-close");
    let first = master_of(&segment, 1 << 21);
    let mut slave = searching_slave(&segment);
    slave.send_many(&vec![[1u8; 8]; 8000]).unwrap();
    drop(first);
    let mut second = master_of(&segment, 1 << 21);
    second.wait_for_peer(SOON).unwrap();
    assert_eq!(slave.close().unwrap(), 8000);
    let mut count = 0;
    while second.try_recv().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 8000);
}

#[test]
fn messages_being_carried_over_count_as_unreceived() {
    for _ in 0..200 {
        let segment = Name::new("random-unreceived");
        let first = Endpoint::master(&segment).unwrap();
        let mut slave = searching_slave(&segment);
        slave.send_many(&vec![[1u8; 2000]; 100]).unwrap();
        let inspector = slave.inspector();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut least = 100;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    least = least.min(inspector.unreceived());
                }
                assert_eq!(least, 100);
            });
            drop(first);
            let second = Endpoint::master(&segment).unwrap();
            while !matches!(slave.try_send(b"x"), Ok(())) {
                std::hint::spin_loop();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            drop(second);
        });
    }
}

#[test]
fn a_master_without_the_monitor_carries_over_at_its_own_heartbeats() {
    let segment = Name::new("random-by-hand");
    let mut first = Endpoint::builder(&segment).role(Role::Master).auto_cleanup(false).open().unwrap();
    first.send_many(&vec![[1u8; 8]; 300]).unwrap();
    drop(first);
    let second =
        Endpoint::builder(&segment).role(Role::Master).background(false).queue_capacity(64).open().unwrap();
    let mut slave = searching_slave(&segment);
    for _ in 0..300 {
        second.update_heartbeat().unwrap();
        slave.recv_timeout(Duration::from_secs(1)).unwrap().expect("a message");
    }
}

/// A master replaces the segment while a slave attaches to it.
#[test]
fn a_slave_that_attaches_while_the_segment_is_replaced_loses_nothing() {
    let mut lost = 0;
    for round in 0..400u32 {
        let segment = Name::new("random-replace-race");
        let mut first = Endpoint::builder(&segment)
            .role(Role::Master)
            .auto_cleanup(false)
            .background(false)
            .open()
            .unwrap();
        first.send(b"left").unwrap();
        drop(first);
        std::thread::scope(|scope| {
            let slave = scope.spawn(|| {
                for _ in 0..round % 7 * 50 {
                    std::hint::spin_loop();
                }
                let since = Instant::now();
                loop {
                    match Endpoint::builder(&segment)
                        .role(Role::Slave)
                        .reconnect_interval(Duration::from_millis(1))
                        .open()
                    {
                        Ok(slave) => break slave,
                        Err(error) => assert!(since.elapsed() < SOON, "{error}"),
                    }
                }
            });
            let mut second = master_of(&segment, 100);
            second.wait_for_peer(SOON).unwrap();
            second.send(b"new").unwrap();
            let mut slave = slave.join().unwrap();
            let got = slave.recv_timeout(SOON).unwrap().unwrap().to_vec();
            if got != b"left" {
                lost += 1;
            }
        });
    }
    assert_eq!(lost, 0, "of 400");
}

#[test]
fn a_master_whose_name_was_removed_detects_the_close_of_its_slave() {
    let segment = Name::new("random-end");
    let master = Endpoint::master(&segment).unwrap();
    let slave = searching_slave(&segment);
    master.wait_for_peer(SOON).unwrap();
    fs::remove_file(segment.path()).unwrap();
    common::poll("the stand-in", || segment.exists().then_some(()));
    let generation = master.generation();
    drop(slave);
    // The seat in the stand-in is free once the master has moved.
    let inspector = master.inspector();
    let outcome = common::within(Duration::from_secs(3), move || {
        let mut master = master;
        let outcome = master.recv().map(drop);
        (master, outcome)
    });
    let state = inspector.peer_state();
    let (master, outcome) = outcome.unwrap_or_else(|| panic!("still waits, the slave is {state}"));
    assert!(matches!(outcome, Err(Error::PeerClosed { .. })), "{outcome:?}");
    assert_eq!((master.peer_state(), master.stats().unwrap().reconnects), (PeerState::Closed, 0));
    assert_eq!(master.generation(), generation);
    let _next = common::poll("a free seat", || Endpoint::slave(&segment).ok());
    master.wait_for_peer(SOON).unwrap();
    common::poll("the count", || (master.stats().unwrap().reconnects == 1).then_some(()));
    assert_eq!(master.generation(), generation + 1);
}

#[test]
fn a_batch_with_a_timeout_waits_as_a_message_does_after_the_reconnect_timeout() {
    let segment = Name::new("random-batch");
    let first = Endpoint::master(&segment).unwrap();
    let mut slave = Endpoint::builder(&segment)
        .role(Role::Slave)
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_timeout(Duration::from_millis(20))
        .open()
        .unwrap();
    drop(first);
    common::poll("the end of the reconnect timeout", || {
        matches!(slave.try_send(b"x"), Err(Error::PeerClosed { .. } | Error::PeerStale { .. })).then_some(())
    });
    let error = slave.send_timeout(b"x", Duration::from_millis(5)).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let error = slave.send_many_timeout(&[b"x", b"y"], Duration::from_millis(5)).unwrap_err();
    assert!(matches!(error.source, Error::Timeout { .. }), "{error}");
}

#[test]
fn a_batch_counts_the_messages_sent_before_the_queue_was_found_broken() {
    use std::os::unix::fs::FileExt;
    let segment = Name::new("random-broken");
    let mut master = Endpoint::builder(&segment).role(Role::Master).queue_capacity(64).open().unwrap();
    let mut slave = Endpoint::slave(&segment).unwrap();
    // The count of consumed messages is more than was ever sent. The queue starts behind `ESHMData`, at 8576.
    let file = fs::File::options().write(true).open(segment.path()).unwrap();
    file.write_all_at(&1000u32.to_ne_bytes(), 8576).unwrap();
    let error = master.send_many(&vec![[1u8; 8]; 100]).unwrap_err();
    let mut count = 0;
    while slave.try_recv().unwrap_or(None).is_some() {
        count += 1;
    }
    assert_eq!((error.sent as u64, master.stats().unwrap().messages_sent), (64, 64), "{error} {count}");
}
