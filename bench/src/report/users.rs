//! The tables of what a user meets.

use comfy_table::Table;

use super::markdown::{number, section, table};
use crate::cases::{Case, Shape};
use crate::contestants::What;
use crate::plan;
use crate::rows::{Row, Rows};
use crate::users::{CONTESTANTS, LANGUAGES, Situation, situations};

/// All of them, if anything was measured.
pub fn render(rows: &Rows, text: &mut String) {
    let measured: Vec<_> =
        situations().into_iter().filter(|situation| is_measured(rows, situation)).collect();
    if measured.is_empty() {
        return;
    }
    text.push_str("\n# What a user meets\n");
    let tables: [(&str, Figure); 3] = [
        ("Median of a round trip of 56 B, µs", |row| row.latency().map(|latency| latency.p50)),
        ("99 % of the round trips take at most, µs", |row| row.latency().map(|latency| latency.p99)),
        ("CPU time of both processes per round trip, µs", Row::cpu_ns),
    ];
    for (title, figure) in tables {
        section(text, title, compared(rows, &measured, figure));
    }
    if measured.iter().any(|situation| situation.group == "unpinned") {
        section(text, "Unpinned beside pinned, continuous", beside(rows));
    }
    let mut group = "";
    for situation in &measured {
        if situation.group != group {
            group = situation.group;
            let all = measured.iter().filter(|situation| situation.group == group);
            section(text, &format!("In detail: {group}, µs per round trip"), details(rows, all));
        }
    }
}

/// What the README shows: medians, in microseconds.
pub fn summary(rows: &Rows) -> String {
    let header = ["situation", "Rust", "socket", "iceoryx2", "shmipc", "Python", "socket", "Go", "socket"];
    let mut table = table(header, 1);
    let shown = CONTESTANTS.iter().filter(|(what, _)| *what != What::Park);
    for situation in situations().iter().filter(|situation| situation.group != "bursts-apart") {
        let cells = shown.clone().map(|&(what, language)| {
            cell(rows.get(&situation.case(what, language)), |row| row.latency().map(|latency| latency.p50))
        });
        table.add_row(std::iter::once(situation.title()).chain(cells));
    }
    format!("{table}\n")
}

/// Nanoseconds of a row.
type Figure = fn(&Row) -> Option<f64>;

fn is_measured(rows: &Rows, situation: &Situation) -> bool {
    situation.cases().any(|case| rows.contains_key(&case))
}

/// One situation per line, one contestant per column.
fn compared(rows: &Rows, situations: &[Situation], figure: Figure) -> Table {
    let mut header = [""; CONTESTANTS.len() + 1].map(str::to_owned);
    header[0] = "situation".to_owned();
    for (cell, (what, language)) in header[1..].iter_mut().zip(CONTESTANTS) {
        *cell = format!("{language}: {}", short(what));
    }
    let mut table = table(header.each_ref().map(String::as_str), 1);
    for situation in situations {
        let cells = situation.cases().map(|case| cell(rows.get(&case), figure));
        table.add_row(std::iter::once(situation.title()).chain(cells));
    }
    table
}

fn details<'a>(rows: &Rows, situations: impl Iterator<Item = &'a Situation>) -> Table {
    let header = [
        "situation",
        "who",
        "median",
        "p99",
        "p99.9",
        "max",
        "mean",
        "least",
        "most",
        "first trip",
        "first, p99",
        "CPU",
        "switches",
        "samples",
        "lost",
    ];
    let mut table = table(header, 2);
    for situation in situations {
        for case in situation.cases() {
            if let Some(row) = rows.get(&case) {
                table.add_row(detail(situation, case, row));
            }
        }
    }
    table
}

fn detail(situation: &Situation, case: Case, row: &Row) -> Vec<String> {
    let usable = row.usable().is_ok();
    let micros = |ns: Option<f64>| number(ns.filter(|_| usable).map(|ns| ns / 1e3));
    let (latency, first, spread) = (row.latency(), row.first(), row.spread_of_means());
    vec![
        situation.title(),
        format!("{}: {}", case.lead, short(case.what)),
        cell(Some(row), |row| row.latency().map(|latency| latency.p50)),
        micros(latency.map(|latency| latency.p99)),
        micros(latency.map(|latency| latency.p999)),
        micros(latency.map(|latency| latency.max)),
        micros(row.median(|observed| observed.mean)),
        micros(spread.map(|(least, _)| least)),
        micros(spread.map(|(_, most)| most)),
        micros(first.map(|first| first.p50)),
        micros(first.map(|first| first.p99)),
        micros(row.cpu_ns()),
        number(row.switches()),
        row.samples().to_string(),
        row.lost().to_string(),
    ]
}

