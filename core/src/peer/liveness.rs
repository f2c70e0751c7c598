//! Judges from the pulse of a peer whether it is alive, frozen or dead. The caller passes the clock in.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::peer_state::PeerState;
use crate::segment::seat::{Pulse, Threshold};

/// The window in which traffic is counted.
const WINDOW: Duration = Duration::from_millis(100);
/// The heartbeat slows down further after this time in which little happened. Until then the beats cost a program that makes
/// a call now and then more than its calls.
const REST_AFTER: Duration = Duration::from_millis(200);
/// The interval of an endpoint at rest. A wake-up after such a pause takes about 50 µs of a processor, most of it in the
/// kernel, so that two processes with shorter intervals take more than 0.2 % of it.
const REST_INTERVAL: Duration = Duration::from_millis(60);
/// The shortest stale threshold, of either side, with which an endpoint rests. A beat may then be 40 ms late.
const REST_THRESHOLD: Duration = Duration::from_millis(100);
/// How long the pulse of a peer may stand still before an endpoint at rest calls it frozen, whatever its threshold: a beat
/// may then be as late as with [`SLOW_BEAT_FACTOR`].
pub(crate) const REST_PATIENCE: Duration = Duration::from_millis(150);
/// The number of messages and values in [`WINDOW`] that an endpoint at rest may exchange.
const LITTLE_TRAFFIC: u64 = 100;
/// The factor by which the heartbeat slows down. A thread that wakes up a thousand times a second takes a hundredth of a
/// core, and 32 of them take a fifth of two that are busy otherwise (`docs/waiting.md`).
const SLOW_BEAT_FACTOR: u32 = 5;
/// The number of slow beats that the stale threshold of either side must allow.
const SLOW_BEATS: u32 = 20;
/// The number of beats that the stale threshold of the peer must allow, whatever the configured interval.
const LEAST_BEATS: u32 = 4;
/// The shortest interval.
const SHORTEST: Duration = Duration::from_millis(1);

/// How slowly an endpoint may beat, if both thresholds allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Full,
    Slow,
    Resting,
}

/// Finds the pace of an endpoint from its traffic.
#[derive(Debug)]
pub(crate) struct Activity {
    /// The number of messages and values at the last check.
    traffic: u64,
    was_new: bool,
    /// The start of the present [`WINDOW`], and the number of messages and values then.
    window: (Instant, u64),
    /// The end of the last window with more than little traffic, or the time of the last event.
    calm_since: Instant,
}

impl Activity {
    pub(crate) fn new(now: Instant) -> Self {
        Activity { traffic: 0, was_new: false, window: (now, 0), calm_since: now }
    }

    /// Takes the number of messages and values so far. Returns whether this number or the one before was a new one:
    /// the thread that counts may have been between two counts.
    pub(crate) fn note(&mut self, traffic: u64, now: Instant) -> bool {
        let changed = traffic != self.traffic;
        let recently = std::mem::replace(&mut self.was_new, changed);
        if changed {
            self.traffic = traffic;
            // Counted in windows, so that an exchange every few milliseconds keeps nobody awake.
            if traffic.wrapping_sub(self.window.1) > LITTLE_TRAFFIC {
                self.stir(now);
            } else if now.saturating_duration_since(self.window.0) >= WINDOW {
                self.window = (now, traffic);
            }
        }
        changed || recently
    }

    /// Ends the rest, for example because the peer has changed.
    pub(crate) fn stir(&mut self, now: Instant) {
        self.calm_since = now;
        self.window = (now, self.traffic);
    }

    pub(crate) fn pace(&self, now: Instant) -> Pace {
        let is_calm = now.saturating_duration_since(self.calm_since) >= REST_AFTER;
        if is_calm { Pace::Resting } else { Pace::Slow }
    }
}

/// Returns the time until the next beat of an endpoint with this interval and this stale threshold. An endpoint slows
/// down as far as the shorter of the two thresholds allows. The interval is never so long that the
/// peer would see the endpoint as frozen.
pub(crate) fn beat_interval(interval: Duration, own: Duration, peer: Threshold, pace: Pace) -> Duration {
    let (interval, shorter) = match peer {
        Threshold::Nobody => (interval, own),
        Threshold::Unknown => (interval, Duration::ZERO),
        Threshold::Known(peer) => (interval.min((peer / LEAST_BEATS).max(SHORTEST)), own.min(peer)),
    };
    let slow = slow_interval(interval);
    match pace {
        _ if slow * SLOW_BEATS > shorter => interval,
        Pace::Full => interval,
        Pace::Resting if shorter >= REST_THRESHOLD => slow.max(REST_INTERVAL),
        Pace::Slow | Pace::Resting => slow,
    }
}

