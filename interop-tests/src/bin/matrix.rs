//! Runs every scenario with every pairing and prints the matrix, or runs the life test alone.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use clap::error::ErrorKind;
use interop_tests::language::{Language, Pairing};
use interop_tests::life::{self, Plan};
use interop_tests::runner::{self, Outcome};
use interop_tests::scenario::Scenario;
use interop_tests::toolchain::{self, Peers};

/// Runs every scenario with every pairing of languages.
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
    /// Run every scenario with every pairing of a variant, such as rust-tokio, instead of sharing them among its pairings;
    /// a pairing that is named runs every scenario
    #[arg(long)]
    long: bool,
    /// Write the outcomes to this file: an array of objects with master, slave, scenario, passed, seconds
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the scenarios and what they promise, and run nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    life: Life,
}

/// Options for `--scenario life` alone.
#[derive(clap::Args)]
#[command(next_help_heading = "With `--scenario life`")]
struct Life {
    /// The seed of the first random program; each later program adds 1
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// The number of steps of each random program, instead of 10 to 60
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// The number of random programs that each pairing plays after the corpus [default: 30]
    #[arg(long, value_name = "N")]
    programs: Option<u64>,
    /// Play random programs for this many seconds, instead of a number of programs
    #[arg(long, value_name = "T")]
    seconds: Option<u64>,
    /// Play only the program in this file
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Play random programs alone, without the corpus
    #[arg(long)]
    no_corpus: bool,
    /// Stop after this many failed programs [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    stop_after: Option<u64>,
}

/// The exit status of a wrong command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) => {
            return refuse(error.to_string().lines().next().unwrap_or_default());
        }
        Err(error) => error.exit(),
    };
    let done = if arguments.is_life() { live(&arguments) } else { show(&arguments) };
    done.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Prints one line that explains the error in the command line.
fn refuse(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::from(USAGE)
}

impl Arguments {
    /// Returns whether only the life test is selected.
    fn is_life(&self) -> bool {
        matches!(&self.scenario[..], [only] if only.name == "life") && !self.list
    }

    fn pairings(&self, all: impl Iterator<Item = Pairing>) -> Vec<Pairing> {
        if self.pairing.is_empty() { all.collect() } else { self.pairing.clone() }
    }
}

impl Life {
    fn is_given(&self) -> bool {
        let numbers = [self.seed, self.programs, self.seconds];
        let others = self.steps.is_some() || self.replay.is_some() || self.stop_after.is_some();
        numbers.iter().any(Option::is_some) || others || self.no_corpus
    }

    fn plan(&self, pairings: Vec<Pairing>) -> Result<Plan> {
        let usual = Plan::default();
        let replay = match &self.replay {
            Some(file) => Some((file.display().to_string(), life::corpus::read(file)?)),
            None => None,
        };
        Ok(Plan {
            pairings,
            seed: self.seed.unwrap_or(usual.seed),
            steps: self.steps,
            programs: self.programs.unwrap_or(usual.programs),
            seconds: self.seconds,
            replay,
            corpus: !self.no_corpus,
            enough: self.stop_after.map_or(usual.enough, |most| most as usize),
        })
    }
}

/// Runs the life test. It succeeds if at least one program ran and none failed.
fn live(arguments: &Arguments) -> Result<ExitCode> {
    let mut pairings = arguments.pairings(life::pairings().into_iter());
    if let Some(other) = pairings.iter().find(|pairing| !life::plays(pairing)) {
        return Ok(refuse(&format!("{other}: the life test is not for ESHM 1.x")));
    }
    let mut languages: Vec<&Language> =
        pairings.iter().flat_map(|pairing| [pairing.master, pairing.slave]).collect();
    languages.sort_by_key(|language| language.name);
    languages.dedup_by_key(|language| language.name);
    let absent: Vec<&Language> = languages.iter().copied().filter(|one| !toolchain::present(one)).collect();
    let missing = |pairing: &Pairing| {
        absent.iter().copied().find(|one| [pairing.master.name, pairing.slave.name].contains(&one.name))
    };
    if let Some(language) = arguments.pairing.iter().find_map(missing) {
        return Ok(refuse(&format!("{} is missing: install it with `{}`", language.name, language.install)));
    }
    pairings.retain(|pairing| missing(pairing).is_none());
    let plan = match arguments.life.plan(pairings) {
        Ok(plan) => plan,
        Err(error) => return Ok(refuse(&format!("{error:#}"))),
    };
    let peers = Peers::prepare(&languages)?;
    let report = life::hunt(&plan, &peers, |line| eprintln!("{line}"))?;
    report.found.iter().for_each(|found| println!("FAILED  {found}"));
    println!("{}", report.summary());
    if let Some(path) = &arguments.json {
        fs::write(path, report.json()?).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(if report.found.is_empty() && report.programs > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the selected scenarios. Succeeds if at least one ran and all passed.
fn show(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        for Scenario { name, promise, .. } in Scenario::every() {
            println!("{name:20}  {promise}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.life.is_given() {
        return Ok(refuse(
            "--seed, --steps, --programs, --seconds, --replay, --no-corpus and --stop-after are for `--scenario life` alone",
        ));
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
    let pairings = arguments.pairings(Pairing::every());
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
        let whole = arguments.long || !arguments.pairing.is_empty();
        let wanted = |scenario: &&&Scenario| {
            scenario.suits(&pairing) && (whole || scenario.is_in_short_form(&pairing))
        };
        for scenario in scenarios.iter().filter(wanted) {
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

/// Returns a JSON array with one object per line.
fn write_json(path: &PathBuf, outcomes: &[Outcome]) -> Result<()> {
    let lines = outcomes.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(fs::write(path, format!("[\n{}\n]\n", lines.join(",\n")))?)
}
