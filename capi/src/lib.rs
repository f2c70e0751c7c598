//! ESHM for C: the functions of `include/eshm.h`.
//!
//! The first half of the header is that of ESHM 1.x, so that its programs recompile unchanged ([`mailbox`]). The
//! second half is new ([`endpoint`], [`messages`], [`batch`], [`events`], [`observer`], [`segments`],
//! [`text`]). This crate converts, checks what C hands over, and gives out handles that cannot dangle. Everything else is
//! the core's: see [`eshm::raw`].
//!
//! Rust programs use the crate `eshm`.

/// Makes a structure out of the fields that it has in common with another, and some of its own.
macro_rules! same_fields {
    ($from:ident => $type:ident: $($field:ident)+; $($own:ident: $value:expr),*) => {
        $type { $($field: $from.$field,)+ $($own: $value,)* }
    };
}

pub mod abi;
pub mod batch;
mod boundary;
mod config;
pub mod endpoint;
pub mod error;
pub mod events;
mod handle;
pub mod mailbox;
pub mod messages;
pub mod observer;
mod registry;
pub mod segments;
pub mod text;

pub use events::ESHMWaitSet;
pub use handle::ESHMHandle;
pub use observer::ESHMObserver;
