//! Fault injection: processes are killed at every step and at random, and run in sandboxes. `scripts/test_faults.sh`
//! runs this.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{Parser, Subcommand};
use interop_tests::faults::{Row, kill, sandbox, storm, table, waiters};
use interop_tests::language::Pairing;

/// Runs one suite and prints its rows, or prints the rows of several suites as tables.
#[derive(Parser)]
#[command(name = "faults")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kill a process at each crash point, in each role and language, and start it again
    Kill {
        /// Only this crash point; may be given several times
        #[arg(long, value_name = "NAME", value_parser = point)]
        point: Vec<&'static str>,
        /// Kill only processes of this language; may be given several times
        #[arg(long, value_name = "NAME")]
        language: Vec<String>,
        /// Test every language as survivor of every other, and each point four times
        #[arg(long)]
        full: bool,
        /// The seed of the number of passes after which a crash point kills
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Kill, stop and start both ends at random, under traffic in both directions
    Storm {
        /// The total duration, shared by the pairings
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Only this pairing, as master:slave; may be given several times
        #[arg(long, value_name = "MASTER:SLAVE")]
        pairing: Vec<Pairing>,
        /// All pairings of languages and of event loops instead of seven
        #[arg(long)]
        full: bool,
        /// The seed of the faults and their times [default: random]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Run processes without facilities that a sandbox or an old kernel may lack: they work, or report what is missing
    Sandbox {
        /// Only this language; may be given several times
        #[arg(long, value_name = "NAME")]
        language: Vec<String>,
    },
    /// Kill a process that waits in an event loop: its peer rings its successor
    Waiters {
        /// Only waiters of this language; may be given several times
        #[arg(long, value_name = "NAME")]
        language: Vec<String>,
        /// Every language rings, instead of Rust alone
        #[arg(long)]
        full: bool,
    },
    /// Print the rows in these files as tables, one per suite, and fail if one of them failed
    Report {
        /// Files with the output of suites: one JSON object per line
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Kill { point, language, full, seed } => {
            let points = if point.is_empty() { points_of_endpoints() } else { point };
            kill::run(&kill::Plan { points, languages: language, full, seed })
        }
        Command::Storm { seconds, pairing, full, seed } => {
            let pairings = if pairing.is_empty() { pairings(full) } else { pairing };
            let seed = seed.unwrap_or_else(|| fastrand::u64(..=u64::from(u32::MAX)));
            storm::run(&storm::Plan { pairings, length: Duration::from_secs(seconds), seed })
        }
        Command::Sandbox { language } => sandbox::run(&language),
        Command::Waiters { language, full } => waiters::run(&waiters::Plan { languages: language, full }),
        Command::Report { files } => report(&files),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn point(name: &str) -> Result<&'static str> {
    let known =
        || anyhow!("there is no crash point {name:?}; expected one of {}", eshm::CRASH_POINTS.join(", "));
    eshm::CRASH_POINTS.iter().copied().find(|point| *point == name).ok_or_else(known)
}

/// All except those of `remove_dead`, which no peer program calls. core/tests/segments.rs tests them.
fn points_of_endpoints() -> Vec<&'static str> {
    eshm::CRASH_POINTS.iter().copied().filter(|point| !point.starts_with("remove.")).collect()
}

/// Returns pairings with each language once as master and once as slave, and with each event loop once, or all pairings.
fn pairings(full: bool) -> Vec<Pairing> {
    let languages = ["rust:cpp", "python:go", "cpp:c", "c:python", "go:rust"];
    let event_loops = ["rust-tokio:python-asyncio", "cpp-asio:go-poller"];
    let pairs = languages.into_iter().chain(event_loops);
    if full {
        Pairing::ours()
    } else {
        pairs.map(|pair| pair.parse().expect("languages of the table")).collect()
    }
}

/// Returns whether there were rows and all of them passed.
fn report(files: &[PathBuf]) -> Result<bool> {
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let rows = Row::parse(&text).with_context(|| format!("in {}", file.display()))?;
        if rows.is_empty() {
            println!("\n{} has no rows", file.display());
        }
        for rows in rows.chunk_by(|one, next| one.suite == next.suite) {
            println!("\n{}\n{}", rows[0].suite, table(rows));
        }
        all.extend(rows);
    }
    let failed = all.iter().filter(|row| !row.passed).count();
    let skipped = all.iter().filter(|row| row.skipped).count();
    println!("{} passed, {failed} failed, {skipped} skipped", all.len() - failed - skipped);
    Ok(failed == 0 && !all.is_empty())
}
