//! The view that an endpoint has of its peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::status::{ALONE, LEGACY, NO_MASTER, PeerView};
use super::{Link, Outage, State};
use crate::error::{Error, Result};
use crate::peer::attachment::Attachment;
use crate::peer::liveness;
use crate::peer::monitor;
use crate::peer::notice::Notice;
use crate::peer::settings::Disconnect;
use crate::peer_state::PeerState;
use crate::role::Role;
use crate::sys::Ordering;

impl Link {
    /// Returns the state of the peer at the last check.
    pub(super) fn verdict(&self) -> PeerState {
        self.peer.load().state
    }

    /// Returns the state of the peer. An endpoint without the monitor, or at rest, first updates it.
    pub(crate) fn peer_state(&self) -> PeerState {
        if !self.config.background || self.is_resting() {
            self.renew_peer_state();
        }
        self.verdict()
    }

    /// Updates the state of the peer, and asks the kernel whether the peer lives. Does nothing after a close.
    pub(super) fn renew_peer_state(&self) {
        if self.check().is_err() {
            return;
        }
        let mut state = self.state();
        let next_beat = state.next_beat;
        // Checked under the lock: after a close this endpoint must not use the segment.
        if !self.is_closed() {
            let now = Instant::now();
            self.note_end_of_peer(&mut state, now);
            self.update_peer_state(&mut state, now);
        }
        let is_sooner = state.next_beat < next_beat;
        drop(state);
        if is_sooner && self.config.background {
            monitor::hurry();
        }
    }

    /// Returns the state of the peer for a thread that waits. At rest this costs no system call, unless the segment shows
    /// that the monitor does not know the present peer yet; the monitor wakes the threads that are parked when the peer
    /// has died.
    fn awaited_peer_state(&self, attachment: &Attachment) -> PeerState {
        if !self.config.background || self.is_resting() && self.is_outdated(attachment) {
            return self.peer_state();
        }
        self.verdict()
    }

    /// Returns whether the seat of the peer shows another state or another kind of peer than the last check.
    pub(crate) fn is_outdated(&self, attachment: &Attachment) -> bool {
        let is_legacy = self.status.flags(LEGACY) != 0;
        attachment.peer_pulse().alive != (self.verdict() == PeerState::Alive)
            || attachment.peer_is_legacy() != is_legacy
    }

    /// Returns whether the endpoint rests, so that its view of the peer may be older than a short interval.
    #[inline(always)]
    pub(crate) fn is_resting(&self) -> bool {
        // Relaxed: a view that is one short interval old is accepted.
        self.resting.load(Ordering::Relaxed)
    }

    /// Returns whether the peer is an ESHM 1.x process that has not woken its readers so far.
    pub(crate) fn peer_is_silent(&self, attachment: &Attachment) -> bool {
        attachment.peer_is_legacy()
            && attachment.incoming().tail.wake_seq.load(Ordering::Relaxed)
                == self.silent_wake_seq.load(Ordering::Relaxed)
    }

    /// Returns the error that ends a wait, if no message can arrive or be taken any more. A wait without a timeout
    /// ends with it. A `timed` wait lasts for its full time, unless the search for the peer has ended.
    pub(crate) fn terminal_error(&self, attachment: &Attachment, timed: bool) -> Option<Error> {
        let state = self.awaited_peer_state(attachment);
        if timed && !self.search_is_over() {
            return None;
        }
        let (segment, peer) = (self.segment(), self.role.peer());
        match state {
            PeerState::Closed => Some(Error::PeerClosed { segment, peer, unreceived: self.unreceived() }),
            state if self.reconnect_expired() => Some(Error::PeerStale { segment, peer, state }),
            _ => None,
        }
    }

    /// Returns whether the reconnect timeout or attempts are used up.
    fn reconnect_expired(&self) -> bool {
        self.peer.load().reconnect_expired
    }

