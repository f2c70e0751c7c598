//! One half of an endpoint, shared by Python's threads.
//!
//! Two rules keep threads, signals and `close` apart:
//! - a lock is never waited for with the interpreter attached, so its holder can always come to an end;
//! - a lock is held for a slice at most, then handed to whoever waits for it, however long the caller waits.

use std::process;
use std::time::{Duration, Instant};

use eshm::Error;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use pyo3::prelude::*;

use crate::error::Result;

/// How long signals and other threads may have to wait for a thread that waits for its peer.
pub const SLICE: Duration = Duration::from_millis(20);
/// How long signals may have to wait for a thread that waits for its turn. More than a slice: whoever gives up
/// just before its turn comes has to queue up again.
const TURN: Duration = Duration::from_millis(50);

/// When a wait ends; `None`: never.
#[derive(Clone, Copy)]
pub struct Patience(Option<Instant>);

impl Patience {
    /// From now on; `None` is without limit.
    pub fn new(timeout: Option<Duration>) -> Self {
        Patience(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The next slice to wait for.
    pub fn slice(self) -> Duration {
        self.0.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()).min(SLICE))
    }

    /// Whether the time is over.
    pub fn is_over(self) -> bool {
        self.0.is_some_and(|end| end <= Instant::now())
    }
}

/// A sender or a receiver, until it is closed.
pub struct Half<H> {
    segment: String,
    /// The process that opened it.
    owner: u32,
    slot: Mutex<Option<H>>,
}

/// The right to use a half.
pub type Held<'a, H> = MappedMutexGuard<'a, H>;

impl<H: Send> Half<H> {
    /// Shares `half` of the endpoint of `segment`.
    pub fn new(segment: &str, half: H) -> Self {
        Half { segment: segment.to_owned(), owner: process::id(), slot: Mutex::new(Some(half)) }
    }

    /// The right to use this half, which the threads that use it give up after a slice each.
    ///
    /// # Errors
    /// `Closed` after [`Half::close`], `Forked` when a thread that this process has not got holds the lock,
    /// and whatever a signal handler raises.
    pub fn lock(&self, py: Python<'_>) -> Result<Held<'_, H>> {
        MutexGuard::try_map(self.lock_slot(py)?, Option::as_mut)
            .map_err(|_| Error::Closed { segment: self.segment.clone() }.into())
    }

    /// Takes the half away from every thread; the core closes an endpoint when both of its halves are gone.
    /// In a forked child this does nothing: the endpoint is the parent's.
    pub fn close(&self, py: Python<'_>) -> Result<()> {
        if self.is_forked() {
            return Ok(());
        }
        let half = self.lock_slot(py)?.take();
        py.detach(|| drop(half));
        Ok(())
    }

    fn lock_slot(&self, py: Python<'_>) -> Result<MutexGuard<'_, Option<H>>> {
        if let Some(guard) = self.slot.try_lock() {
            return Ok(guard);
        }
        loop {
            // A fork copies a held lock, but not the thread that would release it.
            if self.is_forked() {
                return Err(Error::Forked { segment: self.segment.clone() }.into());
            }
            if let Some(guard) = py.detach(|| self.slot.try_lock_for(TURN)) {
                return Ok(guard);
            }
            py.check_signals()?;
        }
    }

    fn is_forked(&self) -> bool {
        process::id() != self.owner
    }
}
