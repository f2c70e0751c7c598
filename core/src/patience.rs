//! Spin, then park, then time out.

use std::time::Duration;

use crate::config::WaitStrategy;
use crate::error::Result;
use crate::sync::spin_hint;
use crate::wait::Doorbell;

/// How often a waiter looks, at most, before it parks: some ten microseconds, about what a park and a wake-up cost.
const MOST_SPINS: u32 = 1500;
const FEWEST_SPINS: u32 = 50;
/// How many of them go without a hint to the core that it is spinning: about a microsecond.
const EAGER_SPINS: u32 = 500;
/// The longest park. A waiter looks up from time to time for what nobody rings a bell for: a peer that was
/// killed, a segment that was replaced. ESHM 1.2 uses the same.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// How long a waiter sleeps when its peer, an ESHM 1.0 process, never rings.
const SILENT_PEER_POLL: Duration = Duration::from_micros(100);

/// How one half of an endpoint waits, and what it has learnt about waiting.
#[derive(Debug)]
pub(crate) struct Patience {
    strategy: WaitStrategy,
    /// How often to look before parking: [`FEWEST_SPINS`] ..= [`MOST_SPINS`]; doubled when a spin found what it
    /// waited for, halved when it was in vain.
    spins: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Patience::new(WaitStrategy::SpinThenPark)
    }
}

impl Patience {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Patience { strategy, spins: MOST_SPINS }
    }

    /// Looks a bounded number of times, without leaving the core.
    #[inline]
    pub(crate) fn spin<T>(&mut self, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
        let spins = if self.strategy == WaitStrategy::Park { 1 } else { self.spins };
        for spin in 0..spins {
            if let Some(found) = look()? {
                self.spins = (self.spins * 2).min(MOST_SPINS);
                return Ok(Some(found));
            }
            // A peer that answers at once does so within these; a hint would only delay the look.
            if spin >= EAGER_SPINS {
                spin_hint();
            }
        }
        self.spins = (self.spins / 2).max(FEWEST_SPINS);
        Ok(None)
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
