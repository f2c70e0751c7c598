//! Which cases are measured together. A group's cases are interleaved, so that what disturbs one disturbs all.

use std::time::Duration;

use crate::cases::{Case, SIZES, SMALL};
use crate::contestants::What;

/// The languages of ESHM. A further one is one more entry, and a program that obeys the command line of
/// `contestants`; the runner is told where it is.
pub const LANGUAGES: [Language; 4] = [
    Language { name: "rust", batches: true },
    Language { name: "cpp", batches: true },
    Language { name: "python", batches: true },
    Language { name: "go", batches: true },
];

/// One of them.
pub struct Language {
    /// As on the runner's command line.
    pub name: &'static str,
    /// Whether its program knows `batch`.
    pub batches: bool,
}

/// Cases that are measured in turn.
pub struct Group {
    /// For `--only`, and for the progress.
    pub name: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// How long and how often.
#[derive(Clone, Copy)]
pub struct Effort {
    /// How often each case is measured.
    pub rounds: usize,
    /// How long its timing takes.
    pub budget: Duration,
    /// How long all of it may wait for the placement that counts.
    pub patience: Duration,
    /// How long an idle receiver is watched.
    pub idle: Duration,
    /// How long each of the guide's benchmarks takes.
    pub guide: Duration,
}

impl Effort {
    /// For the report.
    pub const FULL: Self = Effort {
        rounds: 5,
        budget: Duration::from_millis(500),
        patience: Duration::from_secs(240),
        idle: Duration::from_secs(5),
        guide: Duration::from_secs(10),
    };
    /// For a look.
    pub const QUICK: Self = Effort {
        rounds: 3,
        budget: Duration::from_millis(150),
        patience: Duration::from_secs(30),
        idle: Duration::from_secs(1),
        guide: Duration::from_secs(2),
    };
}

/// Everything there is to measure.
pub fn groups() -> Vec<Group> {
    let mut groups = vec![languages(), streams(), parked(), copies()];
    groups.extend(SIZES.map(size));
    groups.extend(SIZES.into_iter().filter(|&size| size >= 64).map(window));
    groups
}

fn group(name: impl Into<String>, cases: Vec<Case>) -> Group {
    Group { name: name.into(), cases }
}

fn languages() -> Group {
    let mut cases =
        vec![Case::round_trip(What::Ring, SMALL).touched(), Case::round_trip(What::Mailbox, SMALL).touched()];
    for language in &LANGUAGES {
        cases.push(queue(language.name, language.name));
        if language.name != "rust" {
            cases.push(queue(language.name, "rust"));
        }
    }
    group("languages", cases)
}

/// The round trip by which languages are compared.
pub const fn queue(lead: &'static str, follow: &'static str) -> Case {
    Case::round_trip(What::Queue, SMALL).touched().between(lead, follow)
}

fn streams() -> Group {
    let mut cases: Vec<_> = [What::Ring, What::Iceoryx2, What::Unix, What::Tcp, What::Pipe]
        .map(|what| Case::stream(what, SMALL).touched())
        .into();
    for language in &LANGUAGES {
        cases.push(stream(What::Queue, language.name));
        if language.batches {
            cases.push(stream(What::Batch, language.name));
        }
    }
    group("streams", cases)
}

/// A stream within one language.
pub const fn stream(what: What, language: &'static str) -> Case {
    Case::stream(what, SMALL).touched().between(language, language)
}

fn parked() -> Group {
    group(
        "parked",
        vec![Case::round_trip(What::Futex, SMALL), Case::round_trip(What::Park, SMALL), Case::idle()],
    )
}

fn copies() -> Group {
    let mebi = 1 << 20;
    let cases = [What::Copy, What::Copied].map(|what| Case::round_trip(what, mebi));
    group(
        "copies",
        [Case::memcpy(64 << 10), Case::memcpy(mebi), Case::memcpy(4 << 20)]
            .into_iter()
            .chain(cases)
            .collect(),
    )
}

/// Everyone at one size.
fn size(size: usize) -> Group {
    use What::{Iceoryx2, Loan, Pipe, Queue, Shmipc, Tcp, Unix};
    let mut cases = Vec::new();
    for what in [Queue, Loan, Iceoryx2, Shmipc] {
        cases.extend([Case::round_trip(what, size), Case::round_trip(what, size).touched()]);
    }
    cases.extend([Unix, Tcp, Pipe].map(|what| Case::round_trip(what, size).touched()));
    group(format!("size-{size}"), cases)
}

fn window(size: usize) -> Group {
    let cases = [What::Loan, What::Shmipc].map(|what| Case::window(what, size));
    group(format!("window-{size}"), cases.into())
}
