//! The life test: random programs of everything that can happen to two endpoints, judged by a model of the protocol.
//!
//! `program.rs` is what happens, `generate.rs` draws it, `model.rs` is the promise, `judge.rs` holds the answers against
//! it, `run.rs` drives the peers, `wake.rs` sees whether they wake each other, `shrink.rs` makes a failure short, `hunt.rs` does
//! all of this for all pairings.

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
mod wake;

pub use coverage::Coverage;
pub use hunt::{Plan, hunt};
pub use program::Program;
pub use report::{Found, Report};

use std::time::Duration;

use anyhow::{Result, bail};

use crate::language::Pairing;
use crate::scenario::Stage;

/// How long what is owed at a program's end may take. Generous: it is there to tell late from never.
pub const LIMIT: Duration = Duration::from_secs(5);

/// How many programs of how many steps a matrix plays per pairing, when nothing else is asked for.
const PROGRAMS: u64 = 20;

/// Whether a pairing has what the life test asks of it: ESHM 1.x has no messages.
pub fn plays(pairing: &Pairing) -> bool {
    !pairing.is_legacy()
}

/// Every pairing that plays.
pub fn pairings() -> Vec<Pairing> {
    Pairing::ours()
}

/// The scenario `life` of the matrix: the corpus and a few programs with one pairing.
///
/// # Errors
/// The first program that failed.
pub fn scenario(stage: &Stage<'_>) -> Result<()> {
    let plan = Plan { pairings: vec![stage.pairing], programs: PROGRAMS, ..Plan::default() };
    let report = hunt(&plan, stage.peers, |_| {})?;
    match report.found.first() {
        Some(found) => bail!("{found}"),
        None => Ok(()),
    }
}
