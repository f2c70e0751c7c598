//! The run: every pair through every case, in turns.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;

use crate::cases::{Case, Language, Pair, Results, SIZES, Timing, Transport};
use crate::process::{Programs, Server, Usage, Worker};

/// Each queue's capacity, in bytes: the largest payload, and its frame.
const CAPACITY: usize = (4 << 20) + (64 << 10);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often every case is measured, but volumes.
    pub rounds: usize,
    /// How long one measurement takes, about, in seconds.
    pub slice: f64,
    /// How long a volume may take, in seconds; of one that takes longer, a part is measured.
    pub limit: f64,
}

impl Effort {
    /// Some four minutes with both languages.
    pub const QUICK: Effort = Effort { rounds: 3, slice: 0.15, limit: 0.7 };
    /// Some seven.
    pub const FULL: Effort = Effort { rounds: 7, slice: 0.25, limit: 2.0 };
}

/// What both processes of a pair have used in all.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Used {
    /// The server.
    pub server: Usage,
    /// The client.
    pub client: Usage,
    /// In files of shared memory, in bytes.
    pub shared_bytes: u64,
}

struct Contestant {
    pair: Pair,
    server: Server,
    worker: Worker,
    segment: String,
}

/// Measures everything, and shows progress.
///
/// # Errors
/// That a program cannot be started, or an echo is not what was sent.
pub fn run(
    languages: &[(Language, Programs)],
    effort: Effort,
) -> anyhow::Result<(Results, BTreeMap<Pair, Used>)> {
    let mut contestants = Vec::new();
    for (language, programs) in languages {
        for transport in Transport::ALL {
            let pair = Pair { language: *language, transport };
            contestants.push(Contestant::start(pair, programs).with_context(|| format!("{pair:?}"))?);
        }
    }
    let mut results = Results::new();
    let plan = plan(effort);
    let mut progress = Progress::new(plan.len() * contestants.len());
    for (turn, case) in plan.into_iter().enumerate() {
        // Nobody is always the first, whose processor is still cold.
        let first = turn % contestants.len();
        for index in (first..contestants.len()).chain(0..first) {
            let contestant = &mut contestants[index];
            progress.say(&format!("{}, {}", contestant.title(), case.title()));
            contestant.measure(case, effort, &mut results).with_context(|| contestant.title())?;
        }
    }
    progress.end();
    let used = contestants
        .iter()
        .map(|contestant| Ok((contestant.pair, contestant.used()?)))
        .collect::<anyhow::Result<_>>()?;
    Ok((results, used))
}

/// What is measured, in order: in rounds, but for volumes, which come once.
fn plan(effort: Effort) -> Vec<Case> {
    let (volumes, others): (Vec<_>, Vec<_>) =
        Case::all().into_iter().partition(|case| matches!(case, Case::Volume(..)));
    let mut plan = Vec::new();
    for round in 0..effort.rounds {
        // The ranking has its 50 runs, no more.
        plan.extend(others.iter().filter(|case| round == 0 || **case != Case::Ranking));
    }
    plan.extend(volumes);
    plan
}

impl Contestant {
    fn start(pair: Pair, programs: &Programs) -> anyhow::Result<Self> {
        let segment = format!("compare-{}-{}", std::process::id(), pair.language.title());
        let server = Server::start(programs, pair.transport, &segment, CAPACITY)?;
        let worker = Worker::start(programs, pair.transport, &server.address)?;
        Ok(Contestant { pair, server, worker, segment })
    }

    fn title(&self) -> String {
        format!("{} {}", self.pair.language.title(), self.pair.transport.title())
    }

    fn measure(&mut self, case: Case, effort: Effort, results: &mut Results) -> anyhow::Result<()> {
        let calls = self.affordable(case, effort)?;
        let before = self.server.usage()?;
        let timing: Timing = self.worker.ask("bench", &case.order(calls))?;
        let server_cpu = self.server.usage()?.cpu_seconds - before.cpu_seconds;
        results.entry((self.pair, case)).or_default().add(&timing, server_cpu);
        Ok(())
    }

    /// How many calls there is time for.
    fn affordable(&mut self, case: Case, effort: Effort) -> anyhow::Result<u64> {
        if case == Case::Ranking {
            return Ok(crate::cases::RUNS);
        }
        if let Case::Volume(1, _) = case {
            return Ok(1);
        }
        let large = case.order(1).payload > SIZES[SIZES.len() - 3];
        let probe: Timing = self.worker.ask("bench", &case.order(if large { 3 } else { 10 }))?;
        let calls = probe.histogram.iter().map(|(_, count)| count).sum::<u64>().max(1);
        let each = probe.seconds / calls as f64;
        let within = |seconds: f64| (seconds / each) as u64;
        Ok(match case {
            Case::Volume(wanted, _) => wanted.min(within(effort.limit).max(10)),
            _ => within(effort.slice).clamp(10, 100_000),
        })
    }

    fn used(&self) -> anyhow::Result<Used> {
        let files = (0..2).map(|number| PathBuf::from(format!("/dev/shm/eshm_{}.{number}", self.segment)));
        let shared_bytes = match self.pair.transport {
            Transport::Eshm => files.filter_map(|file| Some(file.metadata().ok()?.len())).sum(),
            _ => 0,
        };
        Ok(Used { server: self.server.usage()?, client: self.worker.usage()?, shared_bytes })
    }
}

/// One line on stderr that is written again and again.
struct Progress {
    started: Instant,
    done: usize,
    steps: usize,
}

impl Progress {
    fn new(steps: usize) -> Self {
        Progress { started: Instant::now(), done: 0, steps }
    }

    fn say(&mut self, what: &str) {
        let elapsed = self.started.elapsed().as_secs();
        let percent = 100 * self.done / self.steps;
        eprint!("\r\x1b[K[{percent:3} %, {elapsed} s] {what}");
        self.done += 1;
    }

    fn end(&self) {
        eprintln!("\r\x1b[Kmeasured in {} s", self.started.elapsed().as_secs());
    }
}
