//! ESHM 1.x processes on the other end, played by this test: it writes and reads the bytes that they do.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use common::legacy::{
    DATA, GENERATION, Heart, Legacy, MASTER_ALIVE, MASTER_PID, MASTER_TO_SLAVE, READ_COUNT, SEQUENCE,
    SLAVE_ALIVE, SLAVE_PID, SLAVE_TO_MASTER, VERSIONS, WAKE_SEQ, WRITE_COUNT,
};
use common::{Name, WATCHDOG, poll, within};
use eshm::{Endpoint, Error, PeerState, Role};

/// The pid of a process that is no more.
fn dead_pid() -> u32 {
    let mut process = std::process::Command::new("true").spawn().unwrap();
    process.wait().unwrap();
    process.id()
}

/// Waits until a master takes note of the legacy slave.
fn await_legacy(master: &Endpoint) {
    poll("the legacy peer", || {
        (master.peer_is_legacy() && master.peer_state() == PeerState::Alive).then_some(())
    });
}

fn inode(name: &Name) -> u64 {
    fs::metadata(name.path()).unwrap().ino()
}

#[test]
fn our_slave_talks_to_a_legacy_master() {
    for version in VERSIONS {
        let name = Name::new("slave");
        let legacy = Legacy::make(&name, version);
        let _heart = Heart::of(&name, Role::Master);
        legacy.write(MASTER_TO_SLAVE, b"one");
        legacy.write(MASTER_TO_SLAVE, b"two");

        let mut slave = Endpoint::slave(&name).unwrap();
        slave.wait_for_peer(WATCHDOG).unwrap();
        assert!(slave.peer_is_legacy());
        assert_eq!(slave.data_size(), DATA);
        {
            let message = slave.read_timeout(WATCHDOG).unwrap().unwrap();
            assert_eq!((&*message, message.skipped()), (&b"two"[..], 1));
        }
        assert!(slave.try_read().unwrap().is_none(), "read twice");
        assert_eq!(legacy.u64(MASTER_TO_SLAVE + READ_COUNT), 1);
        legacy.write(MASTER_TO_SLAVE, &[5; DATA]);
        assert_eq!(&*slave.recv_timeout(WATCHDOG).unwrap().unwrap(), [5; DATA]);

        slave.write(b"reply").unwrap();
        assert_eq!(legacy.u64(SLAVE_TO_MASTER + WRITE_COUNT), 1);
        assert_eq!(legacy.u32(SLAVE_TO_MASTER + WAKE_SEQ), 1);
        assert_eq!(legacy.read(SLAVE_TO_MASTER), b"reply");
        assert_eq!((legacy.u32(SLAVE_PID), legacy.u32(SLAVE_ALIVE)), (std::process::id(), 1));
        // What the master said of its segment is still there.
        assert_eq!((legacy.u32(4), legacy.u32(GENERATION)), (version, 1));
        slave.close().unwrap();
        assert_eq!(legacy.u32(SLAVE_ALIVE), 0);
        assert!(name.exists());
    }
}

#[test]
fn a_value_comes_without_a_wake_up() {
    let name = Name::new("silent");
    let legacy = Legacy::make(&name, 2);
    let _heart = Heart::of(&name, Role::Master);
    let mut slave = Endpoint::slave(&name).unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| slave.read_timeout(WATCHDOG).unwrap().unwrap().to_vec());
        legacy.write(MASTER_TO_SLAVE, b"silent");
        assert_eq!(reader.join().unwrap(), b"silent");
    });
}

#[test]
fn a_size_beyond_the_channel_is_an_error() {
    for version in VERSIONS {
        let name = Name::new("oversize");
        let legacy = Legacy::make(&name, version);
        let mut slave = Endpoint::slave(&name).unwrap();
        for size in [DATA as u32 + 1, u32::MAX] {
            legacy.write_announcing(MASTER_TO_SLAVE, b"bad", size);
            match slave.try_read() {
                Err(error @ Error::Corrupt { found, .. }) => {
                    assert_eq!((found, error.code()), (size.into(), -17));
                }
                other => panic!("{other:?}"),
            };
        }
        legacy.write(MASTER_TO_SLAVE, b"good");
        assert_eq!(&*slave.try_read().unwrap().unwrap(), b"good");
    }
}

