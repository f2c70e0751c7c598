//! The tables.

use std::fmt::Write;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use super::{Report, users};
use crate::cases::{Case, SIZES, SMALL, Shape, bytes};
use crate::contestants::What;
use crate::loops;
use crate::plan::LONG;
use crate::rivals::{self, RIVALS};
use crate::rows::{Row, Rows};

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut text = String::from("# ESHM, its limit and its rivals\n");
    head(report, &mut text);
    missing(report, &mut text);
    users::render(&report.rows, &mut text);
    let _ = writeln!(text, "\n# Targets\n\n{}", targets(report));
    notes(report, &mut text);
    text.push_str("\n# The limit\n");
    section(&mut text, "Round trip by size, payload touched, ns", sizes(&report.rows, true));
    section(&mut text, "Round trip by size, payload untouched, ns", sizes(&report.rows, false));
    section(&mut text, "Large payloads, touched in place, round trip, µs", large(&report.rows));
    section(&mut text, "Latency of a round trip, 56 B, ns", latencies(&report.rows));
    section(&mut text, "Stream, 56 B", streams(&report.rows));
    section(&mut text, "56 B, by where the hypervisor had the processors", placements(report));
    section(&mut text, "199 requests at once, payload untouched, ns per message", windows(&report.rows));
    section(&mut text, "Copies and waiting", others(&report.rows));
    section(&mut text, "Event loops, pinned apart", loops::rows(&report.rows));
    section(&mut text, "The guide's benchmarks, message and acknowledgement", guide(report));
    let _ = writeln!(text, "\n## Instructions\n\n{}", report.instructions);
    let _ = write!(text, "\n{METHOD}");
    text
}

const METHOD: &str = "\
The first part is what a user meets. Nothing is pinned but what says so; nothing is repeated because something \
disturbed it. A burst is timed as a whole, and its first trip by itself; its figure is the time per trip. \
Percentiles of bursts are those of all bursts of the run, each the least value that so many of them do not \
exceed: of fewer than a hundred bursts, p99 is the worst. Mean is the time from the first trip to the last per \
trip; least and most are those of the rounds and pairs, of bursts those of the medians of the rounds. CPU is the \
processor time of both processes (user and system, all threads, rests included) per trip, switches how often one \
of the two left its processor per trip. iceoryx2 waits in the listener of an event service, which the sender \
notifies after each sample; it spins nowhere. Unix sockets are of the type SEQPACKET, with blocking calls in \
Rust and Python, and with net.UnixConn in Go.

The second part is the limit. Figures are medians over the rounds, spreads the least and the most. Two processes \
on two processors; the content of both directions was checked before each timing, losses were counted in it. A \
round trip's figure is the median of batches; percentiles are of single trips and include the look at the clock. \
Touched: the whole payload is written and read; untouched: its first word. The limit was measured before and \
after each run; what was measured while it was disturbed, or the processors were not as far apart as the run \
knew them, is left out, where there is anything else; where there is not, the figure has a star.
";

fn head(report: &Report, text: &mut String) {
    let machine = &report.machine;
    let compilers = machine.compilers.iter().filter(|said| !said.is_empty()).cloned().collect::<Vec<_>>();
    let versions: Vec<_> = RIVALS
        .iter()
        .filter(|rival| rival.package.is_some())
        .map(|rival| format!("{} {}", rival.what.title(), crate::machine::version(rival)))
        .collect();
    for (name, value) in [
        ("Date", &machine.date),
        ("CPU", &machine.cpu),
        ("Processors", &machine.processors),
        ("Kernel", &machine.kernel),
        ("Compilers", &compilers.join("; ")),
        ("Commit", &machine.commit),
        ("Rivals", &versions.join(", ")),
        ("Limit, by where the hypervisor had the processors", &machine.placements),
        ("Load before", &machine.load),
        ("Effort", &machine.effort),
    ] {
        let _ = write!(text, "\n- {name}: {value}");
    }
    text.push('\n');
}

pub fn section(text: &mut String, title: &str, table: Table) {
    let _ = writeln!(text, "\n## {title}\n\n{table}");
}

