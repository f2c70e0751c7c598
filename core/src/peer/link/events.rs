//! The event descriptor of an endpoint: armed by a verb that found nothing, rung by the peer, or by the background
//! thread for what the peer does not ring (protocol/events.md).

use std::time::Instant;

use super::{Link, State};
use crate::error::Result;
use crate::peer::attachment::Attachment;
use crate::peer::events::{EventSource, Interest};
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
            source.notice(state);
            self.ring_for_others(Interest::PEER);
            if self.check_running().is_err() {
                source.descriptor.ring();
            }
        }
        state
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
        if source.descriptor.has_fifo() && !attachment.peer_is_legacy() {
            bell.arm();
        } else {
            fence(Ordering::SeqCst);
        }
        true
    }

    /// Makes the event descriptor readable for the other kinds than `kind`, whose bytes `arm_events` may have read.
    pub(crate) fn ring_for_others(&self, kind: Interest) {
        let Some(source) = self.events() else { return };
        let is_due = |other: Interest| {
            if !source.wants(other) {
                return false;
            }
            if !source.is_armed(other) {
                // Nobody waits for room before a message was refused.
                return other != Interest::WRITABLE;
            }
            let attachment = self.attachment();
            is_begun(source, &attachment, other)
                || other == Interest::WRITABLE && attachment.outgoing_progress() != source.progress()
        };
        let peer_changed = source.wants(Interest::PEER) && !source.has_noticed(self.verdict());
        self.ring_if_master_is_back(source);
        if peer_changed || KINDS.into_iter().any(|other| other != kind && is_due(other)) {
            source.descriptor.ring();
        }
    }

    /// Makes the event descriptor readable if messages were refused because there was no master, and would not be now.
    pub(crate) fn ring_if_master_is_back(&self, source: &EventSource) {
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
        let attachment = &state.attachment;
        for kind in KINDS {
            if !source.wants(kind) || !source.is_armed(kind) {
                continue;
            }
            let is_there = match kind {
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
            };
            // A peer that has begun to ring has rung by the next round, unless it cannot.
            if is_there && (!is_begun(source, attachment, kind) || source.doubt(kind)) {
                // A refused sender stays armed until it tries again: not armed means that nobody waits for room.
                if kind != Interest::WRITABLE {
                    source.disarm(kind);
                }
                attachment.with_bell(kind, |bell| bell.disarm());
                source.descriptor.ring();
                // An endpoint at rest would notice the next one late, too.
                state.activity.stir(now);
            }
        }
    }
}

/// Returns whether the peer has begun to ring for an armed kind.
fn is_begun(source: &EventSource, attachment: &Attachment, kind: Interest) -> bool {
    source.descriptor.has_fifo()
        && !attachment.peer_is_legacy()
        && !attachment.with_bell(kind, |bell| bell.is_armed())
}
