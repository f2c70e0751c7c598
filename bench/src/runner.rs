//! Runs the plan, and says how far it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cases::{Case, Placing, SMALL, Shape, word};
use crate::contestants::{Role, What};
use crate::placement::{self, Placements};
use crate::plan::{Effort, Group};
use crate::process::{Leftovers, Process, Program, allowed, two_of};
use crate::rows::{Row, Rows};
use crate::timing::Observation;

/// How long a pair of processes may take beyond its timing: to start, check and stop.
const PATIENCE: Duration = Duration::from_secs(15);
/// A case that has failed so often is not tried again.
const ATTEMPTS: usize = 2;

/// The limit that everything is measured beside.
pub const LIMIT: Case = Case::round_trip(What::Line, SMALL);
/// It takes little time to measure.
const LIMIT_BUDGET: Duration = Duration::from_millis(20);

/// Where the program of each language is.
pub type Programs = BTreeMap<String, Program>;
/// Why a language or a rival is not there.
pub type Absent = BTreeMap<String, String>;

/// Runs measurements, one at a time.
pub struct Runner {
    programs: Programs,
    absent: Absent,
    /// All that may be used.
    allowed: Vec<usize>,
    /// The two of them for what is pinned, or the only one.
    processors: Vec<usize>,
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
    /// Finds out which processors there are, and how far apart the two are that are used.
    pub fn new(programs: Programs, absent: Absent, effort: Effort) -> Result<Self> {
        let allowed = allowed()?;
        let mut runner = Runner {
            programs,
            absent,
            processors: two_of(&allowed),
            allowed,
            effort,
            count: 0,
            placements: Placements::default(),
            patience: effort.patience,
            limit: Observation::default(),
            limits: Vec::new(),
        };
        for _ in 0..if runner.processors.len() > 1 { 10 } else { 0 } {
            runner.look_at_limit().context("measuring the limit")?;
            std::thread::sleep(placement::PAUSE);
        }
        Ok(runner)
    }

    /// The processors in use.
    pub fn processors(&self) -> &[usize] {
        &self.processors
    }

    /// Where they were.
    pub fn placements(&self) -> &Placements {
        &self.placements
    }

    /// Runs every round of every group: there and back, so that what drifts cancels out.
    pub fn run(&mut self, groups: &[Group]) -> Rows {
        let rounds = |group| self.effort.rounds(group);
        let total: usize = groups.iter().map(|group| group.cases.len() * rounds(group)).sum();
        let mut rows = Rows::new();
        let (started, mut done) = (Instant::now(), 0);
        for group in groups {
            let rounds = self.effort.rounds(group);
            for round in 1..=rounds {
                let mut cases = group.cases.clone();
                if round % 2 == 0 {
                    cases.reverse();
                }
                for case in cases {
                    done += 1;
                    let said = self.attempt(case, rows.entry(case).or_default());
                    let left = started.elapsed().div_f64(done as f64).mul_f64((total - done) as f64);
                    eprintln!(
                        "[{done:>4}/{total}, {:>3} s left] {} {round}/{rounds}  {case}: {said}",
                        left.as_secs(),
                        group.name,
                    );
                }
            }
        }
        rows.insert(LIMIT, Row { observations: std::mem::take(&mut self.limits), ..Row::default() });
        for (_, row) in rows.iter_mut().filter(|(case, _)| case.is_limit()) {
            row.keep(&self.placements);
        }
        rows
    }

