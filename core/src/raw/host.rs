//! What a binding does around and between the parts of a wait.

use std::time::{Duration, Instant};

use super::Error;
use crate::sys::spin_hint;
use crate::wait::Wait;

/// How long a call may wait.
///
/// ```
/// use std::time::Duration;
/// use eshm::raw::Limit;
/// assert_eq!(Limit::from_timeout(None), Limit::Forever);
/// assert_eq!(Limit::from_timeout(Some(Duration::ZERO)), Limit::For(Duration::ZERO));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Does not wait. A call that sends fails with [`Error::Full`](crate::Error::Full); one that receives returns
    /// `None`.
    Now,
    /// As `Now`, for a caller that waits for the event descriptor: fails with the error that would end a wait without
    /// limit. Otherwise such a wait would go on, and the descriptor, if there is one, is armed. A call that sends fails
    /// then with [`Error::Full`](crate::Error::Full) or [`Error::Reconnecting`](crate::Error::Reconnecting).
    Poll,
    /// At most for this time, then fails with [`Error::Timeout`](crate::Error::Timeout). Zero tries once.
    For(Duration),
    /// As long as the peer may still come. Fails with [`Error::PeerClosed`](crate::Error::PeerClosed) or
    /// [`Error::PeerStale`](crate::Error::PeerStale) when it will not.
    Forever,
}

impl Limit {
    /// Returns the limit for a time-out. `None`: no limit.
    pub fn from_timeout(timeout: Option<Duration>) -> Self {
        timeout.map_or(Limit::Forever, Limit::For)
    }

    /// Returns the wait that begins now. `Limit::Now` and `Limit::Poll` have none.
    pub(super) fn begin(self) -> Option<Wait> {
        match self {
            Limit::Now | Limit::Poll => None,
            Limit::For(time) => Some(Wait::new(Some(time))),
            Limit::Forever => Some(Wait::new(None)),
        }
    }
}

/// How a call looks for what a prompt peer brings, before the first part of its wait: see [`Host::glance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// How long it looks at most.
    pub time: Duration,
    /// How often it looks between two readings of the clock.
    pub looks: u32,
    /// How many spin hints go between two looks. A look takes the cache line away from the peer that writes it: a
    /// batch looks seldom, so that it finds several messages at once.
    pub pauses: u32,
}

/// What a binding does around and between the parts of a wait.
///
/// Each default is that of a language without an interpreter and signals of its own. [`Plain`] has all of them.
///
/// ```
/// use std::time::Duration;
/// use eshm::raw::{Error, Host, Limit, SharedEndpoint};
///
/// /// Gives up after three parts.
/// struct Impatient(u32);
///
/// #[derive(Debug)]
/// enum Failure {
///     Eshm(Error),
///     Interrupted,
/// }
///
/// impl From<Error> for Failure {
///     fn from(error: Error) -> Self {
///         Failure::Eshm(error)
///     }
/// }
///
/// impl Host for Impatient {
///     type Error = Failure;
///
///     fn slice(&self) -> Duration {
///         Duration::from_millis(5)
///     }
///
///     fn between(&mut self) -> Result<(), Failure> {
///         self.0 -= 1;
///         if self.0 == 0 { Err(Failure::Interrupted) } else { Ok(()) }
///     }
/// }
///
/// let master = SharedEndpoint::new(eshm::Endpoint::master("doc-host")?);
/// let outcome = master.receiver().borrow(&mut Impatient(3), Limit::For(Duration::from_secs(60)));
/// assert!(matches!(outcome, Err(Failure::Interrupted)));
/// # Ok::<(), eshm::Error>(())
/// ```
pub trait Host {
    /// The binding's error. An error of this module becomes one, and [`Host::between`] returns one to end a call.
    type Error: From<Error>;

    /// Returns how long a part lasts at most: so long other threads wait for the half, and signals for this thread.
    /// 50 ms by default.
    fn slice(&self) -> Duration {
        Duration::from_millis(50)
    }

    /// Runs a part, which may block for a slice. An interpreter releases its lock around it.
    fn block<T: Send>(&mut self, part: impl FnOnce() -> T + Send) -> T {
        part()
    }

    /// Is called between two parts, while the half is unlocked. An error ends the call.
    ///
    /// # Errors
    /// Whatever ends the call, such as the exception of a signal handler.
    fn between(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Returns how long a batch goes on, at most, between two calls of [`Host::block`] or [`Host::between`]. By
    /// default for a slice.
    fn breath(&self) -> Duration {
        self.slice()
    }

    /// Returns how a call looks for a message or room before its first part, without [`Host::block`]: worth while
    /// where that is slow. A call does not look where such looks were in vain before. By default it does not look at
    /// all.
    fn glance(&self) -> Option<Glance> {
        None
    }
}

/// The host of a language that needs nothing between the parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Host for Plain {
    type Error = Error;
}

/// Looks as the host wants it, if looks pay, and returns what was found.
pub(super) fn glance<H: Host, T>(
    host: &mut H,
    pays: bool,
    mut look: impl FnMut(&mut H) -> Result<Option<T>, H::Error>,
) -> Result<Option<T>, H::Error> {
    let Some(Glance { time, looks, pauses }) = host.glance().filter(|_| pays) else { return Ok(None) };
    let started = Instant::now();
    loop {
        for _ in 0..looks.max(1) {
            if let Some(found) = look(host)? {
                return Ok(Some(found));
            }
            for _ in 0..pauses {
                spin_hint();
            }
        }
        if started.elapsed() >= time {
            return Ok(None);
        }
    }
}

/// Converts an error of the core to one of the host.
#[cold]
pub(super) fn failed<H: Host>(error: crate::error::Error) -> H::Error {
    Error::Core(error).into()
}
