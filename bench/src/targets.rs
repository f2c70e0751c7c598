//! The targets, as data.

use crate::cases::Case;
use crate::contestants::What;
use crate::plan::{queue, stream};
use crate::runner::{Row, Rows};
use serde::Serialize;

/// What is promised.
pub struct Target {
    /// For the report.
    pub id: &'static str,
    /// In words.
    pub what: &'static str,
    /// What is held against the limit.
    pub figure: Figure,
    /// The limit.
    pub limit: Limit,
    /// How far from it the figure may be.
    pub bound: Bound,
    /// What a figure that misses it is to be seen beside, and why that bounds it.
    pub beside: (Figure, &'static str),
}

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
    /// Whether it holds.
    pub met: bool,
    /// Why not, or what is to be known about it.
    pub why: Option<String>,
}

const RING: Figure = Figure::Rate(stream(What::Ring, "rust"));
const RING_TRIP: Figure = Figure::Ns(Case::round_trip(What::Ring, crate::cases::SMALL).touched());
const MEBI: usize = 1 << 20;
const COPIES: Figure = Figure::OneWay(Case::round_trip(What::Copy, MEBI));
const FUTEX: Figure = Figure::Ns(Case::round_trip(What::Futex, crate::cases::SMALL));
const PLAIN_RING: &str = "a bare slot ring, which moves the same line per message and does nothing else";

/// A round trip of 56 bytes, against the bouncing cache line.
const fn round_trip(id: &'static str, what: &'static str, case: Case, ratio: f64) -> Target {
    Target {
        id,
        what,
        figure: Figure::Ns(case),
        limit: Limit::Line,
        bound: Bound::AtMost(ratio),
        beside: (RING_TRIP, PLAIN_RING),
    }
}

/// A stream of 56-byte messages, against a number of million messages per second.
const fn rate(id: &'static str, what: &'static str, case: Case, millions: f64) -> Target {
    Target {
        id,
        what,
        figure: Figure::Rate(case),
        limit: Limit::Fixed(millions),
        bound: Bound::AtLeast(1.0),
        beside: (RING, PLAIN_RING),
    }
}

/// The same, against half a bare slot ring.
const fn half_ring(id: &'static str, what: &'static str, case: Case) -> Target {
    Target {
        id,
        what,
        figure: Figure::Rate(case),
        limit: Limit::Of(RING),
        bound: Bound::AtLeast(0.5),
        beside: (RING, PLAIN_RING),
    }
}

