//! ESHM: messages between processes of one Linux machine, through shared memory, without loss.
//!
//! Two processes join a *segment* by its name, one as master, one as slave. Each direction carries
//!
//! - values, [`Endpoint::write`] and [`Endpoint::read`]: the latest value replaces the one before, and the reader learns how
//!   many values it missed;
//! - messages, [`Endpoint::send`] and [`Endpoint::recv`]: each message is delivered once, in order.
//!
//! Either process may be killed and started again: the other notices, and no message is lost. The bytes in the segment are
//! those of ESHM 1.x, whose C++ and Python processes can be the peer. `protocol/PROTOCOL.md` specifies them.
//!
//! ```
//! use std::time::Duration;
//!
//! let mut robot = eshm::Endpoint::master("doc-robot")?;
//! robot.send(b"pose 1 2 3")?;
//! if let Some(reply) = robot.recv_timeout(Duration::from_millis(5))? {
//!     println!("{} bytes", reply.len());
//! }
//! # Ok::<(), eshm::Error>(())
//! ```
//!
//! # Events
//!
//! The crate emits events through [`tracing`](https://docs.rs/tracing): a peer that attaches, freezes, dies or closes, a
//! switch to another segment, a name that was removed. It holds no lock while it emits one, so a subscriber may use any
//! endpoint, open others, and fork. Most events come from the background thread: a slow subscriber delays the heartbeats of
//! the whole process. At the exit of the process no event is emitted.
//!
//! # Features
//!
//! - `tracing` (default): the events. Without it the crate does not depend on `tracing`.
//! - `tokio`: [`aio`], endpoints whose verbs are futures, for tokio.
//! - `async`: the same for any executor.
//! - `serde`: `Serialize` for [`Stats`], [`PeerState`], [`Role`], [`Disconnect`], [`View`], [`Segment`] and [`Removal`], and
//!   for what they contain.
#![cfg_attr(
    loom,
    allow(dead_code, unused_imports, reason = "the models use the handshakes, not the endpoint around them")
)]

// A queue may have 2³⁶ bytes, file offsets have 64 bits, and the layout of a descriptor assumes that of a u64.
#[cfg(not(target_pointer_width = "64"))]
compile_error!("eshm needs a 64-bit target: segments can be larger than a 32-bit address space");

#[macro_use]
mod sys;

#[cfg(all(any(feature = "async", feature = "tokio"), not(loom)))]
pub mod aio;

#[cfg(not(loom))]
mod api;
mod channel;
#[cfg(not(loom))]
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(not(loom))]
mod peer;
mod peer_state;
#[cfg(not(loom))]
pub mod raw;
mod role;
mod segment;
#[cfg(not(loom))]
pub mod text;
mod wait;

/// Endpoints for tokio: see [`aio`].
///
/// ```
/// use eshm::tokio::AsyncEndpoint;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut master = AsyncEndpoint::open(eshm::Endpoint::builder("doc-tokio").role(eshm::Role::Master)).await?;
/// let mut slave = AsyncEndpoint::open(eshm::Endpoint::builder("doc-tokio").role(eshm::Role::Slave)).await?;
/// master.send(b"pose 1 2 3").await?;
/// assert_eq!(slave.recv().await?, b"pose 1 2 3");
/// # Ok::<(), eshm::Error>(())
/// # }).unwrap();
/// ```
#[cfg(all(feature = "tokio", not(loom)))]
pub mod tokio {
    pub use crate::aio::tokio::Tokio;

    /// An [`aio::AsyncEndpoint`](crate::aio::AsyncEndpoint) for tokio.
    pub type AsyncEndpoint = crate::aio::AsyncEndpoint<Tokio>;
    /// An [`aio::AsyncSender`](crate::aio::AsyncSender) for tokio.
    pub type AsyncSender = crate::aio::AsyncSender<Tokio>;
    /// An [`aio::AsyncReceiver`](crate::aio::AsyncReceiver) for tokio.
    pub type AsyncReceiver = crate::aio::AsyncReceiver<Tokio>;
}

/// Endpoints for any executor, such as smol or that of `futures`: see [`aio`]. A thread of the crate `async-io` wakes the
/// tasks.
///
/// ```
/// use eshm::async_io::AsyncEndpoint;
/// # futures_executor::block_on(async {
/// let mut master = AsyncEndpoint::open(eshm::Endpoint::builder("doc-async").role(eshm::Role::Master)).await?;
/// let mut slave = AsyncEndpoint::open(eshm::Endpoint::builder("doc-async").role(eshm::Role::Slave)).await?;
/// master.send(b"pose 1 2 3").await?;
/// assert_eq!(slave.recv().await?, b"pose 1 2 3");
/// # Ok::<(), eshm::Error>(())
/// # }).unwrap();
/// ```
#[cfg(all(feature = "async", not(loom)))]
pub mod async_io {
    pub use crate::aio::async_io::AsyncIo;

    /// An [`aio::AsyncEndpoint`](crate::aio::AsyncEndpoint) for any executor.
    pub type AsyncEndpoint = crate::aio::AsyncEndpoint<AsyncIo>;
    /// An [`aio::AsyncSender`](crate::aio::AsyncSender) for any executor.
    pub type AsyncSender = crate::aio::AsyncSender<AsyncIo>;
    /// An [`aio::AsyncReceiver`](crate::aio::AsyncReceiver) for any executor.
    pub type AsyncReceiver = crate::aio::AsyncReceiver<AsyncIo>;
}

/// The bytes of a segment, as types: for tests and tools.
#[doc(hidden)]
pub use segment::layout;
/// For the tests that kill a process at each of them: see `sys/crash.rs`.
#[cfg(feature = "crash-points")]
#[doc(hidden)]
pub use sys::crash::POINTS as CRASH_POINTS;
#[cfg(not(loom))]
pub use {
    api::builder::Builder,
    api::endpoint::Endpoint,
    api::events::Events,
    api::inspector::Inspector,
    api::observer::{DirectionView, Observer, SeatView, View},
    api::receiver::{Message, Receiver},
    api::segments::{Left, Removal, Segment, SegmentKind, find_dead, remove_dead, segments},
    api::sender::{BatchError, Loan, Sender},
    api::wait_set::{Ready, WaitSet},
    error::{Error, Result},
    peer::events::Interest,
    peer::monitor::configure_monitor,
    peer::settings::{
        DEFAULT_DATA_SIZE, DEFAULT_QUEUE_CAPACITY, Disconnect, MAX_DATA_SIZE, MAX_QUEUE_CAPACITY,
    },
    peer::stats::Stats,
    peer_state::PeerState,
    role::Role,
    segment::domain::Domain,
    sys::schedule::{MonitorPolicy, MonitorSettings},
    wait::WaitStrategy,
};
