//! Event loops: ESHM beside a Unix socket in tokio and in asyncio, and in epoll beside an eventfd.

use comfy_table::Table;

use crate::cases::{Case, Placing, SMALL, Shape, bytes};
use crate::contestants::What;
use crate::report::markdown::table;
use crate::rows::Rows;
use crate::targets::Target;
use crate::verdicts::{Bound, Figure, Limit};

/// The languages, and the event loop of each.
pub const LANGUAGES: [(&str, &str); 2] = [("rust", "tokio"), ("python", "asyncio")];
/// The payloads of round trips, in bytes.
const SIZES: [usize; 3] = [64, 4 << 10, 1 << 20];
/// The numbers of connections, with messages of the first size.
const COUNTS: [usize; 3] = [1, 10, 100];

/// A round trip with one connection.
const fn trip(what: What, language: &'static str, size: usize) -> Case {
    Case::round_trip(what, size).touched().between(language, language).placing(Placing::Pinned)
}

/// As many connections as that, in one process on each side.
const fn connections(what: What, language: &'static str, count: usize) -> Case {
    Case { shape: Shape::Connections(count), ..trip(what, language, SIZES[0]) }
}

/// Ours and the socket, for each row of the table.
fn pairs() -> impl Iterator<Item = (&'static str, [Case; 2])> {
    LANGUAGES.into_iter().flat_map(|(language, event_loop)| {
        let both = [What::Loop, What::LoopUnix];
        let trips = SIZES.into_iter().map(move |size| both.map(|what| trip(what, language, size)));
        let many = COUNTS.into_iter().map(move |count| both.map(|what| connections(what, language, count)));
        trips.chain(many).map(move |pair| (event_loop, pair))
    })
}

/// Everything that is measured in event loops.
pub fn cases() -> Vec<Case> {
    pairs().flat_map(|(_, pair)| pair).collect()
}

/// Faster than a Unix socket in the same event loop.
const fn faster(id: &'static str, what: &'static str, language: &'static str, size: usize) -> Target {
    let [ours, theirs] = [trip(What::Loop, language, size), trip(What::LoopUnix, language, size)];
    let (figure, limit) = (Figure::Ns(ours), Limit::Of(Figure::Ns(theirs)));
    Target { id, what, figure, limit, bound: Bound::AtMost(1.0), beside: None }
}

/// More round trips per second than over as many Unix sockets.
const fn more(id: &'static str, what: &'static str, language: &'static str, count: usize) -> Target {
    let [ours, theirs] =
        [connections(What::Loop, language, count), connections(What::LoopUnix, language, count)];
    let (figure, limit) = (Figure::Rate(ours), Limit::Of(Figure::Rate(theirs)));
    Target { id, what, figure, limit, bound: Bound::AtLeast(1.0), beside: None }
}

const fn plain(id: &'static str, what: &'static str, figure: Figure, limit: Limit, most: f64) -> Target {
    Target { id, what, figure, limit, bound: Bound::AtMost(most), beside: None }
}

const EVENT_FD: Limit = Limit::Of(Figure::Ns(Case::round_trip(What::EventFd, SMALL)));
const EVENTS: Figure = Figure::Ns(Case::round_trip(What::Events, SMALL));
const IDLE_SET: Figure = Figure::Cpu(Case::idle(What::IdleSet));

/// What is promised.
#[rustfmt::skip]
pub const TARGETS: [Target; 14] = [
    plain("epoll", "round trip, 56 B, both ends in epoll, against an eventfd", EVENTS, EVENT_FD, 1.15),
    plain("idle-set", "1000 idle endpoints in one wait set", IDLE_SET, Limit::Fixed(1.0), 1.0),
    faster("tokio-64", "round trip in tokio, 64 B, against a Unix socket there", "rust", 64),
    faster("tokio-4k", "the same, 4 KiB", "rust", 4 << 10),
    faster("tokio-1m", "the same, 1 MiB", "rust", 1 << 20),
    more("tokio-1", "round trips per second in tokio, 64 B, one connection", "rust", 1),
    more("tokio-10", "the same, 10 connections", "rust", 10),
    more("tokio-100", "the same, 100 connections", "rust", 100),
    faster("asyncio-64", "round trip in asyncio, 64 B, against a Unix socket there", "python", 64),
    faster("asyncio-4k", "the same, 4 KiB", "python", 4 << 10),
    faster("asyncio-1m", "the same, 1 MiB", "python", 1 << 20),
    more("asyncio-1", "round trips per second in asyncio, 64 B, one connection", "python", 1),
    more("asyncio-10", "the same, 10 connections", "python", 10),
    more("asyncio-100", "the same, 100 connections", "python", 100),
];

/// The rows of what was measured.
pub fn rows(rows: &Rows) -> Table {
    let header = ["event loop", "what", "ESHM, µs", "Unix socket, µs", "ratio", "ESHM, trips/s", "socket"];
    let mut table = table(header, 2);
    for (event_loop, [ours, theirs]) in pairs() {
        let figure = |case| rows.get(&case).filter(|row| row.usable().is_ok())?.ns();
        let (ours_ns, theirs_ns) = (figure(ours), figure(theirs));
        let said = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
        };
        let what = match ours.shape {
            Shape::Connections(1) => format!("1 connection, {}", bytes(ours.size)),
            Shape::Connections(count) => format!("{count} connections, {}", bytes(ours.size)),
            _ => format!("round trip, {}", bytes(ours.size)),
        };
        table.add_row([
            event_loop.to_owned(),
            what,
            said(ours_ns.map(|ns| ns / 1e3), 2),
            said(theirs_ns.map(|ns| ns / 1e3), 2),
            said(ours_ns.zip(theirs_ns).map(|(ours, theirs)| theirs / ours), 2),
            said(ours_ns.map(|ns| 1e9 / ns), 0),
            said(theirs_ns.map(|ns| 1e9 / ns), 0),
        ]);
    }
    table
}
