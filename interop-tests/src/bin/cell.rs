//! Runs a program without a system call, a directory, or a resource.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use interop_tests::faults::sandbox::{Confinement, confine};

/// Runs a program as in a sandbox, or on an old kernel, that lacks something. Its exit status is the program's; 2 if it
/// could not be confined or started.
///
/// cell no-membarrier no-proc -- ./my-program its arguments
#[derive(Parser)]
#[command(name = "cell", after_help = format!("Confinements: {}", Confinement::known()))]
struct Arguments {
    /// What the program lacks; see below
    #[arg(required = true, value_name = "CONFINEMENT")]
    confinements: Vec<Confinement>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

fn main() -> ExitCode {
    let Arguments { confinements, program } = Arguments::parse();
    let started = if confinements.contains(&Confinement::OwnPids) {
        wait_for_child(&program, confinements)
    } else {
        execute(&program, &confinements)
    };
    started.unwrap_or_else(|error| {
        eprintln!("cell: {error:#}");
        ExitCode::from(2)
    })
}

/// Replaces this process by the program. Returns only on failure.
fn execute(program: &[String], confinements: &[Confinement]) -> Result<ExitCode> {
    confine(confinements)?;
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    Err(error).with_context(|| format!("{} does not start", program[0]))
}

/// Runs the program as the first process of a PID namespace, which ends with this process. Returns its exit status, or
/// 1 if a signal ended it.
fn wait_for_child(program: &[String], mut confinements: Vec<Confinement>) -> Result<ExitCode> {
    confinements.retain(|one| *one != Confinement::OwnPids);
    // The child is started from the main thread: its parent-death signal comes when the parent's thread ends.
    confine(&[Confinement::OwnPids])?;
    let mut again = Command::new(std::env::current_exe()?);
    again
        .args(confinements.iter().chain([&Confinement::Mortal]).map(ToString::to_string))
        .arg("--")
        .args(program);
    let status = again.status()?;
    Ok(ExitCode::from(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1)))
}
