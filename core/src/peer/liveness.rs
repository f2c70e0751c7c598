//! Judges from the pulse of a peer whether it is alive, frozen or dead. The caller passes the clock in.

use std::time::{Duration, Instant};

use crate::peer_state::PeerState;
use crate::segment::seat::{Pulse, Threshold};

/// The heartbeat slows down after this time without traffic.
pub(crate) const IDLE_AFTER: Duration = Duration::from_millis(100);
/// The factor by which an idle heartbeat slows down. A thread that wakes up a thousand times a second takes a
/// hundredth of a core.
const IDLE_BEAT_FACTOR: u32 = 5;
/// The number of slow beats that the stale threshold of either side must allow.
const SLOW_BEATS: u32 = 20;
/// The number of beats that the stale threshold of the peer must allow, whatever the configured interval.
const LEAST_BEATS: u32 = 4;
/// The shortest interval.
const SHORTEST: Duration = Duration::from_millis(1);

/// Returns the time until the next beat of an endpoint with this interval and this stale threshold. An `idle`
/// endpoint slows down as far as the shorter of the two thresholds allows. The interval is never so long that the
/// peer would see the endpoint as frozen.
pub(crate) fn beat_interval(interval: Duration, own: Duration, peer: Threshold, idle: bool) -> Duration {
    let (interval, shorter) = match peer {
        Threshold::Nobody => (interval, own),
        Threshold::Unknown => (interval, Duration::ZERO),
        Threshold::Known(peer) => (interval.min((peer / LEAST_BEATS).max(SHORTEST)), own.min(peer)),
    };
    let slow = interval * IDLE_BEAT_FACTOR;
    if idle && slow * SLOW_BEATS <= shorter { slow } else { interval }
}

/// Watches the pulse of a peer.
#[derive(Debug)]
pub(crate) struct Watch {
    last: Pulse,
    /// The time at which the pulse last changed.
    moved: Instant,
    /// Set if the process was found to have ended since then.
    dead: bool,
}

impl Watch {
    pub(crate) fn new(pulse: Pulse, now: Instant) -> Self {
        Watch { last: pulse, moved: now, dead: false }
    }

    /// Takes a new reading and judges it. `is_gone` asks the system whether the process has ended; its argument is
    /// the time for which the pulse has stood still. It is called only after a quarter of the threshold, so that a
    /// death is detected early and a healthy peer costs nothing. Only the whole threshold makes a living process
    /// frozen. The verdict "dead" lasts until the pulse changes, because a successor may hold the seat only in order
    /// to replace the segment.
    pub(crate) fn judge(
        &mut self,
        pulse: Pulse,
        now: Instant,
        threshold: Duration,
        is_gone: impl FnOnce(Duration) -> bool,
    ) -> PeerState {
        if pulse != self.last {
            *self = Watch::new(pulse, now);
        }
        let still = now.saturating_duration_since(self.moved);
        self.dead = self.dead || pulse.alive && still >= threshold / 4 && is_gone(still);
        match pulse {
            Pulse { alive: false, pid: 0, .. } => PeerState::Absent,
            Pulse { alive: false, .. } => PeerState::Closed,
            _ if self.dead => PeerState::Dead,
            _ if still >= threshold => PeerState::Frozen,
            _ => PeerState::Alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: Duration = Duration::from_millis(100);
    const PULSE: Pulse = Pulse { heartbeat: 7, pid: 4711, alive: true };

    #[test]
    fn a_peer_is_frozen_at_the_threshold_and_alive_when_its_pulse_changes() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(PULSE, start);
        assert_eq!(watch.judge(PULSE, at(99), THRESHOLD, |_| false), PeerState::Alive);
        assert_eq!(watch.judge(PULSE, at(100), THRESHOLD, |_| false), PeerState::Frozen);
        let moved = Pulse { heartbeat: 8, ..PULSE };
        assert_eq!(watch.judge(moved, at(5000), THRESHOLD, |_| false), PeerState::Alive);
    }

    #[test]
    fn the_system_is_asked_only_after_a_quarter_of_the_threshold() {
        let start = Instant::now();
        let mut watch = Watch::new(PULSE, start);
        let soon = start + Duration::from_millis(24);
        assert_eq!(watch.judge(PULSE, soon, THRESHOLD, |_| panic!("asked")), PeerState::Alive);
        let later = start + Duration::from_millis(25);
        assert_eq!(watch.judge(PULSE, later, THRESHOLD, |_| true), PeerState::Dead);
    }

    #[test]
    fn a_peer_stays_dead_until_its_pulse_changes() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(PULSE, start);
        assert_eq!(watch.judge(PULSE, at(25), THRESHOLD, |_| true), PeerState::Dead);
        // A successor holds the lock of the seat by now, and has not filled in its fields.
        assert_eq!(watch.judge(PULSE, at(30), THRESHOLD, |_| false), PeerState::Dead);
        assert_eq!(watch.judge(PULSE, at(200), THRESHOLD, |_| false), PeerState::Dead);
        let successor = Pulse { pid: 4712, ..PULSE };
        assert_eq!(watch.judge(successor, at(201), THRESHOLD, |_| panic!("asked")), PeerState::Alive);
    }

    #[test]
    fn an_idle_endpoint_slows_down_as_far_as_both_thresholds_allow() {
        let ms = Duration::from_millis;
        let idle = |peer| beat_interval(ms(1), ms(100), peer, true);
        assert_eq!(idle(Threshold::Nobody), ms(5));
        assert_eq!(idle(Threshold::Known(ms(100))), ms(5));
        assert_eq!(idle(Threshold::Known(ms(3_600_000))), ms(5));
        assert_eq!(idle(Threshold::Known(ms(99))), ms(1));
        assert_eq!(idle(Threshold::Known(ms(5))), ms(1));
        assert_eq!(idle(Threshold::Unknown), ms(1));
        assert_eq!(beat_interval(ms(1), ms(99), Threshold::Known(ms(100)), true), ms(1));
        assert_eq!(beat_interval(ms(1), ms(100), Threshold::Known(ms(100)), false), ms(1));
    }

    #[test]
    fn no_interval_is_too_long_for_the_peer() {
        let ms = Duration::from_millis;
        let busy = |interval, peer| beat_interval(interval, ms(1000), Threshold::Known(peer), false);
        assert_eq!(busy(ms(200), ms(100)), ms(25));
        assert_eq!(busy(ms(10), ms(100)), ms(10));
        // A hostile peer cannot make this endpoint beat faster than the shortest interval.
        assert_eq!(busy(ms(10), Duration::ZERO), ms(1));
        assert_eq!(busy(ms(1), ms(1)), ms(1));
    }

    #[test]
    fn the_alive_flag_tells_a_clean_close_from_an_empty_seat() {
        let start = Instant::now();
        let mut watch = Watch::new(PULSE, start);
        let closed = Pulse { alive: false, ..PULSE };
        assert_eq!(watch.judge(closed, start, THRESHOLD, |_| true), PeerState::Closed);
        let absent = Pulse { heartbeat: 0, pid: 0, alive: false };
        assert_eq!(watch.judge(absent, start, THRESHOLD, |_| true), PeerState::Absent);
    }
}
