//! When to poll for the next message, so that the poll does not disturb its arrival.
//!
//! A receiver that polls too early takes a copy of the cache line that the sender is about to write. The sender must
//! then get the line back, so the message costs more transfers between the cores than the one that it needs.
//! Therefore:
//!
//! - In an exchange, where something was sent since the last message arrived, one of the two ends delays its first
//!   poll for the answer. The right delay depends on the distance between the two cores, on the peer, and on what the
//!   two do with their messages, and a few ticks matter. So the delay is not computed but measured: candidates
//!   compete, each is timed over some exchanges, the best third goes on, and the contest is repeated from time to
//!   time. No delay is one of the candidates. If both ends delayed their polls, each would wait for the delay of the
//!   other.
//! - In a stream, a receiver that has caught up with the sender gives it time to write some lines ahead.

use crate::role::Role;
use crate::sys::ticks;

/// Replies slower than this are not worth delaying the first poll for: one to two microseconds. In ticks, as all
/// times below.
const SLOWEST_REPLY: u64 = 4096;
/// The number of consecutive messages found by the first poll that make a stream.
const STREAM: u32 = 8;
/// The time that a sender gets to write ahead: some tens of short messages.
const STREAM_PAUSE: u64 = 512;
/// The number of exchanges before the first contest, and between two contests at first and in the end. A contest
/// takes some 3000 exchanges, about a hundredth of the time of a long exchange.
const FIRST_TERM: u32 = 256;
const SHORTEST_TERM: u32 = 1 << 12;
const LONGEST_TERM: u32 = 1 << 17;

/// Decides when to poll. See the module.
#[derive(Debug)]
pub(crate) struct PollTiming {
    /// Set at the end that delays its polls.
    delays: bool,
    /// The delay. 0: polls at once and reads no clock.
    delay: u64,
    /// The number of exchanges that remain with this delay.
    left: u32,
    /// The number of exchanges until the next contest.
    term: u32,
    /// The running contest.
    contest: Option<Contest>,
    /// During a contest: the start of the exchange.
    begun: u64,
    /// The number of messages that this endpoint had sent at the last poll.
    sent: u64,
    /// Set if it had sent any since the poll before that.
    exchange: bool,
    /// The number of consecutive messages found by the first poll without a delay before it.
    streak: u32,
}

impl PollTiming {
    pub(crate) fn new(role: Role) -> Self {
        PollTiming {
            delays: role == Role::Master,
            delay: 0,
            left: FIRST_TERM,
            term: SHORTEST_TERM,
            contest: None,
            begun: 0,
            sent: 0,
            exchange: false,
            streak: 0,
        }
    }

    /// Waits until it is time to poll, without an access to shared memory. `sent` returns how many messages this
    /// endpoint has sent.
    #[inline(always)]
    pub(crate) fn wait_to_poll(&mut self, sent: impl FnOnce() -> u64) {
        // In a stream the count is not loaded, because another thread may change it continuously.
        self.exchange = self.delays && self.streak < STREAM && self.has_sent(sent());
        if self.exchange {
            if self.left == 0 {
                self.decide();
            }
            self.left -= 1;
            if self.delay > 0 || self.contest.is_some() {
                self.begun = ticks();
                wait_until(self.begun, self.delay);
            }
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
        if self.exchange && (self.delay > 0 || self.contest.is_some()) {
            self.note();
        } else {
            self.streak = self.streak.saturating_add(1);
        }
    }

    /// Records that the first poll found nothing.
    pub(crate) fn found_nothing(&mut self) {
        if !self.exchange && self.streak >= STREAM {
            wait_until(ticks(), STREAM_PAUSE);
        }
        self.streak = 0;
    }

    /// Records that a later poll found the message, or that none arrived in the time of an answer.
    pub(crate) fn end_exchange(&mut self) {
        self.note();
    }

    #[inline(always)]
    fn note(&mut self) {
        if self.exchange
            && let Some(contest) = &mut self.contest
        {
            contest.note(ticks().wrapping_sub(self.begun).min(SLOWEST_REPLY));
        }
    }

    /// Chooses the next delay and for how many exchanges it holds.
    #[cold]
    fn decide(&mut self) {
        let contest = self.contest.get_or_insert_with(Contest::new);
        if contest.is_begun() && contest.next_candidate() {
            self.delay = contest.winner();
            self.left = self.term;
            self.term = (self.term * 2).min(LONGEST_TERM);
            self.contest = None;
        } else {
            self.delay = contest.candidate();
            self.left = contest.length;
        }
    }
}

/// Finds the delay with which exchanges take the shortest time.
#[derive(Debug)]
struct Contest {
    /// The remaining candidates. The winner of the round before is first.
    entrants: [Entrant; Contest::ENTRANTS],
    count: usize,
    current: usize,
    /// The number of exchanges of each candidate in this round.
    length: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entrant {
    delay: u64,
    /// The total time of its exchanges in this round.
    cost: Option<u64>,
}

impl Contest {
    const ENTRANTS: usize = 24;
    /// The shortest delay other than none, and the ratio from one to the next in percent. The longest is 820.
    const SHORTEST: u64 = 100;
    const STEP: u64 = 110;
    const FIRST_LENGTH: u32 = 64;
    /// One candidate of three gets into the next round.
    const KEPT: usize = 3;

