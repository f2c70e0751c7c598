//! Invalid segments and hostile peers, and the processes that use them.
//!
//! The victims are peer programs of every language, driven by the scenario `commands`. Whatever the segment contains,
//! each call must return an error or data in time, and the process must survive. [`corpus`] has the images that
//! exist before a victim attaches. [`attack`] has the peer that attaches normally and then overwrites
//! everything while the victim works.

pub mod attack;
pub mod corpus;
mod dice;
pub mod fields;
pub mod victim;
