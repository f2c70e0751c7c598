//! How often an endpoint beats, with a peer whose stale threshold differs from its own.

use std::time::{Duration, Instant};

use eshm::{Endpoint, Role};

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
