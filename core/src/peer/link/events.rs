//! The event descriptor of an endpoint: armed by a verb that found nothing, rung by the peer, or by the background
//! thread for what the peer does not ring (protocol/events.md).

use std::sync::Arc;
use std::time::Instant;

use super::{Link, State};
use crate::error::Result;
use crate::peer::attachment::Attachment;
use crate::peer::events::{EventSource, Interest};
use crate::peer::liveness;
use crate::peer::outgoing::LEGACY_ACK_TIMEOUT;
use crate::peer_state::PeerState;
use crate::sys::{Ordering, fence};
use crate::wait::Doorbell;

/// The kinds of interest that have a doorbell.
const KINDS: [Interest; 3] = [Interest::READABLE, Interest::VALUE, Interest::WRITABLE];

impl Link {
    /// Makes the event descriptor at the first call, and sets its interest.
    ///
    /// # Errors
    /// Returns [`Error::Forked`](crate::Error::Forked) or [`Error::Closed`](crate::Error::Closed), or
    /// [`Error::Attach`](crate::Error::Attach) if the process can have no descriptor more.
    pub(crate) fn open_events(&self, interest: Interest) -> Result<()> {
        // Before the lock, which may stay locked for ever in a forked child.
        self.check()?;
        let state = self.state();
        self.check()?;
        let source = match self.events.get() {
            Some(source) => source,
            None => {
                let descriptor = state.attachment.event_descriptor(&self.name)?;
                let source = EventSource::new(descriptor, interest, self.verdict());
                self.events.get_or_init(|| source)
            }
        };
        source.descriptor.check(&self.name)?;
        source.set_interest(interest);
        // The first verbs arm it.
        source.descriptor.ring();
        Ok(())
    }

    /// Returns the event descriptor, if there is one.
    #[inline]
    pub(crate) fn events(&self) -> Option<&EventSource> {
        self.events.get()
    }

    /// Returns the state of the peer, and regards it as noticed.
    pub(crate) fn notice_peer(&self) -> PeerState {
        let source = self.events().filter(|_| self.check_running().is_ok());
        // What rings from now on tells of a later state.
        source.inspect(|source| source.descriptor.drain());
        // The peer rings at its close, which the background thread may not have seen yet.
        self.renew_peer_state();
        let state = self.verdict();
        if let Some(source) = source {
            // Another thread may wait for what the new state is the end of, and the byte that told of it was read.
            let is_news = !source.has_noticed(state) && KINDS.into_iter().any(|kind| source.wants(kind));
            source.notice(state);
            self.ring_for_others(Interest::PEER);
            if is_news || self.check_running().is_err() {
                source.descriptor.ring();
            }
        }
        state
    }

    /// Returns whether the peer is alive. Otherwise the event descriptor is armed for a change of the peer.
    ///
    /// # Errors
    /// Returns [`Error::Closed`](crate::Error::Closed) or [`Error::Forked`](crate::Error::Forked).
    #[cfg(any(feature = "async", feature = "tokio"))]
    pub(crate) fn poll_for_peer(&self) -> Result<bool> {
        let is_alive = self.notice_peer() == PeerState::Alive;
        // After `notice_peer` has read the descriptor empty: a stop from now on rings it.
        self.check_running()?;
        Ok(is_alive)
    }

    /// Makes the event descriptor readable, if there is one.
    pub(crate) fn ring_events(&self) {
        if let Some(source) = self.events() {
            source.descriptor.ring();
        }
    }

    /// Arms the event descriptor for `kind`, after a verb has found nothing. The caller looks again and then calls
    /// [`Link::ring_for_others`]. Returns `false` if this endpoint has no interest in it.
    pub(crate) fn arm_events(&self, kind: Interest, bell: Doorbell<'_>, attachment: &Attachment) -> bool {
        let Some(source) = self.events().filter(|source| source.wants(kind)) else { return false };
        source.descriptor.drain();
        if kind == Interest::WRITABLE {
            source.note_refusal(attachment.outgoing_progress());
        }
        source.arm(kind);
        ask_for_ring(source, bell, attachment);
        true
    }

    /// Makes the event descriptor readable for the other kinds than `kind`, whose bytes `arm_events` may have read.
    pub(crate) fn ring_for_others(&self, kind: Interest) {
        let Some(source) = self.events() else { return };
        let peer_changed = source.wants(Interest::PEER) && !source.has_noticed(self.verdict());
        self.ring_if_master_is_back(source);
        if peer_changed || KINDS.into_iter().any(|other| other != kind && self.is_due(source, other)) {
            source.descriptor.ring();
        }
    }

