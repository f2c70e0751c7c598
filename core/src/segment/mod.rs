//! A segment: its bytes and their meaning, its name, its file, and the validation of bytes that another process
//! wrote.
//!
//! This folder knows where each channel lies. It does not know how messages travel in it.

#[cfg(not(loom))]
pub(crate) mod domain;
#[cfg(not(loom))]
pub(crate) mod file;
pub mod layout;
#[cfg(not(loom))]
pub(crate) mod name;
pub(crate) mod seat;
pub(crate) mod segment_layout;
pub(crate) mod shared_ref;
pub(crate) mod validate;
pub(crate) mod view;
