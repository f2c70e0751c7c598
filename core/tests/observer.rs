//! Who looks sees both ends, and can change nothing.

mod common;

use std::fs;
use std::time::Duration;

use common::{Child, Name, poll, say, scenario, told};
use eshm::{Endpoint, Error, Observer, PeerState, Role};
use nix::unistd::Uid;

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match &*scenario {
        "write" => write_through_the_mapping(&segment),
        "guest" => look_as_a_guest(&segment),
        "slave" => {
            let _slave = Endpoint::slave(&segment).unwrap();
            say("attached");
            told();
        }
        other => panic!("no scenario {other}"),
    }
}

#[test]
fn it_sees_both_ends_and_how_full_the_queues_are() {
    let name = Name::new("observe");
    let mut master = Endpoint::builder(&name).role(Role::Master).queue_capacity(4096).open().unwrap();
    let mut observer = Observer::open(&name).unwrap();
    assert_eq!((observer.name(), observer.data_size(), observer.max_message()), (&*name, 4096, 4096));
    let view = observer.look();
    assert_eq!((view.master.state, view.slave.state), (PeerState::Alive, PeerState::Absent));
    assert_eq!((view.master.pid, view.master.is_legacy), (std::process::id() as i32, false));

    let mut slave = Endpoint::slave(&name).unwrap();
    for message in [&b"short"[..], &[7; 500], b""] {
        master.send(message).unwrap();
    }
    slave.send(b"back").unwrap();
    master.write(b"value").unwrap();
    let view = observer.look();
    assert_eq!((view.slave.state, view.slave.generation), (PeerState::Alive, 1));
    assert_eq!((view.master_to_slave.waiting, view.master_to_slave.slots), (3, 64));
    assert_eq!((view.slave_to_master.waiting, view.master_to_slave.written), (1, 1));
    drop(slave.recv().unwrap());
    assert_eq!(observer.look().master_to_slave.waiting, 2);
    slave.try_read().unwrap().unwrap();
    poll("the count of reads", || (observer.look().master_to_slave.read == 1).then_some(()));

    slave.close().unwrap();
    assert_eq!(observer.look().slave.state, PeerState::Closed);
    assert!(observer.is_current());
    master.close().unwrap();
    assert_eq!(observer.look().master.state, PeerState::Closed);
    assert!(!observer.is_current());
}

#[test]
fn a_killed_endpoint_is_dead_and_a_stopped_one_frozen() {
    use nix::sys::signal::Signal;
    let name = Name::new("observe-dead");
    // Without the monitor, so that this master tidies nothing up.
    let builder = Endpoint::builder(&name).role(Role::Master).background(false);
    let _master = builder.stale_threshold(Duration::from_millis(50)).open().unwrap();
    let child = Child::start("slave", &name);
    child.expect("attached");
    let mut observer = Observer::open(&name).unwrap();
    assert_eq!(observer.look().slave.state, PeerState::Alive);
    child.signal(Signal::SIGSTOP);
    poll("frozen", || (observer.look().slave.state == PeerState::Frozen).then_some(()));
    child.kill();
    assert_eq!(observer.look().slave.state, PeerState::Dead);
}

/// Where the segment is mapped in this process, with what permissions.
fn mapping(segment: &str) -> (usize, String) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with(&format!("/dev/shm/eshm_{segment}")));
    let mut words = line.expect("it is mapped").split(' ');
    let start = words.next().unwrap().split('-').next().unwrap();
    (usize::from_str_radix(start, 16).unwrap(), words.next().unwrap().to_owned())
}

fn write_through_the_mapping(segment: &str) {
    let _observer = Observer::open(segment).unwrap();
    let (start, permissions) = mapping(segment);
    say(permissions);
    let start = start as *mut libc::c_void;
    // SAFETY: a page of this process; that it becomes writable is what must not succeed.
    say(unsafe { libc::mprotect(start, 4096, libc::PROT_READ | libc::PROT_WRITE) });
    // SAFETY: mapped; that the store is answered with a signal is what is shown.
    unsafe { start.cast::<u8>().write_volatile(0) };
    say("written");
}

#[test]
fn a_write_through_it_is_impossible() {
    use std::os::unix::process::ExitStatusExt;
    let name = Name::new("observe-write");
    let _master = Endpoint::master(&name).unwrap();
    let child = Child::start("write", &name);
    child.expect("r--s");
    child.expect("-1");
    assert_eq!(child.ended().signal(), Some(libc::SIGSEGV));
    assert_eq!(fs::read(name.path()).unwrap()[..4], 0x4553_484Du32.to_ne_bytes());
}

#[test]
fn looking_changes_no_byte() {
    let name = Name::new("observe-bytes");
    let builder = Endpoint::builder(&name).role(Role::Master).auto_cleanup(false);
    let mut master = builder.open().unwrap();
    master.send(b"unread").unwrap();
    master.close().unwrap();
    let before = fs::read(name.path()).unwrap();
    let mut observer = Observer::open(&name).unwrap();
    for _ in 0..10 {
        assert_eq!(observer.look().master_to_slave.waiting, 1);
    }
    assert!(fs::read(name.path()).unwrap() == before);
    drop(observer);
    assert_eq!(&*Endpoint::slave(&name).unwrap().recv().unwrap(), b"unread");
}

/// As somebody who may read the segment, and not write it.
fn look_as_a_guest(segment: &str) {
    nix::unistd::setuid(Uid::from_raw(65534)).unwrap();
    say(Endpoint::slave(segment).unwrap_err());
    match Observer::open(segment) {
        Ok(mut observer) => say(observer.look().master.state),
        Err(error) => say(error),
    }
}

#[test]
fn the_permission_to_read_suffices() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: the_permission_to_read_suffices needs root, to become another user");
        return;
    }
    let name = Name::new("observe-guest");
    let _master = Endpoint::builder(&name).role(Role::Master).mode(0o644).open().unwrap();
    let child = Child::start("guest", &name);
    let error = child.line();
    assert!(error.contains("opening it") && error.contains("`mode`"), "{error}");
    child.expect("alive");
    assert!(child.ended().success());
}

#[test]
fn what_is_no_segment_is_refused_at_once() {
    let name = Name::new("observe-none");
    assert!(matches!(Observer::open(&name), Err(Error::NotFound { .. })));
    assert!(matches!(Observer::open("a/b"), Err(Error::InvalidName { .. })));
    for len in [0, 8576] {
        fs::write(name.path(), vec![0; len]).unwrap();
        assert!(matches!(Observer::open(&name), Err(Error::NotFound { .. })), "{len} zeros");
    }
    fs::write(name.path(), vec![1; 8576]).unwrap();
    let error = Observer::open(&name).unwrap_err();
    assert!(error.to_string().contains("the magic"), "{error}");
    fs::remove_file(name.path()).unwrap();
    fs::create_dir(name.path()).unwrap();
    let error = Observer::open(&name).unwrap_err();
    assert!(error.to_string().contains("a directory"), "{error}");
}
