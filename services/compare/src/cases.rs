//! What is compared, and what is timed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Shared memory.
    Eshm,
    /// A Unix socket with the same frames.
    Unix,
    /// TCP with JSON in frames.
    Socket,
    /// gRPC.
    Grpc,
    /// HTTP with JSON.
    Rest,
}

impl Transport {
    /// All, in the order of the tables.
    pub const ALL: [Transport; 5] =
        [Transport::Eshm, Transport::Unix, Transport::Socket, Transport::Grpc, Transport::Rest];

    /// On command lines.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Eshm => "eshm",
            Transport::Unix => "unix",
            Transport::Socket => "socket",
            Transport::Grpc => "grpc",
            Transport::Rest => "rest",
        }
    }

    /// In tables.
    pub fn title(self) -> &'static str {
        match self {
            Transport::Eshm => "ESHM",
            Transport::Unix => "Unix socket",
            Transport::Socket => "TCP with JSON",
            Transport::Grpc => "gRPC",
            Transport::Rest => "REST",
        }
    }
}

/// A language, of both client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
}

impl Language {
    /// In tables.
    pub fn title(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Python => "Python",
        }
    }
}

/// One client and one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Pair {
    /// Of both.
    pub language: Language,
    /// Between them.
    pub transport: Transport,
}

/// Payloads whose latency is compared, in bytes.
pub const SIZES: [usize; 7] = [16, 256, 1 << 10, 8 << 10, 64 << 10, 1 << 20, 4 << 20];

/// Calls × payload: so many calls of so many bytes.
pub const VOLUMES: [(u64, usize); 13] = [
    (1, 16),
    (16, 16),
    (256, 16),
    (4096, 16),
    (16_384, 16),
    (65_536, 16),
    (262_144, 16),
    (65_536, 64),
    (16_384, 256),
    (4096, 1 << 10),
    (512, 8 << 10),
    (64, 64 << 10),
    (1, 4 << 20),
];

/// Runs of the ranking.
pub const RUNS: u64 = 50;
/// The payload of the ranking, of connections, and of paced calls, in bytes.
pub const SMALL: usize = 64;
/// Between two paced calls, in microseconds.
pub const PAUSE_US: u64 = 5000;
/// Rates that are asked about, in calls per second, one after the other.
pub const RATES: [f64; 5] = [100.0, 1000.0, 10_000.0, 100_000.0, 500_000.0];

/// One timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// Echoes of so many bytes through one connection, one after the other.
    Size(usize),
    /// So many echoes of so many bytes in all.
    Volume(u64, usize),
    /// The runs of the ranking.
    Ranking,
    /// Echoes through a new connection each.
    Reconnecting,
    /// Echoes with a pause before each.
    Paced,
    /// Calls that read the store.
    Store,
}

/// What to ask of a worker's `bench`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Order {
    /// Which: "echo" or "get", of a user.
    pub call: &'static str,
    /// How many.
    pub calls: u64,
    /// Of so many bytes.
    pub payload: usize,
    /// Through one connection.
    pub reuse: bool,
    /// Before those that count.
    pub warmup: u64,
    /// Before each.
    pub pause_us: u64,
}

impl Case {
    /// All, without those of `skip`.
    pub fn all() -> Vec<Case> {
        let sizes = SIZES.map(Case::Size);
        let volumes = VOLUMES.map(|(calls, payload)| Case::Volume(calls, payload));
        sizes
            .into_iter()
            .chain(volumes)
            .chain([Case::Ranking, Case::Reconnecting, Case::Paced, Case::Store])
            .collect()
    }

    /// How to time it, if so many calls are wanted, or can be afforded.
    pub fn order(self, calls: u64) -> Order {
        let plain = Order { call: "echo", calls, payload: SMALL, reuse: true, warmup: 0, pause_us: 0 };
        match self {
            Case::Size(payload) => Order { payload, warmup: calls / 20 + 2, ..plain },
            Case::Volume(_, payload) => Order { payload, warmup: 1, ..plain },
            Case::Ranking => Order { calls: RUNS, ..plain },
            Case::Reconnecting => Order { reuse: false, ..plain },
            Case::Store => Order { call: "get", warmup: calls / 20 + 2, ..plain },
            Case::Paced => Order { warmup: 2, pause_us: PAUSE_US, ..plain },
        }
    }

    /// What it is, for the progress.
    pub fn title(self) -> String {
        match self {
            Case::Size(payload) => format!("latency at {}", bytes(payload)),
            Case::Volume(calls, payload) => format!("{calls} × {}", bytes(payload)),
            Case::Ranking => "ranking".into(),
            Case::Reconnecting => "a connection per call".into(),
            Case::Paced => "paced calls".into(),
            Case::Store => "calls that read the store".into(),
        }
    }
}

/// A size with its unit.
pub fn bytes(count: usize) -> String {
    match count {
        1_048_576.. if count.is_multiple_of(1 << 20) => format!("{} MiB", count >> 20),
        1024.. if count.is_multiple_of(1 << 10) => format!("{} KiB", count >> 10),
        _ => format!("{count} B"),
    }
}

/// What `bench` says.
#[derive(Debug, Deserialize)]
pub struct Timing {
    /// Pairs of nanoseconds and count.
    pub histogram: Vec<(u64, u64)>,
    /// In all.
    pub seconds: f64,
    /// Calls that failed.
    pub errors: u64,
    /// Of the client.
    pub cpu_seconds: f64,
}

/// What was found for one pair and case, over all rounds.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Latencies in nanoseconds.
    pub latencies: Histogram<u64>,
    /// Of each round, the median in nanoseconds.
    pub medians: Vec<u64>,
    /// Of all calls.
    pub seconds: f64,
    /// Calls that failed.
    pub errors: u64,
    /// Of the client, for all calls.
    pub client_cpu: f64,
    /// Of the server, for all calls.
    pub server_cpu: f64,
}

impl Default for Figures {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("the bounds are in order");
        Figures { latencies, medians: Vec::new(), seconds: 0.0, errors: 0, client_cpu: 0.0, server_cpu: 0.0 }
    }
}

impl Figures {
    /// Adds a round.
    pub fn add(&mut self, timing: &Timing, server_cpu: f64) {
        let mut round = self.latencies.clone();
        round.reset();
        for (value, count) in &timing.histogram {
            round.saturating_record_n(*value, *count);
        }
        self.medians.push(round.value_at_quantile(0.5));
        self.latencies.add(&round).expect("both have the same bounds");
        self.seconds += timing.seconds;
        self.errors += timing.errors;
        self.client_cpu += timing.cpu_seconds;
        self.server_cpu += server_cpu;
    }

    /// A quantile, in nanoseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64
    }

    /// Calls that succeeded.
    pub fn calls(&self) -> u64 {
        self.latencies.len()
    }

    /// Calls per second, one after the other.
    pub fn rate(&self) -> f64 {
        self.calls() as f64 / self.seconds
    }

    /// Both sides' CPU time per call, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        (self.client_cpu + self.server_cpu) * 1e6 / self.calls() as f64
    }
}

/// All that was found.
pub type Results = BTreeMap<(Pair, Case), Figures>;
