//! Segments that nobody sane would write, and peers that write anything: what becomes of those who use them.
//!
//! The victims are peer programs of every language, driven by their scenario `commands`. Whatever lies in the segment,
//! each call must return an error or data within its time, and the process must live. [`corpus`] has the images that
//! are planted before a victim attaches, [`attack`] the peer that attaches like any other and then overwrites
//! everything while the victim works.

pub mod attack;
pub mod corpus;
mod dice;
pub mod fields;
pub mod victim;