    fn new() -> Self {
        let mut entrants = [Entrant::default(); Self::ENTRANTS];
        let delays = std::iter::successors(Some(Self::SHORTEST), |delay| Some(delay * Self::STEP / 100));
        entrants[1..].iter_mut().zip(delays).for_each(|(entrant, delay)| entrant.delay = delay);
        Contest { entrants, count: Self::ENTRANTS, current: 0, length: Self::FIRST_LENGTH }
    }

    fn is_begun(&self) -> bool {
        self.entrants[0].cost.is_some()
    }

    fn candidate(&self) -> u64 {
        self.entrants[self.current].delay
    }

    /// Records the time of an exchange with the current candidate.
    fn note(&mut self, took: u64) {
        *self.entrants[self.current].cost.get_or_insert(0) += took;
    }

    /// Moves on to the next candidate. Returns whether the contest is over.
    fn next_candidate(&mut self) -> bool {
        self.current += 1;
        if self.current < self.count {
            return false;
        }
        self.entrants[..self.count].sort_by_key(|entrant| entrant.cost);
        if self.count <= Self::KEPT {
            return true;
        }
        self.count /= Self::KEPT;
        self.entrants.iter_mut().for_each(|entrant| entrant.cost = None);
        self.current = 0;
        self.length *= 2;
        false
    }

    fn winner(&self) -> u64 {
        self.entrants[0].delay
    }
}

/// Spins until `rest` ticks after `start`. Does not wait if the clock stands still.
fn wait_until(start: u64, delay: u64) {
    while start != 0 && ticks().wrapping_sub(start) < delay {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a contest where an exchange takes as long as `cost` returns.
    fn winner(cost: impl Fn(u64) -> u64) -> u64 {
        let mut contest = Contest::new();
        loop {
            for _ in 0..contest.length {
                let took = cost(contest.candidate());
                contest.note(took);
            }
            if contest.next_candidate() {
                return contest.winner();
            }
        }
    }

    #[test]
    fn the_delay_that_costs_least_wins() {
        // Distant cores: an early poll costs a transfer, a late one its delay.
        let far = winner(|delay| if delay < 500 { 1200 } else { 830 + (delay - 500) });
        assert!((500..=550).contains(&far), "{far}");
        let near = winner(|delay| if delay < 140 { 330 } else { 210 + (delay - 140) });
        assert!((140..=154).contains(&near), "{near}");
    }

    #[test]
    fn no_delay_wins_where_delays_do_not_pay() {
        assert_eq!(winner(|delay| 300 + delay), 0);
        assert_eq!(winner(|_| SLOWEST_REPLY), 0, "a peer that takes its time");
    }

    #[test]
    fn contests_repeat_at_growing_intervals() {
        let mut timing = PollTiming::new(Role::Master);
        let mut contests = Vec::new();
        for exchange in 1..1_000_000_u64 {
            let before = timing.contest.is_some();
            timing.wait_to_poll(|| exchange);
            timing.found_nothing();
            timing.end_exchange();
            if timing.contest.is_some() && !before {
                contests.push(exchange);
            }
        }
        assert_eq!(contests[0], u64::from(FIRST_TERM) + 1);
        let gaps: Vec<_> = contests.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() > 5 && gaps.is_sorted(), "{gaps:?}");
        assert!(gaps.iter().all(|&gap| gap < 2 * u64::from(LONGEST_TERM)), "{gaps:?}");
    }

    #[test]
    fn only_one_end_delays_and_only_after_it_sent() {
        let mut sent = 0;
        let mut master = PollTiming { delay: u64::MAX, ..PollTiming::new(Role::Master) };
        master.wait_to_poll(|| sent);
        assert_eq!(master.begun, 0, "nothing was sent");
        let mut slave = PollTiming { delay: u64::MAX, ..PollTiming::new(Role::Slave) };
        sent += 1;
        slave.wait_to_poll(|| sent);
        assert_eq!(slave.begun, 0, "the other end delays");
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
