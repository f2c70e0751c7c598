//! How often an endpoint beats, with a peer whose stale threshold differs from its own.

use std::time::{Duration, Instant};

use eshm::{Endpoint, Error, PeerState, Role};

mod common;
use common::{Name, poll};

/// An idle endpoint with the default settings beats every 5 ms.
const SLOW: Duration = Duration::from_millis(5);

/// Whether an idle endpoint of this role, with the default settings, beats faster than `SLOW` because its peer is less
/// patient.
fn an_idle_endpoint_beats_by_its_peers_threshold(role: Role) {
    let name = Name::new("heartbeat");
    let open = |role, threshold| {
        Endpoint::builder(&name).role(role).stale_threshold(Duration::from_millis(threshold)).open().unwrap()
    };
    let (mine, peers) = if role == Role::Master { (100, 40) } else { (40, 100) };
    let master = open(Role::Master, mine);
    let _slave = open(Role::Slave, peers);
    let beats = || {
        let stats = master.stats().unwrap();
        if role == Role::Master { stats.master_heartbeat } else { stats.slave_heartbeat }
    };
    // The first windows are those of an endpoint that is not idle yet.
    let opened = Instant::now();
    poll("idleness", || (opened.elapsed() > Duration::from_millis(300)).then_some(()));
    let (mut begun, mut before) = (Instant::now(), beats());
    poll("a window with more beats than slow ones", || {
        if begun.elapsed() < 20 * SLOW {
            return None;
        }
        let count = beats() - before;
        let most_slow_ones = begun.elapsed().div_duration_f64(SLOW) + 2.0;
        (begun, before) = (Instant::now(), beats());
        (count as f64 > most_slow_ones).then_some(())
    });
}

#[test]
fn an_idle_master_beats_by_its_slaves_threshold() {
    an_idle_endpoint_beats_by_its_peers_threshold(Role::Master);
}

#[test]
fn an_idle_slave_beats_by_its_masters_threshold() {
    an_idle_endpoint_beats_by_its_peers_threshold(Role::Slave);
}

/// An endpoint at rest beats every 40 ms: fewer beats in a window than this interval gives.
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

#[test]
fn endpoints_at_rest_stay_alive_to_each_other_and_see_a_close() {
    let name = Name::new("rest");
    let mut master = Endpoint::master(&name).unwrap();
    let slave = Endpoint::slave(&name).unwrap();
    wait_for_rest(&master);
    assert_eq!((master.peer_state(), slave.peer_state()), (PeerState::Alive, PeerState::Alive));
    let closer = std::thread::spawn(move || drop(slave));
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
    master.wait_for_peer(common::WATCHDOG).unwrap();
}
