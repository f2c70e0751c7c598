//! Measures ESHM beside the physical limit and its rivals, in one run on one machine.

mod cases;
mod contestants;
mod duplex;
mod guide;
mod instructions;
mod loops;
mod machine;
mod payload;
mod placement;
mod plan;
mod process;
mod reasons;
mod report;
mod rivals;
mod rows;
mod runner;
mod targets;
mod timing;
mod users;
mod verdicts;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand};

use guide::{Guide, Pair};
use machine::Machine;
use plan::{Effort, Group};
use process::Program;
use report::Report;
use runner::{Absent, Programs, Runner};

#[derive(Parser)]
#[command(
    about = "Measures ESHM beside the physical limit and its rivals. `scripts/bench.sh` builds what it needs."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, prints the tables and writes the report.
    Run(Run),
    /// One process of a measurement.
    #[command(hide = true)]
    Child(contestants::Args),
    /// Messages from one end to the other in one thread, for callgrind.
    #[command(hide = true)]
    Exchange {
        /// How many.
        messages: u64,
    },
}

#[derive(clap::Args)]
struct Run {
    /// Fewer rounds, shorter timings: some eight minutes instead of some 20.
    #[arg(long)]
    quick: bool,
    /// Only groups whose name begins so: bursts, one-cpu, crowded, paced, unpinned, languages, streams, waiting, parked,
    /// copies, size-64, window-64, guide …
    #[arg(long)]
    only: Vec<String>,
    /// Where the report goes.
    #[arg(long, default_value = "report")]
    report: PathBuf,
    /// The contestant of a language, and how it is run: `python=venv/bin/python contestant.py`.
    #[arg(long = "language", value_name = "NAME=COMMAND", value_parser = pair)]
    languages: Vec<(String, String)>,
    /// One of the guide's programs: `cpp-master=…`, `cpp-slave=…`, `python-master=…`, `python-slave=…`.
    #[arg(long = "guide", value_name = "NAME=COMMAND", value_parser = pair)]
    guide: Vec<(String, String)>,
    /// Why a language or a rival could not be built.
    #[arg(long = "absent", value_name = "NAME=REASON", value_parser = pair)]
    absent: Vec<(String, String)>,
    /// Interpreters that the report names beside the compilers.
    #[arg(long = "interpreter", value_name = "COMMAND")]
    interpreters: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').ok_or_else(|| anyhow!("expected NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(run) => run.run(),
        Command::Child(args) => contestants::run(&args),
        Command::Exchange { messages } => instructions::exchange(messages),
    }
}

impl Run {
    fn run(self) -> Result<()> {
        let effort = if self.quick { Effort::QUICK } else { Effort::FULL };
        let mut programs: Programs = commands(&self.languages).collect();
        programs.insert("rust".to_owned(), Program::this("child")?);
        let absent: Absent = self.absent.iter().cloned().collect();
        let mut runner = Runner::new(programs, absent.clone(), effort)?;
        let said = effort.to_string();
        let machine = Machine::look(runner.processors(), &self.interpreters, said);
        let mut groups = plan::groups();
        groups.retain(|group| self.wants(&group.name));
        let mut missing: Vec<_> = absent.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        missing.extend(leave_out(&mut groups, runner.processors()));
        let rows = runner.run(&groups);
        let guide = match runner.processors() {
            &[first, last] if self.wants("guide") => self.guide(&absent, &[first, last], effort),
            _ => Vec::new(),
        };
        let instructions = instructions::count();
        Report::new(machine, rows, runner.placements(), guide, instructions, missing).publish(&self.report)
    }

    fn wants(&self, group: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|start| group.starts_with(start.as_str()))
    }

    /// The guide's pairs of languages.
    fn guide(&self, absent: &Absent, processors: &[usize; 2], effort: Effort) -> Vec<Guide> {
        let programs: Programs = commands(&self.guide).collect();
        let pairs = [("cpp", "cpp"), ("cpp", "python"), ("python", "python")];
        let run = |(master, slave): (&str, &str)| {
            let name = format!("{master} master ↔ {slave} slave");
            let find = |language: &str, role: &str| {
                let reason = absent.get(language).cloned();
                let program = programs.get(&format!("{language}-{role}")).cloned();
                program
                    .ok_or_else(|| reason.unwrap_or_else(|| "where its programs are was not said".to_owned()))
            };
            match (find(master, "master"), find(slave, "slave")) {
                (Ok(master), Ok(slave)) => {
                    guide::run(&Pair { name, master, slave }, processors, effort.guide)
                }
                (Err(why), _) | (_, Err(why)) => Guide { pair: name, rate: None, lost: None, why: Some(why) },
            }
        };
        pairs.map(run).into()
    }
}

/// Removes the groups that need more processors than there are, and says which and why.
fn leave_out(groups: &mut Vec<Group>, processors: &[usize]) -> Option<String> {
    let (kept, left_out): (Vec<_>, Vec<_>) =
        std::mem::take(groups).into_iter().partition(|group| group.processors() <= processors.len());
    *groups = kept;
    let names: Vec<_> = left_out.into_iter().map(|group| group.name).collect();
    let why = "they need two processors, and this process may use one";
    (!names.is_empty()).then(|| format!("the groups {} and guide are left out: {why}", names.join(", ")))
}

/// Commands are split at white space.
fn commands(pairs: &[(String, String)]) -> impl Iterator<Item = (String, Program)> {
    pairs.iter().map(|(name, command)| {
        (name.clone(), Program(command.split_whitespace().map(str::to_owned).collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_processor_leaves_out_what_needs_two_and_says_so() {
        let mut groups = plan::groups();
        let said = leave_out(&mut groups, &[3]).unwrap();
        let kept: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(kept, ["bursts", "one-cpu", "paced"]);
        assert!(said.contains("crowded") && said.contains("they need two processors"));
        assert_eq!(leave_out(&mut plan::groups(), &[0, 1]), None);
    }
}
