//! Runs the corpus, then random programs, with all pairings of a plan, and shrinks the failing programs.

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::coverage::Coverage;
use super::report::{Found, Report, Row};
use super::run::{Failure, Troupe};
use super::{LIMIT, corpus, generate, program::Program, shrink::shrink};
use crate::language::Pairing;
use crate::toolchain::{Peers, Workshop};

/// The number of programs that a worker runs with the same two processes before it takes the next pairing.
const SHIFT: u64 = 15;
/// The time limit for shrinking a failure, and the limit for outstanding deliveries meanwhile.
const SHRINKING: Duration = Duration::from_secs(60);
const SHRINKING_LIMIT: Duration = Duration::from_secs(1);
/// The default number of failures after which a hunt stops.
const ENOUGH: usize = 5;
/// The default number of random programs per pairing.
const PROGRAMS: u64 = 30;
/// The interval between progress lines.
const PROGRESS: Duration = Duration::from_secs(5);
/// Workers per core. A program mostly waits, so there are more workers than cores.
const WORKERS_PER_CORE: usize = 3;

/// The plan of a hunt.
pub struct Plan {
    /// The pairings that run.
    pub pairings: Vec<Pairing>,
    /// The first program's seed. Each later program adds 1.
    pub seed: u64,
    /// The number of steps of a program. `None`: 10 to 60, by its seed.
    pub steps: Option<usize>,
    /// The number of random programs per pairing.
    pub programs: u64,
    /// Runs for this many seconds instead of a number of programs.
    pub seconds: Option<u64>,
    /// Runs only this program (name and program), instead of the corpus and random ones.
    pub replay: Option<(String, Program)>,
    /// Whether the corpus runs first.
    pub corpus: bool,
    /// The number of failures after which no further program starts.
    pub enough: usize,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            pairings: super::pairings(),
            seed: 1,
            steps: None,
            programs: PROGRAMS,
            seconds: None,
            replay: None,
            corpus: true,
            enough: ENOUGH,
        }
    }
}

impl Plan {
    /// The number of random programs that a test runs with a pairing: fewer if the short form shares scenarios there.
    pub fn usual_programs(pairing: &Pairing) -> u64 {
        if pairing.is_whole() { PROGRAMS } else { PROGRAMS / 3 }
    }
}

/// A batch of programs for one pairing.
enum Shift {
    Given(Vec<(String, Program)>),
    Drawn { seed: u64, count: u64 },
}

/// The state that the workers share.
struct Board<'a> {
    plan: &'a Plan,
    peers: &'a Peers,
    since: Instant,
    state: Mutex<State>,
}

struct State {
    next: u64,
    /// The number of failed programs. The report lists them after they are shrunk.
    failed: usize,
    report: Report,
}

/// Runs a plan. Calls `progress` with a line every few seconds.
///
/// # Errors
/// If the corpus cannot be read. Failures of programs are in the report.
pub fn hunt(plan: &Plan, peers: &Peers, progress: impl Fn(&str)) -> Result<Report> {
    let first = match &plan.replay {
        Some(named) => vec![named.clone()],
        None if plan.corpus => corpus::programs()?,
        None => Vec::new(),
    };
    let report =
        Report { pairings: plan.pairings.iter().copied().map(Row::new).collect(), ..Report::default() };
    let board =
        Board { plan, peers, since: Instant::now(), state: Mutex::new(State { next: 0, failed: 0, report }) };
    let workers = thread::available_parallelism().map_or(1, usize::from) * WORKERS_PER_CORE;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| board.work(&first))).collect();
        let mut told = Instant::now();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(50));
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                progress(&board.progress());
            }
        }
    });
    Ok(board.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).report)
}

