//! Switching to the segment that has the name now (PROTOCOL.md, section 5).

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use super::status::{LEGACY, PeerView, STOPPED};
use super::{Link, State};
use crate::channel::queue::Broken;
use crate::error::{Error, Result};
use crate::peer::attachment::Attachment;
use crate::peer::carry_over::{Budget, CarryOver, PER_HEARTBEAT, Progress};
use crate::peer::liveness::Watch;
use crate::peer::notice::{Notice, Notices};
use crate::peer::open;
use crate::peer::outgoing::OutgoingChannel;
use crate::peer_state::PeerState;
use crate::role::Role;
use crate::sys::Ordering;

/// What is read out of an old segment independently of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Messages,
    Values,
}

/// The old segments with something unread, with their epochs, oldest first.
#[derive(Debug, Default)]
pub(super) struct OldSegments {
    segments: VecDeque<(u32, Arc<Attachment>)>,
    /// The epochs of the segments where messages, and values, are read.
    messages: u32,
    values: u32,
}

impl OldSegments {
    /// Records that the endpoint leaves `attachment` of `epoch`, and drops the segments that have been read out
    /// since. A value replaces those before it, so that an endpoint that never reads values does not keep all
    /// segments.
    fn push(&mut self, epoch: u32, attachment: &Arc<Attachment>) {
        let is_newer = attachment.has_unread_value();
        self.segments.retain(|(_, left)| left.has_unread_message() || !is_newer && left.has_unread_value());
        if is_newer || attachment.has_unread_message() {
            self.segments.push_back((epoch, Arc::clone(attachment)));
        }
    }

    /// Returns the segment to read after the one of `epoch`, which is `last` if there is no other.
    fn after(
        &mut self,
        reading: Reading,
        epoch: u32,
        last: (u32, &Arc<Attachment>),
    ) -> (Arc<Attachment>, u32) {
        let next = self.segments.iter().find(|(other, _)| *other > epoch);
        let next = next.map_or((last.0, last.1), |(epoch, attachment)| (*epoch, attachment));
        let next = (Arc::clone(next.1), next.0);
        match reading {
            Reading::Messages => self.messages = next.1,
            Reading::Values => self.values = next.1,
        }
        let done = self.messages.min(self.values);
        self.segments.retain(|(epoch, _)| *epoch > done);
        next
    }
}

