//! The Rust peer of the conformance kit. `interop-tests/README.md` says what each scenario does.

mod commands;
mod flood;
mod journal;
mod ledger;
mod life;
mod looped;
mod observe;
mod payload;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use eshm::Role;

use looped::Endpoint;
use observe::{Observation, observe, ready};

/// The requested role, `None` for auto. It is a named type, since clap takes an `Option` for an optional argument.
type Wanted = Option<Role>;

/// The command line that every peer has.
#[derive(Parser)]
struct Arguments {
    #[arg(value_parser = role)]
    role: Wanted,
    name: String,
    scenario: Scenario,
    /// The number of numbered messages that this side sends.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// The segment's data size in bytes; a master's default is 4096, a slave's is what it finds.
    #[arg(long)]
    size: Option<usize>,
    /// The timeout of every wait, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
    /// The series of this side's numbered messages.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The queue capacity that `ledger` opens the endpoint with, in bytes.
    #[arg(long)]
    queue: Option<usize>,
    /// The path of the journal of `ledger`.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// `ledger` waits for the event descriptor of the endpoint. Only this peer has the option.
    #[arg(long)]
    events: bool,
    /// Await in tokio what waits.
    #[arg(long)]
    tokio: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    Commands,
    Echo,
    LatestValue,
    BothDirections,
    Stream,
    Flood,
    Ledger,
}

impl Arguments {
    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// Why this side of a scenario failed.
enum Failure {
    /// A call failed.
    Eshm(eshm::Error),
    /// Something unexpected arrived, or something expected did not.
    Broken(String),
}

impl From<eshm::Error> for Failure {
    fn from(error: eshm::Error) -> Self {
        Failure::Eshm(error)
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Failure::Broken(reason)
    }
}

fn role(word: &str) -> Result<Wanted, String> {
    match word {
        "master" => Ok(Some(Role::Master)),
        "slave" => Ok(Some(Role::Slave)),
        "auto" => Ok(None),
        _ => Err(format!("the role is {word:?}, expected master, slave or auto")),
    }
}

/// Opens an endpoint, and prints `READY`.
fn open(arguments: &Arguments, role: Wanted, name: &str, size: Option<usize>) -> Result<Endpoint, Failure> {
    observe(&Observation::Opening);
    let mut builder = eshm::Endpoint::builder(name).role(role).connect_timeout(arguments.timeout());
    if let Some(size) = size {
        builder = builder.data_size(size);
    }
    let endpoint = Endpoint::open(builder, arguments.tokio)?;
    ready();
    Ok(endpoint)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.scenario {
        Scenario::Commands => return commands::run(arguments),
        Scenario::Ledger => return ledger::run(arguments),
        _ => {}
    }
    let mut endpoint = open(arguments, arguments.role, &arguments.name, arguments.size)?;
    match arguments.scenario {
        Scenario::Commands | Scenario::Ledger => unreachable!("they open what they need"),
        Scenario::Echo => traffic::echo(&mut endpoint, arguments)?,
        Scenario::LatestValue => traffic::latest_value(&mut endpoint, arguments)?,
        Scenario::BothDirections => traffic::both_directions(&mut endpoint, arguments)?,
        Scenario::Stream => traffic::stream(&mut endpoint, arguments)?,
        Scenario::Flood => flood::flood(&mut endpoint, arguments)?,
    }
    endpoint.close()?;
    Ok(())
}

fn error(error: &eshm::Error) -> Observation {
    Observation::Error { code: error.code(), message: error.to_string() }
}

fn main() -> ExitCode {
    let failure = match run(&Arguments::parse()) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    observe(&match failure {
        Failure::Eshm(failure) => error(&failure),
        Failure::Broken(reason) => Observation::Failed { reason },
    });
    ExitCode::FAILURE
}
