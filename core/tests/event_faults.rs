//! Event descriptors where something is wrong in the process of the waiter: a fork, a descriptor that the program has closed,
//! a lack of descriptors, a directory without FIFOs.

mod common;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::descriptor::{fifo, is_readable, pair, quiet, receive, wait};
use common::{Child, Name, WATCHDOG, poll, say, scenario, told};
use eshm::{Endpoint, Events, Interest, PeerState, Role, WaitSet};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Uid, fork, mkfifo};

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match scenario.as_str() {
        "fork" => fork_with_a_descriptor(&segment),
        "closed" => close_the_descriptor(&segment),
        "limit" => run_out_of_descriptors(&segment),
        "sender without descriptors" => send_without_descriptors(&segment),
        "other user" => wait_as_another_user(&segment),
        other => panic!("no scenario {other}"),
    }
}

/// Forks, and returns the code with which the child of it ends.
fn in_a_fork(play: impl FnOnce() -> i32) -> WaitStatus {
    // SAFETY: the child calls what may allocate, which glibc makes safe after a fork; it then ends with `_exit`.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        ForkResult::Child => {
            // SAFETY: takes no pointers. Whoever hangs is ended.
            unsafe { libc::alarm(10) };
            let code = play();
            // SAFETY: takes no pointers, and does not return.
            unsafe { libc::_exit(code) }
        }
    }
}