    /// Returns whether a verb of this kind has something to do. Arms the kind if no verb of it has looked yet.
    fn is_due(&self, source: &EventSource, kind: Interest) -> bool {
        // Nobody waits for room before a message was refused.
        if !source.wants(kind) || kind == Interest::WRITABLE && !source.is_armed(kind) {
            return false;
        }
        let attachment = self.attachment();
        if source.is_armed(kind) {
            return is_begun(source, &attachment, kind)
                || kind == Interest::WRITABLE && is_there(source, &attachment, kind);
        }
        source.arm(kind);
        attachment.with_bell(kind, |bell| ask_for_ring(source, bell, &attachment));
        let is_there = is_there(source, &attachment, kind);
        if is_there {
            source.disarm(kind);
        }
        is_there
    }

    /// Makes the event descriptor unreadable until the master is back, after a message was refused because there is none.
    pub(crate) fn await_master(&self) {
        let Some(source) = self.events().filter(|source| source.wants(Interest::WRITABLE)) else { return };
        source.descriptor.drain();
        source.await_master();
        // What was rung may have been for others, and the master may have come since the refusal.
        self.ring_for_others(Interest::WRITABLE);
        if self.check_running().is_err() {
            source.descriptor.ring();
        }
    }

    /// Makes the event descriptor readable if messages were refused because there was no master, and would not be now.
    fn ring_if_master_is_back(&self, source: &EventSource) {
        if source.awaits_master() && self.check_writable().is_ok() {
            source.end_await_of_master();
            source.descriptor.ring();
        }
    }

    /// Returns whether the program waits for a change of the peer's state.
    pub(super) fn awaits_peer_event(&self) -> bool {
        self.events().is_some_and(|source| source.wants(Interest::PEER))
    }

    /// Returns whether the peer cannot ring, so that only the background thread notices events.
    pub(super) fn finds_events_itself(&self) -> bool {
        self.events().is_some_and(|source| !source.descriptor.has_fifo())
    }

    /// Makes the event descriptor readable for what the peer has not rung.
    pub(super) fn look_for_events(&self, state: &mut State, now: Instant) {
        let Some(source) = self.events() else { return };
        let attachment = Arc::clone(&state.attachment);
        for kind in KINDS {
            if !source.wants(kind) || !source.is_armed(kind) || !is_there(source, &attachment, kind) {
                continue;
            }
            let is_begun = is_begun(source, &attachment, kind);
            // A peer that has begun to ring has rung by the next round, unless it cannot.
            if !is_begun || source.doubt(kind) {
                // A refused sender stays armed until it tries again: not armed means that nobody waits for room. A verb of
                // another kind that reads this ring makes it again.
                if kind == Interest::WRITABLE && source.is_answered() {
                    continue;
                }
                if kind == Interest::WRITABLE {
                    source.answer();
                } else {
                    source.disarm(kind);
                }
                attachment.with_bell(kind, |bell| bell.disarm());
                source.descriptor.ring();
            }
            // An endpoint at rest would notice this, or the next one, late.
            state.activity.stir(now);
            let soon = now + liveness::slow_interval(self.config.heartbeat_interval);
            state.next_beat = state.next_beat.min(soon);
        }
    }
}

/// Asks the peer for a ring, if it can ring. The caller then looks again.
fn ask_for_ring(source: &EventSource, bell: Doorbell<'_>, attachment: &Attachment) {
    if source.descriptor.has_fifo() && !attachment.peer_is_legacy() {
        bell.arm();
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Returns whether there is something for a verb of this kind.
fn is_there(source: &EventSource, attachment: &Attachment, kind: Interest) -> bool {
    match kind {
        Interest::VALUE => attachment.has_unread_value(),
        Interest::READABLE => {
            let in_mailbox = attachment.peer_is_legacy() && attachment.has_unread_value();
            in_mailbox || attachment.has_unread_message()
        }
        // A wait for an ESHM 1.x reader has a limit.
        _ => {
            attachment.outgoing_progress() != source.progress()
                || attachment.peer_is_legacy() && source.refused_for() >= LEGACY_ACK_TIMEOUT
        }
    }
}

/// Returns whether the peer has begun to ring for an armed kind.
fn is_begun(source: &EventSource, attachment: &Attachment, kind: Interest) -> bool {
    source.descriptor.has_fifo()
        && !attachment.peer_is_legacy()
        && !attachment.with_bell(kind, |bell| bell.is_armed())
}
