//! What a user meets: the situations in which nothing is as a benchmark likes it, and who is measured in them.

use serde::Serialize;

use crate::cases::{Case, Placing, Rhythm, SMALL};
use crate::contestants::What;
use crate::rows::{Row, Rows};
use crate::verdicts::Verdict;

/// Who, and in which language.
pub const CONTESTANTS: [(What, &str); 11] = [
    (What::Queue, "rust"),
    (What::Park, "rust"),
    (What::Seqpacket, "rust"),
    (What::Iceoryx2Event, "rust"),
    (What::Shmipc, "rust"),
    (What::Queue, "python"),
    (What::Park, "python"),
    (What::Seqpacket, "python"),
    (What::Queue, "go"),
    (What::Park, "go"),
    (What::Seqpacket, "go"),
];

/// The languages among them.
pub const LANGUAGES: [&str; 3] = ["rust", "python", "go"];

/// When, where, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Situation {
    /// The group that it is measured in.
    pub group: &'static str,
    /// When round trips are made.
    pub rhythm: Rhythm,
    /// Where.
    pub placing: Placing,
    /// By how many pairs at once.
    pub pairs: usize,
}

const BURSTS: [Rhythm; 4] = [Rhythm::Burst(1), Rhythm::Burst(16), Rhythm::Burst(256), Rhythm::Burst(4096)];

/// All of them, as the report has them.
pub fn situations() -> Vec<Situation> {
    let one = |group, placing| move |rhythm| Situation { group, rhythm, placing, pairs: 1 };
    let crowd =
        |pairs| Situation { group: "crowded", rhythm: Rhythm::Continuous, placing: Placing::Two, pairs };
    let mut all: Vec<_> = BURSTS.map(one("bursts", Placing::Free)).into();
    all.extend(BURSTS.map(one("one-cpu", Placing::One)));
    all.push(one("one-cpu", Placing::One)(Rhythm::Continuous));
    all.extend([4, 16].map(crowd));
    all.push(one("paced", Placing::Free)(Rhythm::Paced));
    all.push(one("unpinned", Placing::Free)(Rhythm::Continuous));
    all.extend(BURSTS.map(one("bursts-apart", Placing::Pinned)));
    all
}

impl Situation {
    /// What a contestant does in it.
    pub fn case(&self, what: What, language: &'static str) -> Case {
        let trip = Case::round_trip(what, SMALL).touched().between(language, language);
        Case { pairs: self.pairs, ..trip.rhythm(self.rhythm).placing(self.placing) }
    }

    /// What everyone does in it.
    pub fn cases(&self) -> impl Iterator<Item = Case> {
        CONTESTANTS.into_iter().map(|(what, language)| self.case(what, language))
    }

    /// In words.
    pub fn title(&self) -> String {
        let what = match (self.rhythm, self.pairs) {
            (Rhythm::Burst(1), _) => "1 trip after 50 ms".to_owned(),
            (Rhythm::Burst(trips), _) => format!("{trips} trips after 50 ms"),
            (Rhythm::Paced, _) => "a trip every 5 ms".to_owned(),
            (Rhythm::Continuous, 1) => "continuous".to_owned(),
            (Rhythm::Continuous, pairs) => format!("{pairs} pairs, continuous"),
        };
        let place = match self.placing {
            Placing::Apart | Placing::Pinned => "pinned apart",
            Placing::One => "one CPU",
            Placing::Two => "two CPUs",
            Placing::Free => "unpinned",
        };
        format!("{what}, {place}")
    }
}

/// A promise of being ahead of a Unix socket in the same language, at the median and at 99 %, in each situation of a
/// group.
pub struct Ahead {
    /// For the report.
    pub id: &'static str,
    /// In words.
    pub what: &'static str,
    /// The group.
    pub group: &'static str,
    /// The language.
    pub language: &'static str,
}

/// All of them.
pub const AHEAD: [Ahead; 8] = [
    Ahead {
        id: "bursts-rust",
        what: "bursts of 1, 16, 256, 4096 after a rest, unpinned, Rust: rows ahead of a Unix socket, median and p99",
        group: "bursts",
        language: "rust",
    },
    Ahead {
        id: "bursts-python",
        what: "bursts of 1, 16, 256, 4096 after a rest, unpinned, Python: rows ahead of a Unix socket, median and p99",
        group: "bursts",
        language: "python",
    },
    Ahead {
        id: "one-cpu-rust",
        what: "the same bursts and continuous on one CPU, Rust: rows ahead of a Unix socket, median and p99",
        group: "one-cpu",
        language: "rust",
    },
    Ahead {
        id: "one-cpu-python",
        what: "the same bursts and continuous on one CPU, Python: rows ahead of a Unix socket, median and p99",
        group: "one-cpu",
        language: "python",
    },
    Ahead {
        id: "crowded-rust",
        what: "4 and 16 pairs on two CPUs, Rust: rows ahead of a Unix socket, median and p99",
        group: "crowded",
        language: "rust",
    },
    Ahead {
        id: "crowded-python",
        what: "4 and 16 pairs on two CPUs, Python: rows ahead of a Unix socket, median and p99",
        group: "crowded",
        language: "python",
    },
    Ahead {
        id: "paced-rust",
        what: "a call every 5 ms, Rust: rows ahead of a Unix socket, median and p99",
        group: "paced",
        language: "rust",
    },
    Ahead {
        id: "paced-python",
        what: "a call every 5 ms, Python: rows ahead of a Unix socket, median and p99",
        group: "paced",
        language: "python",
    },
];

