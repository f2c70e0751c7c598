//! What was accepted arrives, also when a segment is closed, replaced or loses its name (PROTOCOL.md, section 5).

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use common::{Name, poll};
use eshm::{BatchError, Builder, Endpoint, Error, PeerState, Role, Sender};

const LONG: Duration = Duration::from_secs(20);

fn open(segment: &str, role: Role) -> Endpoint {
    builder(segment, role).open().unwrap()
}

/// Searches often, so that a test does not take long.
fn builder(segment: &str, role: impl Into<Option<Role>>) -> Builder {
    Endpoint::builder(segment).role(role).reconnect_interval(Duration::from_millis(5))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    poll(what, || holds().then_some(()));
}

#[track_caller]
fn received(endpoint: &mut Endpoint) -> Vec<u8> {
    endpoint.recv_timeout(LONG).unwrap().expect("a message").to_vec()
}

fn unread(endpoint: &mut Endpoint) -> Option<Vec<u8>> {
    endpoint.try_recv().unwrap().map(|message| message.to_vec())
}

#[test]
fn a_look_into_the_mailbox_leaves_the_old_queue_unread() {
    let segment = Name::new("moves-look");
    let mut first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    first.send(b"a").unwrap();
    first.send(b"b").unwrap();
    assert_eq!(first.close().unwrap(), 2);
    let mut second = open(&segment, Role::Master);
    second.wait_for_peer(LONG).unwrap();
    assert!(slave.try_read().unwrap().is_none());
    second.send(b"c").unwrap();
    assert_eq!([received(&mut slave), received(&mut slave), received(&mut slave)], [b"a", b"b", b"c"]);
}

#[test]
fn a_receive_leaves_the_old_value_unread() {
    let segment = Name::new("moves-value");
    let mut first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    first.write(b"old").unwrap();
    drop(first);
    let mut second = open(&segment, Role::Master);
    second.wait_for_peer(LONG).unwrap();
    second.send(b"message").unwrap();
    assert_eq!(received(&mut slave), b"message");
    second.write(b"new").unwrap();
    assert_eq!(&*slave.read_timeout(LONG).unwrap().unwrap(), b"old");
    assert_eq!(&*slave.read_timeout(LONG).unwrap().unwrap(), b"new");
}

#[test]
fn every_segment_on_the_way_is_read_out_in_order() {
    let segment = Name::new("moves-trail");
    let first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    drop(first);
    for round in 0..4u8 {
        let mut master = open(&segment, Role::Master);
        master.wait_for_peer(LONG).unwrap();
        if round != 2 {
            master.send(&[round]).unwrap();
            master.write(&[round]).unwrap();
        }
    }
    let messages: Vec<u8> = (0..3).map(|_| received(&mut slave)[0]).collect();
    assert_eq!(messages, [0, 1, 3]);
    let values: Vec<u8> = (0..3).map(|_| slave.try_read().unwrap().unwrap()[0]).collect();
    assert_eq!(values, [0, 1, 3]);
    assert!(slave.try_read().unwrap().is_none());
}

#[test]
fn the_next_master_gets_what_the_one_before_did_not_receive() {
    let segment = Name::new("moves-carry");
    let mut first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    slave.send(b"received").unwrap();
    slave.send(b"x").unwrap();
    slave.send(&[7; 5000]).unwrap();
    assert_eq!(received(&mut first), b"received");
    drop(first);
    // Without another call of the slave.
    let mut second = open(&segment, Role::Master);
    assert_eq!(received(&mut second), b"x");
    slave.send_timeout(b"y", LONG).unwrap();
    assert_eq!([received(&mut second), received(&mut second)], [vec![7; 5000], b"y".to_vec()]);
    assert_eq!(unread(&mut second), None);
    until("the release", || slave.stats().unwrap().unreceived == 0);
}

#[test]
fn the_carry_over_waits_for_room_and_goes_on_by_itself() {
    let segment = Name::new("moves-room");
    let first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    for number in 0..1000u32 {
        slave.send(&number.to_ne_bytes()).unwrap();
    }
    drop(first);
    let mut second = builder(&segment, Role::Master).queue_capacity(64).open().unwrap();
    second.wait_for_peer(LONG).unwrap();
    assert!(matches!(slave.try_send(b""), Err(Error::Full { .. })));
    slave.write(b"a value does not wait").unwrap();
    assert_eq!(&*second.read_timeout(LONG).unwrap().unwrap(), b"a value does not wait");
    assert_eq!(slave.stats().unwrap().unreceived, 1000);
    for number in 0..10u32 {
        assert_eq!(received(&mut second), number.to_ne_bytes());
    }
    drop(second);
    let mut third = builder(&segment, Role::Master).queue_capacity(128).open().unwrap();
    for number in 10..1000u32 {
        assert_eq!(received(&mut third), number.to_ne_bytes());
    }
}

