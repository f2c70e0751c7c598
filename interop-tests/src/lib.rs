//! The conformance kit of ESHM: real processes of every language, in every pairing, through every promise.
//!
//! A language is a peer program and one line in [`language::LANGUAGES`]; a promise is one function and one line
//! in [`scenario::SCENARIOS`]. `cargo test -p interop-tests` and the `matrix` program run the same two tables.
//! `README.md` beside this crate defines what a peer program does.

pub mod faults;
pub mod hexdump;
pub mod hostile;
pub mod language;
pub mod legacy;
pub mod life;
#[path = "../peers/rust/observe.rs"]
#[allow(dead_code, reason = "the Rust peer speaks, the kit only listens")]
mod observe;
#[path = "../peers/rust/payload.rs"]
pub mod payload;
pub mod peer;
pub mod runner;
pub mod scenario;
pub mod segment;
pub mod toolchain;

pub use observe::Observation;