fn fork_with_a_descriptor(segment: &str) {
    let (mut master, mut slave) = pair(segment);
    let events = slave.events(Interest::READABLE).unwrap();
    let set = WaitSet::new().unwrap();
    set.add(&events, 1).unwrap();
    quiet(&events, &mut slave);
    let mut kept = Some((slave, events));
    let ended = in_a_fork(|| {
        let (mut slave, events) = kept.take().unwrap();
        let is_null = File::from(events.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
        let right = [
            is_null.file_type().is_char_device(),
            is_readable(&events),
            slave.try_recv().map(drop).map_err(|error| error.code()) == Err(-18),
            slave.events(Interest::READABLE).map(drop).map_err(|error| error.code()) == Err(-18),
            set.wait(Some(Duration::ZERO)).is_err(),
            set.remove(1).is_err(),
            set.add_fd(std::io::stdin(), 2).is_err(),
        ];
        drop((slave, events));
        right.iter().filter(|right| !**right).count() as i32
    });
    say(format!("{ended:?}").contains(", 0)"));
    let (mut slave, events) = kept.unwrap();
    say(fifo(segment, 's').exists());
    say(is_readable(&events));
    master.send(b"the parent's").unwrap();
    assert_eq!(set.wait(Some(WATCHDOG)).unwrap().next(), Some(1));
    receive(&events, &mut slave, b"the parent's");
    say("received");
}

#[test]
fn the_descriptor_of_a_forked_child_leads_nowhere_and_that_of_its_parent_goes_on() {
    let name = Name::new("events-fork");
    let child = Child::start("fork", &name);
    for word in ["true", "true", "false", "received"] {
        child.expect(word);
    }
    assert!(child.ended().success());
}

/// Closes the descriptor, and gives its number to a socket. Returns the socket, and its other end.
fn replace_by_a_socket(events: &Events) -> (OwnedFd, UnixStream) {
    let number = events.as_raw_fd();
    let (here, there) = UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    // SAFETY: this is the mistake that is tested. Only this test uses the number from here on.
    let taken = unsafe { libc::dup2(here.as_raw_fd(), number) };
    assert_eq!(taken, number);
    // SAFETY: the number is that of the duplicate, which has no other owner that closes it.
    (unsafe { OwnedFd::from_raw_fd(number) }, there)
}

fn close_the_descriptor(segment: &str) {
    let (mut master, mut slave) = pair(segment);
    let (events, set) = (slave.events(Interest::READABLE).unwrap(), WaitSet::new().unwrap());
    set.add(&events, 1).unwrap();
    quiet(&events, &mut slave);
    let (socket, mut there) = replace_by_a_socket(&events);
    let mut socket = UnixStream::from(socket);
    there.write_all(b"a secret").unwrap();
    set.add_fd(&socket, 2).unwrap();
    let error = slave.events(Interest::READABLE).unwrap_err();
    say(&error);
    say(set.add(&events, 3).unwrap_err().raw_os_error() == Some(libc::EBADF));
    // Removes the other one, not what has the number.
    set.remove(1).unwrap();
    say(set.wait(Some(WATCHDOG)).unwrap().eq([2]));
    // The endpoint works without.
    for _ in 0..3 {
        assert!(slave.try_recv().unwrap().is_none());
        master.send(b"message").unwrap();
        assert_eq!(slave.recv().unwrap(), b"message");
    }
    let ended = in_a_fork(|| {
        let mut bytes = [0; 20];
        i32::from(socket.read(&mut bytes).ok() != Some(8))
    });
    say(format!("{ended:?}").contains(", 0)"));
    there.write_all(b"another").unwrap();
    slave.inspector().stop();
    drop((slave, events));
    say(fifo(segment, 's').exists());
    let mut bytes = [0; 20];
    let len = socket.read(&mut bytes).unwrap();
    say(String::from_utf8_lossy(&bytes[..len]));
    there.set_nonblocking(true).unwrap();
    say(there.read(&mut bytes).unwrap_err().kind() == io::ErrorKind::WouldBlock);
}

/// The number can be that of another file, which the endpoint neither reads nor writes nor closes.
#[test]
fn a_descriptor_that_the_program_closed_is_an_error_and_no_other_file() {
    let name = Name::new("events-closed");
    let child = Child::start("closed", &name);
    let error = child.line();
    assert!(
        error.contains("using its event descriptor") && error.contains("the program has closed"),
        "{error}"
    );
    for word in ["true", "true", "true", "false", "another", "true"] {
        child.expect(word);
    }
    assert!(child.ended().success());
}

/// Opens files until the process can have no descriptor more.
fn take_all_descriptors() -> Vec<File> {
    setrlimit(Resource::RLIMIT_NOFILE, 40, 40).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn run_out_of_descriptors(segment: &str) {
    let (mut master, mut slave) = pair(segment);
    let mut files = take_all_descriptors();
    say(slave.events(Interest::READABLE).unwrap_err());
    say(fifo(segment, 's').exists());
    say(WaitSet::new().is_err());
    master.send(b"without").unwrap();
    say(slave.recv().unwrap().text().unwrap());
    files.pop();
    let events = slave.events(Interest::READABLE).unwrap();
    quiet(&events, &mut slave);
    // The sender has no descriptor for the FIFO, so that the background thread finds the message.
    master.send(b"late").unwrap();
    receive(&events, &mut slave, b"late");
    quiet(&events, &mut slave);
    files.pop();
    master.send(b"in time").unwrap();
    receive(&events, &mut slave, b"in time");
    say("received");
}

#[test]
fn without_descriptors_an_error_names_the_limit_and_the_endpoint_works() {
    let name = Name::new("events-limit");
    let child = Child::start("limit", &name);
    let error = child.line();
    assert!(error.contains("making its event descriptor") && error.contains("ulimit -n"), "{error}");
    for word in ["false", "true", "without", "received"] {
        child.expect(word);
    }
    assert!(child.ended().success());
}

fn send_without_descriptors(segment: &str) {
    let mut slave = Endpoint::slave(segment).unwrap();
    let _files = take_all_descriptors();
    say("ready");
    loop {
        slave.send(told().as_bytes()).unwrap();
    }
}

#[test]
fn a_sender_without_descriptors_loses_no_event() {
    let name = Name::new("events-sender-limit");
    let mut master = Endpoint::master(&name).unwrap();
    let mut child = Child::start("sender without descriptors", &name);
    child.expect("ready");
    let events = master.events(Interest::READABLE).unwrap();
    for text in ["one", "two", "three"] {
        quiet(&events, &mut master);
        child.tell(text);
        receive(&events, &mut master, text.as_bytes());
    }
}

/// Something that cannot be removed has the name of the FIFO.
#[test]
fn where_no_fifo_can_be_made_the_descriptor_works_all_the_same() {
    let name = Name::new("events-no-fifo");
    fs::create_dir(fifo(&name, 's')).unwrap();
    let (mut master, mut slave) = pair(&name);
    let events = slave.events(Interest::READABLE | Interest::PEER).unwrap();
    for text in ["one", "two", "three"] {
        quiet(&events, &mut slave);
        master.send(text.as_bytes()).unwrap();
        receive(&events, &mut slave, text.as_bytes());
    }
    drop(master);
    poll("the close", || {
        wait(&events);
        (events.peer_state() == PeerState::Closed).then_some(())
    });
    drop(slave);
    fs::remove_dir(fifo(&name, 's')).unwrap();
}

fn wait_as_another_user(segment: &str) {
    nix::unistd::setuid(Uid::from_raw(65534)).unwrap();
    let mut slave = Endpoint::slave(segment).unwrap();
    let events = slave.events(Interest::READABLE).unwrap();
    for word in ["one", "two"] {
        quiet(&events, &mut slave);
        say("ready");
        receive(&events, &mut slave, word.as_bytes());
        say(word);
    }
}

/// /dev/shm is sticky: a FIFO there that belongs to root cannot be removed by others.
#[test]
fn a_fifo_of_another_user_is_not_used() {
    if !Uid::effective().is_root() {
        println!("SKIPPED: a_fifo_of_another_user_is_not_used needs root");
        return;
    }
    let name = Name::new("events-foreign");
    let mut master = Endpoint::builder(&name).role(Role::Master).mode(0o666).open().unwrap();
    let foreign = fifo(&name, 's');
    mkfifo(&foreign, Mode::from_bits_truncate(0o666)).unwrap();
    let child = Child::start("other user", &name);
    for word in ["one", "two"] {
        child.expect("ready");
        master.send(word.as_bytes()).unwrap();
        child.expect(word);
    }
    assert!(child.ended().success());
    assert!(foreign.exists());
    fs::remove_file(foreign).unwrap();
}

/// Its permissions may exclude the owner of the segment otherwise, who then could not ring.
#[test]
fn root_gives_its_fifo_to_the_owner_of_the_segment() {
    if !Uid::effective().is_root() {
        println!("SKIPPED: root_gives_its_fifo_to_the_owner_of_the_segment needs root");
        return;
    }
    let name = Name::new("events-owner");
    let _master = Endpoint::builder(&name).role(Role::Master).mode(0o600).open().unwrap();
    chown(name.path(), Some(65534), Some(65534)).unwrap();
    let slave = Endpoint::builder(&name).role(Role::Slave).any_owner(true).open().unwrap();
    let _events = slave.events(Interest::READABLE).unwrap();
    let segment = fs::metadata(name.path()).unwrap();
    let made = fs::metadata(fifo(&name, 's')).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (segment.uid(), segment.gid(), 0o600));
}
