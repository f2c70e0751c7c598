//! The targets, as data: first what a user meets, then the limit.

use crate::cases::{Case, Placing, Rhythm, SMALL};
use crate::contestants::What;
use crate::loops;
use crate::plan::{LARGE, queue, stream};
use crate::rivals::{self, Comparison};
use crate::rows::Rows;
use crate::users::{AHEAD, Ahead};
use crate::verdicts::{Bound, Figure, Limit, Verdict};

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
    pub beside: Option<(Figure, &'static str)>,
}

/// A target that a test shows.
pub struct Tested {
    /// For the report.
    pub id: &'static str,
    /// In words.
    pub what: &'static str,
    /// The bound, in words.
    pub wanted: &'static str,
    /// The test.
    pub test: &'static str,
}

const RING: Figure = Figure::Rate(stream(What::Ring, "rust"));
const RING_TRIP: Figure = Figure::Ns(Case::round_trip(What::Ring, SMALL).touched());
const MEBI: usize = 1 << 20;
const COPIES: Figure = Figure::OneWay(Case::round_trip(What::Copy, MEBI));
const LOAN_DEFAULT: What = What::LoanDefault;
const FUTEX: Figure = Figure::Ns(Case::round_trip(What::Futex, SMALL));
const BESIDE_RING: (Figure, &str) =
    (RING, "a bare slot ring, which moves the same line per message and does nothing else");
const BESIDE_RING_TRIP: (Figure, &str) = (RING_TRIP, BESIDE_RING.1);

/// A round trip of 56 bytes, against the bouncing cache line.
const fn round_trip(id: &'static str, what: &'static str, case: Case, ratio: f64) -> Target {
    let (figure, limit, bound) = (Figure::Ns(case), Limit::Line, Bound::AtMost(ratio));
    Target { id, what, figure, limit, bound, beside: Some(BESIDE_RING_TRIP) }
}

/// A stream of 56-byte messages, against a number of million messages per second.
const fn rate(id: &'static str, what: &'static str, case: Case, millions: f64) -> Target {
    let (figure, limit, bound) = (Figure::Rate(case), Limit::Fixed(millions), Bound::AtLeast(1.0));
    Target { id, what, figure, limit, bound, beside: Some(BESIDE_RING) }
}

/// The same, against a bare slot ring.
const fn of_ring(id: &'static str, what: &'static str, case: Case) -> Target {
    let (figure, limit, bound) = (Figure::Rate(case), Limit::Of(RING), Bound::AtLeast(0.9));
    Target { id, what, figure, limit, bound, beside: None }
}

/// At most so many times another figure of the run.
const fn at_most(id: &'static str, what: &'static str, figure: Figure, ratio: f64, of: Figure) -> Target {
    Target { id, what, figure, limit: Limit::Of(of), bound: Bound::AtMost(ratio), beside: None }
}

/// At least so many times another figure of the run.
const fn at_least(id: &'static str, what: &'static str, figure: Figure, ratio: f64, of: Figure) -> Target {
    Target { id, what, figure, limit: Limit::Of(of), bound: Bound::AtLeast(ratio), beside: None }
}

/// At most so much, whatever else was measured.
const fn fixed(id: &'static str, what: &'static str, figure: Figure, most: f64) -> Target {
    Target { id, what, figure, limit: Limit::Fixed(most), bound: Bound::AtMost(1.0), beside: None }
}

/// Round trips without pinning, against the same with it.
const fn unpinned(id: &'static str, what: &'static str, language: &'static str) -> Target {
    let pinned = queue(language, language);
    let [free, pinned] = [pinned.placing(Placing::Free), pinned.placing(Placing::Pinned)];
    at_most(id, what, Figure::Ns(free), 1.5, Figure::Ns(pinned))
}

/// Processor time of a call now and then, against a Unix socket.
const fn paced_cpu(id: &'static str, what: &'static str, language: &'static str) -> Target {
    let ours = queue(language, language).rhythm(Rhythm::Paced).placing(Placing::Free);
    let socket = Case { what: What::Seqpacket, ..ours };
    at_most(id, what, Figure::CpuPerTrip(ours), 1.0, Figure::CpuPerTrip(socket))
}

/// A payload that is written and read in place, against iceoryx2.
const fn loan(id: &'static str, what: &'static str, ours: What, size: usize) -> Target {
    let ours = Case::round_trip(ours, size).touched();
    let [theirs, bare] = [Case { what: What::Iceoryx2, ..ours }, Case { what: What::InPlace, ..ours }];
    let (figure, limit, bound) = (Figure::Ns(ours), Limit::Of(Figure::Ns(theirs)), Bound::AtMost(1.0));
    let beside =
        Some((Figure::Ns(bare), "a bare flag and the same payload in place, which does nothing else"));
    Target { id, what, figure, limit, bound, beside }
}