#[test]
fn what_does_not_fit_the_next_segment_is_counted() {
    let segment = Name::new("moves-misfit");
    let first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    slave.send(&[1; 4000]).unwrap();
    slave.send(b"small").unwrap();
    drop(first);
    let mut second = builder(&segment, Role::Master).queue_capacity(100).data_size(100).open().unwrap();
    assert_eq!(received(&mut second), b"small");
    until("the count", || slave.stats().unwrap().unreceived == 1);
    assert_eq!(slave.close().unwrap(), 1);
}

#[test]
fn messages_cross_segments_with_and_without_queues() {
    let segment = Name::new("moves-queueless");
    let without = || builder(&segment, Role::Master).queue_capacity(0);
    let first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    for number in 0..5u8 {
        slave.send(&[number]).unwrap();
    }
    drop(first);
    let mut second = without().open().unwrap();
    assert_eq!([received(&mut second), received(&mut second)], [[0], [1]]);
    drop(second);
    let mut third = without().open().unwrap();
    assert_eq!(received(&mut third), [2]);
    drop(third);
    let mut fourth = open(&segment, Role::Master);
    slave.send_timeout(b"y", LONG).unwrap();
    let rest = [received(&mut fourth), received(&mut fourth), received(&mut fourth)];
    assert_eq!(rest, [vec![3], vec![4], b"y".to_vec()]);
}

#[test]
fn the_next_master_sees_the_latest_value() {
    let segment = Name::new("moves-latest");
    let first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    slave.write(b"latest").unwrap();
    drop(first);
    let mut second = open(&segment, Role::Master);
    assert_eq!(&*second.read_timeout(LONG).unwrap().unwrap(), b"latest");
}

#[test]
fn a_slave_is_told_how_many_were_not_received() {
    let segment = Name::new("moves-told");
    let master = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    slave.send(b"x").unwrap();
    slave.send(b"y").unwrap();
    drop(master);
    let error = slave.recv().map(drop).unwrap_err();
    assert!(matches!(error, Error::PeerClosed { unreceived: 2, .. }), "{error}");
    assert!(error.to_string().contains("2 messages were not received"));
    let inspector = slave.inspector();
    assert_eq!(slave.close().unwrap(), 2);
    assert_eq!(inspector.unreceived(), 2);
}

#[test]
fn a_slave_finds_a_master_that_comes_after_its_patience() {
    let segment = Name::new("moves-patience");
    let first = open(&segment, Role::Master);
    let patience = Duration::from_millis(50);
    let mut slave = builder(&segment, Role::Slave).reconnect_timeout(patience).open().unwrap();
    drop(first);
    let closed = Instant::now();
    until("the patience", || closed.elapsed() > 4 * patience);
    assert!(matches!(slave.recv().map(drop), Err(Error::PeerClosed { .. })));
    assert!(slave.recv_timeout(Duration::from_millis(1)).unwrap().is_none());
    let mut second = open(&segment, Role::Master);
    second.wait_for_peer(LONG).unwrap();
    second.send(b"late").unwrap();
    assert_eq!(received(&mut slave), b"late");
    slave.send_timeout(b"answer", LONG).unwrap();
    assert_eq!(received(&mut second), b"answer");
}

#[test]
fn the_search_ends_with_the_patience_where_that_is_asked_for() {
    let segment = Name::new("moves-giveup");
    let first = open(&segment, Role::Master);
    let patience = Duration::from_millis(30);
    let mut slave = builder(&segment, Role::Slave).reconnect_timeout(patience).give_up(true).open().unwrap();
    drop(first);
    until("the end of the search", || slave.recv_timeout(Duration::from_millis(1)).is_err());
}

#[test]
fn a_name_that_was_removed_leads_to_the_same_master_again() {
    let segment = Name::new("moves-name");
    let mut master = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    slave.send(b"before").unwrap();
    fs::remove_file(segment.path()).unwrap();
    until("the stand-in", || segment.exists());
    assert!(matches!(builder(&segment, None).open(), Err(Error::SeatTaken { .. })));
    master.send(b"down").unwrap();
    slave.send(b"up").unwrap();
    assert_eq!(received(&mut slave), b"down");
    assert_eq!([received(&mut master), received(&mut master)], [b"before".to_vec(), b"up".to_vec()]);
    // The slave's successor finds the master in the stand-in, and gets what the slave left unread.
    master.send(b"left").unwrap();
    drop(slave);
    let mut next = loop {
        match builder(&segment, Role::Slave).open() {
            Ok(next) => break next,
            Err(error) => assert!(matches!(error, Error::SeatTaken { .. }), "{error}"),
        }
    };
    assert_eq!(received(&mut next), b"left");
    next.send(b"again").unwrap();
    assert_eq!(received(&mut master), b"again");
    master.wait_for_peer(LONG).unwrap();
    drop(master);
    assert!(!segment.exists());
}