/// Every promise of speed but one: being ahead of every rival is a comparison of many rows.
pub const TARGETS: [Target; 20] = [
    round_trip("queue-rust", "queue round trip, 56 B, Rust ↔ Rust", queue("rust", "rust"), 1.10),
    round_trip("queue-cpp", "queue round trip, 56 B, C++ ↔ C++", queue("cpp", "cpp"), 1.15),
    round_trip("queue-cpp-rust", "queue round trip, 56 B, C++ ↔ Rust", queue("cpp", "rust"), 1.15),
    round_trip("queue-go", "queue round trip, 56 B, Go ↔ Go", queue("go", "go"), 1.3),
    round_trip("queue-go-rust", "queue round trip, 56 B, Go ↔ Rust", queue("go", "rust"), 1.3),
    round_trip("queue-python", "queue round trip, 56 B, Python ↔ Python", queue("python", "python"), 4.0),
    Target {
        id: "mailbox-rust",
        what: "mailbox round trip, 56 B, Rust ↔ Rust",
        figure: Figure::Ns(Case::round_trip(What::Mailbox, crate::cases::SMALL).touched()),
        limit: Limit::Line,
        bound: Bound::AtMost(1.5),
        beside: (
            RING_TRIP,
            "a slot ring, whose sender can own its next line ahead; a mailbox has one line, which its reader holds",
        ),
    },
    Target {
        id: "queue-rust-ring",
        what: "queue round trip, 56 B, Rust ↔ Rust, against a bare slot ring (no promise: a line each way)",
        figure: Figure::Ns(queue("rust", "rust")),
        limit: Limit::Of(RING_TRIP),
        bound: Bound::AtMost(1.10),
        beside: (RING_TRIP, PLAIN_RING),
    },
    rate("stream-rust", "queue stream, 56 B, Rust", stream(What::Queue, "rust"), 100.0),
    half_ring("stream-rust-ring", "the same, against a bare slot ring", stream(What::Queue, "rust")),
    rate("stream-cpp", "queue stream, 56 B, C++", stream(What::Queue, "cpp"), 100.0),
    half_ring("stream-cpp-ring", "the same, against a bare slot ring", stream(What::Queue, "cpp")),
    rate(
        "stream-python",
        "queue stream, 56 B, Python, one call per message",
        stream(What::Queue, "python"),
        5.0,
    ),
    rate(
        "stream-python-batch",
        "queue stream, 56 B, Python, in batches",
        stream(What::Batch, "python"),
        20.0,
    ),
    Target {
        id: "loan-flat",
        what: "4 MiB by loan, payload not copied: cost per message, against 64 B",
        figure: Figure::Ns(Case::round_trip(What::Loan, 4 * MEBI)),
        limit: Limit::Of(Figure::Ns(Case::round_trip(What::Loan, 64))),
        bound: Bound::AtMost(2.0),
        beside: (RING_TRIP, PLAIN_RING),
    },
    Target {
        id: "copy-memcpy",
        what: "1 MiB copied in and out, against two memcpys of one process",
        figure: Figure::OneWay(Case::round_trip(What::Copied, MEBI)),
        limit: Limit::Of(Figure::TwoCopies(Case::memcpy(MEBI))),
        bound: Bound::AtLeast(0.8),
        beside: (
            COPIES,
            "two memcpys through shared memory from process to process, each into lines that the other's core holds",
        ),
    },
    Target {
        id: "copy-processes",
        what: "1 MiB copied in and out, against two memcpys between the two processes",
        figure: Figure::OneWay(Case::round_trip(What::Copied, MEBI)),
        limit: Limit::Of(COPIES),
        bound: Bound::AtLeast(0.8),
        beside: (COPIES, "two memcpys through shared memory from process to process"),
    },
    Target {
        id: "parked",
        what: "round trip when both sides park, against a raw futex",
        figure: Figure::Ns(Case::round_trip(What::Park, crate::cases::SMALL)),
        limit: Limit::Of(FUTEX),
        bound: Bound::AtMost(1.15),
        beside: (FUTEX, "a raw futex"),
    },
    Target {
        id: "wakeups",
        what: "wake-up calls per message while the peer is awake: one in a thousand at most",
        figure: Figure::Wakeups(queue("rust", "rust")),
        limit: Limit::Fixed(0.001),
        bound: Bound::AtMost(1.0),
        beside: (RING_TRIP, PLAIN_RING),
    },
    Target {
        id: "idle",
        what: "parked receiver, heartbeat included",
        figure: Figure::Cpu(Case::idle()),
        limit: Limit::Fixed(0.5),
        bound: Bound::AtMost(1.0),
        beside: (FUTEX, "a wake-up, there and back, of which a heartbeat is one every 5 ms"),
    },
];

impl Figure {
    /// The case it is made of.
    pub fn case(self) -> Case {
        match self {
            Self::Ns(case)
            | Self::Rate(case)
            | Self::OneWay(case)
            | Self::TwoCopies(case)
            | Self::Wakeups(case)
            | Self::Cpu(case) => case,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Ns(_) => "ns",
            Self::Rate(_) => "M msg/s",
            Self::OneWay(_) | Self::TwoCopies(_) => "GB/s",
            Self::Wakeups(_) => "wake-ups per message",
            Self::Cpu(_) => "% of a core",
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
        }
    }

    /// The figure, or why there is none. A lossy figure is none.
    fn measured(self, rows: &Rows) -> Result<f64, String> {
        let row = rows.get(&self.case()).ok_or("not measured in this run")?;
        if let Some(failure) = row.failure() {
            return Err(failure.to_owned());
        }
        if row.lost() > 0 {
            return Err(format!("{} messages were lost", row.lost()));
        }
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
            met,
            why: why
                .or_else(|| self.reservation(rows))
                .or_else(|| if met { None } else { self.bounded_by(rows) }),
            figure: figure.ok(),
            limit: limit.ok(),
        }
    }

    /// What else was measured that says why the figure is not better.
    fn bounded_by(&self, rows: &Rows) -> Option<String> {
        let (figure, what) = self.beside;
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