const USERS: [Target; 4] = [
    unpinned("unpinned-rust", "continuous round trips, unpinned, Rust, against the same pinned", "rust"),
    unpinned(
        "unpinned-python",
        "continuous round trips, unpinned, Python, against the same pinned",
        "python",
    ),
    paced_cpu(
        "paced-cpu-rust",
        "CPU time of both ends of a call every 5 ms, Rust, against a Unix socket",
        "rust",
    ),
    paced_cpu(
        "paced-cpu-python",
        "CPU time of both ends of a call every 5 ms, Python, against a Unix socket",
        "python",
    ),
];

const LIMITS: [Target; 18] = [
    loan("loan-64k", "64 KiB by loan, payload touched, against iceoryx2", What::Loan, 64 << 10),
    loan("loan-256k", "256 KiB by loan, payload touched, against iceoryx2", What::Loan, 256 << 10),
    loan("loan-1m", "1 MiB by loan, payload touched, against iceoryx2", What::Loan, MEBI),
    loan("loan-4m", "4 MiB by loan, payload touched, against iceoryx2", What::Loan, 4 * MEBI),
    at_least(
        "copy-processes",
        "1 MiB copied in and out, against two memcpys between the two processes",
        Figure::OneWay(Case::round_trip(What::Copied, MEBI)),
        0.85,
        COPIES,
    ),
    rate("stream-go", "queue stream, 56 B, Go, one call per message", stream(What::Queue, "go"), 15.0),
    at_most(
        "queue-go",
        "queue round trip, 56 B, Go ↔ Go, against Rust ↔ Rust",
        Figure::Ns(queue("go", "go")),
        1.5,
        Figure::Ns(queue("rust", "rust")),
    ),
    of_ring("stream-rust", "queue stream, 56 B, Rust, against a bare slot ring", stream(What::Queue, "rust")),
    of_ring("stream-cpp", "queue stream, 56 B, C++, against a bare slot ring", stream(What::Queue, "cpp")),
    round_trip("queue-rust", "queue round trip, 56 B, Rust ↔ Rust", queue("rust", "rust"), 1.3),
    round_trip("queue-cpp", "queue round trip, 56 B, C++ ↔ C++", queue("cpp", "cpp"), 1.3),
    rate(
        "stream-python-batch",
        "queue stream, 56 B, Python, in batches",
        stream(What::Batch, "python"),
        20.0,
    ),
    rate(
        "stream-python",
        "queue stream, 56 B, Python, one call per message",
        stream(What::Queue, "python"),
        8.0,
    ),
    fixed(
        "idle",
        "a receiver that waits, beside an endpoint of ESHM",
        Figure::Cpu(Case::idle(What::Idle)),
        0.2,
    ),
    fixed("idle-1000", "1000 idle endpoints in one process", Figure::Cpu(Case::idle(What::Idlers)), 2.0),
    fixed(
        "open",
        "open of master or slave, besides the reservation of memory",
        Figure::Ns(Case::alone(What::Open, SMALL)),
        200_000.0,
    ),
    fixed("first", "first message after open", Figure::Ns(Case::alone(What::First, SMALL)), 200_000.0),
    at_most(
        "open-large",
        "open of a slave, queues of 64 MiB, against those of 256 KiB: only the creator's reservation grows",
        Figure::Ns(Case::alone(What::Attach, LARGE)),
        1.25,
        Figure::Ns(Case::alone(What::Attach, SMALL)),
    ),
];

const TESTED: [Tested; 2] = [
    Tested {
        id: "errors",
        what: "errors on a path that is taken often",
        wanted: "no allocation",
        test: "core/tests/allocations.rs",
    },
    Tested {
        id: "instructions",
        what: "instructions per verb, 56 B and 4 KiB",
        wanted: "within 2 % of the record",
        test: "scripts/test_instructions.sh",
    },
];

