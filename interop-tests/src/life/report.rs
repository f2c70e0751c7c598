//! The report of a hunt, as text and as JSON.

use std::fmt;

use serde::Serialize;

use super::coverage::Coverage;
use super::run::Failure;
use crate::language::Pairing;

/// A program that failed.
#[derive(Clone)]
pub struct Found {
    /// The pairing that ran it.
    pub pairing: Pairing,
    /// The origin of the program: `seed 17`, or a file name.
    pub origin: String,
    /// The arguments that run it again.
    pub replay: String,
    /// The failure of the shrunk program, or of the whole one if it was not shrunk.
    pub failure: Failure,
    /// The shrunk program, one step a line.
    pub script: String,
}

/// The result of a hunt.
#[derive(Default)]
pub struct Report {
    /// The number of programs that ran.
    pub programs: u64,
    /// The number of steps that ran.
    pub steps: u64,
    /// The counts of calls by preceding event.
    pub coverage: Coverage,
    /// The failures.
    pub found: Vec<Found>,
    /// One row per pairing, in the order of the plan.
    pub pairings: Vec<Row>,
}

/// The row of one pairing.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The master's language.
    pub master: &'static str,
    /// The slave's language.
    pub slave: &'static str,
    /// Always `life`.
    pub scenario: &'static str,
    /// Whether all programs passed.
    pub passed: bool,
    /// The total time of its programs.
    pub seconds: f64,
    /// The number of programs that ran.
    pub programs: u64,
    /// The number of steps that ran.
    pub steps: u64,
}

impl Row {
    /// Creates the row of a pairing that has not run yet.
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
    /// Returns the last lines of a run: the coverage table and the totals.
    pub fn summary(&self) -> String {
        let table = self.coverage.table();
        let failed = self.found.len();
        format!("{table}\n{} programs, {} steps, {failed} failed", self.programs, self.steps)
    }

    /// Returns a JSON array with one object per pairing and one for the coverage, one element per line.
    ///
    /// # Errors
    /// Never in practice: all of it is plain data.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut lines = self.pairings.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        lines.push(serde_json::to_string(
            &serde_json::json!({ "scenario": "life", "coverage": self.coverage }),
        )?);
        Ok(format!("[\n{}\n]\n", lines.join(",\n")))
    }
}
