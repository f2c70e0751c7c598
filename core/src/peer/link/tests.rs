//! Calls that wait for the lock of a link while another thread closes the endpoint.

use std::fs;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::Builder;
use crate::api::endpoint::Endpoint;
use crate::peer_state::PeerState;

/// Returns a builder of endpoints without the monitor, whose close keeps the file.
fn open(name: &str, role: Role) -> Builder {
    Endpoint::builder(name).role(role).background(false).auto_cleanup(false)
}

fn link(name: &str) -> Arc<Link> {
    let config = open(name, Role::Master);
    let name = SegmentName::new(name, crate::segment::domain::Domain::from_env().unwrap()).unwrap();
    Link::open(name, config.settings).unwrap().0
}

/// Runs `call` on a thread, closes the endpoint while the call waits for the lock, and opens a successor before the
/// call continues. Returns the result of the call, and the heartbeats of the successor before and after the call.
fn close_during<T: Send>(name: &str, call: impl FnOnce(&Link) -> T + Send) -> (T, [u64; 2]) {
    let link = link(name);
    let path = link.name.path().to_owned();
    let (said, thread) = mpsc::channel();
    let mut state = link.plain_state();
    let (outcome, heartbeats) = thread::scope(|scope| {
        let caller = scope.spawn(|| {
            said.send(nix::unistd::gettid()).unwrap();
            call(&link)
        });
        let status = format!("/proc/self/task/{}/stat", thread.recv().unwrap());
        // Asleep: the call waits for the lock and for nothing else.
        while !fs::read_to_string(&status).unwrap().contains(") S ") {
            thread::yield_now();
        }
        let _ = link.leave(&mut state, &mut link.carry(), Attachment::leave);
        let _master = open(name, Role::Master).open().unwrap();
        let _slave = open(name, Role::Slave).open().unwrap();
        // The successor uses the same file.
        let attachment = Arc::clone(&state.attachment);
        let before = attachment.heartbeats().0;
        drop(state);
        (caller.join().unwrap(), [before, attachment.heartbeats().0])
    });
    fs::remove_file(path).unwrap();
    (outcome, heartbeats)
}

#[test]
fn a_heartbeat_that_waits_for_the_lock_is_refused_after_a_close() {
    let name = format!("test-close-beat-{}", std::process::id());
    let (outcome, [before, after]) = close_during(&name, Link::update_heartbeat);
    assert!(matches!(outcome, Err(Error::Closed { .. })), "{outcome:?}");
    assert_eq!(before, after, "the heartbeat is the successor's");
}

#[test]
fn a_peer_state_that_waits_for_the_lock_is_the_one_before_the_close() {
    let name = format!("test-close-state-{}", std::process::id());
    let (outcome, _) = close_during(&name, Link::peer_state);
    assert_eq!(outcome, PeerState::Absent, "the slave is the successor's peer");
}
