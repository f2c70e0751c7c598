//! The output of a peer on stdout: `READY`, and one JSON object per observation.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// An observation. The README lists when each is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "observed", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the README describes every observation and its fields, for every language")]
pub enum Observation {
    Opening,
    Opened { role: String, data_size: usize },
    Ok,
    Nothing,
    Message { hex: String, skipped: u64, generation: u64 },
    Text { text: String },
    State { role: String, peer: String, generation: u64, data_size: usize },
    Payload { hex: String },
    Messages { hex: Vec<String> },
    Count { count: u64, code: i32, message: String },
    Closed { unreceived: Option<u64> },
    Forked { code: i32 },
    Unsupported,
    Error { code: i32, message: String },
    Value { number: u64, skipped: u64 },
    Written { count: u64 },
    Sent { number: u64 },
    Received { seed: u64, number: u64, generation: u64 },
    EndSent,
    EndReceived,
    Peer { state: String },
    Done { sent: u64, received: u64 },
    Failed { reason: String },
}

/// Prints `READY`: the endpoint is attached.
pub fn ready() {
    say("READY".into());
}

/// Prints one observation.
pub fn observe(observation: &Observation) {
    say(serde_json::to_string(observation).expect("an observation is plain data"));
}

/// Writes a line with one write, so that a SIGKILL never leaves half of it.
fn say(mut line: String) {
    line.push('\n');
    if io::stdout().lock().write_all(line.as_bytes()).is_err() {
        // The reader has closed the pipe.
        std::process::exit(1);
    }
}