/// What is not in the report, and why.
fn missing(report: &Report, text: &mut String) {
    if report.missing.is_empty() {
        return;
    }
    text.push_str("\n## What could not be measured\n");
    for missing in &report.missing {
        let _ = write!(text, "\n- {missing}");
    }
    text.push('\n');
}

pub fn table<const N: usize>(header: [&str; N], text_columns: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(text_columns) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn targets(report: &Report) -> Table {
    let mut table = table(["target", "figure", "limit", "unit", "ratio", "wanted", "met"], 1);
    for target in &report.targets {
        table.add_row([
            target.description.to_owned(),
            number(target.figure),
            number(target.limit),
            target.unit.to_owned(),
            target.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            target.target.clone(),
            target.met.map_or("a test", |met| if met { "yes" } else { "no" }).to_owned(),
        ]);
    }
    table
}

/// Why targets are missed, where it is known.
fn notes(report: &Report, text: &mut String) {
    for target in &report.targets {
        if let Some(why) = &target.why {
            let _ = write!(text, "\n- {}: {why}", target.id);
        }
    }
    text.push('\n');
}

fn sizes(rows: &Rows, touched: bool) -> Table {
    use What::{Iceoryx2, Loan, Pipe, Queue, Shmipc, Tcp, Unix};
    let all = [Queue, Loan, Iceoryx2, Shmipc, Unix, Tcp, Pipe];
    // Who copies a payload through the kernel has touched it.
    let shown = if touched { &all[..] } else { &all[..4] };
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN);
    table.set_header(std::iter::once("size").chain(shown.iter().map(|what| what.title())));
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (index, size) in SIZES.into_iter().enumerate() {
        let cells = shown.iter().map(|&what| cell(rows.get(&rivals::column(what, touched)[index])));
        table.add_row(std::iter::once(bytes(size)).chain(cells));
    }
    table
}

/// What the memory allows, ours with the options for large payloads and without, and the rival that lends memory too.
fn large(rows: &Rows) -> Table {
    let all = [What::InPlace, What::Loan, What::LoanDefault, What::Iceoryx2];
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN);
    table.set_header(std::iter::once("size").chain(all.iter().map(|what| what.title())));
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for size in SIZES.into_iter().filter(|&size| size >= LONG) {
        let row = |what| rows.get(&Case::round_trip(what, size).touched());
        let micros = |what| match row(what) {
            Some(row) if row.usable().is_ok() && !row.elsewhere => number(row.ns().map(|ns| ns / 1e3)),
            Some(row) if row.usable().is_ok() => format!("{}*", number(row.ns().map(|ns| ns / 1e3))),
            row => cell(row),
        };
        table.add_row(std::iter::once(bytes(size)).chain(all.map(micros)));
    }
    table
}

fn latencies(rows: &Rows) -> Table {
    let mut table =
        table(["who", "median of batches", "least", "most", "p50", "p99", "p99.9", "max", "lost"], 1);
    let cases = rows
        .iter()
        .filter(|(case, _)| case.shape == Shape::RoundTrip && case.size == SMALL && case.is_limit());
    for (case, row) in cases {
        let (latency, spread) = (row.latency(), row.spread());
        table.add_row([
            name(*case),
            cell(Some(row)),
            number(spread.map(|(least, _)| least)),
            number(spread.map(|(_, most)| most)),
            number(latency.map(|latency| latency.p50)),
            number(latency.map(|latency| latency.p99)),
            number(latency.map(|latency| latency.p999)),
            number(latency.map(|latency| latency.max)),
            row.lost().to_string(),
        ]);
    }
    table
}

fn streams(rows: &Rows) -> Table {
    let mut table = table(["who", "M msg/s", "least", "most", "lost"], 1);
    let millions = |ns: f64| 1e3 / ns;
    for (case, row) in rows.iter().filter(|(case, _)| case.shape == Shape::Stream && case.is_limit()) {
        let spread = row.spread();
        table.add_row([
            name(*case),
            row.failure().map_or_else(|| number(row.ns().map(millions)), |_| "failed".to_owned()),
            number(spread.map(|(_, most)| millions(most))),
            number(spread.map(|(least, _)| millions(least))),
            row.lost().to_string(),
        ]);
    }
    table
}

