//! Endpoints at rest: they beat rarely, and see all the same what becomes of the peer.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use common::{Child, Name, WATCHDOG, poll, say, scenario, told, within};
use eshm::{Disconnect, Endpoint, Error, PeerState, Role};
use nix::sys::signal::Signal;

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    let role = if scenario == "master" { Role::Master } else { Role::Slave };
    let mut endpoint = Endpoint::builder(&segment).role(role).open().unwrap();
    say("ready");
    loop {
        let line = told();
        endpoint.send(line.as_bytes()).unwrap();
    }
}

/// An endpoint at rest beats every 60 ms: fewer beats in a window than an interval of 20 ms gives. An idle one beats
/// every 5 ms.
const REST_WINDOW: (Duration, u64) = (Duration::from_millis(400), 400 / 20);

/// Waits until both ends beat as slowly as endpoints at rest do.
fn wait_for_rest(endpoint: &Endpoint) {
    let heartbeats = || {
        let stats = endpoint.stats().unwrap();
        (stats.master_heartbeat, stats.slave_heartbeat)
    };
    let (mut begun, mut before) = (Instant::now(), heartbeats());
    poll("a window with the beats of endpoints at rest", || {
        if begun.elapsed() < REST_WINDOW.0 {
            return None;
        }
        let now = heartbeats();
        let slow =
            [now.0 - before.0, now.1 - before.1].iter().all(|&beats| 0 < beats && beats <= REST_WINDOW.1);
        (begun, before) = (Instant::now(), now);
        slow.then_some(())
    });
}

fn until(endpoint: &Endpoint, state: PeerState) {
    poll(&format!("{state}"), || (endpoint.peer_state() == state).then_some(()));
}

/// Returns an endpoint of this role, and the process of its peer. Both rest.
fn resting(name: &Name, role: Role) -> (Endpoint, Child) {
    let child = Child::start(if role == Role::Master { "slave" } else { "master" }, name);
    // The call of a slave returns early if its search for a master has ended, so that it shows what the peer is.
    let endpoint = Endpoint::builder(name).role(role).disconnect(Disconnect::Immediately).open().unwrap();
    child.expect("ready");
    endpoint.wait_for_peer(WATCHDOG).unwrap();
    wait_for_rest(&endpoint);
    (endpoint, child)
}

#[test]
fn endpoints_at_rest_stay_alive_to_each_other_and_see_a_close() {
    let name = Name::new("rest");
    let mut master = Endpoint::master(&name).unwrap();
    let slave = Endpoint::slave(&name).unwrap();
    wait_for_rest(&master);
    assert_eq!((master.peer_state(), slave.peer_state()), (PeerState::Alive, PeerState::Alive));
    let closer = thread::spawn(move || drop(slave));
    assert!(matches!(master.recv(), Err(Error::PeerClosed { .. })));
    closer.join().unwrap();
    assert_eq!(master.peer_state(), PeerState::Closed);
}

#[test]
fn an_endpoint_at_rest_that_waits_for_its_peer_sees_the_next_one() {
    let name = Name::new("rest-wait");
    let master = Endpoint::master(&name).unwrap();
    let slave = Endpoint::slave(&name).unwrap();
    wait_for_rest(&master);
    drop(slave);
    assert_eq!(master.peer_state(), PeerState::Closed, "a query at rest looks at once");
    let _slave = Endpoint::slave(&name).unwrap();
    master.wait_for_peer(WATCHDOG).unwrap();
}

/// The kernel tells, whatever the pulse.
#[test]
fn a_query_at_rest_sees_at_once_that_the_peer_was_killed() {
    for role in [Role::Master, Role::Slave] {
        let name = Name::new("rest-kill");
        let (endpoint, child) = resting(&name, role);
        child.kill();
        assert_eq!(endpoint.peer_state(), PeerState::Dead);
    }
}

#[test]
fn a_thread_that_waits_at_rest_is_told_that_the_peer_was_killed() {
    for role in [Role::Master, Role::Slave] {
        let name = Name::new("rest-wait-kill");
        let (mut endpoint, child) = resting(&name, role);
        let waiting = thread::spawn(move || endpoint.recv().map(|message| message.len()));
        child.kill();
        let error = within(WATCHDOG, || waiting.join().unwrap()).expect("the end of the wait").unwrap_err();
        assert!(matches!(error, Error::PeerStale { state: PeerState::Dead, .. }), "{error:?}");
    }
}

#[test]
fn a_peer_that_is_stopped_at_rest_is_frozen_and_thaws() {
    for role in [Role::Master, Role::Slave] {
        let name = Name::new("rest-stop");
        let (mut endpoint, mut child) = resting(&name, role);
        child.signal(Signal::SIGSTOP);
        until(&endpoint, PeerState::Frozen);
        child.signal(Signal::SIGCONT);
        until(&endpoint, PeerState::Alive);
        child.tell("thawed");
        assert_eq!(&*endpoint.recv_timeout(WATCHDOG).unwrap().expect("a message"), b"thawed");
    }
}

