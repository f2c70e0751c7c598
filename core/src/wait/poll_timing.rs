//! When to poll for the next message, so that the poll does not disturb its arrival.
//!
//! A receiver that polls too early takes a copy of the cache line that the sender is about to write. The sender must
//! then get the line back, so the message costs more transfers between the cores than the one that it needs.
//! Therefore:
//!
//! - In an exchange, where something was sent since the last message arrived, one of the two ends delays its first
//!   poll for the answer. The delay follows the answers: a poll that was too early makes it longer, and one that found
//!   the answer makes it shorter by less. If both ends delayed their polls, each would wait for the delay of the other.
//! - In a stream, a receiver that has caught up with the sender gives it time to write some lines ahead.
//!
//! Only messages are timed. A value of a mailbox is in several lines, and a delay before the poll for one only costs
//! time (ARCHITECTURE.md has the figures).

use crate::role::Role;
use crate::sys::ticks;

/// The longest delay, in ticks of the clock as all times below: one to two microseconds.
const LONGEST_DELAY: u64 = 4096;
/// How much longer the delay is after a poll that was too early.
const LONGER: u64 = 16;
/// How much shorter it is after a poll that found the message. So one poll in 17 is too early.
const SHORTER: u64 = 1;
/// The number of consecutive messages found by the first poll that make a stream.
const STREAM: u32 = 8;
/// The time that a sender gets to write ahead: some tens of short messages.
const STREAM_PAUSE: u64 = 512;

/// Decides when to poll. See the module.
#[derive(Debug)]
pub(crate) struct PollTiming {
    /// Set at the end that delays its polls.
    delays: bool,
    /// The delay. 0: polls at once and reads no clock.
    delay: u64,
    /// The number of messages that this endpoint had sent at the last poll.
    sent: u64,
    /// Set if it had sent any since the poll before that.
    exchange: bool,
    /// The number of consecutive messages found by the first poll without a delay before it.
    streak: u32,
}

impl PollTiming {
    pub(crate) fn new(role: Role) -> Self {
        PollTiming { delays: role == Role::Master, delay: 0, sent: 0, exchange: false, streak: 0 }
    }

    /// Waits until it is time to poll, without an access to shared memory. `sent` returns how many messages this
    /// endpoint has sent.
    #[inline(always)]
    pub(crate) fn wait_to_poll(&mut self, sent: impl FnOnce() -> u64) {
        // In a stream the count is not loaded, because another thread may change it continuously.
        self.exchange = self.delays && self.streak < STREAM && self.has_sent(sent());
        if self.exchange && self.delay > 0 {
            wait(self.delay);
        }
    }

    #[inline(always)]
    fn has_sent(&mut self, sent: u64) -> bool {
        std::mem::replace(&mut self.sent, sent) != sent
    }

    /// Records that the first poll found the message.
    #[inline(always)]
    pub(crate) fn found_at_once(&mut self) {
        // A message that arrived during the delay may have had to wait.
        if self.exchange && self.delay > 0 {
            self.delay -= SHORTER;
        } else {
            self.streak = self.streak.saturating_add(1);
        }
    }

    /// Records that the first poll found nothing.
    pub(crate) fn found_nothing(&mut self) {
        if !self.exchange && self.streak >= STREAM {
            wait(STREAM_PAUSE);
        }
        self.streak = 0;
    }

    /// Records whether a later poll found the message. If none did in the time of an answer, the next poll is at once.
    pub(crate) fn end_exchange(&mut self, found: bool) {
        if self.exchange {
            self.delay = if found { (self.delay + LONGER).min(LONGEST_DELAY) } else { 0 };
        }
    }
}

/// Spins for this time. Does not wait if the clock stands still.
fn wait(time: u64) {
    let start = ticks();
    while start != 0 && ticks().wrapping_sub(start) < time {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes exchanges whose answers arrive after this time, and returns how many polls were too early.
    fn exchanges(timing: &mut PollTiming, count: u64, answer_after: u64) -> u64 {
        let mut early = 0;
        for _ in 0..count {
            let sent = timing.sent + 1;
            timing.wait_to_poll(|| sent);
            assert!(timing.exchange);
            if timing.delay >= answer_after {
                timing.found_at_once();
            } else {
                early += 1;
                timing.found_nothing();
                timing.end_exchange(true);
            }
        }
        early
    }

    #[test]
    fn the_delay_follows_the_answers() {
        let mut timing = PollTiming::new(Role::Master);
        for answer_after in [300, 1000, 90] {
            exchanges(&mut timing, 2000, answer_after);
            let early = exchanges(&mut timing, 17 * 100, answer_after);
            assert!((answer_after - 1..answer_after + LONGER).contains(&timing.delay), "{timing:?}");
            assert!((99..=101).contains(&early), "{early} polls were too early");
        }
    }

    #[test]
    fn the_delay_is_bounded_and_ends_with_the_exchanges() {
        let mut timing = PollTiming::new(Role::Master);
        exchanges(&mut timing, 2 * LONGEST_DELAY / LONGER, u64::MAX);
        assert_eq!(timing.delay, LONGEST_DELAY);
        let sent = timing.sent + 1;
        timing.wait_to_poll(|| sent);
        timing.found_nothing();
        timing.end_exchange(false);
        assert_eq!(timing.delay, 0);
    }

    #[test]
    fn only_one_end_delays_and_only_after_it_sent() {
        let mut master = PollTiming { delay: u64::MAX, ..PollTiming::new(Role::Master) };
        master.wait_to_poll(|| 0);
        assert!(!master.exchange, "nothing was sent");
        let mut slave = PollTiming { delay: u64::MAX, ..PollTiming::new(Role::Slave) };
        slave.wait_to_poll(|| 1);
        assert!(!slave.exchange, "the other end delays");
    }

    #[test]
    fn sends_of_another_thread_do_not_delay_a_stream() {
        let mut sent = 0;
        let mut timing = PollTiming::new(Role::Master);
        for _ in 0..STREAM {
            sent += 1;
            timing.wait_to_poll(|| sent);
            assert!(timing.exchange);
            timing.found_at_once();
        }
        sent += 1;
        timing.wait_to_poll(|| sent);
        assert!(!timing.exchange);
        timing.found_nothing();
        timing.wait_to_poll(|| sent);
        assert!(timing.exchange, "the stream has ended");
    }
}
