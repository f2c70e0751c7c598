//! Waiting: spin, then park, then time out.

mod adaptive;

use std::time::Duration;

use super::{Doorbell, WaitStrategy};
use crate::sys::spin_hint;
pub(crate) use adaptive::Activity;
use adaptive::{Adaptive, System};

/// The maximum number of polls before a park. They take about ten microseconds, as long as a park and a wake-up.
const MOST_SPINS: u32 = 3000;
const FEWEST_SPINS: u32 = 50;
/// After fewer polls were worth while, one wait in so many polls as often as the first.
const TRIAL: u32 = 32;
/// The number of polls without a spin hint to the processor. They take about a microsecond.
const EAGER_SPINS: u32 = 2000;
/// The longest park where nobody wakes a waiter for events that ring no doorbell: a killed peer, a replaced segment.
/// ESHM 1.2 uses the same.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// How long a waiter sleeps if its peer is an ESHM 1.0 process, which never wakes anybody.
const SILENT_PEER_POLL: Duration = Duration::from_micros(100);

/// How one half of an endpoint waits. What it has learnt from earlier waits decides how long it spins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    strategy: WaitStrategy,
    /// The number of polls before the next step, [`FEWEST_SPINS`] ..= [`MOST_SPINS`], or 1 to park at once.
    polls: u32,
    /// The number of waits with fewer polls than the most, modulo [`TRIAL`].
    shortened: u32,
    adaptive: Adaptive,
}

impl Backoff {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Backoff { strategy, polls: most_polls(strategy), shortened: 0, adaptive: Adaptive::default() }
    }

    /// Returns the number of polls at the start, which have no pause in between.
    #[inline(always)]
    pub(crate) fn eager_polls(&self) -> u32 {
        self.polls.min(EAGER_SPINS)
    }

    /// Returns whether the polls at the start pay: not where the peer needs this processor to answer.
    pub(crate) fn polls_pay(&self) -> bool {
        self.polls >= EAGER_SPINS / 4
    }

    /// Polls until `poll` returns something, or until it is time to park: `Ok(None)`.
    ///
    /// `cost` is the time of a poll, as a multiple of the time of a load. `activity` is what this endpoint has done so
    /// far. The spin lasts no longer than the time that is `left`, but for one yield and the polls at the start.
    pub(crate) fn spin<T, E>(
        &mut self,
        cost: u32,
        activity: Activity,
        left: Duration,
        mut poll: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        for look in 0..(self.polls_now() / cost).max(1) {
            if let Some(found) = poll()? {
                // Something that was there at the first poll teaches nothing.
                if look > 0 {
                    self.polls = (self.polls.max(look * cost) * 2).min(most_polls(self.strategy));
                }
                return Ok(Some(found));
            }
            pause(look);
        }
        if matches!(self.strategy, WaitStrategy::SpinThenPark | WaitStrategy::Adaptive) {
            self.polls = (self.polls / 2).max(FEWEST_SPINS);
        }
        if self.strategy != WaitStrategy::Adaptive {
            return Ok(None);
        }
        let outcome = self.adaptive.spin(&System, cost, activity, left, &mut poll)?;
        if outcome.polls_would_have_paid {
            self.polls = EAGER_SPINS;
        }
        Ok(outcome.found)
    }

    /// Returns the number of polls of this wait.
    fn polls_now(&mut self) -> u32 {
        let most = most_polls(self.strategy);
        if self.polls < most {
            self.shortened = (self.shortened + 1) % TRIAL;
        }
        if self.shortened == 0 { most } else { self.polls }
    }

    /// Returns whether to wait on a doorbell after a spin. Otherwise the caller spins again.
    pub(crate) fn parks(&self) -> bool {
        self.strategy != WaitStrategy::Spin
    }

    /// Waits until the doorbell rings, for at most the time that is `left`. If the peer is silent, sleeps for a short time
    /// instead.
    pub(crate) fn wait(&self, bell: Doorbell<'_>, sample: u32, silent: bool, left: Duration) {
        if !self.parks() {
            spin_hint();
        } else if silent {
            std::thread::sleep(SILENT_PEER_POLL.min(left));
        } else {
            bell.park(sample, left);
        }
    }
}

