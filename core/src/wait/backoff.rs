//! Waiting: spin, then park, then time out.

use std::time::Duration;

use super::Doorbell;
use crate::sys::spin_hint;

/// How an endpoint waits for data or space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitStrategy {
    /// Polls without ever leaving the core. For dedicated cores and the steadiest latency.
    Spin,
    /// Polls for about ten microseconds, less if recent polls found nothing, then parks until woken.
    SpinThenPark,
    /// Parks at once. For slow peers, and for peers that share the core.
    Park,
}

/// The maximum number of polls before a park. They take about ten microseconds, as long as a park and a wake-up.
const MOST_SPINS: u32 = 3000;
const FEWEST_SPINS: u32 = 50;
/// The number of polls without a spin hint to the processor. They take about a microsecond.
const EAGER_SPINS: u32 = 2000;
/// The longest park. A waiter wakes up regularly to check for events that ring no doorbell: a killed peer, a replaced
/// segment. ESHM 1.2 uses the same.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// How long a waiter sleeps if its peer is an ESHM 1.0 process, which never wakes anybody.
const SILENT_PEER_POLL: Duration = Duration::from_micros(100);

/// How one half of an endpoint waits, with a spin count that adapts.
#[derive(Debug)]
pub(crate) struct Backoff {
    strategy: WaitStrategy,
    /// The number of polls before a park, [`FEWEST_SPINS`] ..= [`MOST_SPINS`]. A successful spin doubles it, a spin
    /// in vain halves it.
    spins: u32,
}

impl Backoff {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Backoff { strategy, spins: MOST_SPINS }
    }

    /// Returns the number of polls before a park.
    pub(crate) fn polls(&self) -> u32 {
        if self.strategy == WaitStrategy::Park { 1 } else { self.spins }
    }

    /// Returns the number of polls at the start, which have no pause in between.
    #[inline(always)]
    pub(crate) fn eager_polls(&self) -> u32 {
        self.polls().min(EAGER_SPINS)
    }

    /// Records that the polls found what they waited for.
    pub(crate) fn spin_succeeded(&mut self) {
        self.spins = (self.spins * 2).min(MOST_SPINS);
    }

    /// Records that the polls found nothing.
    pub(crate) fn spin_failed(&mut self) {
        self.spins = (self.spins / 2).max(FEWEST_SPINS);
    }

    /// Waits until the doorbell rings, for at most a slice. If the peer is silent, sleeps for a short time instead.
    pub(crate) fn wait(&self, bell: Doorbell<'_>, sample: u32, silent: bool, left: Duration) {
        if self.strategy == WaitStrategy::Spin {
            spin_hint();
        } else if silent {
            std::thread::sleep(SILENT_PEER_POLL.min(left));
        } else {
            bell.park(sample, SLICE.min(left));
        }
    }
}

/// Pauses between two polls. `poll` is the number of polls so far.
#[inline(always)]
pub(crate) fn pause(poll: u32) {
    // A peer that answers at once does so within the first polls. A hint would only delay the next poll.
    if poll >= EAGER_SPINS {
        spin_hint();
    }
}
