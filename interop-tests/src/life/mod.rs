//! The life test: random programs of calls and events at two endpoints, checked against a model of the protocol.
//!
//! `program.rs` defines programs, `generate.rs` draws them, `model.rs` models the protocol, `judge.rs` checks the
//! answers against it, `run.rs` drives the peers, `wake.rs` checks that they wake each other, `shrink.rs` shortens
//! failing programs, `hunt.rs` does all of this for all pairings.

mod ability;
mod actor;
pub mod corpus;
mod coverage;
mod generate;
mod hunt;
mod judge;
mod model;
#[cfg(test)]
mod model_tests;
mod program;
mod report;
mod run;
mod shrink;
mod state;
mod wake;

pub use coverage::Coverage;
pub use hunt::{Plan, hunt};
pub use program::Program;
pub use report::{Found, Report};

use std::time::Duration;

use anyhow::{Result, bail};

use crate::language::Pairing;
use crate::scenario::Stage;

/// The time limit for outstanding deliveries at a program's end. It is long: it detects messages that never arrive, not
/// slow ones.
pub const LIMIT: Duration = Duration::from_secs(5);

/// The number of random programs that the matrix runs per pairing by default.
const PROGRAMS: u64 = 20;

/// Returns whether the life test supports a pairing. ESHM 1.x has no messages, so it does not.
pub fn plays(pairing: &Pairing) -> bool {
    !pairing.is_legacy()
}

/// Returns every pairing that the life test supports.
pub fn pairings() -> Vec<Pairing> {
    Pairing::ours()
}

/// The scenario `life` of the matrix: the corpus and a few programs with one pairing.
///
/// # Errors
/// If a program fails: the first failure.
pub fn scenario(stage: &Stage<'_>) -> Result<()> {
    let plan = Plan { pairings: vec![stage.pairing], programs: PROGRAMS, ..Plan::default() };
    let report = hunt(&plan, stage.peers, |_| {})?;
    match report.found.first() {
        Some(found) => bail!("{found}"),
        None => Ok(()),
    }
}