#[test]
fn a_slave_survives_its_master_whose_name_was_removed() {
    let segment = Name::new("moves-name-close");
    let first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    fs::remove_file(segment.path()).unwrap();
    until("the stand-in", || segment.exists());
    slave.send(b"x").unwrap();
    drop(first);
    let mut second = open(&segment, Role::Master);
    assert_eq!(received(&mut second), b"x");
    second.send(b"y").unwrap();
    assert_eq!(received(&mut slave), b"y");
}

#[test]
fn a_master_whose_name_leads_elsewhere_is_told() {
    let segment = Name::new("moves-displaced");
    let mut first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    slave.send(b"unread").unwrap();
    // As by a process that was faster than the master's next look; without the thread that would guard its name.
    let other = Name::new("moves-displaced-other");
    let mut second = builder(&other, Role::Master).background(false).open().unwrap();
    fs::rename(other.path(), segment.path()).unwrap();
    until("the notice", || first.write(b"").is_err());
    assert!(matches!(first.try_send(b""), Err(Error::Displaced { .. })));
    assert_eq!(received(&mut first), b"unread");
    assert!(matches!(first.recv().map(drop), Err(Error::Displaced { .. })));
    slave.send(b"x").unwrap();
    drop(first);
    assert!(segment.exists(), "the other's file is left alone");
    assert_eq!(received(&mut second), b"x");
}

/// Puts a message whose length no sender writes into the queue from slave to master.
fn break_queue_to_master(segment: &Name) {
    let file = OpenOptions::new().read(true).write(true).open(segment.path()).unwrap();
    let mut offset = [0; 8];
    file.read_exact_at(&mut offset, 88).unwrap();
    let first = u64::from_ne_bytes(offset);
    let second = first + (file.metadata().unwrap().len() - first) / 2;
    let slot = second + 384;
    file.write_all_at(&57u32.to_ne_bytes(), slot + 4).unwrap();
    file.write_all_at(&1u32.to_ne_bytes(), slot).unwrap();
}

#[test]
fn a_slave_does_not_move_into_a_segment_whose_queue_is_broken() {
    let segment = Name::new("moves-broken");
    let first = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    slave.send(b"x").unwrap();
    // A segment that gets the name when the first master has gone. Only the queue that the slave sends into is broken.
    let other = Name::new("moves-broken-other");
    let mut broken = builder(&other, Role::Master).background(false).open().unwrap();
    break_queue_to_master(&other);
    broken.send(b"from the broken segment").unwrap();
    broken.write(b"a value from there").unwrap();
    drop(first);
    fs::rename(other.path(), segment.path()).unwrap();
    until("the close", || slave.peer_state() == PeerState::Closed);
    // The slave looks for a master every 5 ms.
    let searched = Instant::now();
    while searched.elapsed() < Duration::from_millis(100) {
        broken.update_heartbeat().unwrap();
        assert_eq!(slave.peer_state(), PeerState::Closed);
        assert!(matches!(slave.try_send(b"lost"), Err(Error::Reconnecting { .. })));
        assert!(slave.recv_timeout(Duration::from_millis(1)).unwrap().is_none());
        assert!(slave.read_timeout(Duration::from_millis(1)).unwrap().is_none());
    }
    assert_eq!(slave.stats().unwrap().reconnects, 0);
    // It has given the broken segment's seat back.
    assert_eq!(broken.peer_state(), PeerState::Closed);
    drop(broken);
    fs::remove_file(segment.path()).unwrap();
    let mut second = open(&segment, Role::Master);
    slave.send_timeout(b"y", LONG).unwrap();
    assert_eq!([received(&mut second), received(&mut second)], [b"x", b"y"]);
    second.send(b"down").unwrap();
    assert_eq!(received(&mut slave), b"down");
}