const FURTHER: [Target; 13] = [
    of_ring(
        "stream-rust-roomy",
        "queue stream, 56 B, Rust, queue of 4 MiB, against a bare slot ring",
        stream(What::Roomy, "rust"),
    ),
    loan(
        "loan-default-64k",
        "64 KiB by loan, default options, touched, against iceoryx2",
        LOAN_DEFAULT,
        64 << 10,
    ),
    loan(
        "loan-default-256k",
        "256 KiB by loan, default options, touched, against iceoryx2",
        LOAN_DEFAULT,
        256 << 10,
    ),
    loan("loan-default-1m", "1 MiB by loan, default options, touched, against iceoryx2", LOAN_DEFAULT, MEBI),
    loan(
        "loan-default-4m",
        "4 MiB by loan, default options, touched, against iceoryx2",
        LOAN_DEFAULT,
        4 * MEBI,
    ),
    round_trip("queue-cpp-rust", "queue round trip, 56 B, C++ ↔ Rust", queue("cpp", "rust"), 1.3),
    round_trip("queue-python", "queue round trip, 56 B, Python ↔ Python", queue("python", "python"), 4.0),
    Target {
        beside: Some((
            RING_TRIP,
            "a slot ring, whose sender can own its next line ahead; a mailbox has one line, which its reader holds",
        )),
        ..round_trip(
            "mailbox-rust",
            "mailbox round trip, 56 B, Rust ↔ Rust",
            Case::round_trip(What::Mailbox, SMALL).touched(),
            1.5,
        )
    },
    at_most(
        "queue-rust-ring",
        "queue round trip, 56 B, Rust ↔ Rust, against a bare slot ring",
        Figure::Ns(queue("rust", "rust")),
        1.10,
        RING_TRIP,
    ),
    at_most(
        "loan-flat",
        "4 MiB by loan, payload not copied: cost per message, against 64 B",
        Figure::Ns(Case::round_trip(What::Loan, 4 * MEBI)),
        2.0,
        Figure::Ns(Case::round_trip(What::Loan, 64)),
    ),
    Target {
        beside: Some((
            COPIES,
            "two memcpys through shared memory from process to process, each into lines that the other's core holds",
        )),
        ..at_least(
            "copy-memcpy",
            "1 MiB copied in and out, against two memcpys of one process",
            Figure::OneWay(Case::round_trip(What::Copied, MEBI)),
            0.8,
            Figure::TwoCopies(Case::alone(What::Memcpy, MEBI)),
        )
    },
    at_most(
        "parked",
        "round trip when both sides park, against a raw futex",
        Figure::Ns(Case::round_trip(What::Park, SMALL)),
        1.15,
        FUTEX,
    ),
    fixed(
        "wakeups",
        "wake-up calls per message while the peer is awake: one in a thousand at most",
        Figure::Wakeups(queue("rust", "rust")),
        0.001,
    ),
];

/// Holds what was measured against every promise, in the order of the report.
pub fn judge(rows: &Rows, comparisons: &[Comparison]) -> Vec<Verdict> {
    let judged = |targets: &[Target]| targets.iter().map(|target| target.judge(rows)).collect::<Vec<_>>();
    let ahead = AHEAD.iter().map(|ahead: &Ahead| ahead.judge(rows));
    let verdicts = ahead
        .chain(judged(&USERS))
        .chain(judged(&LIMITS))
        .chain(TESTED.iter().map(Tested::verdict))
        .chain(judged(&FURTHER))
        .chain(judged(&loops::TARGETS))
        .chain([rivals::judge(comparisons)]);
    verdicts.map(Verdict::with_reason).collect()
}

impl Tested {
    fn verdict(&self) -> Verdict {
        Verdict {
            id: self.id,
            description: self.what,
            figure: None,
            unit: "",
            limit: None,
            ratio: None,
            target: self.wanted.to_owned(),
            met: None,
            why: Some(format!("shown by {}", self.test)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasons::REASONS;
    use crate::rows::Row;
    use crate::timing::Observation;

    fn row(ns: f64) -> Row {
        Row {
            observations: vec![Observation { ns, messages: 1, ..Observation::default() }],
            ..Row::default()
        }
    }

    #[test]
    fn every_row_is_there_and_has_its_own_name() {
        let verdicts = judge(&Rows::new(), &[]);
        let mut ids: Vec<_> = verdicts.iter().map(|verdict| verdict.id).collect();
        let further = FURTHER.len() + loops::TARGETS.len();
        assert_eq!(ids.len(), AHEAD.len() + USERS.len() + LIMITS.len() + TESTED.len() + further + 1);
        assert_eq!(ids.first(), Some(&"bursts-rust"));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), verdicts.len());
        assert!(REASONS.iter().all(|reason| ids.contains(&reason.id)));
    }

    #[test]
    fn what_was_not_measured_is_not_met_and_says_so() {
        for verdict in judge(&Rows::new(), &[]).iter().filter(|verdict| verdict.met.is_some()) {
            assert_eq!(verdict.met, Some(false), "{}", verdict.id);
        }
        let missing = USERS[0].judge(&Rows::new());
        assert_eq!(missing.why.as_deref(), Some("not measured in this run"));
    }

    #[test]
    fn unpinned_is_held_against_pinned() {
        let pinned = queue("rust", "rust").placing(Placing::Pinned);
        let judge = |free| {
            let rows = Rows::from([(pinned, row(100.0)), (pinned.placing(Placing::Free), row(free))]);
            USERS[0].judge(&rows)
        };
        assert_eq!((judge(150.0).met, judge(150.0).ratio), (Some(true), Some(1.5)));
        assert_eq!(judge(151.0).met, Some(false));
    }

    #[test]
    fn a_target_is_not_met_by_a_figure_with_a_loss() {
        let mut lossy = row(1.0);
        lossy.observations[0].lost = 1;
        let pinned = queue("rust", "rust").placing(Placing::Pinned);
        let rows = Rows::from([(pinned, row(100.0)), (pinned.placing(Placing::Free), lossy)]);
        let verdict = USERS[0].judge(&rows);
        assert_eq!((verdict.met, verdict.figure), (Some(false), None));
        assert_eq!(verdict.why.as_deref(), Some("1 messages were lost"));
    }
}
