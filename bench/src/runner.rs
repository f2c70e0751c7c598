//! Runs the plan, and says how far it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cases::{Case, SMALL, Shape, word};
use crate::contestants::{Role, What};
use crate::placement::{self, Placements};
use crate::plan::{Effort, Group};
use crate::process::{Leftovers, Process, Program, two_processors};
use crate::timing::{Latency, Observation, median};

/// How long a pair of processes may take beyond its timing: to start, check and stop.
const PATIENCE: Duration = Duration::from_secs(15);
/// A case that has failed so often is not tried again.
const ATTEMPTS: usize = 2;

/// The limit that everything is measured beside.
pub const LIMIT: Case = Case::round_trip(What::Line, SMALL);
/// It takes little time to measure.
const LIMIT_BUDGET: Duration = Duration::from_millis(20);

/// What the rounds of one case gave.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// One for each round that worked.
    pub observations: Vec<Observation>,
    /// Those made in another placement.
    pub set_aside: Vec<Observation>,
    /// Whether none was made in the placement that counts, undisturbed.
    pub elsewhere: bool,
    /// Why the others did not.
    pub failures: Vec<String>,
}

impl Row {
    /// Sets aside what was measured in another placement than the one that counts, unless there is nothing else.
    fn keep(&mut self, placements: &Placements) {
        let counts = |observed: &Observation| observed.limit.is_some_and(|limit| placements.counts(limit));
        self.elsewhere = !self.observations.iter().any(counts);
        if !self.elsewhere {
            let (kept, others) = std::mem::take(&mut self.observations).into_iter().partition(counts);
            self.observations = kept;
            self.set_aside.extend(others);
        }
    }

    /// The same row, of those observations only that were made in one of the known placements, whatever counts.
    pub fn placed(&self, placements: &Placements, place: usize) -> Row {
        let all = self.observations.iter().chain(&self.set_aside);
        let there =
            all.filter(|observed| observed.limit.and_then(|limit| placements.place(limit)) == Some(place));
        Row { observations: there.cloned().collect(), ..Row::default() }
    }

    /// The limit at the time, in nanoseconds.
    pub fn limit(&self) -> Option<f64> {
        self.median(|observed| observed.limit)
    }

    /// The median of something over the rounds that worked.
    pub fn median(&self, value: impl Fn(&Observation) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<_> = self.observations.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| median(&mut values))
    }

    /// Nanoseconds per round trip or message.
    pub fn ns(&self) -> Option<f64> {
        self.median(|observed| Some(observed.ns))
    }

    /// The least and the most of them.
    pub fn spread(&self) -> Option<(f64, f64)> {
        let values = self.observations.iter().map(|observed| observed.ns);
        let least = values.clone().min_by(f64::total_cmp)?;
        Some((least, values.max_by(f64::total_cmp)?))
    }

    /// Percentiles: of each, the median over the rounds; of the worst, the worst.
    pub fn latency(&self) -> Option<Latency> {
        let of = |value: fn(Latency) -> f64| self.median(|observed| observed.latency.map(value));
        let worst = self.observations.iter().filter_map(|observed| observed.latency);
        Some(Latency {
            p50: of(|latency| latency.p50)?,
            p99: of(|latency| latency.p99)?,
            p999: of(|latency| latency.p999)?,
            max: worst.map(|latency| latency.max).max_by(f64::total_cmp)?,
        })
    }

    /// Messages that did not arrive whole, over all rounds.
    pub fn lost(&self) -> u64 {
        self.observations.iter().map(|observed| observed.lost).sum()
    }

    /// Why there is no figure.
    pub fn failure(&self) -> Option<&str> {
        if self.observations.is_empty() { self.failures.first().map(String::as_str) } else { None }
    }
}

/// What was measured.
pub type Rows = BTreeMap<Case, Row>;

/// Where the program of each language is.
pub type Programs = BTreeMap<String, Program>;
/// Why a language or a rival is not there.
pub type Absent = BTreeMap<String, String>;

/// Runs measurements, one at a time.
pub struct Runner {
    programs: Programs,
    absent: Absent,
    processors: [usize; 2],
    effort: Effort,
    count: usize,
    placements: Placements,
    /// What may still be spent on waiting for the placement that counts.
    patience: Duration,
    /// The limit as measured last, as part of its own row.
    limit: Observation,
    limits: Vec<Observation>,
}

impl Runner {
    /// Makes sure that there are two processors, and finds out how far apart they are.
    pub fn new(programs: Programs, absent: Absent, effort: Effort) -> Result<Self> {
        let mut runner = Runner {
            programs,
            absent,
            processors: two_processors()?,
            effort,
            count: 0,
            placements: Placements::default(),
            patience: effort.patience,
            limit: Observation::default(),
            limits: Vec::new(),
        };
        for _ in 0..10 {
            runner.look_at_limit().context("measuring the limit")?;
            std::thread::sleep(placement::PAUSE);
        }
        Ok(runner)
    }

    /// The processors in use.
    pub fn processors(&self) -> [usize; 2] {
        self.processors
    }

    /// Where they were.
    pub fn placements(&self) -> &Placements {
        &self.placements
    }

