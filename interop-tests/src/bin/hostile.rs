//! Tests every language with invalid segments and hostile peers. `scripts/test_faults.sh` runs this.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use interop_tests::faults::Row;
use interop_tests::hostile::attack::{self, Tally};
use interop_tests::hostile::corpus::{self, GROUPS, Image};
use interop_tests::hostile::victim::{KINDS, Kind, Victim};
use interop_tests::segment::{Segment, Side};
use interop_tests::toolchain::Workshop;

/// The number of concurrent victims. They mostly wait.
const AT_ONCE: usize = 6;
/// The number of failures after which a case stops.
const ENOUGH: usize = 5;

/// Opens invalid segments with peers of every language, then attacks the peers while they work. Prints rows of JSON.
#[derive(Parser)]
#[command(name = "hostile")]
struct Arguments {
    /// How long each victim is attacked in each role; at least one round
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Use only every n-th image, and all whole files
    #[arg(long, value_name = "N", default_value_t = 1)]
    one_in: usize,
    /// Only this victim; may be given several times
    #[arg(long, value_name = "NAME")]
    victim: Vec<String>,
    /// The seed of the attacks
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hostile: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether there were rows and all of them passed.
fn run(arguments: &Arguments) -> Result<bool> {
    let workshop = Workshop::find()?;
    let mut images = corpus::images()?;
    let mut index = 0;
    images.retain(|image| {
        index += 1;
        image.group == GROUPS[GROUPS.len() - 1] || index % arguments.one_in == 0
    });
    let mut rows = Vec::new();
    for kind in KINDS {
        if !arguments.victim.is_empty() && !arguments.victim.iter().any(|name| name == kind.name) {
            continue;
        }
        if !kind.is_present() {
            rows.push(missing(kind));
            continue;
        }
        let command = kind.prepare(&workshop)?;
        for group in GROUPS {
            eprintln!("{}: {group} …", kind.name);
            let images: Vec<&Image> = images.iter().filter(|image| image.group == group).collect();
            rows.push(plant(kind, &command, group, &images));
            rows[rows.len() - 1].print();
        }
        for side in [Side::Master, Side::Slave] {
            eprintln!("{} as {}, attacked for {} s …", kind.name, side.word(), arguments.seconds);
            rows.push(assault(kind, &command, side, arguments));
            rows[rows.len() - 1].print();
        }
    }
    Ok(!rows.is_empty() && rows.iter().all(|row| row.passed))
}

fn missing(kind: &Kind) -> Row {
    let mut row = Row::new("hostile", kind.name);
    row.skipped = true;
    row.passed = std::env::var_os("ESHM_REQUIRE").is_none_or(|value| value != "all");
    row.reason = format!("its tools are missing: {}", kind.needs.1);
    row.print();
    row
}

/// The findings of the threads of a case.
#[derive(Default)]
struct Findings {
    tried: u64,
    let_in: u64,
    tally: Tally,
    slowest: Duration,
    failures: Vec<String>,
}

/// Runs `work` on threads, each with its own victim. An error that it returns is a failure.
fn with_victims(
    command: &[PathBuf],
    findings: &Mutex<Findings>,
    work: impl Fn(&mut Victim<'_>, &Mutex<Findings>) -> Result<()> + Sync,
) {
    let one = || -> Result<()> {
        let mut victim = Victim::start(command)?;
        work(&mut victim, findings)?;
        let slowest = victim.finish()?;
        let mut findings = findings.lock().expect("no thread panics while it holds the lock");
        findings.slowest = findings.slowest.max(slowest);
        Ok(())
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                if let Err(error) = one() {
                    findings
                        .lock()
                        .expect("no thread panics while it holds the lock")
                        .failures
                        .push(format!("{error:#}"));
                }
            });
        }
    });
}

/// Opens images in each role.
fn plant(kind: &Kind, command: &[PathBuf], group: &str, images: &[&Image]) -> Row {
    let inputs: Vec<(&Image, &str)> =
        images.iter().flat_map(|image| ["slave", "master", "auto"].map(|role| (*image, role))).collect();
    let next = Mutex::new(inputs.iter());
    let findings = Mutex::new(Findings::default());
    with_victims(command, &findings, |victim, findings| {
        let segment = Segment::fresh("corpus");
        loop {
            let Some((image, role)) = next.lock().expect("no thread panics while it holds the lock").next()
            else {
                return Ok(());
            };
            let tried = victim.try_image(&segment, image, role);
            let mut found = findings.lock().expect("no thread panics while it holds the lock");
            found.tried += 1;
            match tried {
                Ok(let_in) => found.let_in += u64::from(let_in),
                Err(error) => {
                    found.failures.push(format!("{} as {role}: {error:#}", image.name));
                    if found.failures.len() >= ENOUGH {
                        return Ok(());
                    }
                    victim.replace()?;
                }
            }
        }
    });
    let findings = findings.into_inner().expect("no thread panics while it holds the lock");
    let row = Row::new("hostile", format!("{}: {group}", kind.name))
        .figure("inputs", findings.tried as f64)
        .figure("let_in", findings.let_in as f64);
    finished(row, findings)
}

/// Attacks victims in one role for the given time.
fn assault(kind: &Kind, command: &[PathBuf], side: Side, arguments: &Arguments) -> Row {
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let seed = Mutex::new(arguments.seed);
    let findings = Mutex::new(Findings::default());
    with_victims(command, &findings, |victim, findings| {
        // At least one round: the start of a victim may take longer than the time of the attack.
        loop {
            let seed = {
                let mut next = seed.lock().expect("no thread panics while it holds the lock");
                *next += 1;
                *next - 1
            };
            let fought = attack::round(victim, side, seed);
            let mut found = findings.lock().expect("no thread panics while it holds the lock");
            found.tried += 1;
            match fought {
                Ok(Tally { calls, strikes }) => {
                    found.tally.calls += calls;
                    found.tally.strikes += strikes;
                }
                Err(error) => {
                    found.failures.push(format!("seed {seed}: {error:#}"));
                    if found.failures.len() >= ENOUGH {
                        return Ok(());
                    }
                    victim.replace()?;
                }
            }
            if Instant::now() >= end {
                return Ok(());
            }
        }
    });
    let findings = findings.into_inner().expect("no thread panics while it holds the lock");
    let row = Row::new("hostile", format!("{}: attacked as {}", kind.name, side.word()))
        .figure("inputs", findings.tally.strikes as f64)
        .figure("rounds", findings.tried as f64)
        .figure("calls", findings.tally.calls as f64);
    finished(row, findings)
}

fn finished(row: Row, findings: Findings) -> Row {
    let mut row = row.figure("slowest_ms", findings.slowest.as_secs_f64() * 1e3);
    for failure in findings.failures {
        row.fail(&failure);
    }
    if findings.tried == 0 {
        row.fail("nothing was tried");
    }
    row
}
