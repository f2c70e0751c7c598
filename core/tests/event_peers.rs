//! Event descriptors and their peers: killed and replaced ones, peers at rest, hostile ones, and those of ESHM 1.x.

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt, symlink};
use std::thread;
use std::time::{Duration, Instant};

use common::descriptor::{fifo, is_readable, pair, quiet, receive, rings, wait};
use common::legacy::{Heart, Legacy, MASTER_TO_SLAVE, READ_COUNT, SLAVE_TO_MASTER, VERSIONS};
use common::{Child, Name, WATCHDOG, poll, say, scenario, told};
use eshm::layout::{QueueGeometry, WAITERS_BELL};
use eshm::raw::{Limit, exclusive};
use eshm::{Domain, Endpoint, Error, Interest, PeerState, Role, WaitSet, layout};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match scenario.as_str() {
        "master" => {
            let mut master = Endpoint::master(&segment).unwrap();
            let events = master.events(Interest::READABLE).unwrap();
            quiet(&events, &mut master);
            say("ready");
            told();
        }
        "slave" => {
            let builder = Endpoint::builder(&segment).role(Role::Slave);
            let mut slave = builder.reconnect_interval(Duration::from_millis(1)).open().unwrap();
            slave.wait_for_peer(WATCHDOG).unwrap();
            say("ready");
            loop {
                let word = told();
                poll("the sending", || slave.send(word.as_bytes()).ok());
            }
        }
        other => panic!("no scenario {other}"),
    }
}

/// A slave that waits for its next master has a segment without a name.
#[test]
fn remove_dead_leaves_the_fifo_of_a_slave_without_a_master() {
    let directory = tempfile::tempdir().unwrap();
    let domain = Domain::new(directory.path(), "p_").unwrap();
    let builder = Endpoint::builder("robot").domain(domain.clone());
    let master = builder.clone().role(Role::Master).open().unwrap();
    let mut slave =
        builder.clone().role(Role::Slave).reconnect_interval(Duration::from_millis(1)).open().unwrap();
    let events = slave.events(Interest::READABLE).unwrap();
    drop(master);
    assert!(!directory.path().join("p_robot").exists());
    domain.remove_dead().unwrap();
    assert!(directory.path().join(layout::event_fifo("p_", 's', "robot")).exists());
    let mut master = builder.role(Role::Master).open().unwrap();
    let sent = thread::spawn(move || master.send(b"found").map(|()| master));
    receive(&events, &mut slave, b"found");
    drop(sent.join().unwrap());
}

/// The slave learns of the death when the next master has its FIFO already, which has the same name.
#[test]
fn the_fifo_of_the_next_master_outlives_the_clean_up_after_the_dead_one() {
    let name = Name::new("events-next");
    let first = Child::start("master", &name);
    first.expect("ready");
    let mut slave = Child::start("slave", &name);
    slave.expect("ready");
    slave.signal(Signal::SIGSTOP);
    first.kill();
    let mut master = Endpoint::builder(&name).role(Role::Master).queue_capacity(1 << 16).open().unwrap();
    let events = master.events(Interest::READABLE).unwrap();
    assert!(master.try_recv().unwrap().is_none());
    slave.signal(Signal::SIGCONT);
    slave.tell("hello");
    receive(&events, &mut master, b"hello");
    assert!(fifo(&name, 'm').exists());
}

/// Waits until both ends beat as rarely as endpoints at rest do: every 60 ms, and otherwise every 5 ms at most.
fn wait_for_rest(endpoint: &Endpoint) {
    let beats = || {
        let stats = endpoint.stats().unwrap();
        [stats.master_heartbeat, stats.slave_heartbeat]
    };
    let (mut begun, mut before) = (Instant::now(), beats());
    poll("a rest", || {
        if begun.elapsed() < Duration::from_millis(400) {
            return None;
        }
        let now = beats();
        let rests = now.iter().zip(before).all(|(now, before)| now - before <= 20);
        (begun, before) = (Instant::now(), now);
        rests.then_some(())
    });
}

#[test]
fn a_close_rings_a_peer_at_rest() {
    let name = Name::new("events-rest-close");
    let (mut master, slave) = pair(&name);
    let events = master.events(Interest::READABLE | Interest::PEER).unwrap();
    quiet(&events, &mut master);
    wait_for_rest(&master);
    quiet(&events, &mut master);
    drop(slave);
    assert!(is_readable(&events), "the ring comes with the close, not with a heartbeat");
    assert_eq!(events.peer_state(), PeerState::Closed);
}

#[test]
fn an_endpoint_at_rest_that_waits_for_changes_of_its_peer_sees_its_death() {
    let name = Name::new("events-rest-kill");
    let mut master = Endpoint::master(&name).unwrap();
    let child = Child::start("slave", &name);
    child.expect("ready");
    let events = master.events(Interest::READABLE | Interest::PEER).unwrap();
    quiet(&events, &mut master);
    wait_for_rest(&master);
    quiet(&events, &mut master);
    child.kill();
    wait(&events);
    assert_eq!(events.peer_state(), PeerState::Dead);
}

