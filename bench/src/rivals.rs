//! Ours beside each rival, row by row.

use serde::Serialize;

use crate::cases::{Case, SIZES, SMALL, Shape};
use crate::contestants::What;
use crate::plan::stream;
use crate::rows::{Row, Rows};
use crate::verdicts::Verdict;

/// Who they are. Kernel facilities have the kernel's version.
pub const RIVALS: [Rival; 5] = [
    Rival { what: What::Iceoryx2, package: Some("iceoryx2") },
    Rival { what: What::Shmipc, package: Some("shmipc") },
    Rival { what: What::Unix, package: None },
    Rival { what: What::Tcp, package: None },
    Rival { what: What::Pipe, package: None },
];

/// One of them.
pub struct Rival {
    /// Who.
    pub what: What,
    /// The published package, and the name of the feature that builds it.
    pub package: Option<&'static str>,
}

/// One rival at one size.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The rival.
    pub rival: String,
    /// Its version.
    pub version: String,
    /// What both did.
    pub shape: Shape,
    /// Bytes per message.
    pub size: usize,
    /// Whether the whole payload was written and read.
    pub touched: bool,
    /// The rival's figure: nanoseconds per round trip, or per message of a stream or among many at once.
    pub figure: Option<f64>,
    /// Its unit.
    pub unit: &'static str,
    /// Messages that the rival lost in the timed run.
    pub lost: u64,
    /// Ours.
    pub ours: Option<f64>,
    /// Which of ours.
    pub ours_by: Option<&'static str>,
    /// Rival ÷ ours: how many times faster we are.
    pub ratio: Option<f64>,
    /// Whether we are.
    pub ahead: bool,
    /// Why there is no comparison, or no fair one.
    pub why: Option<String>,
}

/// Every rival at every size, in every shape that it was measured in beside the limit.
pub fn compare(rows: &Rows, version: impl Fn(&Rival) -> String) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for rival in &RIVALS {
        let version = version(rival);
        for (case, row) in rows.iter().filter(|(case, _)| case.what == rival.what && case.is_limit()) {
            comparisons.push(one(*case, row, rows, version.clone()));
        }
    }
    comparisons
}

fn one(case: Case, row: &Row, rows: &Rows, version: String) -> Comparison {
    let ours = ours(case, rows);
    let figure = row.ns();
    let ratio = figure.zip(ours).map(|(figure, (_, ours))| figure / ours);
    let starred = |case: &Case| rows.get(case).is_some_and(|row| row.elsewhere);
    let elsewhere = row.elsewhere || ours.is_some_and(|(what, _)| starred(&Case { what, ..case }));
    let unfair = || elsewhere.then(|| "disturbed, or not measured in the same placement".to_owned());
    let no_ours = || ours.is_none().then(|| "ours was not measured".to_owned());
    Comparison {
        rival: case.what.word(),
        version,
        shape: case.shape,
        size: case.size,
        touched: case.touched,
        figure,
        unit: "ns",
        lost: row.lost(),
        ours: ours.map(|(_, ns)| ns),
        ours_by: ours.map(|(what, _)| what.title()),
        ratio,
        ahead: ratio.is_some_and(|ratio| ratio > 1.0),
        why: row.failure().map(str::to_owned).or_else(no_ours).or_else(unfair),
    }
}

/// The faster of our ways to do the same, without loss.
fn ours(case: Case, rows: &Rows) -> Option<(What, f64)> {
    let ways = [What::Queue, What::Loan].map(|what| Case { what, ..case });
    let measured = ways.into_iter().filter_map(|case| {
        let row = rows.get(&case).filter(|row| row.lost() == 0)?;
        Some((case.what, row.ns()?))
    });
    measured.min_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// The target that is about all of them.
pub fn judge(comparisons: &[Comparison]) -> Verdict {
    let compared: Vec<_> = comparisons.iter().filter(|comparison| comparison.figure.is_some()).collect();
    let ahead = compared.iter().filter(|comparison| comparison.ahead).count();
    let absent = comparisons.len() - compared.len();
    let behind = compared.iter().filter(|comparison| !comparison.ahead);
    let behind: Vec<_> =
        behind.map(|c| format!("{} {:?} {} B", c.rival, c.shape, c.size)).chain(absent_of(absent)).collect();
    Verdict {
        id: "rivals",
        description: "ahead of every rival at every size: rows ahead, of all rows",
        figure: Some(ahead as f64),
        unit: "rows",
        limit: Some(comparisons.len() as f64),
        ratio: (!comparisons.is_empty()).then(|| ahead as f64 / comparisons.len() as f64),
        target: ">= 1.00".to_owned(),
        met: Some(ahead == comparisons.len() && ahead > 0),
        why: (!behind.is_empty()).then(|| behind.join(", ")),
    }
}

fn absent_of(absent: usize) -> Option<String> {
    (absent > 0).then(|| format!("{absent} rows of rivals that could not be measured"))
}

/// The cases of a rival's table column.
pub fn column(what: What, touched: bool) -> Vec<Case> {
    SIZES.map(|size| Case { touched, ..Case::round_trip(what, size) }).into()
}

/// The stream that everyone is compared in.
pub const fn small_stream(what: What) -> Case {
    let case = stream(what, "rust");
    assert!(case.size == SMALL);
    case
}
