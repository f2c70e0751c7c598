//! Runs a program from which something was taken: a system call, a place, a resource.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Parser;
use interop_tests::faults::sandbox::{Confinement, confine};

/// Runs a program as in a sandbox, or on an old kernel, that lacks something. Its exit status is the program's; 2 if it
/// could not be confined or started.
///
/// cell no-membarrier no-proc -- ./my-program its arguments
#[derive(Parser)]
#[command(name = "cell", after_help = format!("Confinements: {}", Confinement::known()))]
struct Arguments {
    /// What to take from it; see below
    #[arg(required = true, value_name = "CONFINEMENT")]
    confinements: Vec<Confinement>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

fn main() -> ExitCode {
    let Arguments { confinements, program } = Arguments::parse();
    if let Err(error) = confine(&confinements) {
        eprintln!("cell: {error:#}");
        return ExitCode::from(2);
    }
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    eprintln!("cell: {} does not start: {error}", program[0]);
    ExitCode::from(2)
}
