//! One half of an endpoint, shared by Python's threads, and what it has lent to them.
//!
//! Three rules keep threads, signals, `close` and lent memory apart:
//! - a lock is never waited for with the interpreter attached, so its holder can always come to an end;
//! - a lock is held for a slice at most, then handed to whoever waits for it, however long the caller waits;
//! - while a half has lent memory that somebody may look at, nobody uses it but to look, and it is not dropped.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use eshm::{Error, Receiver, Sender};
use parking_lot::{Mutex, MutexGuard};
use pyo3::prelude::*;

use crate::error::{Failure, Result};

/// How long signals and other threads may have to wait for a thread that waits for its peer.
pub const SLICE: Duration = Duration::from_millis(20);
/// How long signals may have to wait for a thread that waits for its turn. More than a slice: whoever gives up
/// just before its turn comes has to queue up again.
const TURN: Duration = Duration::from_millis(50);

/// How many forks lie between this process and the first that loaded this library. Python tells: asking the system
/// for the process's number would cost more than all the rest of a call.
static FORKS: Mutex<u32> = Mutex::new(0);

/// Python calls this in a forked child.
pub fn note_fork() {
    // Whoever uses it has the interpreter, and that was the thread that forked.
    *FORKS.lock() += 1;
}

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

/// A half, as one that lends memory.
pub trait Lender: Send {
    /// Whether the next use ends a lease that nobody looks at; otherwise it is refused.
    const NEXT_USE_ENDS_LEASE: bool;
    /// What it lends, for an error.
    const LENT: &'static str;

    /// Takes back what it has lent.
    fn take_back(&mut self);
}

impl Lender for Sender {
    const NEXT_USE_ENDS_LEASE: bool = false;
    const LENT: &'static str = "loan";

    fn take_back(&mut self) {
        self.forget_loan();
    }
}

impl Lender for Receiver {
    const NEXT_USE_ENDS_LEASE: bool = true;
    const LENT: &'static str = "borrowed message";

    fn take_back(&mut self) {
        self.release();
    }
}

/// A sender or a receiver, until it is closed.
pub struct Half<H> {
    segment: String,
    /// `FORKS` of the process that opened it.
    forks: u32,
    slot: Mutex<Slot<H>>,
    /// The number of the lease in the slot, or 0: changed with the slot locked, and known without that, since a lock
    /// is held as long as a thread waits for its peer.
    current: Mutex<u64>,
}

struct Slot<H> {
    /// `None`: closed.
    half: Option<H>,
    lease: Option<Lease>,
    /// How many leases there have been.
    leases: u64,
}

/// Memory of the half's that is lent out.
struct Lease {
    number: u64,
    /// How many views of it there are: what Python calls exported buffers.
    views: usize,
    end: End,
}

/// What becomes of a lease.
#[derive(PartialEq)]
enum End {
    /// Its holder decides.
    Open,
    /// It is over with its last view.
    WithViews,
    /// It is over with its last view, and the half is dropped.
    Closed,
}

/// The right to use a half.
pub struct Held<'a, H> {
    slot: MutexGuard<'a, Slot<H>>,
    current: &'a Mutex<u64>,
}

const HELD: &str = "a half that is held is open";

impl<H> Deref for Held<'_, H> {
    type Target = H;

    #[inline]
    fn deref(&self) -> &H {
        self.slot.half.as_ref().expect(HELD)
    }
}

impl<H> DerefMut for Held<'_, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut H {
        self.slot.half.as_mut().expect(HELD)
    }
}

impl<H> Held<'_, H> {
    /// Begins a lease of what the half has just lent, and returns its number.
    pub fn lend(mut self) -> u64 {
        self.slot.leases += 1;
        let number = self.slot.leases;
        self.slot.lease = Some(Lease { number, views: 0, end: End::Open });
        *self.current.lock() = number;
        number
    }

    /// Hands the half to the thread that has waited for it longest.
    pub fn unlock_fair(self) {
        MutexGuard::unlock_fair(self.slot);
    }
}