/// Returns the number of polls at the start of a wait, if they pay.
fn most_polls(strategy: WaitStrategy) -> u32 {
    match strategy {
        WaitStrategy::Park => 1,
        WaitStrategy::Adaptive => EAGER_SPINS,
        WaitStrategy::Spin | WaitStrategy::SpinThenPark => MOST_SPINS,
    }
}

/// Pauses between two polls. `poll` is the number of polls so far.
#[inline(always)]
fn pause(poll: u32) {
    // A peer that answers at once does so within the first polls. A hint would only delay the next poll.
    if poll >= EAGER_SPINS {
        spin_hint();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Waits for something that is there at poll number `at`, and returns how many polls that took.
    fn polls(backoff: &mut Backoff, at: Option<u32>) -> u32 {
        let mut polls = 0;
        let found = backoff.spin(1, Activity::default(), Duration::MAX, || {
            polls += 1;
            Ok::<_, Infallible>((Some(polls - 1) == at).then_some(()))
        });
        assert_eq!(found.unwrap().is_some(), at.is_some());
        polls
    }

    #[test]
    fn spin_then_park_polls_less_after_polls_in_vain_and_more_after_others() {
        let mut backoff = Backoff::new(WaitStrategy::SpinThenPark);
        assert_eq!(polls(&mut backoff, None), MOST_SPINS);
        assert_eq!(polls(&mut backoff, None), MOST_SPINS / 2);
        while polls(&mut backoff, None) > FEWEST_SPINS {}
        assert!(!backoff.polls_pay());
        for _ in 0..10 {
            polls(&mut backoff, Some(FEWEST_SPINS - 1));
        }
        assert_eq!(polls(&mut backoff, None), MOST_SPINS);
    }

    /// Also where a look costs so much that the fewest polls are a single one, and where answers take longer than the
    /// fewest polls.
    #[test]
    fn polls_come_back_when_they_pay_again() {
        for (strategy, cost) in [(WaitStrategy::SpinThenPark, 1), (WaitStrategy::SpinThenPark, 40)] {
            let mut backoff = Backoff::new(strategy);
            for _ in 0..100 {
                let found = backoff
                    .spin(cost, Activity::default(), Duration::MAX, || Ok::<_, Infallible>(None::<()>));
                assert_eq!(found, Ok(None));
            }
            assert!(!backoff.polls_pay());
            let answers = (0..TRIAL).filter(|_| {
                let mut looks = 0;
                let answer = backoff.spin(cost, Activity::default(), Duration::MAX, || {
                    looks += cost;
                    Ok::<_, Infallible>((looks > MOST_SPINS / 2).then_some(()))
                });
                answer.unwrap().is_some()
            });
            assert!(answers.count() > 0);
            assert!(backoff.polls_pay(), "{strategy:?}, cost {cost}");
        }
    }

    /// A peer on the same processor: each wait parks, and finds the message when it is woken.
    #[test]
    fn what_is_there_at_the_first_poll_does_not_make_polls_pay() {
        let mut backoff = Backoff::new(WaitStrategy::SpinThenPark);
        for _ in 0..100 {
            polls(&mut backoff, None);
            polls(&mut backoff, Some(0));
        }
        assert!(!backoff.polls_pay());
        let waits = (0..TRIAL).map(|_| polls(&mut backoff, None)).filter(|&polls| polls > FEWEST_SPINS);
        assert_eq!(waits.count(), 1);
    }

    #[test]
    fn park_polls_once_and_spin_does_not_learn() {
        let (mut park, mut spin) = (Backoff::new(WaitStrategy::Park), Backoff::new(WaitStrategy::Spin));
        for _ in 0..3 {
            assert_eq!(polls(&mut park, None), 1);
            assert_eq!(polls(&mut spin, None), MOST_SPINS);
        }
        assert!(park.parks() && !park.polls_pay());
        assert!(!spin.parks() && spin.polls_pay());
    }

    /// The cost of a look shortens the polls, so that they last as long.
    #[test]
    fn costly_looks_are_fewer() {
        let mut backoff = Backoff::new(WaitStrategy::SpinThenPark);
        let mut looks = 0;
        let found = backoff.spin(40, Activity::default(), Duration::MAX, || {
            looks += 1;
            Ok::<_, Infallible>(None::<()>)
        });
        assert_eq!(found, Ok(None));
        assert_eq!(looks, MOST_SPINS / 40);
    }
}
