//! What waits for an event descriptor.

#[cfg(feature = "async")]
pub(crate) mod async_io;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;

use std::io;
use std::task::{Context, Poll};

use crate::api::events::Events;

/// What waits for the event descriptor of an endpoint: `eshm::tokio::Tokio` or `eshm::async_io::AsyncIo`.
///
/// The trait is sealed, because an implementation must not lose a wake-up.
pub trait Reactor: Registration {}

/// An event descriptor that is registered with an event loop.
pub trait Registration: Sized + Send + Sync + 'static {
    /// Registers the descriptor.
    ///
    /// # Errors
    /// Returns the error of the system, or of a runtime that has ended.
    fn register(events: Events) -> io::Result<Self>;

    /// Attempts until the attempt returns something, each time that the descriptor is readable. `Pending`: the attempt has
    /// found nothing and armed the descriptor, and the waker is woken when it is readable.
    ///
    /// # Errors
    /// As [`Registration::register`].
    fn poll<T>(&self, context: &mut Context<'_>, attempt: impl FnMut() -> Option<T>) -> Poll<io::Result<T>>;
}