#[test]
fn a_slave_at_rest_goes_on_with_the_successor_of_a_killed_master() {
    let name = Name::new("rest-restart");
    let first = Child::start("master", &name);
    let mut slave = Endpoint::slave(&name).unwrap();
    first.expect("ready");
    slave.wait_for_peer(WATCHDOG).unwrap();
    wait_for_rest(&slave);
    first.kill();
    let waiting = thread::spawn(move || slave.recv_timeout(WATCHDOG).unwrap().expect("a message").to_vec());
    let mut second = Child::start("master", &name);
    second.expect("ready");
    second.tell("from the second");
    let received = within(WATCHDOG, || waiting.join().unwrap()).expect("the end of the wait");
    assert_eq!(received, b"from the second");
}

#[test]
fn a_call_that_waits_at_rest_can_be_stopped() {
    let name = Name::new("rest-halt");
    let mut master = Endpoint::master(&name).unwrap();
    let _slave = Endpoint::slave(&name).unwrap();
    wait_for_rest(&master);
    let inspector = master.inspector();
    let waiting = thread::spawn(move || master.recv().map(|message| message.len()));
    inspector.stop();
    let error = within(WATCHDOG, || waiting.join().unwrap()).expect("the end of the wait").unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error:?}");
}

#[test]
fn a_master_at_rest_whose_name_is_removed_gets_it_back() {
    let name = Name::new("rest-name");
    let master = Endpoint::master(&name).unwrap();
    let _slave = Endpoint::slave(&name).unwrap();
    wait_for_rest(&master);
    for _ in 0..3 {
        fs::remove_file(name.path()).unwrap();
        poll("the name", || name.exists().then_some(()));
    }
    drop(master);
}

/// The monitor then visits all endpoints of the process each millisecond.
#[test]
fn an_endpoint_rests_beside_a_busy_one_of_the_same_process() {
    const WINDOW: Duration = Duration::from_millis(1200);
    let (quiet, loud) = (Name::new("rest-quiet"), Name::new("rest-loud"));
    let master = Endpoint::master(&quiet).unwrap();
    let _slave = Endpoint::slave(&quiet).unwrap();
    let (mut sender, mut receiver) = (Endpoint::master(&loud).unwrap(), Endpoint::slave(&loud).unwrap());
    let heartbeat = || master.stats().unwrap().master_heartbeat;
    let (mut begun, mut before) = (Instant::now(), heartbeat());
    poll("the beats of an endpoint at rest, one each 60 ms", || {
        for _ in 0..100 {
            sender.send(b"loud").unwrap();
            receiver.recv().unwrap();
        }
        if begun.elapsed() < WINDOW {
            return None;
        }
        let beats = heartbeat() - before;
        (begun, before) = (Instant::now(), heartbeat());
        // One each 30 ms would be 40.
        (0 < beats && beats <= 28).then_some(())
    });
}

/// An ESHM 1.x process counts on the heartbeat alone, and says nothing of its patience.
#[test]
fn a_1x_peer_that_attaches_to_a_master_at_rest_ends_the_rest() {
    const MASTER_HEARTBEAT: u64 = 8;
    const SLAVE_PID: u64 = 28;
    const SLAVE_ALIVE: u64 = 36;
    const MAILBOX_BYTES: u64 = 136;
    let name = Name::new("rest-legacy");
    let mut master = Endpoint::master(&name).unwrap();
    let file = File::options().read(true).write(true).open(name.path()).unwrap();
    let heartbeat = || {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, MASTER_HEARTBEAT).unwrap();
        u64::from_ne_bytes(bytes)
    };
    // A window, and whether the beats in it come at the given pace.
    let window = |what: &str, is_it: fn(u64) -> bool| {
        let (mut begun, mut before) = (Instant::now(), heartbeat());
        poll(what, || {
            if begun.elapsed() < REST_WINDOW.0 {
                return None;
            }
            let beats = heartbeat() - before;
            (begun, before) = (Instant::now(), heartbeat());
            is_it(beats).then_some(())
        });
    };
    window("rest", |beats| 0 < beats && beats <= REST_WINDOW.1);
    file.write_all_at(&std::process::id().to_ne_bytes(), SLAVE_PID).unwrap();
    file.write_all_at(&1_u32.to_ne_bytes(), SLAVE_ALIVE).unwrap();
    // Before the monitor has looked: such a peer reads no queue.
    master.send(b"first").unwrap();
    let mut shown = [0; 5];
    file.read_exact_at(&mut shown, MAILBOX_BYTES).unwrap();
    assert_eq!(&shown, b"first");
    // An idle endpoint beats 80 times in a window.
    window("the beats of a busy endpoint", |beats| beats > 100);
    window("and they stay", |beats| beats > 100);
}