#[test]
fn a_batch_has_one_deadline_and_says_how_many_went() {
    let segment = Name::new("moves-batch");
    let mut master = builder(&segment, Role::Master).queue_capacity(4096).open().unwrap();
    let mut slave = open(&segment, Role::Slave);
    let batch = vec![[1u8; 8]; 200];
    let error = master.send_many_timeout(&batch, Duration::from_millis(5)).unwrap_err();
    assert_eq!((error.sent, error.source.code()), (64, -10));
    let at_once = |sender: &mut Sender, batch: &[Vec<u8>]| {
        let error = sender.try_send_many(batch).unwrap_err();
        (error.sent, error.source.code())
    };
    let sender = master.split().0;
    assert_eq!(at_once(sender, &[vec![]]), (0, -12));
    assert_eq!(slave.recv_many(3, |_| ()).unwrap(), 3);
    assert_eq!(at_once(sender, &[vec![], vec![1], vec![0; 5000], vec![3]]), (2, -13));
    assert_eq!(at_once(sender, &[vec![], vec![1]]), (1, -12));
    drop(master);
    assert_eq!(slave.recv_many(100, |_| ()).unwrap(), 64);
    // A slave without a master waits, as `send` does.
    until("the close", || slave.peer_state() == PeerState::Closed);
    let error = slave.send_many_timeout(&batch, Duration::from_millis(5)).unwrap_err();
    assert_eq!((error.sent, error.source.code()), (0, -10));
    let error = slave.split().0.try_send_many(&batch).unwrap_err();
    assert!(matches!(error, BatchError { sent: 0, source: Error::Reconnecting { .. } }), "{error}");
}

#[test]
fn room_that_keeps_coming_does_not_prolong_a_batch() {
    let segment = Name::new("moves-batch-time");
    let mut master = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    let drain = std::thread::spawn(move || {
        let (mut received, mut ended) = (0, false);
        while !ended {
            received += slave.recv_many(1000, |bytes| ended |= bytes.is_empty()).unwrap();
        }
        received
    });
    // Far more than can go in that time.
    let batch = vec![[1u8; 8]; 8_000_000];
    let error = master.send_many_timeout(&batch, Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.source.code(), -10);
    master.send(b"").unwrap();
    assert_eq!(drain.join().unwrap(), error.sent + 1);
}

#[test]
fn statistics_see_messages() {
    let segment = Name::new("moves-stats");
    let mut master = open(&segment, Role::Master);
    let mut slave = open(&segment, Role::Slave);
    for _ in 0..5 {
        master.send(&[0; 100]).unwrap();
    }
    master.write(b"a value is no message").unwrap();
    assert_eq!(received(&mut slave).len(), 100);
    let sent = master.stats().unwrap();
    assert_eq!((sent.messages_sent, sent.bytes_sent, sent.unreceived), (5, 500, 4));
    assert_eq!((sent.m2s_queue_depth, sent.m2s_queue_high_water >= 4), (4, true));
    let got = slave.stats().unwrap();
    assert_eq!((got.messages_received, got.bytes_received, got.m2s_queue_depth), (1, 100, 4));
    assert_eq!((got.reconnects, got.stalls), (0, 0));
    let slots = 1024;
    while master.try_send(b"").is_ok() {}
    assert!(matches!(master.send_timeout(b"", Duration::from_millis(3)), Err(Error::Timeout { .. })));
    let full = master.stats().unwrap();
    assert_eq!((full.m2s_queue_depth, full.m2s_queue_high_water, full.room_waits), (slots, slots, 1));
    assert!(full.room_wait_time >= Duration::from_millis(2), "{:?}", full.room_wait_time);
    let mut observer = eshm::Observer::open(&segment).unwrap();
    assert_eq!(observer.look().master_to_slave.high_water, slots);
    until("the sight of the first slave", || master.peer_state() == PeerState::Alive);
    drop(slave);
    let again = open(&segment, Role::Slave);
    until("the reconnection", || master.stats().unwrap().reconnects == 1);
    drop(again);
}

#[test]
fn a_master_that_replaces_a_segment_moves_what_both_ends_left_there() {
    let segment = Name::new("moves-replaced");
    let mut first = builder(&segment, Role::Master).auto_cleanup(false).open().unwrap();
    let mut slave = open(&segment, Role::Slave);
    slave.send(b"to the next master").unwrap();
    slave.write(b"value").unwrap();
    drop(slave);
    first.send(b"to the next slave").unwrap();
    first.send(&[1; 300]).unwrap();
    drop(first);
    let mut second = builder(&segment, Role::Master).queue_capacity(1000).open().unwrap();
    assert_eq!(received(&mut second), b"to the next master");
    assert_eq!(&*second.read_timeout(LONG).unwrap().unwrap(), b"value");
    second.send(b"and this").unwrap();
    let mut slave = open(&segment, Role::Slave);
    let messages = [received(&mut slave), received(&mut slave), received(&mut slave)];
    assert_eq!(messages, [b"to the next slave".to_vec(), vec![1; 300], b"and this".to_vec()]);
    slave.send(b"answer").unwrap();
    assert_eq!(received(&mut second), b"answer");
}
