//! Instructions per message: a figure that other processes on the machine do not move.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eshm::{Endpoint, Role};
use serde::Serialize;

use crate::process::Program;

/// The difference of two runs is free of what starting and stopping take.
const FEW: u64 = 10_000;
const MANY: u64 = 30_000;

/// What callgrind counted.
#[derive(Debug, Serialize)]
pub struct Instructions {
    /// Per `send` of 56 bytes and its `recv`.
    pub per_message: Option<f64>,
    /// Why it is not known.
    pub why: Option<String>,
}

/// Counts them.
pub fn count() -> Instructions {
    eprint!("instructions per message: ");
    match measure() {
        Ok(count) => {
            eprintln!("{count:.1}");
            Instructions { per_message: Some(count), why: None }
        }
        Err(error) => {
            eprintln!("unavailable: {error:#}");
            Instructions { per_message: None, why: Some(format!("{error:#}")) }
        }
    }
}

fn measure() -> Result<f64> {
    let (few, many) = (callgrind(FEW)?, callgrind(MANY)?);
    Ok((many - few) / (MANY - FEW) as f64)
}

fn callgrind(messages: u64) -> Result<f64> {
    let exchange = Program::this("exchange")?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).args(&exchange.0);
    let output = command.arg(messages.to_string()).output().context("valgrind is not there")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind ended with {}: {said}", output.status);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).context("valgrind told no count")
}

/// What is counted: one thread, both ends, one message at a time.
pub fn exchange(messages: u64) -> Result<()> {
    let name = format!("eshm-bench-exchange-{}", std::process::id());
    // The heartbeat adds instructions by the clock, not by the message: so slow a one adds none.
    let open = |role| {
        let slow = Endpoint::builder(&name).heartbeat_interval(Duration::from_secs(1));
        slow.stale_threshold(Duration::from_secs(60)).role(role).open()
    };
    let (mut master, mut slave) = (open(Role::Master)?, open(Role::Slave)?);
    let message = [7; 56];
    for _ in 0..messages {
        master.send(&message)?;
        ensure!(*slave.recv()? == message, "not the message that was sent");
    }
    Ok(())
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.per_message, &self.why) {
            (Some(count), _) => write!(f, "`send` and `recv` of 56 B together, by callgrind: {count:.0}."),
            (None, why) => write!(f, "Unavailable: {}.", why.as_deref().unwrap_or("not asked for")),
        }
    }
}
