//! How a target is judged by what was measured.

use serde::Serialize;

use crate::cases::Case;
use crate::reasons::REASONS;
use crate::rows::{Row, Rows};
use crate::targets::Target;

/// How a case's observations become a figure.
#[derive(Clone, Copy)]
pub enum Figure {
    /// Nanoseconds.
    Ns(Case),
    /// Million messages per second.
    Rate(Case),
    /// Payload per time, one way, in GB/s.
    OneWay(Case),
    /// The same if the only cost were two of this case, which is a memcpy.
    TwoCopies(Case),
    /// Wake-up calls per message.
    Wakeups(Case),
    /// Share of a core, in percent.
    Cpu(Case),
    /// Microseconds of processor time of both processes per round trip.
    CpuPerTrip(Case),
}

/// What a figure is held against.
#[derive(Clone, Copy)]
pub enum Limit {
    /// The cache line that bounced before and after.
    Line,
    /// Something measured in the same run.
    Of(Figure),
    /// A number.
    Fixed(f64),
}

/// A bound on figure ÷ limit.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Less is better.
    AtMost(f64),
    /// More is better.
    AtLeast(f64),
}

/// A target with what was measured.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// For programs.
    pub id: &'static str,
    /// For people.
    pub description: &'static str,
    /// `null` when it could not be measured.
    pub figure: Option<f64>,
    /// Of figure and limit.
    pub unit: &'static str,
    /// What it is held against.
    pub limit: Option<f64>,
    /// Figure ÷ limit.
    pub ratio: Option<f64>,
    /// The bound on it: `<= 1.10`.
    pub target: String,
    /// Whether it holds; `null` when a test shows it, and not this benchmark.
    pub met: Option<bool>,
    /// Why not, or what is to be known about it.
    pub why: Option<String>,
}

impl Figure {
    /// The case it is made of.
    pub fn case(self) -> Case {
        match self {
            Self::Ns(case)
            | Self::Rate(case)
            | Self::OneWay(case)
            | Self::TwoCopies(case)
            | Self::Wakeups(case)
            | Self::Cpu(case)
            | Self::CpuPerTrip(case) => case,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Ns(_) => "ns",
            Self::Rate(_) => "M msg/s",
            Self::OneWay(_) | Self::TwoCopies(_) => "GB/s",
            Self::Wakeups(_) => "wake-ups per message",
            Self::Cpu(_) => "% of a core",
            Self::CpuPerTrip(_) => "µs of CPU",
        }
    }

    /// Bytes per nanosecond are gigabytes per second. A round trip is two messages.
    fn of(self, row: &Row) -> Option<f64> {
        match self {
            Self::Ns(_) => row.ns(),
            Self::Rate(_) => row.ns().map(|ns| 1e3 / ns),
            Self::OneWay(case) => row.ns().map(|ns| 2.0 * case.size as f64 / ns),
            Self::TwoCopies(case) => row.ns().map(|ns| case.size as f64 / (2.0 * ns)),
            Self::Wakeups(_) => {
                row.median(|observed| Some(observed.wakeups as f64 / (2.0 * observed.messages as f64)))
            }
            Self::Cpu(_) => row.median(|observed| observed.cpu.map(|share| share * 100.0)),
            Self::CpuPerTrip(_) => row.cpu_ns().map(|ns| ns / 1e3),
        }
    }

    /// The figure, or why there is none. A lossy figure is none.
    fn measured(self, rows: &Rows) -> Result<f64, String> {
        let row = rows.get(&self.case()).ok_or("not measured in this run")?;
        row.usable()?;
        self.of(row).ok_or_else(|| "not observed".to_owned())
    }
}

impl Target {
    /// Holds what was measured against it.
    pub fn judge(&self, rows: &Rows) -> Verdict {
        let figure = self.figure.measured(rows);
        let limit = match self.limit {
            Limit::Line => rows
                .get(&self.figure.case())
                .and_then(Row::limit)
                .ok_or_else(|| "the limit was never undisturbed before and after it".to_owned()),
            Limit::Of(figure) => figure.measured(rows).map_err(|why| format!("{}: {why}", figure.case())),
            Limit::Fixed(limit) => Ok(limit),
        };
        let ratio = figure.as_ref().ok().zip(limit.as_ref().ok()).map(|(figure, limit)| figure / limit);
        let met = ratio.is_some_and(|ratio| self.bound.holds(ratio));
        let why = figure.as_ref().err().or(limit.as_ref().err()).cloned();
        Verdict {
            id: self.id,
            description: self.what,
            unit: self.figure.unit(),
            ratio,
            target: self.bound.to_string(),
            met: Some(met),
            why: why
                .or_else(|| self.reservation(rows))
                .or_else(|| if met { None } else { self.bounded_by(rows) }),
            figure: figure.ok(),
            limit: limit.ok(),
        }
    }

    /// What else was measured that says why the figure is not better.
    fn bounded_by(&self, rows: &Rows) -> Option<String> {
        let (figure, what) = self.beside?;
        let beside = figure.measured(rows).ok()?;
        Some(format!("in the same run, {beside:.1} {} of {what}", figure.unit()))
    }

    /// What is to be known about the figure.
    fn reservation(&self, rows: &Rows) -> Option<String> {
        let limit = if let Limit::Of(limit) = self.limit { Some(limit.case()) } else { None };
        let mut cases = [Some(self.figure.case()), limit].into_iter().flatten();
        let elsewhere = cases.any(|case| rows.get(&case).is_some_and(|row| row.elsewhere));
        elsewhere.then(|| "whenever it or its limit was measured, the processors were disturbed, or not as far apart as at other times".to_owned())
    }
}

impl Verdict {
    /// Adds the physical reason, where there is one and the target is missed.
    pub fn with_reason(mut self) -> Self {
        let reason = REASONS.iter().find(|reason| reason.id == self.id && self.met == Some(false));
        if let Some(reason) = reason {
            let why = self.why.map_or_else(String::new, |why| format!("{why}; "));
            self.why = Some(format!("{why}{} ([experiment]({}))", reason.why, reason.experiment));
        }
        self
    }
}

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most:.2}"),
            Self::AtLeast(least) => write!(f, ">= {least:.2}"),
        }
    }
}