/// A writer that died half-way does not hang a reader, and the value before it stays readable by nobody.
#[test]
fn an_odd_sequence_hangs_nobody() {
    let name = Name::new("odd");
    let legacy = Legacy::make(&name, 3);
    let _heart = Heart::of(&name, Role::Master);
    legacy.set_u32(MASTER_TO_SLAVE + SEQUENCE, 7);
    let mut slave = Endpoint::slave(&name).unwrap();
    assert!(slave.try_read().unwrap().is_none());
    assert!(slave.read_timeout(Duration::from_millis(1)).unwrap().is_none());
    legacy.set_u32(MASTER_TO_SLAVE + SEQUENCE, 6);
    legacy.write(MASTER_TO_SLAVE, b"whole");
    assert_eq!(&*slave.read_timeout(WATCHDOG).unwrap().unwrap(), b"whole");
}

#[test]
fn our_master_is_refused_while_a_legacy_one_lives() {
    for version in VERSIONS {
        let name = Name::new("refused");
        let legacy = Legacy::make(&name, version);
        let heart = Heart::of(&name, Role::Master);
        let file = inode(&name);
        match Endpoint::master(&name) {
            Err(Error::SeatTaken { role: Role::Master, pid, .. }) => {
                assert_eq!(pid as u32, std::process::id())
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(Endpoint::auto(&name).unwrap().role(), Role::Slave);
        assert_eq!((legacy.u32(4), legacy.u32(GENERATION), inode(&name)), (version, 1, file));
        drop(heart);
        // Its heart stands still, and nobody is attached: 1.x would make a new segment, and so do we.
        let mut master = Endpoint::master(&name).unwrap();
        let mut slave = Endpoint::slave(&name).unwrap();
        assert!(slave.generation() > 1);
        master.send(b"new").unwrap();
        assert_eq!(&*slave.recv_timeout(WATCHDOG).unwrap().unwrap(), b"new");
    }
}

#[test]
fn our_master_takes_over_in_place_while_a_legacy_slave_lives() {
    for version in VERSIONS {
        let name = Name::new("takeover");
        let legacy = Legacy::make(&name, version);
        legacy.sit_down(Role::Slave, std::process::id());
        let _heart = Heart::of(&name, Role::Slave);
        legacy.write(SLAVE_TO_MASTER, b"unread");
        let file = inode(&name);
        let mut master = Endpoint::master(&name).unwrap();
        assert_eq!((inode(&name), legacy.u32(GENERATION), legacy.u32(4)), (file, 2, 3));
        assert_eq!(&*master.recv_timeout(WATCHDOG).unwrap().unwrap(), b"unread");
        await_legacy(&master);
        master.write(b"to the old slave").unwrap();
        assert_eq!(legacy.read(MASTER_TO_SLAVE), b"to the old slave");
        master.close().unwrap();
        assert_eq!(legacy.u32(MASTER_ALIVE), 0);
        assert!(!name.exists());
    }
}

#[test]
fn our_slave_is_refused_while_a_legacy_one_lives() {
    let name = Name::new("second-slave");
    let mut master = Endpoint::master(&name).unwrap();
    let legacy = Legacy::open(&name);
    legacy.sit_down(Role::Slave, 4711);
    let heart = Heart::of(&name, Role::Slave);
    match Endpoint::slave(&name) {
        Err(Error::SeatTaken { role: Role::Slave, pid, .. }) => assert_eq!(pid, 4711),
        other => panic!("{other:?}"),
    }
    await_legacy(&master);
    let generation = master.generation();
    drop(heart);
    let mut slave = Endpoint::slave(&name).unwrap();
    poll("the new slave", || (!master.peer_is_legacy()).then_some(()));
    assert!(master.generation() > generation);
    master.send(b"new").unwrap();
    assert_eq!(&*slave.recv_timeout(WATCHDOG).unwrap().unwrap(), b"new");
}

/// Whoever has the seat when a message is sent decides which way it goes, not who was last seen in it: here by a
/// master without a background thread; with one, it is a matter of a heartbeat interval.
#[test]
fn what_is_sent_right_after_a_legacy_slave_was_replaced_arrives() {
    let name = Name::new("replaced");
    let mut master = Endpoint::builder(&name).role(Role::Master).background(false).open().unwrap();
    let legacy = Legacy::open(&name);
    legacy.sit_down(Role::Slave, std::process::id());
    let heart = Heart::of(&name, Role::Slave);
    await_legacy(&master);
    drop(heart);
    legacy.set_u32(SLAVE_ALIVE, 0);
    let mut slave = Endpoint::slave(&name).unwrap();
    master.send(b"one").unwrap();
    master.send(b"two").unwrap();
    for expected in [b"one", b"two"] {
        // Both were sent before: there is nothing to wait for.
        let message = slave.try_recv().unwrap();
        assert_eq!(message.as_deref(), Some(&expected[..]), "a message that was sent never arrived");
    }
}

/// Its first message is swallowed as the baseline, so its acknowledgement never comes.
#[test]
fn a_send_to_a_legacy_slave_is_acknowledged_by_its_count_of_reads_or_times_out() {
    let name = Name::new("acknowledge");
    let mut master = Endpoint::master(&name).unwrap();
    let legacy = Legacy::open(&name);
    legacy.sit_down(Role::Slave, std::process::id());
    let _heart = Heart::of(&name, Role::Slave);
    await_legacy(&master);
    master.send(b"swallowed").unwrap();
    let timeout = Duration::from_millis(10);
    assert_eq!(master.send_timeout(b"first", timeout).unwrap_err().code(), -10);
    master.send_timeout(b"second", timeout).unwrap();
    assert_eq!(master.try_send(b"third").unwrap_err().code(), -12);
    assert_eq!(legacy.read(MASTER_TO_SLAVE), b"second");
    master.send(b"third").unwrap();
    assert_eq!(legacy.read(MASTER_TO_SLAVE), b"third");
}

#[test]
fn an_endless_send_to_a_legacy_slave_that_swallowed_the_one_before_ends() {
    let name = Name::new("swallow");
    let mut master = Endpoint::master(&name).unwrap();
    let legacy = Legacy::open(&name);
    legacy.sit_down(Role::Slave, std::process::id());
    let _heart = Heart::of(&name, Role::Slave);
    await_legacy(&master);
    master.send(b"swallowed").unwrap();
    let sent = within(Duration::from_secs(15), move || master.send(b"next").map_err(|error| error.code()));
    // Lets the thread end in any case.
    legacy.set_u64(MASTER_TO_SLAVE + READ_COUNT, 1);
    assert!(matches!(sent, Some(Ok(()) | Err(-10))), "{sent:?} (None: it was still waiting)");
}

#[test]
fn a_legacy_peer_is_alive_frozen_dead_and_closed() {
    let name = Name::new("states");
    let legacy = Legacy::make(&name, 3);
    let heart = Heart::of(&name, Role::Master);
    let mut slave = Endpoint::slave(&name).unwrap();
    let until = |slave: &Endpoint, state| {
        poll(&format!("{state}"), || (slave.peer_state() == state).then_some(()));
    };
    until(&slave, PeerState::Alive);
    drop(heart);
    // Its process, this one, exists.
    until(&slave, PeerState::Frozen);
    legacy.set_u32(MASTER_PID, dead_pid());
    until(&slave, PeerState::Dead);
    assert_eq!(slave.write(b"to nobody").unwrap_err().code(), -10);
    let generation = slave.generation();
    legacy.sit_down(Role::Master, std::process::id());
    legacy.set_u32(GENERATION, 2);
    let _heart = Heart::of(&name, Role::Master);
    until(&slave, PeerState::Alive);
    assert!(slave.generation() > generation);
    legacy.write(MASTER_TO_SLAVE, b"the last words");
    legacy.set_u32(MASTER_ALIVE, 0);
    until(&slave, PeerState::Closed);
    assert_eq!(&*slave.recv().unwrap(), b"the last words");
    assert_eq!(slave.recv().unwrap_err().code(), -16);
}

/// A 1.x master that finds nobody attached removes the name and makes a new segment under it.
#[test]
fn our_slave_follows_a_legacy_master_to_its_new_segment() {
    let name = Name::new("restart");
    let old = Legacy::make(&name, 2);
    let heart = Heart::of(&name, Role::Master);
    let builder = Endpoint::builder(&name).role(Role::Slave).reconnect_interval(Duration::from_millis(1));
    let mut slave = builder.open().unwrap();
    old.write(MASTER_TO_SLAVE, b"old");
    assert_eq!(&*slave.read_timeout(WATCHDOG).unwrap().unwrap(), b"old");
    let generation = slave.generation();
    drop(heart);
    poll("the silence", || (slave.peer_state() != PeerState::Alive).then_some(()));
    fs::remove_file(name.path()).unwrap();
    let new = Legacy::make(&name, 3);
    let _heart = Heart::of(&name, Role::Master);
    new.write(MASTER_TO_SLAVE, b"new");
    assert_eq!(&*slave.read_timeout(WATCHDOG).unwrap().unwrap(), b"new");
    assert!(slave.generation() > generation);
    slave.write(b"hello").unwrap();
    assert_eq!(new.read(SLAVE_TO_MASTER), b"hello");
}

/// Such a master swallows the first message that is carried over, too.
#[test]
fn a_carry_over_to_a_legacy_master_that_swallowed_a_message_goes_on() {
    let name = Name::new("carry");
    let ours = Endpoint::master(&name).unwrap();
    let builder = Endpoint::builder(&name).role(Role::Slave).reconnect_interval(Duration::from_millis(1));
    let mut slave = builder.open().unwrap();
    for message in [b"swallowed", b"the first", b"a second!"] {
        slave.send(message).unwrap();
    }
    drop(ours);
    let legacy = Legacy::make(&name, 3);
    let _heart = Heart::of(&name, Role::Master);
    poll("the first", || (legacy.u32(SLAVE_TO_MASTER + SEQUENCE) == 2).then_some(()));
    poll("the next", || (legacy.u32(SLAVE_TO_MASTER + SEQUENCE) == 4).then_some(()));
    assert_eq!(legacy.read(SLAVE_TO_MASTER), b"the first");
    poll("the one after", || (legacy.u32(SLAVE_TO_MASTER + SEQUENCE) == 6).then_some(()));
    assert_eq!(legacy.read(SLAVE_TO_MASTER), b"a second!");
    slave.send_timeout(b"its own", WATCHDOG).unwrap();
    assert_eq!(legacy.read(SLAVE_TO_MASTER), b"its own");
}

/// N was a compile-time constant of the other end: one that its file cannot tell must be configured.
#[test]
fn an_unusual_size_must_be_told() {
    let name = Name::new("unusual");
    let size = 1000;
    let total = 128 + 2 * (8 + size + 80u64).next_multiple_of(64);
    File::create_new(name.path()).unwrap().set_len(total).unwrap();
    let legacy = Legacy::open(&name);
    legacy.set_u32(4, 3);
    legacy.set_u32(52, total as u32);
    legacy.sit_down(Role::Master, std::process::id());
    legacy.set_u32(0, 0x4553_484D);
    let slave = Endpoint::builder(&name).role(Role::Slave).data_size(1000).open().unwrap();
    assert_eq!(slave.data_size(), 1000);
}
