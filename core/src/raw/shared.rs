//! A half behind a lock, and what it has lent.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::{Error, Host};
use crate::api::inspector::Inspector;
use crate::sys::{AtomicU64, Ordering};
use crate::wait::{TurnGuard, TurnLock};

/// How long a thread waits for its turn before it looks up: more than a slice, since a thread that gives up just
/// before its turn queues up again.
const TURN: Duration = Duration::from_millis(100);

/// Stands for what a half has lent: a message that is borrowed, or a loan that is being written.
///
/// A half lends one thing at a time, and never gives out the same token twice. A stale token is refused with
/// [`Error::Stale`] at once, also while another thread waits in the half.
///
/// ```
/// use eshm::raw::{Error, Limit, Plain, SharedEndpoint};
/// let master = SharedEndpoint::new(eshm::Endpoint::master("doc-token")?);
/// let loan = master.sender().loan(&mut Plain, 3, Limit::Now)?;
/// // SAFETY: the loan is this thread's until its token is given back.
/// unsafe { loan.start.copy_from_nonoverlapping(b"abc".as_ptr(), loan.len) };
/// master.sender().send_loan(&mut Plain, loan.token)?;
/// assert!(matches!(master.sender().give_back(&mut Plain, loan.token), Err(Error::Stale { .. })));
/// # Ok::<(), eshm::raw::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(NonZeroU64);

impl Token {
    /// Returns the token as a number that is not 0, for a language that has no type for it.
    pub fn to_number(self) -> u64 {
        self.0.get()
    }

    /// Returns the token of a number, `None` for 0. A half refuses one that it did not give out as stale.
    pub fn from_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Token)
    }
}

/// What is behind the lock.
pub(super) trait Half: Send {
    /// Whether the next use ends what is lent, if nobody retains it. Otherwise it is refused.
    const USE_ENDS_LENT: bool;
    /// The number of its first token, 1 or 2, so that no token of one half is one of the other.
    const FIRST_TOKEN: u64;

    /// Takes back what was lent.
    fn take_back(&mut self);
}

/// A half that threads share.
#[derive(Debug)]
pub(super) struct Shared<H> {
    inspector: Inspector,
    slot: TurnLock<Slot<H>>,
    /// The number of the token in the slot, or 0. It changes with the slot locked, and is known without the lock,
    /// which another thread may hold for a slice.
    current: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Slot<H> {
    /// `None`: closed.
    half: Option<H>,
    lent: Option<Lent>,
    /// The number of the next token.
    next_token: u64,
}

/// What is lent.
#[derive(Debug)]
struct Lent {
    token: Token,
    /// How often it is retained.
    users: usize,
    end: End,
}

/// When what is lent is taken back.
#[derive(Debug, PartialEq)]
enum End {
    /// When its token is given back.
    Open,
    /// When nobody retains it.
    Abandoned,
    /// When nobody retains it; the half is dropped then.
    Closed,
}

pub(super) type Guard<'a, H> = TurnGuard<'a, Slot<H>>;

impl<H: Half> Shared<H> {
    pub(super) fn new(inspector: Inspector, half: H) -> Self {
        let slot = TurnLock::new(Slot { half: Some(half), lent: None, next_token: H::FIRST_TOKEN });
        Shared { inspector, slot, current: AtomicU64::new(0) }
    }

    pub(super) fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    /// Locks the half: at once, or after what remains of another thread's part.
    ///
    /// # Errors
    /// `Forked` when a thread that this process does not have holds the lock; those of [`Host::between`].
    #[inline]
    pub(super) fn lock<T: Host>(&self, host: &mut T) -> Result<Guard<'_, H>, T::Error> {
        match self.slot.try_lock() {
            Some(slot) => Ok(slot),
            None => self.lock_later(host),
        }
    }