/// The same two processors, in each placement that they were seen in often enough to be measured.
fn placements(report: &Report) -> Table {
    let mut table = table(["who", "shape", "limit, ns", "round trip, ns", "÷ limit", "M msg/s"], 2);
    let moves =
        |case: &Case| matches!(case.shape, Shape::RoundTrip | Shape::Stream) && case.what != What::Line;
    let small = |case: &Case| case.size == SMALL && case.is_limit() && moves(case);
    for (case, row) in report.rows.iter().filter(|(case, _)| small(case)) {
        for place in 0..report.placements.known().len() {
            let row = row.placed(&report.placements, place);
            let (Some(ns), Some(limit)) = (row.ns(), row.limit()) else { continue };
            let stream = case.shape == Shape::Stream;
            table.add_row([
                name(*case),
                if stream { "stream" } else { "round trip" }.to_owned(),
                number(Some(limit)),
                number(Some(ns).filter(|_| !stream)),
                number(Some(ns / limit).filter(|_| !stream)),
                number(Some(1e3 / ns).filter(|_| stream)),
            ]);
        }
    }
    table
}

fn windows(rows: &Rows) -> Table {
    let mut table = table(["size", "ESHM", "shmipc"], 0);
    for size in SIZES {
        let cells = [What::Loan, What::Shmipc].map(|what| rows.get(&Case::window(what, size)));
        if let [Some(ours), Some(theirs)] = cells {
            table.add_row([bytes(size), cell(Some(ours)), cell(Some(theirs))]);
        }
    }
    table
}

fn others(rows: &Rows) -> Table {
    let mut table = table(["what", "ns", "least", "most", "share of a core"], 1);
    let of_interest = |case: &Case| {
        let waits = matches!(case.what, What::Futex | What::Park | What::EventFd | What::Events)
            || case.shape == Shape::Idle;
        let copies = matches!(case.what, What::Memcpy | What::Copy | What::Copied);
        case.is_limit() && (waits || copies || matches!(case.what, What::Open | What::Attach | What::First))
    };
    for (case, row) in rows.iter().filter(|(case, _)| of_interest(case)) {
        let spread = row.spread().filter(|_| case.shape != Shape::Idle);
        let share = row.median(|observed| observed.cpu);
        table.add_row([
            case.to_string(),
            if case.shape == Shape::Idle { "–".to_owned() } else { cell(Some(row)) },
            number(spread.map(|(least, _)| least)),
            number(spread.map(|(_, most)| most)),
            share.map_or_else(|| "–".to_owned(), |share| format!("{:.2} %", share * 100.0)),
        ]);
    }
    table
}

fn guide(report: &Report) -> Table {
    let mut table = table(["pair", "msg/s", "lost"], 1);
    for guide in &report.guide {
        let rate = guide.why.as_ref().map_or_else(|| number(guide.rate), |why| format!("failed: {why}"));
        table.add_row([guide.pair.clone(), rate, number(guide.lost.map(|lost| lost as f64))]);
    }
    table
}

fn name(case: Case) -> String {
    let pair = if case.lead == case.follow && case.lead == "rust" {
        String::new()
    } else {
        format!(", {} ↔ {}", case.lead, case.follow)
    };
    let touched = if case.touched || case.what == What::Line { "" } else { ", untouched" };
    format!("{}{pair}{touched}", case.what.title())
}

fn cell(row: Option<&Row>) -> String {
    match row {
        Some(row) if row.failure().is_some() => "failed".to_owned(),
        Some(row) if row.lost() > 0 => format!("lossy ({})", row.lost()),
        Some(row) if row.elsewhere => format!("{}*", number(row.ns())),
        Some(row) => number(row.ns()),
        None => "–".to_owned(),
    }
}

/// Three significant digits or more.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 || value == value.trunc() => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 0.1 => format!("{value:.2}"),
        Some(value) => format!("{value:.5}"),
    }
}
