//! Endpoints for async runtimes: the verbs as futures, as `poll_` functions, as a stream and as a sink.
//!
//! The types are generic over the [`Reactor`], which waits for the event descriptor of an endpoint. Programs name one of
//! the two modules that choose it: `eshm::tokio` (feature `tokio`), or `eshm::async_io` (feature `async`), which
//! works under every executor.
//!
//! A verb attempts first, and takes at most one message or value in that moment. If there is nothing, it arms the event
//! descriptor, and its task waits until the descriptor is readable. So a verb that is cancelled has taken nothing.

mod endpoint;
mod open;
mod patience;
mod questions;
mod reactor;
mod readiness;
mod receiver;
mod sender;

pub use endpoint::AsyncEndpoint;
pub use reactor::Reactor;
#[cfg(feature = "async")]
pub(crate) use reactor::async_io;
#[cfg(feature = "tokio")]
pub(crate) use reactor::tokio;
pub use receiver::AsyncReceiver;
pub use sender::AsyncSender;
