//! Programs that ask a language: one line for each question, so that the compiler's complaints say what is missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use wait_timeout::ChildExt;

use crate::table::{Abilities, ErrorKind, Setting, Statistic, Table, spelt};

/// How long a program may take that answers in a second. Its answers fit into a pipe.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A question to a language.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Which code a probe has: its place in the list.
    Probe(usize),
    /// The default of an option.
    Default(String),
    /// The kind of a statistic.
    Statistic(String),
    /// The code of an error.
    Error(String),
}

/// What a language answers: `Ok` with the answer's text, `Err` with why there is none.
pub type Answers = BTreeMap<Question, Result<String, String>>;

/// How a language asks.
pub trait Dialect {
    /// The language's name.
    const NAME: &str;
    /// What it can express.
    const ABILITIES: Abilities;

    /// The code that sets an option. `None`: the language cannot express the value.
    fn set(option: &Setting, value: &Value) -> Option<String>;
    /// The line of a probe, after the code that sets its options.
    fn probe(number: usize, settings: &str) -> String;
    /// The line that prints an option's default, by the option's spelt name.
    fn default(option: &Setting, spelt: &str) -> String;
    /// The line that prints a statistic's kind: `flag`, `time` or `number`.
    fn statistic(statistic: &Statistic, spelt: &str) -> String;
    /// The line that prints an error's code.
    fn error(error: &ErrorKind, spelt: &str) -> String;

    /// The rule for the names of options, statistics and errors.
    fn spell_option(name: &str) -> String {
        name.to_owned()
    }
    fn spell_statistic(name: &str) -> String {
        name.to_owned()
    }
    fn spell_error(name: &str) -> String {
        name.to_owned()
    }

    /// The option's name. `None`: the language does not have it.
    fn spelt(option: &Setting) -> Option<String> {
        spelt(&option.spelling, Self::NAME, || Self::spell_option(&option.name))
    }

    /// A line for each question.
    fn lines(table: &Table) -> Vec<(Question, String)> {
        let mut lines = Vec::new();
        for (number, probe) in table.probes(Self::NAME, &Self::ABILITIES).iter().enumerate() {
            let with = probe.with.iter().filter_map(|(option, value)| Self::set(option, value));
            let Some(setting) = Self::set(probe.option, &probe.value) else { continue };
            let settings: String = with.chain([setting]).collect();
            lines.push((Question::Probe(number), Self::probe(number, &settings)));
        }
        for option in table.options.iter().filter(|option| option.has_default()) {
            if let Some(spelt) = Self::spelt(option) {
                lines.push((Question::Default(option.name.clone()), Self::default(option, &spelt)));
            }
        }
        for statistic in &table.statistics {
            let spelt = spelt(&statistic.spelling, Self::NAME, || Self::spell_statistic(&statistic.name));
            if let Some(spelt) = spelt {
                lines.push((Question::Statistic(statistic.name.clone()), Self::statistic(statistic, &spelt)));
            }
        }
        for error in &table.errors {
            let spelt = spelt(&error.spelling, Self::NAME, || Self::spell_error(&error.name));
            if let Some(spelt) = spelt {
                lines.push((Question::Error(error.name.clone()), Self::error(error, &spelt)));
            }
        }
        lines
    }
}

/// A source file: what comes before the questions, a line for each question, and what comes after.
pub struct Source {
    pub path: PathBuf,
    pub head: String,
    pub lines: Vec<(Question, String)>,
    pub tail: String,
}

impl Source {
    /// Compiles the program without the lines that the compiler refuses, and runs it.
    ///
    /// # Errors
    /// When the compiler refuses anything else, or the program fails.
    pub fn answers(mut self, compile: &mut Command, run: &mut Command) -> Result<Answers> {
        let mut answers = Answers::new();
        loop {
            self.write()?;
            let output = compile.output()?;
            if output.status.success() {
                break;
            }
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            let refused = self.refused(&complaints);
            ensure!(
                !refused.is_empty(),
                "the program for {} is not accepted:\n{complaints}",
                self.path.display()
            );
            let (missing, rest) =
                self.lines.into_iter().enumerate().partition::<Vec<_>, _>(|(at, _)| refused.contains_key(at));
            self.lines = rest.into_iter().map(|(_, line)| line).collect();
            answers
                .extend(missing.into_iter().map(|(at, (question, _))| (question, Err(refused[&at].clone()))));
        }
        answers.extend(run_and_listen(run)?);
        Ok(answers)
    }

    fn write(&self) -> Result<()> {
        let lines: Vec<&str> = self.lines.iter().map(|(_, line)| &**line).collect();
        let text = format!("{}{}\n{}", self.head, lines.join("\n"), self.tail);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(&self.path, text)?)
    }

    /// The places of the lines that the compiler complains of, each with the complaint: `…/NAME:LINE:COLUMN: …`.
    fn refused(&self, complaints: &str) -> BTreeMap<usize, String> {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let first = self.head.matches('\n').count() + 1;
        let mut refused = BTreeMap::new();
        for complaint in
            complaints.lines().filter(|line| !line.contains("note:") && !line.contains("warning:"))
        {
            let Some((_, rest)) = complaint.split_once(&format!("{name}:")) else { continue };
            let line = rest.split(':').next().and_then(|number| number.parse::<usize>().ok());
            let at = line.and_then(|line| line.checked_sub(first)).filter(|at| *at < self.lines.len());
            if let Some(at) = at {
                refused.entry(at).or_insert_with(|| rest.to_owned());
            }
        }
        refused
    }
}

/// Runs a program that prints one answer per line: the kind of question, what it is about, and the answer.
///
/// # Errors
/// When the program fails, or prints something else.
pub fn run_and_listen(run: &mut Command) -> Result<Answers> {
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ended = child.wait_timeout(WATCHDOG)?;
    if ended.is_none() {
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    ensure!(ended.is_some(), "{run:?} hangs after:\n{}", String::from_utf8_lossy(&output.stdout));
    let (printed, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{run:?} ended with {}:\n{printed}{complaints}", output.status);
    printed.lines().map(answer).collect()
}

fn answer(line: &str) -> Result<(Question, Result<String, String>)> {
    let mut words = line.splitn(3, ' ');
    let (Some(kind), Some(about), Some(text)) = (words.next(), words.next(), words.next()) else {
        bail!("{line:?} is no answer");
    };
    let question = match kind {
        "probe" => Question::Probe(about.parse()?),
        "default" => Question::Default(about.to_owned()),
        "statistic" => Question::Statistic(about.to_owned()),
        "error" => Question::Error(about.to_owned()),
        _ => bail!("{line:?} is no answer"),
    };
    let text = match text.strip_prefix("missing ") {
        Some(why) => Err(why.to_owned()),
        None => Ok(text.to_owned()),
    };
    Ok((question, text))
}
