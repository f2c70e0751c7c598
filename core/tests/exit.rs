//! A process that exits while other threads of it are in calls: they use the segment until the kernel ends them, so nobody may
//! have their seat before.

use std::time::Duration;

use eshm::{Builder, Endpoint, PeerState, Role};

mod common;
use common::{Child, Name, poll, say, scenario, told};

fn role(name: &str) -> Role {
    if name == "master" { Role::Master } else { Role::Slave }
}

/// The name outlives the masters here, so that a successor finds the segment.
fn builder(segment: &str, role: Role) -> Builder {
    let search = Duration::from_millis(1);
    Endpoint::builder(segment).role(role).auto_cleanup(false).reconnect_interval(search)
}

/// Runs after the exit hook of the library: hooks run in the reverse order of their registration.
extern "C" fn after_the_exit_hook() {
    say("closed");
    // Until the parent closes the pipe.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Exits while a thread waits in `recv`, and lingers.
fn exit_in_a_call(segment: &str, role: Role) {
    // SAFETY: the handler is a function of this program, and does not unwind unless the test fails.
    assert_eq!(unsafe { libc::atexit(after_the_exit_hook) }, 0);
    let mut endpoint = builder(segment, role).open().unwrap();
    let inspector = endpoint.inspector();
    std::thread::spawn(move || {
        // It ends, and drops the endpoint, while the process exits.
        let closed = endpoint.recv().map(|message| message.to_vec());
        drop((closed, endpoint));
    });
    inspector.wait_for_peer(common::WATCHDOG).unwrap();
    say("ready");
    told();
    std::process::exit(0);
}

#[test]
fn child() {
    if let Some((scenario, segment)) = scenario() {
        exit_in_a_call(&segment, role(&scenario));
    }
}

fn an_exiting_process_keeps_its_seat(leaving: &str) {
    let name = Name::new("exit-in-call");
    let role = role(leaving);
    // A slave's peer has to be there first, a master's comes later.
    let early = (role == Role::Slave).then(|| builder(&name, Role::Master).open().unwrap());
    let mut child = Child::start(leaving, &name);
    let mut peer = match early {
        Some(peer) => peer,
        None => builder(&name, Role::Slave).open().unwrap(),
    };
    child.expect("ready");
    child.tell("exit");
    child.expect("closed");
    // It has said so in the header, and is still there.
    let header = std::fs::read(name.path()).unwrap();
    let alive = if role == Role::Master { 32..36 } else { 36..40 };
    assert_eq!(header[alive], [0; 4]);
    assert_eq!(builder(&name, role).open().unwrap_err().code(), -15);
    assert_ne!(peer.peer_state(), PeerState::Closed);
    assert!(child.ended().success());
    poll("the close", || (peer.peer_state() == PeerState::Closed).then_some(()));
    let mut successor = builder(&name, role).open().unwrap();
    peer.wait_for_peer(common::WATCHDOG).unwrap();
    successor.send(b"in order").unwrap();
    assert_eq!(&*peer.recv_timeout(common::WATCHDOG).unwrap().unwrap(), b"in order");
}

#[test]
fn a_master_that_exits_keeps_its_seat_to_its_end() {
    an_exiting_process_keeps_its_seat("master");
}

#[test]
fn a_slave_that_exits_keeps_its_seat_to_its_end() {
    an_exiting_process_keeps_its_seat("slave");
}