fn beside(rows: &Rows) -> Table {
    let mut table = table(
        ["who", "unit", "unpinned", "pinned", "unpinned ÷ pinned", "Unix socket, unpinned", "CPU, ns"],
        2,
    );
    for (index, cases) in plan::beside().into_iter().enumerate() {
        let [free, pinned, socket] = cases.map(|case| rows.get(&case));
        let stream = cases[0].shape == Shape::Stream;
        let value = |row: Option<&Row>| row.filter(|row| row.usable().is_ok()).and_then(Row::ns);
        let shown = |row: Option<&Row>| match value(row) {
            Some(ns) => number(Some(if stream { 1e3 / ns } else { ns })),
            None => cell(row, |_| None),
        };
        let ratio = value(free).zip(value(pinned)).map(|(free, pinned)| free / pinned);
        table.add_row([
            LANGUAGES[index % LANGUAGES.len()].to_owned(),
            if stream { "M msg/s, stream" } else { "ns, round trip" }.to_owned(),
            shown(free),
            shown(pinned),
            number(ratio.map(|ratio| if stream { ratio.recip() } else { ratio })),
            shown(socket),
            number(free.and_then(Row::cpu_ns)),
        ]);
    }
    table
}

/// Microseconds, or why there are none.
fn cell(row: Option<&Row>, figure: Figure) -> String {
    match row {
        None => "–".to_owned(),
        Some(row) if row.failure().is_some() => "failed".to_owned(),
        Some(row) if row.lost() > 0 => format!("lossy ({})", row.lost()),
        Some(row) => number(figure(row).map(|ns| ns / 1e3)),
    }
}

/// Its name where there is little room.
pub fn short(what: What) -> &'static str {
    match what {
        What::Queue => "ESHM",
        What::Park => "ESHM, park",
        What::Seqpacket => "Unix socket",
        What::Iceoryx2Event => "iceoryx2",
        what => what.title(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::Observation;

    fn row(lost: u64) -> Row {
        let bursts = vec![(9000.0, 5000.0); 3];
        let observed =
            Observation { bursts, lost, messages: 3, cpu_ns: 21_000, switches: 6, ..Observation::default() };
        Row { observations: vec![observed], ..Row::default() }
    }

    fn lines(lost: u64) -> String {
        let situation = situations()[0];
        let rows = Rows::from([(situation.case(What::Queue, "rust"), row(lost))]);
        let mut text = String::new();
        render(&rows, &mut text);
        text
    }

    fn detail_of(text: &str) -> &str {
        let (_, details) = text.split_once("In detail").unwrap();
        details.lines().find(|line| line.contains("rust: ESHM ")).unwrap()
    }

    #[test]
    fn a_row_says_what_both_ends_used_and_what_the_first_trip_took() {
        let text = lines(0);
        let line = detail_of(&text);
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        assert_eq!(cells[3..7], ["5", "5", "5", "5"]);
        assert_eq!(cells[10..], ["9", "9", "7", "2", "3", "0", ""]);
    }

    #[test]
    fn a_figure_with_a_loss_is_not_shown_as_a_speed() {
        let text = lines(4);
        let shown = text.lines().filter(|line| line.contains("lossy (4)")).count();
        assert_eq!(shown, 4, "three comparisons and the details:\n{text}");
        let cells: Vec<_> = detail_of(&text).split('|').map(str::trim).collect();
        assert_eq!(cells[3], "lossy (4)");
        assert!(cells[4..13].iter().all(|&cell| cell == "–"), "{cells:?}");
        assert_eq!(cells[15], "4");
    }

    #[test]
    fn what_was_not_measured_has_no_tables() {
        let mut text = String::new();
        render(&Rows::new(), &mut text);
        assert_eq!(text, "");
    }
}