impl Ahead {
    /// Counts the comparisons that are won, and names those that are lost or could not be made.
    pub fn judge(&self, rows: &Rows) -> Verdict {
        let (mut all, mut ahead, mut behind) = (0, 0, Vec::new());
        for situation in situations().into_iter().filter(|situation| situation.group == self.group) {
            let [ours, socket] =
                [What::Queue, What::Seqpacket].map(|what| figures(rows, situation.case(what, self.language)));
            for (at, name) in ["median", "p99"].into_iter().enumerate() {
                all += 1;
                match (ours.as_ref().map(|ours| ours[at]), socket.as_ref().map(|socket| socket[at])) {
                    (Ok(ours), Ok(socket)) if ours < socket => ahead += 1,
                    (Ok(ours), Ok(socket)) => {
                        let [ours, socket] = [ours, socket].map(|ns| ns / 1e3);
                        behind.push(format!("{}, {name}: {ours:.1} µs, {socket:.1} µs", situation.title()));
                    }
                    (Err(why), _) | (_, Err(why)) => {
                        behind.push(format!("{}, {name}: {why}", situation.title()));
                    }
                }
            }
        }
        Verdict {
            id: self.id,
            description: self.what,
            figure: Some(f64::from(ahead)),
            unit: "rows",
            limit: Some(f64::from(all)),
            ratio: Some(f64::from(ahead) / f64::from(all)),
            target: ">= 1.00".to_owned(),
            met: Some(ahead == all),
            why: (!behind.is_empty()).then(|| behind.join("; ")),
        }
    }
}

/// Median and 99 % of a trip, in nanoseconds, or why there is none.
fn figures(rows: &Rows, case: Case) -> Result<[f64; 2], String> {
    let row = rows.get(&case).ok_or("not measured in this run")?;
    row.usable()?;
    let latency = row.latency().ok_or("not observed")?;
    Ok([latency.p50, latency.p99])
}

/// What each contestant that failed in some situation said.
pub fn failures(rows: &Rows) -> Vec<String> {
    let mut failures = Vec::new();
    for (what, language) in CONTESTANTS {
        let cases: Vec<_> =
            situations().into_iter().map(|situation| situation.case(what, language)).collect();
        let mut failed = cases.iter().filter_map(|case| rows.get(case).and_then(Row::failure));
        if let Some(why) = failed.next() {
            let others = failed.count();
            let more = if others > 0 { format!(" (in {} situations)", others + 1) } else { String::new() };
            failures.push(format!("{}, {language}: {why}{more}", what.title()));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::Observation;

    fn row(bursts: &[(f64, f64)], lost: u64) -> Row {
        let observation = Observation { bursts: bursts.to_vec(), lost, ns: 1.0, ..Observation::default() };
        Row { observations: vec![observation], ..Row::default() }
    }

    fn bursts(ours: impl Fn() -> Row, socket: impl Fn() -> Row) -> Rows {
        let bursts = situations().into_iter().filter(|situation| situation.group == "bursts");
        bursts
            .flat_map(|situation| {
                [
                    (situation.case(What::Queue, "rust"), ours()),
                    (situation.case(What::Seqpacket, "rust"), socket()),
                ]
            })
            .collect()
    }

    #[test]
    fn who_is_faster_everywhere_has_met_the_target() {
        let verdict = AHEAD[0].judge(&bursts(|| row(&[(9.0, 5.0)], 0), || row(&[(9.0, 6.0)], 0)));
        assert_eq!((verdict.met, verdict.figure, verdict.limit), (Some(true), Some(8.0), Some(8.0)));
        assert_eq!(verdict.why, None);
    }

    #[test]
    fn a_worse_tail_misses_the_target() {
        let ours = || row(&[(1.0, 1.0), (1.0, 1.0), (1.0, 9000.0)], 0);
        let verdict = AHEAD[0].judge(&bursts(ours, || row(&[(6.0, 6.0)], 0)));
        assert_eq!((verdict.met, verdict.figure), (Some(false), Some(4.0)));
        assert!(verdict.why.unwrap().starts_with("1 trip after 50 ms, unpinned, p99: 9.0 µs, 0.0 µs"));
    }

    #[test]
    fn a_figure_with_a_loss_and_one_that_is_missing_are_not_ahead() {
        let lossy = AHEAD[0].judge(&bursts(|| row(&[(1.0, 1.0)], 3), || row(&[(6.0, 6.0)], 0)));
        assert_eq!((lossy.met, lossy.figure), (Some(false), Some(0.0)));
        assert!(lossy.why.unwrap().contains("3 messages were lost"));
        let missing = AHEAD[1].judge(&Rows::new());
        assert!(missing.why.unwrap().contains("not measured in this run"));
    }

    #[test]
    fn every_situation_has_its_own_cases() {
        let mut cases: Vec<_> = situations().iter().flat_map(|situation| situation.cases()).collect();
        let count = cases.len();
        cases.sort();
        cases.dedup();
        assert_eq!(cases.len(), count);
        assert!(cases.iter().all(|case| !case.is_limit()));
    }
}