    /// Runs every round of every group: there and back, so that what drifts cancels out.
    pub fn run(&mut self, groups: &[Group]) -> Rows {
        let total: usize = groups.iter().map(|group| group.cases.len()).sum::<usize>() * self.effort.rounds;
        let mut rows = Rows::new();
        let (started, mut done) = (Instant::now(), 0);
        for group in groups {
            for round in 1..=self.effort.rounds {
                let mut cases = group.cases.clone();
                if round % 2 == 0 {
                    cases.reverse();
                }
                for case in cases {
                    done += 1;
                    let said = self.attempt(case, rows.entry(case).or_default());
                    let left = started.elapsed().div_f64(done as f64).mul_f64((total - done) as f64);
                    eprintln!(
                        "[{done:>4}/{total}, {:>3} s left] {} {round}/{}  {case}: {said}",
                        left.as_secs(),
                        group.name,
                        self.effort.rounds
                    );
                }
            }
        }
        rows.insert(LIMIT, Row { observations: std::mem::take(&mut self.limits), ..Row::default() });
        for row in rows.values_mut() {
            row.keep(&self.placements);
        }
        rows
    }

    fn attempt(&mut self, case: Case, row: &mut Row) -> String {
        if row.observations.is_empty() && row.failures.len() >= ATTEMPTS {
            return "not tried again".to_owned();
        }
        match self.measure_between_limits(case, &mut row.set_aside) {
            Ok(observed) => {
                let said = describe(case, &observed);
                row.observations.push(observed);
                said
            }
            Err(error) => {
                let error = format!("{error:#}");
                row.failures.push(error.clone());
                format!("failed: {error}")
            }
        }
    }

    /// Measures once, if need be again, until the limit was that of the placement that counts before and after, and
    /// nothing disturbed it; or until patience is used up. What was measured in other placements is set aside.
    fn measure_between_limits(
        &mut self,
        case: Case,
        set_aside: &mut Vec<Observation>,
    ) -> Result<Observation> {
        loop {
            let started = Instant::now();
            let before = self.limit.limit;
            let mut observed = self.measure(case, self.effort.budget)?;
            self.look_at_limit()?;
            let steady =
                before.zip(self.limit.limit).filter(|&(before, after)| placement::alike(before, after));
            observed.limit = steady.map(|(before, after)| f64::midpoint(before, after));
            if observed.limit.is_some_and(|limit| self.placements.counts(limit)) || self.patience.is_zero() {
                return Ok(observed);
            }
            if observed.limit.is_some() {
                set_aside.push(observed);
            }
            while !self.is_calm() && started.elapsed() < self.patience {
                std::thread::sleep(placement::PAUSE);
                self.look_at_limit()?;
            }
            self.patience = self.patience.saturating_sub(started.elapsed());
        }
    }

    /// Whether the limit was as it should be when last looked at.
    fn is_calm(&self) -> bool {
        self.limit.limit.is_some_and(|limit| self.placements.counts(limit))
    }

    fn look_at_limit(&mut self) -> Result<()> {
        let mut limit = self.measure(LIMIT, LIMIT_BUDGET)?;
        let floor = limit.floor.context("the limit was not measured in batches")?;
        self.placements.saw(floor);
        limit.limit = Some(limit.ns).filter(|&ns| placement::alike(ns, floor));
        self.limits.push(limit.clone());
        self.limit = limit;
        Ok(())
    }

    fn measure(&mut self, case: Case, budget: Duration) -> Result<Observation> {
        let needed = [case.lead, case.follow, &case.what.word()];
        if let Some(why) = needed.into_iter().find_map(|needed| self.absent.get(needed)) {
            bail!("{why}");
        }
        self.count += 1;
        let name = format!("eshm-bench-{}-{}", std::process::id(), self.count);
        let _leftovers = Leftovers(&name);
        let budget = if case.shape == Shape::Idle { self.effort.idle } else { budget };
        let (lead, follow) = case.roles();
        let follow = follow.map(|role| self.start(case, role, &name, budget)).transpose()?;
        let lead = self.start(case, lead, &name, budget)?;
        let answered =
            follow.map_or_else(|| Ok(Vec::new()), |follow| follow.finish().context("the answering process"));
        // When both have failed, the answering one has probably waited for this one.
        let mut lines = lead.finish().context("the driving process")?;
        lines.extend(answered?);
        merge(&lines)
    }

    fn start(&self, case: Case, role: Role, name: &str, budget: Duration) -> Result<Process> {
        let follows = matches!(role, Role::Echo | Role::Sink);
        let language = if follows { case.follow } else { case.lead };
        let program = self.programs.get(language);
        let program = program.with_context(|| format!("where the program in {language} is was not said"))?;
        let mut command = program.command();
        command.args([word(role), case.what.word(), name.to_owned()]);
        command.arg(format!("--budget-ms={}", budget.as_millis())).args(case.options());
        let mut process = Process::start(command, self.processors[usize::from(follows)], budget + PATIENCE)?;
        if follows {
            process.expect_line("READY").context("the answering process")?;
        }
        Ok(process)
    }
}

/// One observation from those of both processes.
fn merge(lines: &[String]) -> Result<Observation> {
    let mut merged = Observation::default();
    for line in lines {
        let observed: Observation =
            serde_json::from_str(line).with_context(|| format!("not an observation: {line}"))?;
        merged.ns += observed.ns;
        merged.messages += observed.messages;
        merged.lost += observed.lost;
        merged.wakeups += observed.wakeups;
        merged.floor = merged.floor.or(observed.floor);
        merged.latency = merged.latency.or(observed.latency);
        merged.cpu = [merged.cpu, observed.cpu].into_iter().flatten().max_by(f64::total_cmp);
    }
    Ok(merged)
}

fn describe(case: Case, observed: &Observation) -> String {
    let lost = if observed.lost > 0 { format!(", {} LOST", observed.lost) } else { String::new() };
    match (case.shape, observed.cpu) {
        (Shape::Idle, Some(cpu)) => format!("{:.2} % of a core", cpu * 100.0),
        (Shape::Stream, _) => format!("{:.2} M msg/s{lost}", 1000.0 / observed.ns),
        _ => format!("{:.0} ns{lost}", observed.ns),
    }
}
