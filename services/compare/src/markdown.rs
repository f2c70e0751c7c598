//! The report.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use crate::cases::{
    Case, Figures, Language, PAUSE_US, Pair, RATES, RUNS, Results, SIZES, SMALL, Transport, VOLUMES, bytes,
};
use crate::machine::Machine;
use crate::run::{Effort, Used};
use crate::verdict::Of;

/// What an earlier comparison found, in Python, on a machine of its own: total seconds of gRPC and REST.
const THEIR_VOLUMES: [((u64, usize), (f64, f64)); 4] = [
    ((16_384, 16), (8.87, 20.07)),
    ((65_536, 16), (35.39, 80.30)),
    ((262_144, 16), (141.86, 319.30)),
    ((512, 8 << 10), (0.31, 0.64)),
];
/// What another found, in Python, under Windows: average, least, greatest, deviation in milliseconds, of 50 runs.
const THEIR_RANKING: [(Transport, [f64; 4]); 3] = [
    (Transport::Socket, [2.10, 1.00, 10.07, 1.22]),
    (Transport::Rest, [4.65, 3.00, 11.01, 1.18]),
    (Transport::Grpc, [1.27, 0.00, 10.85, 1.46]),
];

/// Puts the report together.
pub fn report(
    languages: &[Language],
    results: &Results,
    used: &BTreeMap<Pair, Used>,
    machine: &Machine,
    effort: Effort,
) -> String {
    let each = || languages.iter().map(|language| Of { results, language: *language });
    let mut text = String::from("# Which transport, on this machine\n\n");
    for of in each() {
        let title = of.language.title();
        let _ = writeln!(
            text,
            "- **{title}**: {} (median). Judged by medians it pays {}.{}",
            of.first(),
            of.pays(),
            of.lost()
        );
    }
    for of in each() {
        let _ = writeln!(
            text,
            "\nTransports that carry so many calls per second of this size, {} (one client, one call after the other):\n",
            of.language.title()
        );
        let rates = RATES.map(|rate| format!("{rate}/s"));
        text += &table(["payload".to_owned()].into_iter().chain(rates), of.choices());
    }
    text += &about(machine, effort);
    for of in each() {
        text += &latency(of);
    }
    for of in each() {
        text += &volumes(of);
    }
    for of in each() {
        text += &ranking(of);
    }
    for of in each() {
        text += &connections(of);
    }
    for of in each() {
        text += &store(of);
    }
    for of in each() {
        text += &resources(of, used);
    }
    text
}

fn about(machine: &Machine, effort: Effort) -> String {
    let Machine { date, cpu, kernel, versions, commit, load } = machine;
    format!(
        "\n## How it was measured\n\n{cpu}, Linux {kernel}, {}; commit {commit}, {date}, load {load}.\n\n\
         One client process and one server process per transport and language, of the same language; echoes of bytes, one after \
         the other, on whatever processors the kernel chose. All transports took turns in one run, {} rounds of about {} s each; \
         each echo's length is checked, and its content before and at the end. Latencies are in an HDR histogram over all \
         rounds. On every transport the server's service makes the reply out of the request, and the client has both as messages. \
         The Unix socket carries the frames that ESHM carries, behind their lengths; TCP and REST carry JSON, and in it bytes as \
         base64, as the contract has it: so the Unix socket is the measure of what shared memory alone is worth.\n",
        versions.join(", "),
        effort.rounds,
        effort.slice,
    )
}

fn latency(of: Of<'_>) -> String {
    let name = of.language.title();
    let file = name.to_lowercase();
    let rows = SIZES.map(|size| {
        let cells = Transport::ALL.map(|transport| {
            let figures = of.get(transport, Case::Size(size));
            [0.5, 0.99, 0.999].map(|quantile| time(figures.quantile(quantile))).join(" / ")
        });
        [bytes(size)].into_iter().chain(cells).collect()
    });
    format!(
        "\n## Latency by size, {name}: p50 / p99 / p99.9\n\n{}\n![latency by size]({}) ![distribution]({})\n",
        table(titles("payload"), rows),
        format_args!("latency-{file}.svg"),
        format_args!("distribution-{file}.svg"),
    )
}

fn volumes(of: Of<'_>) -> String {
    let python = of.language == Language::Python;
    let mut scaled = false;
    let rows: Vec<Vec<String>> = VOLUMES
        .into_iter()
        .map(|(calls, payload)| {
            let cells = Transport::ALL.map(|transport| {
                let figures = of.get(transport, Case::Volume(calls, payload));
                let seconds = figures.seconds * calls as f64 / figures.calls().max(1) as f64;
                scaled |= figures.calls() < calls;
                format!("{}{}", if figures.calls() < calls { "≈ " } else { "" }, time(seconds * 1e9))
            });
            let theirs = THEIR_VOLUMES.iter().find(|(volume, _)| *volume == (calls, payload));
            let theirs = theirs.map_or_else(String::new, |(_, (grpc, rest))| format!("{grpc} s / {rest} s"));
            let total = bytes(payload * calls as usize);
            let start = [format!("{calls} × {} = {total}", bytes(payload))];
            start.into_iter().chain(cells).chain(python.then_some(theirs)).collect()
        })
        .collect();
    let header = titles("calls × payload").into_iter();
    let header = header.chain(python.then(|| "theirs: gRPC / REST".to_owned()));
    let mut text =
        format!("\n## Calls × payload, {}: time in all\n\n{}", of.language.title(), table(header, rows));
    if scaled {
        text += "\n≈: so many of the calls were measured as there was time for, and their time scaled up.\n";
    }
    if python {
        text += "\nTheirs: what the earlier comparison of gRPC and REST reported, in Python, on its own machine.\n";
    }
    text
}