/// Returns the next moment at which the endpoints of this process that rest with this interval beat, all at the same
/// wake-up.
pub(crate) fn next_rest_beat(now: Instant, interval: Duration) -> Instant {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = now.saturating_duration_since(*ORIGIN).as_nanos();
    let past = since % interval.as_nanos().max(1);
    now + interval - Duration::from_nanos(past as u64)
}

/// Returns the interval of an endpoint that has slowed down.
pub(crate) fn slow_interval(interval: Duration) -> Duration {
    interval * SLOW_BEAT_FACTOR
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
    /// Watches a peer that may be at rest when this endpoint attaches. Such a peer learns of a short threshold at its
    /// next beat, and this beat has time to come.
    pub(crate) fn of_present_peer(pulse: Pulse, now: Instant, threshold: Duration) -> Self {
        let grace = if threshold < REST_THRESHOLD { REST_INTERVAL } else { Duration::ZERO };
        Watch::new(pulse, now + grace)
    }

    pub(crate) fn new(pulse: Pulse, now: Instant) -> Self {
        Watch { last: pulse, moved: now, dead: false }
    }

    /// Takes a new reading and judges it. `is_gone` asks the system whether the process has ended; its argument is
    /// the time for which the pulse has stood still. It is called only after a quarter of the threshold, and after half
    /// the interval of an endpoint at rest if that is shorter, so that a death is detected early and a healthy peer costs
    /// nothing. Only the whole threshold makes a living process frozen. The verdict "dead" lasts until the pulse changes,
    /// because a successor may hold the seat only in order to replace the segment.
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
        self.dead =
            self.dead || pulse.alive && still >= (threshold / 4).min(REST_INTERVAL / 2) && is_gone(still);
        match pulse {
            Pulse { alive: false, pid: 0, .. } => PeerState::Absent,
            Pulse { alive: false, .. } => PeerState::Closed,
            _ if self.dead => PeerState::Dead,
            _ if still >= threshold => PeerState::Frozen,
            _ => PeerState::Alive,
        }
    }

    /// Takes a reading that changes nothing: of a peer that has beaten, or of a seat that nobody has taken yet. Returns
    /// `false` for any other reading, which needs a judgement.
    pub(crate) fn follow(&mut self, pulse: Pulse, now: Instant) -> bool {
        let has_beaten = Pulse { heartbeat: self.last.heartbeat, ..pulse } == self.last && pulse != self.last;
        if pulse.alive && has_beaten && !self.dead {
            (self.last, self.moved) = (pulse, now);
            return true;
        }
        pulse == self.last && matches!(pulse, Pulse { alive: false, pid: 0, .. })
    }

    /// Takes the news that the process of this peer has ended.
    pub(crate) fn note_end(&mut self, pulse: Pulse, now: Instant) {
        if pulse != self.last {
            *self = Watch::new(pulse, now);
        }
        self.dead = true;
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
    fn an_impatient_endpoint_waits_for_the_first_beat_of_a_peer_at_rest() {
        let start = Instant::now();
        let threshold = Duration::from_millis(20);
        let mut watch = Watch::of_present_peer(PULSE, start, threshold);
        let mut state = |pulse, at| watch.judge(pulse, start + at, threshold, |_| false);
        assert_eq!(state(PULSE, REST_INTERVAL), PeerState::Alive);
        assert_eq!(state(PULSE, REST_INTERVAL + threshold), PeerState::Frozen);
        let beaten = Pulse { heartbeat: 8, ..PULSE };
        assert_eq!(state(beaten, 2 * REST_INTERVAL), PeerState::Alive);
        assert_eq!(state(beaten, 2 * REST_INTERVAL + threshold), PeerState::Frozen);
    }

    #[test]
    fn endpoints_at_rest_beat_together() {
        let interval = REST_INTERVAL;
        // The first beat of the process sets the origin.
        next_rest_beat(Instant::now(), interval);
        let now = Instant::now();
        let next = next_rest_beat(now, interval);
        assert!(now < next && next <= now + interval);
        assert_eq!(next_rest_beat(next, interval), next + interval);
        let between = next + interval / 3;
        assert_eq!(next_rest_beat(between, interval), next + interval, "one that came later");
    }

    #[test]
    fn a_long_threshold_does_not_hide_a_death_for_long() {
        let start = Instant::now();
        let mut watch = Watch::new(PULSE, start);
        let hour = Duration::from_secs(3600);
        assert_eq!(watch.judge(PULSE, start + REST_INTERVAL, hour, |_| true), PeerState::Dead);
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
    fn an_endpoint_slows_down_as_far_as_both_thresholds_allow() {
        let ms = Duration::from_millis;
        let slow = |peer| beat_interval(ms(1), ms(100), peer, Pace::Slow);
        assert_eq!(slow(Threshold::Nobody), ms(5));
        assert_eq!(slow(Threshold::Known(ms(100))), ms(5));
        assert_eq!(slow(Threshold::Known(ms(3_600_000))), ms(5));
        assert_eq!(slow(Threshold::Known(ms(99))), ms(1));
        assert_eq!(slow(Threshold::Known(ms(5))), ms(1));
        assert_eq!(slow(Threshold::Unknown), ms(1));
        assert_eq!(beat_interval(ms(1), ms(99), Threshold::Known(ms(100)), Pace::Slow), ms(1));
        assert_eq!(beat_interval(ms(1), ms(100), Threshold::Known(ms(100)), Pace::Full), ms(1));
    }

    #[test]
    fn an_endpoint_rests_only_if_both_thresholds_leave_time_for_a_late_beat() {
        let ms = Duration::from_millis;
        let resting = |own, peer| beat_interval(ms(1), ms(own), peer, Pace::Resting);
        assert_eq!(resting(100, Threshold::Nobody), REST_INTERVAL);
        assert_eq!(resting(100, Threshold::Known(ms(100))), REST_INTERVAL);
        assert_eq!(resting(100, Threshold::Known(ms(99))), ms(1));
        assert_eq!(resting(99, Threshold::Known(ms(100))), ms(1));
        assert_eq!(resting(100, Threshold::Unknown), ms(1), "a peer of ESHM 1.x");
        let slower = beat_interval(ms(20), ms(2000), Threshold::Known(ms(2000)), Pace::Resting);
        assert_eq!(slower, ms(100), "never shorter than the interval of an idle endpoint");
        let short = Duration::from_micros(100);
        let impatient = beat_interval(short, ms(99), Threshold::Known(ms(99)), Pace::Resting);
        assert_eq!(impatient, 5 * short, "an idle endpoint may need less time than one at rest");
    }

    #[test]
    fn the_pace_follows_the_traffic() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut activity = Activity::new(start);
        assert_eq!(activity.pace(at(199)), Pace::Slow);
        assert_eq!(activity.pace(at(200)), Pace::Resting);
        // A message every 5 ms is little traffic.
        let mut sent = 0;
        for ms in (1000..2000).step_by(5) {
            sent += 1;
            assert!(activity.note(sent, at(ms)));
            assert!(activity.note(sent, at(ms)));
            assert!(!activity.note(sent, at(ms)));
            assert_eq!(activity.pace(at(ms)), Pace::Resting);
        }
        sent += LITTLE_TRAFFIC + 1;
        activity.note(sent, at(2000));
        assert_eq!(activity.pace(at(2000)), Pace::Slow);
        activity.stir(at(2900));
        assert_eq!(activity.pace(at(3099)), Pace::Slow);
        assert_eq!(activity.pace(at(3100)), Pace::Resting);
    }

    #[test]
    fn a_beat_and_an_empty_seat_need_no_judgement() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(PULSE, start);
        assert!(!watch.follow(PULSE, at(40)), "no beat");
        assert!(!watch.follow(Pulse { pid: 4712, ..PULSE }, at(40)), "a successor");
        assert!(!watch.follow(Pulse { alive: false, ..PULSE }, at(40)), "a close");
        let beaten = Pulse { heartbeat: 8, ..PULSE };
        assert!(watch.follow(beaten, at(40)));
        assert_eq!(watch.judge(beaten, at(139), THRESHOLD, |_| false), PeerState::Alive);
        assert_eq!(watch.judge(beaten, at(140), THRESHOLD, |_| false), PeerState::Frozen);
        let empty = Pulse { heartbeat: 0, pid: 0, alive: false };
        let mut watch = Watch::new(empty, start);
        assert!(watch.follow(empty, at(40)));
        assert!(!watch.follow(PULSE, at(80)));
    }

    #[test]
    fn a_peer_whose_process_has_ended_is_dead_at_once() {
        let start = Instant::now();
        let mut watch = Watch::new(PULSE, start);
        let beaten = Pulse { heartbeat: 8, ..PULSE };
        watch.note_end(beaten, start);
        assert_eq!(watch.judge(beaten, start, THRESHOLD, |_| panic!("asked")), PeerState::Dead);
        assert!(!watch.follow(Pulse { heartbeat: 9, ..PULSE }, start));
        let successor = Pulse { pid: 4712, ..PULSE };
        assert_eq!(watch.judge(successor, start, THRESHOLD, |_| panic!("asked")), PeerState::Alive);
    }

    #[test]
    fn no_interval_is_too_long_for_the_peer() {
        let ms = Duration::from_millis;
        let busy = |interval, peer| beat_interval(interval, ms(1000), Threshold::Known(peer), Pace::Full);
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
