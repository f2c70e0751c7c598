//! Spin, then park, then time out.

use std::time::Duration;

use super::Doorbell;
use crate::sys::spin_hint;

/// How an endpoint waits for what is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitStrategy {
    /// Looks again and again, without ever leaving its core: for a core of one's own, and the steadiest times.
    Spin,
    /// Looks for some ten microseconds, fewer when that has been in vain, then parks until it is woken.
    SpinThenPark,
    /// Parks at once: for peers that are slow, or share the core.
    Park,
}

/// How often a waiter looks, at most, before it parks: some ten microseconds, about what a park and a wake-up cost.
const MOST_SPINS: u32 = 3000;
const FEWEST_SPINS: u32 = 50;
/// How many of them go without a hint to the core that it is spinning: about a microsecond.
const EAGER_SPINS: u32 = 2000;
/// The longest park. A waiter looks up from time to time for what nobody rings a bell for: a peer that was
/// killed, a segment that was replaced. ESHM 1.2 uses the same.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// How long a waiter sleeps when its peer, an ESHM 1.0 process, never rings.
const SILENT_PEER_POLL: Duration = Duration::from_micros(100);

/// How one half of an endpoint waits, and what it has learnt about waiting.
#[derive(Debug)]
pub(crate) struct Backoff {
    strategy: WaitStrategy,
    /// How often to look before parking: [`FEWEST_SPINS`] ..= [`MOST_SPINS`]; doubled when a spin found what it
    /// waited for, halved when it was in vain.
    spins: u32,
}

impl Backoff {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Backoff { strategy, spins: MOST_SPINS }
    }

    /// How often to look before parking.
    pub(crate) fn looks(&self) -> u32 {
        if self.strategy == WaitStrategy::Park { 1 } else { self.spins }
    }

    /// How often to look first, with nothing in between.
    #[inline(always)]
    pub(crate) fn eager_looks(&self) -> u32 {
        self.looks().min(EAGER_SPINS)
    }

    /// The looks found what they were for.
    pub(crate) fn was_worth_it(&mut self) {
        self.spins = (self.spins * 2).min(MOST_SPINS);
    }

    /// The looks found nothing.
    pub(crate) fn was_in_vain(&mut self) {
        self.spins = (self.spins / 2).max(FEWEST_SPINS);
    }

    /// Leaves the core until the bell rings, at most for a slice. A silent peer's bell is replaced by a short sleep.
    pub(crate) fn leave_core(&self, bell: Doorbell<'_>, sample: u32, silent: bool, left: Duration) {
        if self.strategy == WaitStrategy::Spin {
            spin_hint();
        } else if silent {
            std::thread::sleep(SILENT_PEER_POLL.min(left));
        } else {
            bell.park(sample, SLICE.min(left));
        }
    }
}

/// Between two looks, of which `look` were before.
#[inline(always)]
pub(crate) fn pause(look: u32) {
    // A peer that answers at once does so within the first; a hint would only delay the look.
    if look >= EAGER_SPINS {
        spin_hint();
    }
}