fn ranking(of: Of<'_>) -> String {
    let python = of.language == Language::Python;
    let mut order = Transport::ALL.map(|transport| (transport, of.get(transport, Case::Ranking)));
    order.sort_by(|(_, one), (_, other)| one.latencies.mean().total_cmp(&other.latencies.mean()));
    let mut rows = Vec::new();
    for (rank, (transport, Figures { latencies, errors, .. })) in order.into_iter().enumerate() {
        let figures = [latencies.mean(), latencies.min() as f64, latencies.max() as f64, latencies.stdev()];
        let start = [(rank + 1).to_string(), transport.title().to_owned()];
        rows.push(start.into_iter().chain(figures.map(time)).chain([errors.to_string()]).collect::<Vec<_>>());
    }
    if python {
        for (transport, figures) in THEIR_RANKING {
            let start = ["theirs".to_owned(), transport.title().to_owned()];
            let cells = figures.map(|ms| format!("{ms:.2} ms"));
            rows.push(start.into_iter().chain(cells).chain(["0".to_owned()]).collect());
        }
    }
    let header =
        ["rank", "transport", "average", "least", "greatest", "deviation", "errors"].map(str::to_owned);
    let mut text = format!(
        "\n## {RUNS} runs, {}, {} each, the first with its connection\n\n{}",
        of.language.title(),
        bytes(SMALL),
        table(header, rows)
    );
    if python {
        text += "\nTheirs: what the earlier comparison of patterns reported, in Python, under Windows.\n";
    }
    text
}

fn connections(of: Of<'_>) -> String {
    let rows = Transport::ALL.map(|transport| {
        let p50_p99 = |case| {
            let figures = of.get(transport, case);
            format!("{} / {}", time(figures.quantile(0.5)), time(figures.quantile(0.99)))
        };
        let cells = [Case::Ranking, Case::Reconnecting, Case::Paced].map(p50_p99);
        [transport.title().to_owned()].into_iter().chain(cells).collect()
    });
    let paced = format!("reused, {} ms between calls", PAUSE_US / 1000);
    let header = ["transport", "connection reused", "one per call", &paced].map(str::to_owned);
    format!(
        "\n## Connections, {}, {}: p50 / p99\n\n{}",
        of.language.title(),
        bytes(SMALL),
        table(header, rows)
    )
}

fn store(of: Of<'_>) -> String {
    let rows = Transport::ALL.map(|transport| {
        let figures = of.get(transport, Case::Store);
        let quantiles = [0.5, 0.99].map(|quantile| time(figures.quantile(quantile))).join(" / ");
        let echo = of.get(transport, Case::Ranking).quantile(0.5);
        vec![
            transport.title().to_owned(),
            quantiles,
            format!("{:.1}", figures.cpu_us()),
            format!("{:.1} ×", figures.quantile(0.5) / echo),
        ]
    });
    let header =
        ["transport", "p50 / p99", "CPU µs per call, both", "to an echo's median"].map(str::to_owned);
    format!(
        "\n## A call that reads the store, {}: `Users.Get`\n\n{}",
        of.language.title(),
        table(header, rows)
    )
}

fn resources(of: Of<'_>, used: &BTreeMap<Pair, Used>) -> String {
    let rows = Transport::ALL.map(|transport| {
        let used = &used[&Pair { language: of.language, transport }];
        let small = of.get(transport, Case::Size(SIZES[0]));
        let mib = |count: u64| format!("{:.1}", count as f64 / 1048576.0);
        vec![
            transport.title().to_owned(),
            format!(
                "{:.1} + {:.1}",
                small.client_cpu * 1e6 / small.calls() as f64,
                small.server_cpu * 1e6 / small.calls() as f64
            ),
            format!("{:.1}", of.get(transport, Case::Paced).cpu_us()),
            mib(used.client.peak_bytes),
            mib(used.server.peak_bytes),
            mib(used.shared_bytes),
        ]
    });
    let header = [
        "transport",
        "CPU µs per call, one after the other: client + server",
        "paced, both",
        "client's memory, MiB",
        "server's",
        "of it shared, at most",
    ]
    .map(str::to_owned);
    format!(
        "\n## CPU time and memory, {}\n\nOf calls of {}; memory is the most that each process had in the whole run, messages of {} \
         among it.\n\n{}",
        of.language.title(),
        bytes(SIZES[0]),
        bytes(SIZES[SIZES.len() - 1]),
        table(header, rows)
    )
}

fn titles(first: &str) -> Vec<String> {
    [first].into_iter().chain(Transport::ALL.map(Transport::title)).map(str::to_owned).collect()
}

fn table(header: impl IntoIterator<Item = String>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(header.into_iter().collect::<Vec<_>>());
    table.add_rows(rows);
    format!("{table}\n")
}

/// Nanoseconds, to three significant digits, with a unit that suits them.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns >= 1e9 => (ns / 1e9, "s"),
        ns if ns >= 1e6 => (ns / 1e6, "ms"),
        ns if ns >= 1e3 => (ns / 1e3, "µs"),
        ns => (ns, "ns"),
    };
    let digits = if value >= 100.0 || unit == "ns" { 0 } else { 1 + usize::from(value < 10.0) };
    format!("{value:.digits$} {unit}")
}