/// One ring of the peer and one of the background thread, which looks at each heartbeat.
#[test]
fn a_program_that_does_not_try_again_is_not_rung_for_ever() {
    let name = Name::new("events-refused");
    let (mut master, mut slave) = pair(&name);
    let events = master.events(Interest::WRITABLE).unwrap();
    while master.try_send(b"fill").is_ok() {}
    let before = rings(&events);
    while slave.try_recv().unwrap().is_some() {}
    wait(&events);
    let beats = || master.stats().unwrap().master_heartbeat;
    let begun = beats();
    poll("ten beats", || (beats() > begun + 10).then_some(()));
    let rings = rings(&events) - before;
    assert!(rings <= 2, "{rings} rings");
    wait_for_rest(&master);
}

/// A program that receives, and has asked for values of which there are none, is not woken for them.
#[test]
fn a_kind_of_which_there_is_nothing_leaves_the_descriptor_unreadable() {
    let name = Name::new("events-nothing");
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::READABLE | Interest::VALUE | Interest::WRITABLE).unwrap();
    quiet(&events, &mut slave);
    master.send(b"message").unwrap();
    receive(&events, &mut slave, b"message");
    quiet(&events, &mut slave);
    master.write(b"value").unwrap();
    wait(&events);
    assert!(slave.try_recv().unwrap().is_none());
    assert!(is_readable(&events), "there is a value");
    assert_eq!(slave.try_read().unwrap().unwrap(), b"value");
    assert!(slave.try_read().unwrap().is_none());
    quiet(&events, &mut slave);
}

/// Two threads wait for the end of the peer. Each reads the pipe empty.
#[test]
fn the_end_of_a_wait_is_told_to_each_half() {
    let name = Name::new("events-halves");
    let (master, slave) = pair(&name);
    let (mut sender, mut receiver) = master.into_split();
    let events = receiver.events(Interest::READABLE | Interest::WRITABLE).unwrap();
    while exclusive::send(&mut sender, b"fill", Limit::Poll).is_ok() {}
    drop(slave);
    poll("the end for the one that receives", || {
        wait(&events);
        exclusive::recv(&mut receiver, Limit::Poll).err()
    });
    assert!(is_readable(&events), "the other thread would not learn of it");
    let error = exclusive::send(&mut sender, b"fill", Limit::Poll).unwrap_err();
    assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
    assert!(is_readable(&events));
}

/// One thread asks for the state of the peer, and reads the pipe empty. Another one waits for a message, which cannot come any
/// more.
#[test]
fn a_query_of_the_state_leaves_the_end_of_a_wait_to_be_seen() {
    let name = Name::new("events-query");
    let (mut master, slave) = pair(&name);
    let events = master.events(Interest::READABLE | Interest::PEER).unwrap();
    quiet(&events, &mut master);
    drop(slave);
    poll("the close", || {
        wait(&events);
        (events.peer_state() == PeerState::Closed).then_some(())
    });
    assert!(is_readable(&events), "the other thread would not learn of it");
    let error = exclusive::recv(master.split().1, Limit::Poll).unwrap_err();
    assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
}

/// A peer that rings although nothing has happened, as often as the pipe takes it.
#[test]
fn a_peer_that_fills_the_pipe_costs_only_time() {
    let name = Name::new("events-full-pipe");
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::READABLE).unwrap();
    let mut hostile =
        File::options().write(true).custom_flags(libc::O_NONBLOCK).open(fifo(&name, 's')).unwrap();
    for text in ["one", "two", "three"] {
        while hostile.write(&[7; 512]).is_ok() {}
        quiet(&events, &mut slave);
        while hostile.write(&[7; 512]).is_ok() {}
        master.send(text.as_bytes()).unwrap();
        receive(&events, &mut slave, text.as_bytes());
    }
    // It reads the rings of the peer.
    let mut thief = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(fifo(&name, 's')).unwrap();
    quiet(&events, &mut slave);
    master.send(b"stolen").unwrap();
    let _ = thief.read(&mut [0; 64]);
    receive(&events, &mut slave, b"stolen");
}

/// What is put in place of the FIFO is not opened, or not written, and its waiter finds its messages itself.
#[test]
fn what_is_put_in_place_of_the_fifo_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    fs::write(&target, b"precious").unwrap();
    type Put<'a> = (&'static str, &'a dyn Fn(&std::path::Path));
    let puts: [Put<'_>; 5] = [
        ("nothing", &|_| {}),
        ("a file", &|path| fs::write(path, b"precious").unwrap()),
        ("a link to a file", &|path| symlink(&target, path).unwrap()),
        ("a directory", &|path| fs::create_dir(path).unwrap()),
        ("another FIFO", &|path| mkfifo(path, Mode::S_IRWXU).unwrap()),
    ];
    for (what, put) in puts {
        let name = Name::new("events-in-place");
        let (mut master, mut slave) = pair(&name);
        let events = slave.events(Interest::READABLE).unwrap();
        quiet(&events, &mut slave);
        let path = fifo(&name, 's');
        fs::remove_file(&path).unwrap();
        put(&path);
        let kind = || path.symlink_metadata().map(|meta| meta.file_type()).ok();
        let before = kind();
        for text in ["one", "two"] {
            master.send(text.as_bytes()).unwrap();
            receive(&events, &mut slave, text.as_bytes());
            quiet(&events, &mut slave);
        }
        drop((master, slave));
        assert_eq!(kind(), before, "{what}");
        if before.is_some_and(|kind| !kind.is_dir() && !kind.is_fifo()) {
            assert_eq!(fs::read(&path).unwrap(), b"precious", "{what}");
        }
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
}