impl Board<'_> {
    fn work(&self, first: &[(String, Program)]) {
        while let Some((index, shift)) = self.take(first) {
            self.play(index, shift);
        }
    }

    /// Returns the next batch: the corpus for each pairing, then random programs for each pairing in turn.
    fn take(&self, first: &[(String, Program)]) -> Option<(usize, Shift)> {
        let mut state = self.lock();
        let pairings = self.plan.pairings.len() as u64;
        let number = state.next;
        let done = match (self.plan.replay.is_some(), self.plan.seconds) {
            (true, _) => number >= pairings,
            (false, Some(seconds)) => number >= pairings && self.since.elapsed().as_secs() >= seconds,
            (false, None) => number >= pairings * (1 + self.plan.programs.div_ceil(SHIFT)),
        };
        if done || state.failed >= self.plan.enough {
            return None;
        }
        state.next += 1;
        let index = (number % pairings) as usize;
        let Some(drawn) = number.checked_sub(pairings) else {
            return Some((index, Shift::Given(first.to_vec())));
        };
        let round = drawn / pairings;
        let left = if self.plan.seconds.is_some() { SHIFT } else { self.plan.programs - round * SHIFT };
        // Each pairing runs different programs.
        let seed = self.plan.seed.wrapping_add(drawn * SHIFT);
        Some((index, Shift::Drawn { seed, count: left.min(SHIFT) }))
    }

    fn play(&self, index: usize, shift: Shift) {
        let pairing = self.plan.pairings[index];
        let mut troupe = Troupe::new(self.peers, pairing, LIMIT);
        let words = format!("--pairing {}:{}", pairing.master.name, pairing.slave.name);
        match shift {
            Shift::Given(programs) => {
                for (name, program) in programs {
                    if self.lock().failed >= self.plan.enough {
                        break;
                    }
                    let file = corpus::folder().join(&name).with_extension("life");
                    let of_corpus = self.plan.replay.is_none() && file.exists();
                    let file =
                        if of_corpus { format!("interop-tests/corpus/life/{name}.life") } else { name };
                    self.one(
                        index,
                        &mut troupe,
                        &program,
                        (file.clone(), format!("{words} --replay {file}")),
                    );
                }
            }
            Shift::Drawn { seed, count } => {
                for seed in (0..count).map(|number| seed.wrapping_add(number)) {
                    if self.is_over() {
                        break;
                    }
                    let length =
                        self.plan.steps.unwrap_or_else(|| fastrand::Rng::with_seed(!seed).usize(10..=60));
                    let program = generate::program(seed, length, troupe.abilities());
                    let steps = self.plan.steps.map(|steps| format!(" --steps {steps}")).unwrap_or_default();
                    let replay = format!("{words} --seed {seed}{steps} --programs 1");
                    self.one(index, &mut troupe, &program, (format!("seed {seed}"), replay));
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        let late = self.plan.seconds.is_some_and(|seconds| self.since.elapsed().as_secs() >= seconds);
        late || self.lock().failed >= self.plan.enough
    }

    fn one(
        &self,
        index: usize,
        troupe: &mut Troupe<'_>,
        program: &Program,
        (origin, replay): (String, String),
    ) {
        let mut coverage = Coverage::default();
        let since = Instant::now();
        let outcome = troupe.play(program, &mut coverage);
        let seconds = since.elapsed().as_secs_f64();
        let steps = *outcome.as_ref().unwrap_or(&program.steps.len()) as u64;
        let found = outcome.err().map(|failure| {
            self.lock().failed += 1;
            self.shrunk(index, program, failure, (origin, replay))
        });
        let mut state = self.lock();
        let report = &mut state.report;
        report.programs += 1;
        report.steps += steps;
        report.coverage.add(&coverage);
        let row = &mut report.pairings[index];
        row.programs += 1;
        row.steps += steps;
        row.seconds = ((row.seconds + seconds) * 1000.0).round() / 1000.0;
        row.passed &= found.is_none();
        report.found.extend(found);
    }

    /// Returns the failure of the shortest program found that fails in the same way.
    fn shrunk(&self, index: usize, program: &Program, first: Failure, names: (String, String)) -> Found {
        let pairing = self.plan.pairings[index];
        let mut troupe = Troupe::new(self.peers, pairing, SHRINKING_LIMIT);
        let mut failure = first;
        let since = Instant::now();
        let given = self.plan.replay.is_some() || !names.0.starts_with("seed");
        let kind = kind(&failure.reason);
        let script = shrink(program, |candidate| {
            if given || since.elapsed() > SHRINKING {
                return false;
            }
            match troupe.play(candidate, &mut Coverage::default()) {
                Err(next) if self::kind(&next.reason) == kind => {
                    failure = next;
                    true
                }
                _ => false,
            }
        });
        let found = Found { pairing, origin: names.0, replay: names.1, failure, script: script.to_string() };
        self.keep(&found);
        found
    }

    /// Saves the shrunk program in the build folder.
    fn keep(&self, found: &Found) {
        let Ok(folder) = Workshop::find().map(|workshop| workshop.folder().join("life")) else { return };
        let name = format!("{}-{}.life", found.pairing.test_name(), found.origin.replace([' ', '/'], "-"));
        let comment: String = found.failure.reason.lines().map(|line| format!("# {line}\n")).collect();
        // An error is ignored: the report prints the script as well.
        let _ = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join(name), format!("{comment}{}", found.script)));
    }

    fn progress(&self) -> String {
        let state = self.lock();
        let Report { programs, steps, found, .. } = &state.report;
        let seconds = self.since.elapsed().as_secs();
        format!("{seconds} s: {programs} programs, {steps} steps, {} failed", found.len())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The counts are consistent even after a worker panicked.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Returns the kind of a failure: its reason without the step and the numbers, which change as the program shrinks.
fn kind(reason: &str) -> String {
    let last = reason.split(": ").skip(1).collect::<Vec<_>>().join(": ");
    last.chars().filter(|character| !character.is_ascii_digit()).take(60).collect()
}
