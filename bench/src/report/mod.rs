//! What a run leaves: tables, JSON, plots.

pub mod markdown;
mod plot;
mod users;

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::guide::Guide;
use crate::instructions::Instructions;
use crate::machine::{self, Machine};
use crate::placement::Placements;
use crate::rivals::{self, Comparison};
use crate::rows::{Row, Rows};
use crate::targets;
use crate::timing::Latency;
use crate::verdicts::Verdict;

/// Everything that was measured.
#[derive(Serialize)]
pub struct Report {
    /// Where and with what.
    pub machine: Machine,
    /// The targets, one by one.
    pub targets: Vec<Verdict>,
    /// Every rival at every size.
    pub rivals: Vec<Comparison>,
    /// What could not be measured, and why.
    pub missing: Vec<String>,
    /// Everything, as measured.
    pub measurements: Vec<Measurement>,
    /// The guide's benchmarks.
    pub guide: Vec<Guide>,
    /// Instructions per message.
    pub instructions: Instructions,
    #[serde(skip)]
    rows: Rows,
    #[serde(skip)]
    placements: Placements,
}

/// One case.
#[derive(Serialize)]
pub struct Measurement {
    case: String,
    what: String,
    shape: crate::cases::Shape,
    lead: &'static str,
    follow: &'static str,
    size: usize,
    touched: bool,
    rhythm: crate::cases::Rhythm,
    placing: crate::cases::Placing,
    pairs: usize,
    /// Nanoseconds per round trip or message: the median, the least, the most over the rounds.
    ns: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
    /// The rounds, and in them the pairs.
    rounds: usize,
    messages: u64,
    lost: u64,
    /// Of single trips, or of bursts, each as its time per trip.
    latency: Option<Latency>,
    /// Of the first trips after a rest.
    first: Option<Latency>,
    /// How many values the percentiles are of.
    samples: u64,
    /// From the first trip to the last, per trip.
    mean: Option<f64>,
    /// Processor time of both processes per round trip or message.
    cpu_ns: Option<f64>,
    /// How often one of the two left the processor, per round trip or message.
    switches: Option<f64>,
    failures: Vec<String>,
}

impl Report {
    /// Judges what was measured.
    pub fn new(
        machine: Machine,
        rows: Rows,
        placements: &Placements,
        guide: Vec<Guide>,
        instructions: Instructions,
        mut missing: Vec<String>,
    ) -> Self {
        let comparisons = rivals::compare(&rows, machine::version);
        let targets = targets::judge(&rows, &comparisons);
        missing.extend(crate::users::failures(&rows));
        let measurements = rows.iter().map(|(case, row)| measurement(*case, row)).collect();
        let machine = machine.with_placements(placements);
        let placements = placements.clone();
        let rivals = comparisons;
        Report { placements, machine, targets, rivals, missing, measurements, guide, instructions, rows }
    }

    /// Prints the tables, and writes them, the JSON and the plots into a directory.
    pub fn publish(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        let markdown = markdown::render(self);
        println!("{markdown}");
        std::fs::write(directory.join("report.md"), markdown)?;
        std::fs::write(directory.join("summary.md"), users::summary(&self.rows))?;
        std::fs::write(directory.join("report.json"), serde_json::to_string_pretty(self)? + "\n")?;
        plot::draw(&self.rows, directory)?;
        eprintln!("report.md, report.json and the plots are in {}", directory.display());
        Ok(())
    }
}

fn measurement(case: crate::cases::Case, row: &Row) -> Measurement {
    let spread = row.spread();
    Measurement {
        case: case.to_string(),
        what: case.what.word(),
        shape: case.shape,
        lead: case.lead,
        follow: case.follow,
        size: case.size,
        touched: case.touched,
        rhythm: case.rhythm,
        placing: case.placing,
        pairs: case.pairs,
        ns: row.ns(),
        least: spread.map(|(least, _)| least),
        most: spread.map(|(_, most)| most),
        rounds: row.observations.len(),
        messages: row.messages(),
        lost: row.lost(),
        latency: row.latency(),
        first: row.first(),
        samples: row.samples(),
        mean: row.median(|observed| observed.mean),
        cpu_ns: row.cpu_ns(),
        switches: row.switches(),
        failures: row.failures.clone(),
    }
}