impl<H: Lender> Half<H> {
    /// Shares `half` of the endpoint of `segment`.
    pub fn new(segment: &str, half: H) -> Self {
        let slot = Mutex::new(Slot { half: Some(half), lease: None, leases: 0 });
        Half { segment: segment.to_owned(), forks: *FORKS.lock(), slot, current: Mutex::new(0) }
    }

    /// The right to use this half, which the threads that use it give up after a slice each.
    ///
    /// # Errors
    /// `Closed` after [`Half::close`], `InUse` while it has lent memory, `Forked` when a thread that this process
    /// has not got holds the lock, and whatever a signal handler raises.
    #[inline]
    pub fn lock(&self, py: Python<'_>) -> Result<Held<'_, H>> {
        let mut slot = match self.slot.try_lock() {
            Some(slot) => slot,
            None => self.wait_for_slot(py)?,
        };
        if slot.lease.is_some() {
            if self.is_forked() {
                return Err(self.forked());
            }
            self.end_lease_for_use(&mut slot)?;
        }
        match slot.half {
            Some(_) => Ok(Held { slot, current: &self.current }),
            None => Err(self.closed()),
        }
    }

    /// The right to look at this half, also while it has lent memory: what is done with it leaves that as it is.
    ///
    /// # Errors
    /// As [`Half::lock`], but for `InUse`.
    pub fn lock_to_look(&self, py: Python<'_>) -> Result<Held<'_, H>> {
        let slot = match self.slot.try_lock() {
            Some(slot) => slot,
            None => self.wait_for_slot(py)?,
        };
        let closes = slot.lease.as_ref().is_some_and(|lease| lease.end == End::Closed);
        if closes || slot.half.is_none() {
            return Err(self.closed());
        }
        Ok(Held { slot, current: &self.current })
    }

    /// Takes the half away from every thread; the core closes an endpoint when both of its halves are gone. A half
    /// with memory that somebody looks at goes as soon as nobody does. In a forked child this does nothing: the
    /// endpoint is the parent's.
    pub fn close(&self, py: Python<'_>) -> Result<()> {
        if self.is_forked() {
            return Ok(());
        }
        let mut slot = match self.slot.try_lock() {
            Some(slot) => slot,
            None => self.wait_for_slot(py)?,
        };
        match &mut slot.lease {
            Some(lease) if lease.views > 0 => lease.end = End::Closed,
            Some(_) => {
                self.end_lease(&mut slot);
                drop_half(py, slot);
            }
            None => drop_half(py, slot),
        }
        Ok(())
    }

    /// Counts one view more of lease `number`.
    ///
    /// # Errors
    /// `InUse` when it is over, `Closed`, `Forked`.
    pub fn view(&self, py: Python<'_>, number: u64) -> Result<()> {
        let mut slot = self.leased_slot(py, number)?;
        self.open_lease(&mut slot)?.views += 1;
        Ok(())
    }

    /// Counts one view less of lease `number`.
    pub fn unview(&self, py: Python<'_>, number: u64) {
        let Ok(mut slot) = self.leased_slot(py, number) else { return };
        let Some(lease) = &mut slot.lease else { return };
        lease.views -= 1;
        if lease.views > 0 || lease.end == End::Open {
            return;
        }
        let closed = lease.end == End::Closed;
        self.end_lease(&mut slot);
        if closed {
            drop_half(py, slot);
        }
    }

    /// Ends lease `number` as `finish` does it.
    ///
    /// # Errors
    /// `InUse` when it has views, or is over; `Closed`, `Forked`, and those of `finish`.
    pub fn finish(
        &self,
        py: Python<'_>,
        number: u64,
        finish: impl FnOnce(&mut H) -> eshm::Result<()>,
    ) -> Result<()> {
        let mut slot = self.leased_slot(py, number)?;
        if self.open_lease(&mut slot)?.views > 0 {
            return Err(self.still_viewed());
        }
        self.forget_lease(&mut slot);
        finish(slot.half.as_mut().expect(HELD))?;
        Ok(())
    }

    /// Ends lease `number`, if it is not over, as soon as it has no views. Returns whether that is now.
    pub fn abandon(&self, py: Python<'_>, number: u64) -> bool {
        let Ok(mut slot) = self.leased_slot(py, number) else { return true };
        match &mut slot.lease {
            Some(lease) if lease.views > 0 => {
                if lease.end == End::Open {
                    lease.end = End::WithViews;
                }
                false
            }
            _ => {
                self.end_lease(&mut slot);
                true
            }
        }
    }

    /// The error of what views stand in the way of.
    #[cold]
    pub fn still_viewed(&self) -> Failure {
        self.in_use(format_args!(
            "views of the {} (memoryviews, NumPy arrays) are still in use: delete them first",
            H::LENT
        ))
    }

    /// The lock, with lease `number` in the slot.
    fn leased_slot(&self, py: Python<'_>, number: u64) -> Result<MutexGuard<'_, Slot<H>>> {
        if *self.current.lock() == number {
            if self.is_forked() {
                return Err(self.forked());
            }
            // While there is a lease, nobody holds the lock for longer than a slice.
            let slot = self.slot.try_lock().unwrap_or_else(|| py.detach(|| self.slot.lock()));
            if slot.lease.as_ref().is_some_and(|lease| lease.number == number) {
                return Ok(slot);
            }
        }
        Err(self.in_use(format_args!("the {} is over: it was sent or released", H::LENT)))
    }

    /// The lease in the slot, if its holder may still use it.
    fn open_lease<'a>(&self, slot: &'a mut Slot<H>) -> Result<&'a mut Lease> {
        match &mut slot.lease {
            Some(Lease { end: End::WithViews, .. }) => Err(self.still_viewed()),
            Some(Lease { end: End::Closed, .. }) | None => Err(self.closed()),
            Some(lease) => Ok(lease),
        }
    }

    /// Makes the half usable though it has lent memory, where nobody can be looking at it.
    #[cold]
    fn end_lease_for_use(&self, slot: &mut Slot<H>) -> Result<()> {
        match &slot.lease {
            Some(Lease { end: End::Closed, .. }) => Err(self.closed()),
            Some(lease) if lease.views > 0 => Err(self.still_viewed()),
            Some(_) if !H::NEXT_USE_ENDS_LEASE => {
                Err(self.in_use(format_args!("a {} is open: send or release it first", H::LENT)))
            }
            _ => {
                self.end_lease(slot);
                Ok(())
            }
        }
    }

    /// Ends a lease that has no views.
    fn end_lease(&self, slot: &mut Slot<H>) {
        self.forget_lease(slot);
        if let Some(half) = &mut slot.half {
            half.take_back();
        }
    }

    fn forget_lease(&self, slot: &mut Slot<H>) {
        slot.lease = None;
        *self.current.lock() = 0;
    }

    /// The lock, once another thread has released it.
    #[cold]
    fn wait_for_slot(&self, py: Python<'_>) -> Result<MutexGuard<'_, Slot<H>>> {
        loop {
            // A fork copies a held lock, but not the thread that would release it.
            if self.is_forked() {
                return Err(self.forked());
            }
            if let Some(guard) = py.detach(|| self.slot.try_lock_for(TURN)) {
                return Ok(guard);
            }
            py.check_signals()?;
        }
    }

    fn is_forked(&self) -> bool {
        *FORKS.lock() != self.forks
    }

    #[cold]
    fn closed(&self) -> Failure {
        Error::Closed { segment: self.segment.clone() }.into()
    }

    #[cold]
    fn forked(&self) -> Failure {
        Error::Forked { segment: self.segment.clone() }.into()
    }

    #[cold]
    fn in_use(&self, what: std::fmt::Arguments<'_>) -> Failure {
        Failure::InUse(format!("segment '{}': {what}", self.segment))
    }
}

fn drop_half<H: Send>(py: Python<'_>, mut slot: MutexGuard<'_, Slot<H>>) {
    let half = slot.half.take();
    drop(slot);
    // It may wait for the thread that keeps the heartbeats.
    py.detach(|| drop(half));
}
