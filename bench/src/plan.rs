//! Which cases are measured together. A group's cases are interleaved, so that what disturbs one disturbs all.

use std::fmt;
use std::time::Duration;

use crate::cases::{Case, Placing, Rhythm, SIZES, SMALL, Shape};
use crate::contestants::What;
use crate::loops;
use crate::users::{self, situations};

/// A large segment: the capacity of each of its queues.
pub const LARGE: usize = 64 << 20;

/// From this size on, payloads are measured against the bare memory, and with default options.
pub const LONG: usize = 64 << 10;

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

impl Group {
    /// How many processors it needs.
    pub fn processors(&self) -> usize {
        self.cases.iter().map(Case::processors).max().unwrap_or(1)
    }

    /// Whether it is about what a user meets, and not about the limit.
    fn is_users(&self) -> bool {
        self.cases.iter().any(|case| !case.is_limit())
    }
}

/// How long and how often.
#[derive(Clone, Copy)]
pub struct Effort {
    /// How often each case is measured.
    pub rounds: usize,
    /// How long its timing takes.
    pub budget: Duration,
    /// How often each case of what a user meets is measured.
    pub users_rounds: usize,
    /// How long its timing takes, if it rests between bursts, or there are several pairs.
    pub users_budget: Duration,
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
        budget: Duration::from_millis(200),
        users_rounds: 3,
        users_budget: Duration::from_millis(1000),
        patience: Duration::from_secs(90),
        idle: Duration::from_secs(3),
        guide: Duration::from_secs(5),
    };
    /// For a look.
    pub const QUICK: Self = Effort {
        rounds: 3,
        budget: Duration::from_millis(150),
        users_rounds: 1,
        users_budget: Duration::from_millis(600),
        patience: Duration::from_secs(30),
        idle: Duration::from_secs(1),
        guide: Duration::from_secs(2),
    };

    /// How often the cases of a group are measured.
    pub fn rounds(&self, group: &Group) -> usize {
        if group.is_users() { self.users_rounds } else { self.rounds }
    }

    /// How long the timing of a case takes.
    pub fn budget(&self, case: Case) -> Duration {
        let users = case.rhythm != Rhythm::Continuous || case.pairs > 1;
        match case.shape {
            Shape::Idle => self.idle,
            _ if users => self.users_budget,
            _ => self.budget,
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [limit, users] = [self.budget, self.users_budget].map(|budget| budget.as_millis());
        write!(
            f,
            "{} rounds of {limit} ms; of what a user meets {} of {users} ms",
            self.rounds, self.users_rounds
        )?;
        write!(f, ", where nothing rests and there is one pair {limit} ms")
    }
}

/// Everything there is to measure.
pub fn groups() -> Vec<Group> {
    let mut groups = Vec::new();
    let situations = situations();
    let met = situations.iter().flat_map(|situation| situation.cases().map(|case| (situation.group, case)));
    let beside = beside().into_iter().flatten().map(|case| ("unpinned", case));
    for (name, case) in met.chain(beside) {
        match groups.iter_mut().find(|group: &&mut Group| group.name == name) {
            Some(group) if group.cases.contains(&case) => {}
            Some(group) => group.cases.push(case),
            None => groups.push(group(name, vec![case])),
        }
    }
    groups.extend([languages(), streams(), waiting(), epoll(), parked(), copies()]);
    groups.push(group("waiting-loops", loops::cases()));
    groups.extend(SIZES.map(size));
    groups.extend(SIZES.into_iter().filter(|&size| size >= 64).map(window));
    groups
}

/// What is held against each other in a row of this table: ours unpinned, the same pinned, a Unix socket unpinned.
/// Wherever the hypervisor has the processors: what is unpinned is not measured again until they are far apart.
pub fn beside() -> Vec<[Case; 3]> {
    let row = |ours: Case| {
        let free = ours.placing(Placing::Free);
        [free, ours.placing(Placing::Pinned), Case { what: What::Seqpacket, ..free }]
    };
    let trips = users::LANGUAGES.map(|language| row(queue(language, language)));
    let streams = users::LANGUAGES.map(|language| row(stream(What::Queue, language)));
    trips.into_iter().chain(streams).collect()
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
    cases.push(stream(What::Roomy, "rust"));
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
    group("parked", vec![Case::round_trip(What::Futex, SMALL), Case::round_trip(What::Park, SMALL)])
}

/// Both sides sleep in epoll.
fn epoll() -> Group {
    group("waiting-epoll", [What::EventFd, What::Events].map(|what| Case::round_trip(what, SMALL)).into())
}

/// What costs time while there is no message, and before the first.
fn waiting() -> Group {
    let opening = [What::Open, What::First, What::Attach].map(|what| Case::alone(what, SMALL));
    let large = Case::alone(What::Attach, LARGE);
    let idle = [What::Idle, What::Idlers, What::IdleSet].map(Case::idle);
    group("waiting", opening.into_iter().chain([large]).chain(idle).collect())
}

fn copies() -> Group {
    let mebi = 1 << 20;
    let cases = [What::Copy, What::Copied].map(|what| Case::round_trip(what, mebi));
    group(
        "copies",
        [64 << 10, mebi, 4 << 20]
            .map(|size| Case::alone(What::Memcpy, size))
            .into_iter()
            .chain(cases)
            .collect(),
    )
}

/// Everyone at one size.
fn size(size: usize) -> Group {
    use What::{Iceoryx2, InPlace, Loan, LoanDefault, Pipe, Queue, Shmipc, Tcp, Unix};
    let mut cases = Vec::new();
    for what in [Queue, Loan, Iceoryx2, Shmipc] {
        cases.extend([Case::round_trip(what, size), Case::round_trip(what, size).touched()]);
    }
    let large: &[What] = if size < LONG { &[] } else { &[InPlace, LoanDefault] };
    cases.extend([Unix, Tcp, Pipe].iter().chain(large).map(|&what| Case::round_trip(what, size).touched()));
    group(format!("size-{size}"), cases)
}

fn window(size: usize) -> Group {
    let cases = [What::Loan, What::Shmipc].map(|what| Case::window(what, size));
    group(format!("window-{size}"), cases.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_unpinned_or_on_one_processor_needs_no_second() {
        let needs = |name| groups().iter().find(|group| group.name == name).map(Group::processors);
        for one in ["bursts", "one-cpu", "paced"] {
            assert_eq!(needs(one), Some(1), "{one}");
        }
        for two in ["bursts-apart", "crowded", "unpinned", "languages", "size-56"] {
            assert_eq!(needs(two), Some(2), "{two}");
        }
    }

    #[test]
    fn no_two_groups_have_one_name() {
        let mut names: Vec<_> = groups().into_iter().map(|group| group.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
