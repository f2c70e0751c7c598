//! What a run leaves: tables, JSON, plots.

mod markdown;
mod plot;

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::guide::Guide;
use crate::instructions::Instructions;
use crate::machine::{self, Machine};
use crate::placement::Placements;
use crate::rivals::{self, Comparison};
use crate::runner::{Row, Rows};
use crate::targets::{TARGETS, Verdict};
use crate::timing::Latency;

/// Everything that was measured.
#[derive(Serialize)]
pub struct Report {
    /// Where and with what.
    pub machine: Machine,
    /// The targets, one by one.
    pub targets: Vec<Verdict>,
    /// Every rival at every size.
    pub rivals: Vec<Comparison>,
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
    /// Nanoseconds per round trip or message: the median, the least, the most over the rounds.
    ns: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
    rounds: usize,
    messages: u64,
    lost: u64,
    latency: Option<Latency>,
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
    ) -> Self {
        let comparisons = rivals::compare(&rows, machine::version);
        let mut targets: Vec<_> = TARGETS.iter().map(|target| target.judge(&rows)).collect();
        targets.push(rivals::judge(&comparisons));
        let measurements = rows.iter().map(|(case, row)| measurement(*case, row)).collect();
        let machine = machine.with_placements(placements);
        let placements = placements.clone();
        Report { placements, machine, targets, rivals: comparisons, measurements, guide, instructions, rows }
    }

    /// Prints the tables, and writes them, the JSON and the plots into a directory.
    pub fn publish(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        let markdown = markdown::render(self);
        println!("{markdown}");
        std::fs::write(directory.join("report.md"), markdown)?;
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
        ns: row.ns(),
        least: spread.map(|(least, _)| least),
        most: spread.map(|(_, most)| most),
        rounds: row.observations.len(),
        messages: row.observations.iter().map(|observed| observed.messages).sum(),
        lost: row.lost(),
        latency: row.latency(),
        failures: row.failures.clone(),
    }
}