/// A process loses its locks on a file when it opens and closes it.
#[test]
fn a_file_in_place_of_the_fifo_is_not_even_opened() {
    let name = Name::new("events-lock");
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::READABLE).unwrap();
    quiet(&events, &mut slave);
    let path = fifo(&name, 's');
    fs::remove_file(&path).unwrap();
    let open = || File::options().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
    let (locked, other) = (open(), open());
    let whole = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&locked, FcntlArg::F_SETLK(&whole)).unwrap();
    master.send(b"message").unwrap();
    receive(&events, &mut slave, b"message");
    let mut found = whole;
    fcntl(&other, FcntlArg::F_OFD_GETLK(&mut found)).unwrap();
    assert_eq!(found.l_type, libc::F_WRLCK as i16, "the lock is lost");
    fs::remove_file(&path).unwrap();
}

/// A hostile peer stores what it likes in the word of parked threads, and sets the bit again and again. An event then costs
/// a system call, or is found a heartbeat late.
#[test]
fn no_word_of_parked_threads_loses_an_event() {
    let name = Name::new("events-words");
    const CAPACITY: usize = 4096;
    let mut master = Endpoint::builder(&name).role(Role::Master).queue_capacity(CAPACITY).open().unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    let queue = QueueGeometry::new(layout::Geometry { data_size: 4096 }.total(), CAPACITY);
    let parked = queue.control(layout::Direction::MasterToSlave)
        + std::mem::offset_of!(layout::QueueControl, receiver_parked);
    let file = File::options().write(true).open(name.path()).unwrap();
    let strike = |word: u32| file.write_all_at(&word.to_ne_bytes(), parked as u64).unwrap();
    for number in 0..50_u32 {
        // Nobody has a descriptor yet.
        strike(WAITERS_BELL);
        master.send(&number.to_ne_bytes()).unwrap();
        assert_eq!(slave.recv().unwrap(), number.to_ne_bytes());
    }
    let events = slave.events(Interest::READABLE).unwrap();
    let mut word = 1_u32;
    for number in 0..200_u32 {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        quiet(&events, &mut slave);
        strike([WAITERS_BELL, 0, u32::MAX, !WAITERS_BELL, word][number as usize % 5]);
        master.send(&number.to_ne_bytes()).unwrap();
        receive(&events, &mut slave, &number.to_ne_bytes());
    }
}

#[test]
fn what_an_older_peer_writes_and_reads_wakes_a_descriptor() {
    for version in VERSIONS {
        let name = Name::new("events-legacy");
        let legacy = Legacy::make(&name, version);
        let _heart = Heart::of(&name, Role::Master);
        let mut slave = Endpoint::slave(&name).unwrap();
        slave.wait_for_peer(WATCHDOG).unwrap();
        let events = slave.events(Interest::READABLE | Interest::WRITABLE).unwrap();
        for text in [&b"one"[..], b"two", b"three"] {
            quiet(&events, &mut slave);
            legacy.write(MASTER_TO_SLAVE, text);
            receive(&events, &mut slave, text);
        }
        slave.try_send(b"sent").unwrap();
        for _ in 0..2 {
            assert!(matches!(slave.try_send(b"refused"), Err(Error::Full { .. })));
            assert_eq!(legacy.read(SLAVE_TO_MASTER).len(), 4);
            poll("room", || {
                wait(&events);
                slave.try_send(b"sent").ok()
            });
        }
        assert_eq!(legacy.u64(SLAVE_TO_MASTER + READ_COUNT), 2);
        // The words of a 1.x process stay counts.
        assert_eq!(legacy.u32(MASTER_TO_SLAVE + 4124) & !0xFFFF, 0);
    }
}

/// More sources than one wait returns: those that were left out come first.
#[test]
fn what_is_ready_in_a_wait_set_takes_turns() {
    let set = WaitSet::new().unwrap();
    let pipes: Vec<_> = (0..150).map(|_| nix::unistd::pipe().unwrap()).collect();
    for (token, (reader, writer)) in pipes.iter().enumerate() {
        nix::unistd::write(writer, b"x").unwrap();
        set.add_fd(reader, token as u64).unwrap();
    }
    let mut times = vec![0; pipes.len()];
    for _ in 0..30 {
        set.wait(None).unwrap().for_each(|token| times[token as usize] += 1);
    }
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(most - least <= 1 && *least >= 30 * 64 / 150, "between {least} and {most} times");
}
