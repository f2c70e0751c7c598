//! When to look for the next message, so that the look does not disturb its arrival.
//!
//! A receiver that looks too early takes a copy of the cache line that the sender is about to write, which the sender then
//! has to have taken back: the message pays for two transfers between the cores instead of one. So
//!
//! - in an exchange, where something was sent since the last message came, the answer comes after about the same time as the
//!   one before, and that is when to look first. The time is learnt: longer after a look that was too early, shorter by
//!   little after one that was not. A look that is late by some ticks costs these; one that is early costs a transfer;
//! - in a stream, whoever has caught up with the sender gives it a moment to write some lines ahead.

use crate::sync::ticks;

/// How much longer after an early look. In ticks, as all below.
const LONGER: u64 = 24;
/// After so many looks in a row that were not early, the time is shortened twice as fast.
const STREAK: u32 = 24;
/// The longest time: a microsecond or two, a bit more than the exchanges that this is for.
const LONGEST: u64 = 4096;
/// So many messages that were there at the first look are a stream.
const STREAM: u32 = 8;
/// What a sender gets to write ahead: some tens of short messages.
const BREATH: u64 = 512;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// In an exchange, how long after a message not to look for the next one; 0: look at once, and at no clock.
    rest: u64,
    /// When the last message of an exchange came.
    last: u64,
    /// How many messages this endpoint had sent when it last looked.
    sent: u64,
    /// Whether it had sent any since the look before.
    exchange: bool,
    /// Looks in a row that were not early.
    streak: u32,
}

impl Pace {
    /// Waits, without a look at shared memory, until it is time for one. `sent`: how many messages this endpoint has sent.
    #[inline(always)]
    pub(crate) fn hold(&mut self, sent: u64) {
        self.exchange = self.sent != sent;
        self.sent = sent;
        if self.exchange && self.rest > 0 {
            self.last = wait_until(self.last, self.rest);
        }
    }

    /// The first look found the message.
    #[inline(always)]
    pub(crate) fn was_not_early(&mut self) {
        self.streak = self.streak.saturating_add(1);
        self.rest = self.rest.saturating_sub(1 << (self.streak / STREAK).min(8));
    }

    /// The first look found nothing.
    pub(crate) fn was_early(&mut self) {
        if !self.exchange && self.streak >= STREAM {
            wait_until(ticks(), BREATH);
        }
        self.streak = 0;
    }

    /// The message came some looks after the first.
    pub(crate) fn has_come(&mut self) {
        if self.exchange {
            self.rest = (self.rest + LONGER).min(LONGEST);
            self.last = ticks();
        }
    }

    /// The message did not come in the time of an answer: this is no exchange.
    pub(crate) fn was_in_vain(&mut self) {
        self.rest = 0;
    }
}

/// Spins until `ticks` after `start`, and returns the time. A clock that stands still is not waited for.
fn wait_until(start: u64, rest: u64) -> u64 {
    loop {
        let now = ticks();
        if now.wrapping_sub(start) >= rest || now == 0 {
            return now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_after_an_exchange_is_not_held_up() {
        let mut pace = Pace { rest: LONGEST, ..Pace::default() };
        let before = pace.last;
        pace.hold(0);
        assert_eq!(pace.last, before, "nothing was sent, so nothing is waited for");
        let looks = (0..).take_while(|_| {
            pace.was_not_early();
            pace.rest > 0
        });
        assert!(looks.count() < 20 * STREAK as usize);
    }

    #[test]
    fn the_rest_is_bounded_and_ends_when_nothing_comes() {
        let mut pace = Pace::default();
        pace.hold(1);
        (1..1000).for_each(|_| pace.has_come());
        assert_eq!(pace.rest, LONGEST);
        pace.was_in_vain();
        assert_eq!(pace.rest, 0);
    }
}