impl Link {
    /// Searches for another segment of the name, for a slave whose master is not alive.
    pub(super) fn search(&self, state: &mut State, now: Instant) {
        let Some(outage) = state.outage.as_mut().filter(|outage| now >= outage.next_search) else { return };
        if self.role == Role::Master {
            return;
        }
        outage.searches = outage.searches.saturating_add(1);
        outage.next_search = now + self.config.reconnect_interval;
        let old = Arc::clone(&state.attachment);
        if old.owns_name(&self.name) || !old.take_peer_seat() {
            return;
        }
        match open::attach_again(&self.name, &self.config) {
            Ok(Some(new)) => {
                crash_point!("reconnect.attached");
                if self.move_to(state, Arc::new(new), now) {
                    state.notices.push(self.name.as_str(), Notice::Moved);
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => state.notices.push(self.name.as_str(), Notice::CannotMove(error)),
        }
        old.free_peer_seat();
    }

    /// Switches to `new`. Its seat and the seat of the peer in the old segment are locked. Returns whether it
    /// switched: it does not switch to a segment whose queue is broken.
    pub(super) fn move_to(&self, state: &mut State, new: Arc<Attachment>, now: Instant) -> bool {
        let outgoing = match OutgoingChannel::open(Arc::clone(&new)) {
            Ok(outgoing) => outgoing,
            Err(broken) => {
                state.notices.push(self.name.as_str(), Notice::CannotMoveInto(broken));
                let _ = new.leave(&self.name, false);
                return false;
            }
        };
        new.publish_threshold(self.config.stale_threshold);
        let old = std::mem::replace(&mut state.attachment, Arc::clone(&new));
        // The call removes no name, so it cannot fail.
        let _ = old.leave(&self.name, false);
        crash_point!("reconnect.left");
        let epoch = self.epoch();
        state.old_segments.push(epoch, &old);
        self.carry().begin(Arc::clone(&old), outgoing, epoch.wrapping_add(1));
        self.note_move(state, &old, &new, now);
        crash_point!("reconnect.moved");
        self.wake_own_threads(state, &old);
        self.continue_carry(&mut state.notices);
        true
    }

    fn note_move(&self, state: &mut State, old: &Attachment, new: &Attachment, now: Instant) {
        let pulse = new.peer_pulse();
        state.watch = Watch::of_present_peer(pulse, now, self.config.stale_threshold);
        state.peer_identity = (pulse.pid, new.peer_generation());
        state.outage = None;
        state.last_stats = new.heartbeats();
        let verdict = match self.role {
            Role::Slave => {
                self.counters.reconnects.add(1);
                new.raise_generation(old.generation() + 1);
                PeerState::Alive
            }
            Role::Master => {
                new.raise_generation(old.generation());
                PeerState::Absent
            }
        };
        let wake_seq = new.incoming().tail.wake_seq.load(Ordering::Relaxed);
        self.silent_wake_seq.store(wake_seq, Ordering::Relaxed);
        let legacy = if new.peer_is_legacy() { LEGACY } else { 0 };
        self.status.begin_epoch(self.status.flags(STOPPED) | legacy);
        self.peer.store(PeerView { state: verdict, reconnect_expired: false });
    }

    /// Returns the segment to read after the one of `epoch`, and its epoch.
    pub(crate) fn next_segment(&self, reading: Reading, epoch: u32) -> (Arc<Attachment>, u32) {
        let mut state = self.state();
        let last = Arc::clone(&state.attachment);
        state.old_segments.after(reading, epoch, (self.epoch(), &last))
    }

    pub(super) fn carry(&self) -> MutexGuard<'_, CarryOver> {
        self.carry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Continues the carry-over, unless the sender is doing so at the moment. Returns whether something is left.
    pub(super) fn continue_carry(&self, notices: &mut Notices) -> bool {
        match self.carry.try_lock() {
            Ok(mut carry) => self.advance_carry(notices, &mut carry, PER_HEARTBEAT),
            Err(_) => false,
        }
    }

    /// Advances the carry-over. Returns whether something is left.
    pub(super) fn advance_carry(&self, notices: &mut Notices, carry: &mut CarryOver, budget: Budget) -> bool {
        let segment = self.name.as_str();
        let progress = carry.advance(budget);
        let pending = progress == Ok(Progress::Pending);
        if let Err(broken) = progress {
            notices.push(segment, Notice::NewQueueBroken(broken));
        }
        if let Some(broken) = carry.take_broken() {
            notices.push(segment, Notice::OldQueueBroken(broken));
        }
        pending
    }

    /// Carries everything over. Returns the outgoing channel of the present segment to the sending thread, with the epoch of
    /// that segment, or `Ok(None)` if something is left.
    ///
    /// # Errors
    /// Returns [`Broken`] if the peer broke the queue of the new segment.
    pub(crate) fn end_carry(&self) -> std::result::Result<Option<(OutgoingChannel, u32)>, Broken> {
        let mut notices = Notices::default();
        let end = {
            let mut carry = self.carry();
            let end = carry.finish();
            if let Some(broken) = carry.take_broken() {
                notices.push(self.name.as_str(), Notice::OldQueueBroken(broken));
            }
            end
        };
        notices.emit();
        end
    }

    /// Writes a value into the present segment while a carry-over is in progress. Returns `None` if none is in
    /// progress.
    pub(crate) fn write_while_carrying(&self, bytes: &[u8]) -> Option<Result<()>> {
        let written = self.carry().write(bytes)?;
        Some(match written {
            Ok(woke) => {
                self.counters.count_written(woke);
                Ok(())
            }
            Err(capacity) => Err(Error::TooLarge { segment: self.segment(), size: bytes.len(), capacity }),
        })
    }
}