    fn attempt(&mut self, case: Case, row: &mut Row) -> String {
        if row.observations.is_empty() && row.failures.len() >= ATTEMPTS {
            return "not tried again".to_owned();
        }
        let measured = if case.is_limit() {
            self.measure_between_limits(case, &mut row.set_aside).map(|observed| vec![observed])
        } else {
            self.measure(case)
        };
        match measured {
            Ok(observed) => {
                let said = observed.iter().map(|observed| describe(case, observed)).collect::<Vec<_>>();
                row.observations.extend(observed);
                said.join(", ")
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
            let mut observed = self.measure_pair(case, self.effort.budget(case))?;
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
        let mut limit = self.measure_pair(LIMIT, LIMIT_BUDGET)?;
        let floor = limit.floor.context("the limit was not measured in batches")?;
        self.placements.saw(floor);
        limit.limit = Some(limit.ns).filter(|&ns| placement::alike(ns, floor));
        self.limits.push(limit.clone());
        self.limit = limit;
        Ok(())
    }

    fn measure_pair(&mut self, case: Case, budget: Duration) -> Result<Observation> {
        let [observed] = self.measure_for(case, budget)?.try_into().ok().context("not one pair")?;
        Ok(observed)
    }

    /// One observation for each pair. All pairs start at the same time.
    fn measure(&mut self, case: Case) -> Result<Vec<Observation>> {
        self.measure_for(case, self.effort.budget(case))
    }

    fn measure_for(&mut self, case: Case, budget: Duration) -> Result<Vec<Observation>> {
        let needed = [case.lead.to_owned(), case.follow.to_owned(), case.what.package()];
        if let Some(why) = needed.iter().find_map(|needed| self.absent.get(needed)) {
            bail!("{why}");
        }
        self.count += 1;
        let name = format!("eshm-bench-{}-{}", std::process::id(), self.count);
        let _leftovers = Leftovers(&name);
        let (lead, follow) = case.roles();
        let mut pairs = Vec::new();
        for pair in 0..case.pairs {
            let name = format!("{name}-{pair}");
            let follow = follow.map(|role| self.start(case, role, &name, budget)).transpose()?;
            pairs.push((self.start(case, lead, &name, budget)?, follow));
        }
        if case.pairs > 1 {
            for (lead, _) in &mut pairs {
                lead.expect_line("READY").context("the driving process")?;
            }
            pairs.iter_mut().try_for_each(|(lead, _)| lead.let_go())?;
        }
        pairs.into_iter().map(|(lead, follow)| finish(lead, follow)).collect()
    }

    fn start(&self, case: Case, role: Role, name: &str, budget: Duration) -> Result<Process> {
        let follows = matches!(role, Role::Echo | Role::Sink);
        let language = if follows { case.follow } else { case.lead };
        let program = self.programs.get(language);
        let program = program.with_context(|| format!("where the program in {language} is was not said"))?;
        let mut command = program.command();
        command.args([word(role), case.what.word(), name.to_owned()]);
        command.arg(format!("--budget-ms={}", budget.as_millis())).args(case.options(follows));
        let place = self.place(case.placing, follows);
        let mut process = Process::start(command, place, budget + PATIENCE)?;
        if follows {
            process.expect_line("READY").context("the answering process")?;
        }
        Ok(process)
    }

    /// Where one of the two processes may run.
    fn place(&self, placing: Placing, follows: bool) -> &[usize] {
        let last = self.processors.len() - 1;
        match placing {
            Placing::Apart | Placing::Pinned if follows => &self.processors[last..],
            Placing::Apart | Placing::Pinned => &self.processors[..1],
            Placing::One => &self.processors[last..],
            Placing::Two => &self.processors,
            Placing::Free => &self.allowed,
        }
    }
}

/// Waits for the end of both processes of a pair.
fn finish(lead: Process, follow: Option<Process>) -> Result<Observation> {
    let answered =
        follow.map_or_else(|| Ok(Vec::new()), |follow| follow.finish().context("the answering process"));
    // When both have failed, the answering one has probably waited for this one.
    let mut lines = lead.finish().context("the driving process")?;
    lines.extend(answered?);
    merge(&lines)
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
        merged.cpu_ns += observed.cpu_ns;
        merged.switches += observed.switches;
        merged.bursts.extend(observed.bursts);
        merged.mean = merged.mean.or(observed.mean);
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
