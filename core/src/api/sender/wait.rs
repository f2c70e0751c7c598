//! How a sender waits for room.

use std::time::Duration;

use super::Sender;
use crate::error::{Error, Result};
use crate::peer::outgoing::LEGACY_ACK_TIMEOUT;
use crate::sys::spin_hint;
use crate::wait::{Activity, Deadline};

/// Hints between two looks for room.
const LOOK_PAUSES: u32 = 8;
/// The time of such a look, as a multiple of the time of a load.
const LOOK_COST: u32 = 40;
/// How often a sender looks that waits for the carry-over: for room in a segment that is not its own yet.
const CARRY_POLL: Duration = Duration::from_millis(1);

impl Sender {
    /// Returns how long a wait of this time lasts at most.
    pub(crate) fn longest_wait(&self, timeout: Option<Duration>) -> Option<Duration> {
        // An ESHM 1.x reader may never acknowledge: it swallows the first message that it is shown.
        timeout.or_else(|| (!self.outgoing.peer_has_queue()).then_some(LEGACY_ACK_TIMEOUT))
    }

    /// Waits until `attempt` succeeds.
    pub(super) fn wait_whole<T>(
        &mut self,
        len: usize,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let (deadline, whole) = (Deadline::after(self.longest_wait(timeout)), Deadline::after(None));
        loop {
            if let Some(done) = self.wait(len, deadline, whole, &mut attempt)? {
                return Ok(done);
            }
        }
    }

    /// Waits until `attempt` succeeds, or the part is over: `Ok(None)`.
    pub(super) fn wait<T>(
        &mut self,
        len: usize,
        deadline: Deadline,
        part: Deadline,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let begun = Deadline::after(None);
        // A later part of a wait goes on where the part before ended: with a park.
        if (deadline.is_new() || !self.waiting)
            && let Some(done) = self.spin(len, deadline, &mut attempt)?
        {
            self.waiting = false;
            return Ok(Some(done));
        }
        let done = self.park_until(len, deadline, part, attempt);
        self.side.link.counters.count_room_wait(!self.waiting, begun.elapsed());
        self.waiting = matches!(done, Ok(None));
        done
    }

    fn park_until<T>(
        &mut self,
        len: usize,
        deadline: Deadline,
        part: Deadline,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        loop {
            let sample = self.outgoing.space_bell().0.sample();
            if self.may_put(len, deadline)?
                && let Some(done) = attempt(self)?
            {
                return Ok(Some(done));
            }
            if let Some(error) = self.side.link.terminal_error(&self.side.attachment, !deadline.is_endless())
            {
                return Err(error);
            }
            let Some(left) = deadline.left() else {
                self.outgoing.forget_unacknowledged();
                return Err(self
                    .side
                    .timeout("room for a message, or the reading of the one before,", deadline));
            };
            let Some(part_left) = part.left() else { return Ok(None) };
            if self.backoff.parks() || self.side.is_left_behind() {
                self.park(sample, left.min(part_left));
            } else if let Some(done) = self.spin(len, deadline, &mut attempt)? {
                return Ok(Some(done));
            }
        }
    }

    /// Returns whether polls without a yield or a park pay at present.
    pub(crate) fn polls_pay(&self) -> bool {
        self.backoff.polls_pay()
    }

    /// Tries as the wait strategy says, without a park.
    fn spin<T>(
        &mut self,
        len: usize,
        deadline: Deadline,
        attempt: &mut impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut backoff = self.backoff;
        // Space is no answer: that the peer had to be woken says nothing about when it comes. No long spin.
        let activity = Activity::default();
        let done = backoff.spin(LOOK_COST, activity, deadline.left().unwrap_or_default(), || {
            if self.may_put(len, deadline)?
                && let Some(done) = attempt(self)?
            {
                return Ok(Some(done));
            }
            // Not at once: every look takes the cache line away from the receiver that is to make room, and should find
            // more than one slot.
            for _ in 0..LOOK_PAUSES {
                spin_hint();
            }
            Ok(None)
        });
        self.backoff = backoff;
        done
    }

    pub(super) fn park(&self, sample: u32, left: Duration) {
        if self.side.is_left_behind() {
            return std::thread::sleep(left.min(CARRY_POLL));
        }
        let (room, silent) = self.outgoing.space_bell();
        self.side.link.park(&self.backoff, room, sample, silent, left);
    }

    /// Returns whether a message of `len` bytes may be put, if there is room. `Ok(false)`: not yet; an error where waiting is in
    /// vain.
    pub(super) fn may_put(&mut self, len: usize, deadline: Deadline) -> Result<bool> {
        match self.is_ready(len) {
            Err(Error::Reconnecting { .. }) => Ok(false),
            // A wait with a limit lasts that long, whatever the peer's state; one without is ended by `terminal_error`.
            Err(Error::PeerStale { .. } | Error::PeerClosed { .. })
                if deadline.is_endless() || !self.side.link.search_is_over() =>
            {
                Ok(false)
            }
            ready => ready,
        }
    }
}
