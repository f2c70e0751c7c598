//! A segment: its bytes and their meaning, its name, its file, and the checks of what another process wrote there.
//!
//! Knows where each channel lies, and not how messages travel in it.

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
