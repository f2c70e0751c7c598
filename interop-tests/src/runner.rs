//! Runs the table: as tests under cargo, or as one matrix.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use serde::Serialize;

use crate::language::{Language, Pairing};
use crate::scenario::{Scenario, Stage};
use crate::toolchain::Peers;

/// The outcome of one scenario with one pairing.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The master's language.
    pub master: &'static str,
    /// The slave's language.
    pub slave: &'static str,
    /// The scenario's name.
    pub scenario: &'static str,
    /// Whether it passed.
    pub passed: bool,
    /// How long it took.
    pub seconds: f64,
    /// What did not hold, if something did not.
    #[serde(skip)]
    pub reason: String,
}

/// Runs one scenario with one pairing; an error that a scenario returns is part of the outcome.
pub fn run(peers: &Peers, pairing: Pairing, scenario: &'static Scenario) -> Outcome {
    let since = Instant::now();
    let result = (scenario.run)(&Stage { pairing, peers });
    Outcome {
        master: pairing.master.name,
        slave: pairing.slave.name,
        scenario: scenario.name,
        passed: result.is_ok(),
        seconds: whole_millis(since.elapsed()),
        reason: result.err().map(|error| format!("{error:#}")).unwrap_or_default(),
    }
}

fn whole_millis(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// The `main` of a test program that runs one scenario: one test per pairing, `echo::rust_to_python`.
///
/// A pairing whose language is missing shows as ignored, with the command that installs it, and so does one that only the
/// long form has: `-- --include-ignored` runs it.
pub fn test(scenario: &str) -> ExitCode {
    match Scenario::named(scenario).and_then(trials) {
        Ok((arguments, trials)) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn trials(scenario: &'static Scenario) -> Result<(Arguments, Vec<Trial>)> {
    let mut arguments = Arguments::from_args();
    // A pairing is two busy processes: one at a time keeps a small machine from measuring its own queue.
    arguments.test_threads.get_or_insert(1);
    let pairings: Vec<Pairing> = Pairing::every().filter(|pairing| scenario.suits(pairing)).collect();
    let languages: Vec<&Language> =
        pairings.iter().flat_map(|pairing| [pairing.master, pairing.slave]).collect();
    // Shared by the tests, for the life of the process.
    let peers: &Peers =
        Box::leak(Box::new(if arguments.list { Peers::default() } else { Peers::prepare(&languages)? }));
    let trials = pairings.into_iter().map(|pairing| trial(peers, pairing, scenario)).collect();
    Ok((arguments, trials))
}

fn trial(peers: &'static Peers, pairing: Pairing, scenario: &'static Scenario) -> Trial {
    let test = move || {
        let outcome = run(peers, pairing, scenario);
        if outcome.passed { Ok(()) } else { Err(Failed::from(outcome.reason)) }
    };
    named(peers, pairing, scenario, test)
}

/// A test of a scenario with a pairing, ignored if a language is missing or if only the long form has it.
pub fn named(
    peers: &Peers,
    pairing: Pairing,
    scenario: &Scenario,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let name = format!("{}::{}", scenario.name.replace('-', "_"), pairing.test_name());
    let missing =
        [pairing.master, pairing.slave].into_iter().find(|language| peers.command(language).is_none());
    let trial = Trial::test(name, test);
    match missing {
        Some(language) => trial.with_kind(language.install).with_ignored_flag(true),
        None if !scenario.is_in_short_form(&pairing) => trial.with_kind("long form").with_ignored_flag(true),
        None => trial,
    }
}
