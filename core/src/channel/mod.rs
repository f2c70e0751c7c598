//! The two ways in which bytes travel: the mailbox (latest value) and the queue (each message once).
//!
//! Both work on plain references, so that tests and models run them on memory of this process.

pub(crate) mod mailbox;
pub(crate) mod parts;
pub(crate) mod queue;
