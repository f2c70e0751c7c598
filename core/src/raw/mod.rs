//! Owned halves of an endpoint for bindings to other languages.
//!
//! A binding cannot keep a Rust borrow, has threads of its own, and has to act while it waits: on signals, on a
//! lock of its interpreter, on a close. This module decides how that is done once, for every binding.
//!
//! - [`SharedSender`] and [`SharedReceiver`] are owned, `Send` and `Sync`. Any thread calls them through `&self`.
//! - A half is locked. A call that waits does so in parts, and hands the lock over between two of them, so that another
//!   thread waits for its turn no longer than one part. [`Host`] says how long a part is, and what happens around and
//!   between the parts.
//! - What a half lends (a message that is borrowed, a loan that is being written) has a [`Token`]. A token outlives
//!   every lock, is refused when it is stale, and is given back exactly once.
//! - Another thread ends a call that waits: [`Inspector::stop`](crate::Inspector::stop) ends the calls of both halves,
//!   [`SharedSender::close`] and [`SharedReceiver::close`] those of one half, and the host's own
//!   [`between`](Host::between) those of its thread. Each of them does so between two parts at the latest. A call that
//!   is ended has sent nothing, or says how much of a batch it has sent, and has taken nothing.
//! - In a forked child every call fails with [`Error::Forked`](crate::Error::Forked), and changes nothing of the
//!   parent's.
//! - [`exclusive`] has the same verbs for bindings whose language lets one thread at a time use a half: no lock, no
//!   token.
//! - [`SETTINGS`], [`STATISTICS`] and [`ERRORS`] are the tables of what every language has under the same names.
//!
//! ```
//! use std::sync::Arc;
//! use eshm::raw::{Limit, Plain, SharedEndpoint};
//!
//! let master = Arc::new(SharedEndpoint::new(eshm::Endpoint::master("doc-raw")?));
//! let slave = SharedEndpoint::new(eshm::Endpoint::slave("doc-raw")?);
//!
//! let receiver = std::thread::spawn({
//!     let master = Arc::clone(&master);
//!     move || {
//!         master.receiver().recv(&mut Plain, Limit::Forever, |_, message| Ok(message.to_vec()))
//!     }
//! });
//! slave.sender().send(&mut Plain, b"pose 1 2 3", Limit::Forever)?;
//! assert_eq!(receiver.join().unwrap()?.unwrap(), b"pose 1 2 3");
//! # Ok::<(), eshm::raw::Error>(())
//! ```

mod content;
mod endpoint;
mod error;
pub mod exclusive;
mod host;
mod receiver;
mod receiving;
mod sender;
mod shared;
mod stop;
mod waiting;

#[cfg(test)]
mod tests;

pub use content::Content;
pub use endpoint::{Closed, SharedEndpoint};
pub use error::{ERRORS, Error, ErrorKind, error_name};
pub use host::{Glance, Host, Limit, Plain};
pub use receiver::{Borrowed, SharedReceiver};
pub use sender::{Loaned, SharedSender, may_pass};
pub use shared::Token;
pub use stop::Stop;
pub use waiting::wait_set_error;

pub use crate::peer::settings::table::{Kind, Range, SETTINGS, Setting, Value};
pub use crate::peer::stats::{STATISTICS, Statistic};
