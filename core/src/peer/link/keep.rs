//! What the monitor does with a link at each visit: it beats, looks at the peer, and guards the name.

use std::time::{Duration, Instant};

use super::status::ALONE;
use super::{Link, State};
use crate::peer::liveness::{self, Pace};
use crate::peer::monitor::{Round, Watched};
use crate::peer_state::PeerState;
use crate::role::Role;
use crate::sys::Ordering;

impl Watched for Link {
    fn keep(&self, now: Instant, round: &mut Round) -> Option<Instant> {
        let mut state = self.plain_state();
        let state = &mut *state;
        if self.is_closed() || !self.config.background {
            return None;
        }
        // Relaxed: see `wait_for_peer`.
        let is_resting = self.is_resting();
        let is_late = is_resting && self.awaiting_peer.load(Ordering::Relaxed) > 0;
        // A little early, so that busy links of this process beat at the same wake-up. Those at rest have a common grid.
        let early = if is_resting { Duration::ZERO } else { state.interval / 4 };
        let beats = is_late || now + early >= state.next_beat;
        if beats {
            self.beat(state, now);
        }
        if !state.wake_again.is_empty() {
            self.wake_again(state, now);
        }
        // A busy link of this process has the monitor visit all of them more often than one at rest needs.
        if beats || !is_resting || state.outage.is_some() {
            self.look_at_peer(state, now, is_resting);
        }
        self.guard_name(state, now, &mut round.directories);
        if self.continue_carry(&mut state.notices) {
            state.activity.stir(now);
        }
        if beats {
            self.look_for_events(state, now);
        }
        round.notices.append(&mut state.notices);
        Some(self.next_visit(state, now))
    }

    fn publish_reads(&self) {
        self.state().attachment.publish_reads();
    }

    fn close_at_exit(&self) {
        self.close_without_waiting();
    }
}

impl Link {
    /// Beats once, and sets the time of the next beat. An endpoint that is not busy beats less often.
    fn beat(&self, state: &mut State, now: Instant) {
        state.attachment.beat();
        crash_point!("keep.beaten");
        if let Some(stand_in) = &state.stand_in {
            stand_in.beat();
        }
        let traffic = self.counters.sent.events().wrapping_add(self.counters.received.events());
        // At rest, and without traffic, there is nothing to publish, and these cache lines stay untouched.
        if state.activity.note(traffic, now) || !self.is_resting() {
            state.attachment.publish_reads();
            state.attachment.note_depth();
        }
        crash_point!("keep.published");
        // Relaxed: see `wait_for_peer`.
        if self.awaiting_peer.load(Ordering::Relaxed) > 0 {
            state.activity.stir(now);
        }
        let is_steady = self.config.steady || self.finds_events_itself();
        let pace = if is_steady { Pace::Full } else { state.activity.pace(now) };
        let (interval, threshold) = (self.config.heartbeat_interval, self.config.stale_threshold);
        state.interval =
            liveness::beat_interval(interval, threshold, state.attachment.peer_threshold(), pace);
        let resting = state.interval > liveness::slow_interval(interval);
        // Stored only when it changes, because other threads read this cache line.
        if self.is_resting() != resting {
            self.resting.store(resting, Ordering::Relaxed);
            let is_alone = resting && self.verdict() != PeerState::Alive;
            self.status.replace(ALONE, if is_alone { ALONE } else { 0 });
        }
        state.next_beat =
            if resting { liveness::next_rest_beat(now, state.interval) } else { now + state.interval };
    }

    fn look_at_peer(&self, state: &mut State, now: Instant, is_resting: bool) {
        // Relaxed: see `park`.
        let is_awaited = is_resting && (self.parked.load(Ordering::Relaxed) > 0 || self.awaits_peer_event());
        if is_awaited {
            // Otherwise the death of the peer would be noticed only when a beat is missing.
            self.note_end_of_peer(state, now);
        }
        if !self.sees_no_change(state, now) {
            self.update_peer_state(state, now);
        }
    }

    /// Returns whether the peer is as before, and has beaten if there is one. This is the short way of most visits.
    fn sees_no_change(&self, state: &mut State, now: Instant) -> bool {
        let pulse = state.attachment.peer_pulse();
        state.outage.is_none()
            && state.peer_identity == (pulse.pid, state.attachment.peer_generation())
            && matches!(self.verdict(), PeerState::Alive | PeerState::Absent)
            && state.watch.follow(pulse, now)
    }

    /// Returns the time at which the monitor must process this link again.
    fn next_visit(&self, state: &State, now: Instant) -> Instant {
        let mut next = state.next_beat;
        if self.role == Role::Slave
            && let Some(outage) = state.outage.as_ref().filter(|outage| outage.next_search > now)
        {
            next = next.min(outage.next_search);
        }
        next
    }
}
