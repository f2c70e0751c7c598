//! What a hunt has found, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::coverage::Coverage;
use super::run::Failure;
use crate::language::Pairing;

/// A program that failed.
#[derive(Clone)]
pub struct Found {
    /// With which pairing.
    pub pairing: Pairing,
    /// Where the program came from: `seed 17`, or a file's name.
    pub origin: String,
    /// The arguments that play it again.
    pub replay: String,
    /// What the shrunk program, or else the whole one, did.
    pub failure: Failure,
    /// The shrunk program, one step a line.
    pub script: String,
}

/// The sum of a hunt.
#[derive(Default)]
pub struct Report {
    /// How many programs were played.
    pub programs: u64,
    /// How many steps.
    pub steps: u64,
    /// Which call came after which event.
    pub coverage: Coverage,
    /// What failed.
    pub found: Vec<Found>,
    /// Of each pairing, in the plan's order: programs, and how many failed.
    pub pairings: Vec<Row>,
}

/// One pairing's line.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The language of the master.
    pub master: &'static str,
    /// The language of the slave.
    pub slave: &'static str,
    /// Always `life`.
    pub scenario: &'static str,
    /// Whether no program failed.
    pub passed: bool,
    /// How long its programs took, together.
    pub seconds: f64,
    /// How many programs were played.
    pub programs: u64,
    /// How many steps.
    pub steps: u64,
}

impl Row {
    /// A pairing of which nothing was played yet.
    pub fn new(pairing: Pairing) -> Row {
        let (master, slave) = (pairing.master.name, pairing.slave.name);
        Row { master, slave, scenario: "life", passed: true, seconds: 0.0, programs: 0, steps: 0 }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}: {}", self.pairing, self.origin, self.failure.reason)?;
        writeln!(f, "  again: ./scripts/test_interop.sh --scenario life {}", self.replay)?;
        writeln!(f, "  shrunk:")?;
        self.script.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        f.write_str(&self.failure.tails)
    }
}

impl Report {
    /// The last lines of a run: the table of coverage, and the sums.
    pub fn summary(&self) -> String {
        let table = self.coverage.table();
        let failed = self.found.len();
        format!("{table}\n{} programs, {} steps, {failed} failed", self.programs, self.steps)
    }

    /// One object per pairing, and one with the coverage: an array, an element a line.
    ///
    /// # Errors
    /// None that can be expected: all of it is plain data.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut lines = self.pairings.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        lines.push(serde_json::to_string(
            &serde_json::json!({ "scenario": "life", "coverage": self.coverage }),
        )?);
        Ok(format!("[\n{}\n]\n", lines.join(",\n")))
    }
}
