//! Compares the transports of the user service on this machine: drives the servers and clients of each language, and
//! writes a report.

mod cases;
mod machine;
mod markdown;
mod plot;
mod process;
mod run;
mod verdict;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use serde_json::json;

use cases::Language;
use machine::Machine;
use process::Programs;
use run::Effort;

/// Measures all transports in one run, in turns, and writes report.md, report.json and plots.
#[derive(Parser)]
struct Arguments {
    /// Shorter and fewer measurements
    #[arg(long)]
    quick: bool,
    /// Where users and users-server are
    #[arg(long, value_name = "DIR")]
    rust: PathBuf,
    /// The interpreter that has users_service; without it, Rust alone is measured
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut languages = vec![(Language::Rust, Programs::rust(&arguments.rust))];
    if let Some(python) = &arguments.python {
        languages.push((Language::Python, Programs::python(python)));
    }
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    let machine = Machine::look(arguments.python.as_deref().and_then(std::path::Path::to_str));
    let (results, used) = run::run(&languages, effort)?;

    std::fs::create_dir_all(&arguments.out)?;
    let write = |name: &str, text: String| {
        let path = arguments.out.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    let languages: Vec<Language> = languages.iter().map(|(language, _)| *language).collect();
    let report = markdown::report(&languages, &results, &used, &machine, effort);
    write("report.md", report.clone())?;
    let figures: Vec<_> = results
        .iter()
        .map(|((pair, case), figures)| {
            json!({
                "language": pair.language, "transport": pair.transport, "case": case,
                "calls": figures.calls(), "errors": figures.errors, "seconds": figures.seconds,
                "client_cpu_seconds": figures.client_cpu, "server_cpu_seconds": figures.server_cpu,
                "p50_ns": figures.quantile(0.5), "p99_ns": figures.quantile(0.99), "p999_ns": figures.quantile(0.999),
                "min_ns": figures.latencies.min(), "max_ns": figures.latencies.max(),
                "mean_ns": figures.latencies.mean(), "stdev_ns": figures.latencies.stdev(),
                "median_ns_of_each_round": figures.medians,
            })
        })
        .collect();
    let used: Vec<_> = used.iter().map(|(pair, used)| json!({ "pair": pair, "used": used })).collect();
    let document = json!({ "machine": machine, "figures": figures, "processes": used });
    write("report.json", serde_json::to_string_pretty(&document)? + "\n")?;
    plot::draw(&languages, &results, &arguments.out)?;
    println!("{report}");
    eprintln!("written to {}", arguments.out.display());
    Ok(())
}
