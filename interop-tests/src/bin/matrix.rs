//! Runs every scenario with every pairing and prints the matrix.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use interop_tests::language::{Language, Pairing};
use interop_tests::runner::{self, Outcome};
use interop_tests::scenario::Scenario;
use interop_tests::toolchain::Peers;

/// Runs processes of every language against each other, scenario by scenario.
///
/// A language that is not installed is skipped and named, or is an error when ESHM_REQUIRE=all.
#[derive(Parser)]
#[command(name = "test_interop.sh")]
struct Arguments {
    /// Only this pairing, as master:slave, such as rust:python; may be given several times
    #[arg(long, value_name = "MASTER:SLAVE")]
    pairing: Vec<Pairing>,
    /// Only this scenario; may be given several times
    #[arg(long, value_name = "NAME", value_parser = Scenario::named)]
    scenario: Vec<&'static Scenario>,
    /// Write the outcomes to this file: an array of objects with master, slave, scenario, passed, seconds
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the scenarios and what they promise, and run nothing
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    show(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Runs what was asked for; success is that something was run and all of it passed.
fn show(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        for Scenario { name, promise, .. } in Scenario::every() {
            println!("{name:20}  {promise}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let outcomes = run(arguments)?;
    if let Some(path) = &arguments.json {
        write_json(path, &outcomes).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    Ok(if failed == 0 && !outcomes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let pairings =
        if arguments.pairing.is_empty() { Pairing::every().collect() } else { arguments.pairing.clone() };
    let scenarios: Vec<&Scenario> =
        if arguments.scenario.is_empty() { Scenario::every().collect() } else { arguments.scenario.clone() };
    let languages: Vec<&Language> =
        pairings.iter().flat_map(|pairing| [pairing.master, pairing.slave]).collect();
    let peers = Peers::prepare(&languages)?;
    let mut outcomes = Vec::new();
    for pairing in pairings {
        println!("{pairing}");
        if let Some(missing) =
            [pairing.master, pairing.slave].into_iter().find(|language| peers.command(language).is_none())
        {
            println!("  skipped: {} is missing: {}", missing.name, missing.install);
            continue;
        }
        for scenario in scenarios.iter().filter(|scenario| scenario.suits(&pairing)) {
            let outcome = runner::run(&peers, pairing, scenario);
            print(&outcome);
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

fn print(outcome: &Outcome) {
    let verdict = if outcome.passed { "passed" } else { "FAILED" };
    println!("  {:20}  {verdict}  {:6.2} s", outcome.scenario, outcome.seconds);
    for line in outcome.reason.lines() {
        println!("      {line}");
    }
}

/// An array, one object to a line.
fn write_json(path: &PathBuf, outcomes: &[Outcome]) -> Result<()> {
    let lines = outcomes.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(fs::write(path, format!("[\n{}\n]\n", lines.join(",\n")))?)
}
