//! The guide's benchmarks: `benchmark_master` and `benchmark_slave` in C++ and Python, as the guide pairs them.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::process::{Leftovers, Process, Program};

/// Starting an interpreter, attaching, closing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two programs that exchange messages and acknowledgements.
pub struct Pair {
    /// Which.
    pub name: String,
    /// Creates the segment and sends.
    pub master: Program,
    /// Acknowledges.
    pub slave: Program,
}

/// What a pair did.
#[derive(Debug, Serialize)]
pub struct Guide {
    /// Which.
    pub pair: String,
    /// Messages per second, each with its acknowledgement.
    pub rate: Option<f64>,
    /// Messages that did not arrive, either way.
    pub lost: Option<u64>,
    /// Why there is no rate.
    pub why: Option<String>,
}

/// Runs one pair.
pub fn run(pair: &Pair, processors: &[usize; 2], time: Duration) -> Guide {
    eprint!("the guide's benchmark, {}: ", pair.name);
    let measured = measure(pair, processors, time).map_err(|error| format!("{error:#}"));
    match &measured {
        Ok((rate, lost)) => eprintln!("{rate:.0} msg/s, {lost} lost"),
        Err(why) => eprintln!("failed: {why}"),
    }
    let (rate, lost) = measured.as_ref().ok().copied().unzip();
    Guide { pair: pair.name.clone(), rate, lost, why: measured.err() }
}

fn measure(pair: &Pair, processors: &[usize; 2], time: Duration) -> Result<(f64, u64)> {
    let segment = format!("eshm-bench-guide-{}", std::process::id());
    let _leftovers = Leftovers(&segment);
    // A line each second, as in the guide, would not be read here.
    let interval = "100000";
    let mut master = pair.master.command();
    master.args([&segment, interval]).arg(time.as_secs().to_string());
    let mut slave = pair.slave.command();
    slave.args([&segment, interval]);
    let master = Process::start(master, &processors[..1], time + PATIENCE)?;
    let slave = Process::start(slave, &processors[1..], time + PATIENCE)?;
    let sent = last(&master.finish().context("the master")?)?;
    let received = last(&slave.finish().context("the slave")?)?;
    Ok((received.0, sent.1 + received.1))
}

/// The last line: `Average: 2712.3 msg/s, lost: 0`.
fn last(lines: &[String]) -> Result<(f64, u64)> {
    let line = lines.iter().rev().find(|line| line.starts_with("Average:")).context("it said no average")?;
    let mut words = line.split([' ', ',']).filter(|word| !word.is_empty());
    let mut after = |word: &str| words.by_ref().skip_while(|found| *found != word).nth(1);
    let rate = after("Average:").and_then(|word| word.parse().ok());
    let lost = after("lost:").and_then(|word| word.parse().ok());
    rate.zip(lost).with_context(|| format!("not an average: {line}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_average_is_read_from_the_last_line() {
        let lines =
            ["[  1000] Total:    0.3s, 3875.5 msg/s", "Average: 3875.5 msg/s, lost: 2"].map(str::to_owned);
        assert_eq!(super::last(&lines).unwrap(), (3875.5, 2));
    }
}