    #[cold]
    fn lock_later<T: Host>(&self, host: &mut T) -> Result<Guard<'_, H>, T::Error> {
        loop {
            // A fork copies a held lock, but not the thread that would release it.
            self.check_process()?;
            if let Some(slot) = host.block(|| self.slot.try_lock_for(TURN)) {
                return Ok(slot);
            }
            host.between()?;
        }
    }

    /// As `lock`, for a call that nothing ends.
    fn lock_surely<T: Host>(&self, host: &mut T) -> Result<Guard<'_, H>, Error> {
        loop {
            self.check_process()?;
            let locked = self.slot.try_lock().or_else(|| host.block(|| self.slot.try_lock_for(TURN)));
            if let Some(slot) = locked {
                return Ok(slot);
            }
        }
    }

    /// Returns the half, if it may be used.
    ///
    /// # Errors
    /// `Closed`; what is lent stands in the way: `Lent`, `InUse`; `Forked`.
    #[inline]
    pub(super) fn usable<'a>(&self, slot: &'a mut Slot<H>) -> Result<&'a mut H, Error> {
        if slot.lent.is_some() {
            self.end_lent_for_use(slot)?;
        }
        slot.half.as_mut().ok_or_else(|| self.closed())
    }

    /// Hands the lock to the thread that has waited for it longest, and lets the host look up.
    pub(super) fn yield_lock<'a, T: Host>(
        &'a self,
        host: &mut T,
        slot: Guard<'a, H>,
    ) -> Result<Guard<'a, H>, T::Error> {
        TurnGuard::hand_on(slot);
        host.between()?;
        self.lock(host)
    }

    /// Makes the half usable though something is lent, if nobody can be using that.
    #[cold]
    fn end_lent_for_use(&self, slot: &mut Slot<H>) -> Result<(), Error> {
        self.check_process()?;
        match &slot.lent {
            Some(Lent { end: End::Closed, .. }) => Err(self.closed()),
            Some(lent) if lent.users > 0 => Err(Error::InUse { segment: self.segment() }),
            Some(_) if !H::USE_ENDS_LENT => Err(Error::Lent { segment: self.segment() }),
            _ => {
                self.take_back(slot);
                Ok(())
            }
        }
    }

    /// Gives out a token for what the half has just lent.
    pub(super) fn lend(&self, slot: &mut Slot<H>) -> Token {
        let number = slot.next_token;
        // The other half of the endpoint has the numbers between.
        slot.next_token += 2;
        let token = Token(NonZeroU64::new(number).expect("it counts from 1"));
        slot.lent = Some(Lent { token, users: 0, end: End::Open });
        self.set_current(number);
        token
    }

    /// Returns the token of what is lent now, without a lock.
    pub(super) fn lent(&self) -> Option<Token> {
        // Relaxed: a thread that was handed the token sees this store, or a later one; whoever locks looks again.
        Token::from_number(self.current.load(Ordering::Relaxed))
    }

    fn set_current(&self, number: u64) {
        // Relaxed: see `lent`.
        self.current.store(number, Ordering::Relaxed);
    }

    pub(super) fn retain<T: Host>(&self, host: &mut T, token: Token) -> Result<(), Error> {
        let mut slot = self.lent_slot(host, token)?;
        self.open(&mut slot)?.users += 1;
        Ok(())
    }

    pub(super) fn unretain<T: Host>(&self, host: &mut T, token: Token) {
        let Ok(mut slot) = self.lent_slot(host, token) else { return };
        let Some(lent) = &mut slot.lent else { return };
        lent.users = lent.users.saturating_sub(1);
        if lent.users > 0 || lent.end == End::Open {
            return;
        }
        let closed = lent.end == End::Closed;
        self.take_back(&mut slot);
        if closed {
            drop_half(host, slot);
        }
    }

    /// Ends what is lent as `finish` does it.
    pub(super) fn finish<T: Host>(
        &self,
        host: &mut T,
        token: Token,
        finish: impl FnOnce(&mut H) -> crate::error::Result<()>,
    ) -> Result<(), Error> {
        let mut slot = self.lent_slot(host, token)?;
        if self.open(&mut slot)?.users > 0 {
            return Err(Error::InUse { segment: self.segment() });
        }
        self.forget_lent(&mut slot);
        let half = slot.half.as_mut().ok_or_else(|| self.closed())?;
        Ok(finish(half)?)
    }

    /// Takes back what is lent as soon as nobody retains it. Returns whether that is now.
    pub(super) fn abandon<T: Host>(&self, host: &mut T, token: Token) -> bool {
        let Ok(mut slot) = self.lent_slot(host, token) else { return true };
        match &mut slot.lent {
            Some(lent) if lent.users > 0 => {
                if lent.end == End::Open {
                    lent.end = End::Abandoned;
                }
                false
            }
            _ => {
                self.take_back(&mut slot);
                true
            }
        }
    }

    /// Takes the half away from every thread. Returns whether this call did so.
    pub(super) fn close<T: Host>(&self, host: &mut T) -> bool {
        // In a forked child this fails: the half is the parent's.
        let Ok(mut slot) = self.lock_surely(host) else { return false };
        match &mut slot.lent {
            Some(lent) if lent.users > 0 => {
                return std::mem::replace(&mut lent.end, End::Closed) != End::Closed;
            }
            Some(_) => self.take_back(&mut slot),
            None => {}
        }
        drop_half(host, slot)
    }

    /// Locks the slot that has lent this token.
    fn lent_slot<T: Host>(&self, host: &mut T, token: Token) -> Result<Guard<'_, H>, Error> {
        self.check_process()?;
        if self.lent() == Some(token) {
            let slot = self.lock_surely(host)?;
            if slot.lent.as_ref().is_some_and(|lent| lent.token == token) {
                return Ok(slot);
            }
        }
        Err(Error::Stale { segment: self.segment() })
    }

    /// Returns what is lent, if its holder may still use it.
    fn open<'a>(&self, slot: &'a mut Slot<H>) -> Result<&'a mut Lent, Error> {
        match &mut slot.lent {
            Some(Lent { end: End::Abandoned, .. }) => Err(Error::InUse { segment: self.segment() }),
            Some(Lent { end: End::Closed, .. }) | None => Err(self.closed()),
            Some(lent) => Ok(lent),
        }
    }

    fn take_back(&self, slot: &mut Slot<H>) {
        self.forget_lent(slot);
        if let Some(half) = &mut slot.half {
            half.take_back();
        }
    }

    fn forget_lent(&self, slot: &mut Slot<H>) {
        slot.lent = None;
        self.set_current(0);
    }

    /// # Errors
    /// `Forked`.
    #[inline]
    pub(super) fn check_process(&self) -> Result<(), Error> {
        if self.inspector.is_forked() {
            return Err(crate::error::Error::Forked { segment: self.segment() }.into());
        }
        Ok(())
    }

    #[cold]
    fn closed(&self) -> Error {
        crate::error::Error::Closed { segment: self.segment() }.into()
    }

    fn segment(&self) -> Arc<str> {
        self.inspector.segment()
    }
}

/// Drops the half, unlocked: that may wait for the thread that keeps the heartbeats. Returns whether there was one.
fn drop_half<T: Host, H: Half>(host: &mut T, mut slot: Guard<'_, H>) -> bool {
    let half = slot.half.take();
    drop(slot);
    let closed = half.is_some();
    host.block(|| drop(half));
    closed
}
