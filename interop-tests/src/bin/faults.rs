//! Faults on purpose: processes killed at every step and in storms. `scripts/test_faults.sh` runs this.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use interop_tests::faults::{Row, table};

/// Runs one suite, whose rows go to stdout; or makes a table of the rows of several.
#[derive(Parser)]
#[command(name = "faults")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the rows in these files as tables, one per suite, and fail if one of them failed
    Report {
        /// What suites printed: one JSON object per line
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
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

/// Whether there were rows, and all of them passed.
fn report(files: &[PathBuf]) -> Result<bool> {
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let rows = Row::parse(&text).with_context(|| format!("in {}", file.display()))?;
        let suite = rows.first().map_or("nothing was printed", |row| row.suite.as_str());
        println!("\n{suite} ({})\n{}", file.display(), table(&rows));
        all.extend(rows);
    }
    let failed = all.iter().filter(|row| !row.passed).count();
    let skipped = all.iter().filter(|row| row.skipped).count();
    println!("{} passed, {failed} failed, {skipped} skipped", all.len() - failed - skipped);
    Ok(failed == 0 && !all.is_empty())
}