    /// Returns whether this slave has ended the search for its master. By default it never does.
    pub(crate) fn search_is_over(&self) -> bool {
        self.role == Role::Slave && self.reconnect_expired() && self.config.search_ends()
    }

    /// Checks that a peer will receive what is sent now. A slave whose master is gone, or frozen for longer than the
    /// reconnect timeout, accepts nothing. A displaced master accepts nothing either.
    ///
    /// # Errors
    /// Returns [`Error::Reconnecting`], or [`Error::PeerClosed`] or [`Error::PeerStale`] after the reconnect timeout.
    /// Returns [`Error::Displaced`] for a displaced master.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_displaced()?;
        if self.role == Role::Master {
            return Ok(());
        }
        let expired = self.reconnect_expired();
        if !self.peer_state().is_gone() && !expired {
            return Ok(());
        }
        let given_up = if expired { self.terminal_error(&self.attachment(), false) } else { None };
        Err(given_up.unwrap_or_else(|| Error::Reconnecting { segment: self.segment() }))
    }

    /// Waits until the peer is alive. Returns `Ok(false)` if it was not alive in time.
    pub(crate) fn wait_for_peer(&self, timeout: Duration) -> Result<bool> {
        self.check_running()?;
        // Relaxed, here and below: `hurry` takes a lock that the monitor takes before it reads the count.
        self.awaiting_peer.fetch_add(1, Ordering::Relaxed);
        if self.resting.load(Ordering::Relaxed) {
            monitor::hurry();
        }
        let came = self.wait_until_alive(timeout);
        self.awaiting_peer.fetch_sub(1, Ordering::Relaxed);
        came
    }

    fn wait_until_alive(&self, timeout: Duration) -> Result<bool> {
        let until = Instant::now().checked_add(timeout);
        let mut state = self.state();
        self.check_running()?;
        // The state that the monitor knows may be one heartbeat old.
        self.update_peer_state(&mut state, Instant::now());
        loop {
            self.check_running()?;
            if self.verdict() == PeerState::Alive {
                return Ok(true);
            }
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(false);
            }
            // Without the monitor no thread signals a change, so the slice is short.
            let slice =
                if self.config.background { crate::wait::SLICE } else { self.config.heartbeat_interval };
            state = state.wait(&self.changed, left.min(slice));
            if !self.config.background && !self.is_closed() {
                self.update_peer_state(&mut state, Instant::now());
            }
        }
    }

    /// Updates the heartbeat once, for an endpoint without the monitor.
    pub(crate) fn update_heartbeat(&self) -> Result<()> {
        self.check()?;
        let mut state = self.state();
        // Checked again under the lock: another thread may have closed the endpoint, and a successor may own the
        // seat.
        self.check()?;
        let now = Instant::now();
        state.attachment.beat();
        self.update_peer_state(&mut state, now);
        self.continue_carry(&mut state.notices);
        self.look_for_events(&mut state, now);
        Ok(())
    }

    /// Asks the kernel whether the process of the peer has ended, without regard to its pulse. Costs a system call.
    pub(super) fn note_end_of_peer(&self, state: &mut State, now: Instant) {
        let pulse = state.attachment.peer_pulse();
        if pulse.alive && state.attachment.peer_is_gone(Duration::ZERO, self.config.stale_threshold) {
            state.watch.note_end(pulse, now);
        }
    }

    /// Updates the state of the peer and handles its change.
    pub(super) fn update_peer_state(&self, state: &mut State, now: Instant) {
        let attachment = Arc::clone(&state.attachment);
        let mut pulse = attachment.peer_pulse();
        let threshold = self.config.stale_threshold;
        let patience = if self.is_resting() { threshold.max(liveness::REST_PATIENCE) } else { threshold };
        let known = self.peer.load();
        let before = known.state;
        let looks_closed = !pulse.alive && pulse.pid != 0 && before != PeerState::Closed;
        if looks_closed && attachment.peer_is_seated() {
            // The peer is taking the seat of a killed one, or is leaving it, or was stopped during either.
            pulse.alive = true;
        }
        let verdict =
            state.watch.judge(pulse, now, patience, |still| attachment.peer_is_gone(still, threshold));
        let is_another = self.note_identity(state, &attachment, pulse.pid);
        if is_another || verdict != before {
            // The other end may have a shorter threshold than the one before.
            state.activity.stir(now);
            let soon = now + liveness::slow_interval(self.config.heartbeat_interval);
            state.next_beat = state.next_beat.min(soon);
        }
        if verdict != before {
            let notice = Notice::Peer { peer: self.role.peer(), from: before, to: verdict };
            state.notices.push(self.name.as_str(), notice);
            self.note_verdict(state, verdict, now);
        }

        let expired = state.outage.as_ref().is_some_and(|outage| self.has_reconnect_expired(outage, now));
        let mut flags = if attachment.peer_is_legacy() { LEGACY } else { 0 };
        if self.role == Role::Slave && (verdict.is_gone() || expired) {
            flags |= NO_MASTER;
        }
        if self.is_resting() && verdict != PeerState::Alive {
            flags |= ALONE;
        }
        let view = PeerView { state: verdict, reconnect_expired: expired };
        // Stored only when they change, because the fast path reads this cache line. The view is stored last, so that a
        // thread that has seen it is not on the fast path any more.
        if view != known || flags != self.status.flags(NO_MASTER | LEGACY | ALONE) {
            self.status.replace(NO_MASTER | LEGACY | ALONE, flags);
            self.peer.store(view);
            self.wake_own_threads(state, &attachment);
        }
        if verdict == PeerState::Dead && before != PeerState::Dead {
            attachment.clear_dead_peer(&self.name);
        }
        if self.config.background && !(expired && self.config.search_ends()) {
            self.search(state, now);
        }
    }

    /// Starts or ends the search for the peer.
    fn note_verdict(&self, state: &mut State, verdict: PeerState, now: Instant) {
        match verdict {
            PeerState::Alive | PeerState::Absent => {
                if state.outage.take().is_some_and(|outage| outage.peer_identity == state.peer_identity) {
                    self.counters.stalls.add(1);
                }
            }
            PeerState::Frozen | PeerState::Dead | PeerState::Closed => {
                let peer_identity = state.peer_identity;
                state.outage.get_or_insert(Outage {
                    peer_identity,
                    since: now,
                    next_search: now,
                    searches: 0,
                });
            }
        }
    }

    /// Records that another process owns the seat of the peer. Returns whether that is news.
    fn note_identity(&self, state: &mut State, attachment: &Arc<Attachment>, pid: i32) -> bool {
        let peer_identity = (pid, attachment.peer_generation());
        if peer_identity == state.peer_identity {
            return false;
        }
        if peer_identity.1 == state.peer_identity.1 {
            // An ESHM 1.x slave does not increment the generation, so this endpoint counts it.
            attachment.raise_generation(attachment.generation() + 1);
        }
        if state.peer_identity.0 != 0 {
            self.counters.reconnects.add(1);
        }
        state.peer_identity = peer_identity;
        // A predecessor that was killed may have woken nobody for its last message.
        self.wake_own_threads(state, attachment);
        let wake_seq = attachment.incoming().tail.wake_seq.load(Ordering::Relaxed);
        self.silent_wake_seq.store(wake_seq, Ordering::Relaxed);
        true
    }

    fn has_reconnect_expired(&self, outage: &Outage, now: Instant) -> bool {
        match self.config.disconnect {
            Disconnect::Immediately => true,
            Disconnect::Never => false,
            Disconnect::OnTimeout => {
                let (timeout, attempts) = (self.config.reconnect_timeout, self.config.reconnect_attempts);
                let waited = now.saturating_duration_since(outage.since);
                let in_time = timeout.is_none_or(|timeout| waited < timeout);
                let tries_left =
                    self.role == Role::Master || attempts.is_none_or(|attempts| outage.searches < attempts);
                !(in_time && tries_left)
            }
        }
    }
}
