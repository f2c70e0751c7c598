//! A case: one contestant, shape and size, in one rhythm and one placing.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::contestants::{Role, What};

/// The payloads of every table, in bytes.
pub const SIZES: [usize; 11] =
    [8, 56, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// The payload that fits into one cache line.
pub const SMALL: usize = 56;
/// The number of concurrent requests in shmipc's own benchmark.
pub const WINDOW: usize = 199;
/// The program in Python makes so many messages before the timing, and repeats them.
const PYTHON_PERIOD: u64 = 1024;
/// The rest before a burst.
pub const REST: Duration = Duration::from_millis(50);
/// The rest between two paced calls.
pub const PACE: Duration = Duration::from_millis(5);
/// The rest before the first paced call. An endpoint of ESHM with little traffic rests after 200 ms: what is measured
/// is how such calls go on, and not how they begin.
pub const SETTLE: Duration = Duration::from_millis(1500);

/// The traffic between the two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One message there, one back.
    RoundTrip,
    /// One direction, at full speed.
    Stream,
    /// [`WINDOW`] concurrent requests.
    Window,
    /// So many connections at once, one message there and back at a time on each.
    Connections(usize),
    /// No messages.
    Idle,
    /// One process without a peer.
    Alone,
}

/// The times at which round trips begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rhythm {
    /// One after the other.
    Continuous,
    /// This number, after a rest of [`REST`].
    Burst(u32),
    /// One, after a rest of [`PACE`].
    Paced,
}

/// On which processors the two processes may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placing {
    /// Each is pinned to a processor of its own, and the processors are placed as for the reference limit.
    Apart,
    /// Each is pinned to a processor of its own, in any placement: for the comparison with unpinned cases.
    Pinned,
    /// Both are pinned to the same processor.
    One,
    /// Both may use the same two processors.
    Two,
    /// On all processors that the benchmark may use.
    Free,
}

/// One row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Case {
    /// The contestant.
    pub what: What,
    /// The traffic.
    pub shape: Shape,
    /// The language of the side that drives or streams.
    pub lead: &'static str,
    /// The language of the side that echoes or counts.
    pub follow: &'static str,
    /// Bytes per message.
    pub size: usize,
    /// Whether the whole payload is written and read.
    pub touched: bool,
    /// The times at which round trips begin.
    pub rhythm: Rhythm,
    /// The processors.
    pub placing: Placing,
    /// The number of pairs of processes that run at the same time.
    pub pairs: usize,
}

impl Case {
    const fn new(what: What, shape: Shape, size: usize) -> Self {
        Case {
            what,
            shape,
            lead: "rust",
            follow: "rust",
            size,
            touched: false,
            rhythm: Rhythm::Continuous,
            placing: Placing::Apart,
            pairs: 1,
        }
    }

    /// Round trips from Rust to Rust that touch only the first word of the payload.
    pub const fn round_trip(what: What, size: usize) -> Self {
        Self::new(what, Shape::RoundTrip, size)
    }

    /// As [`Case::round_trip`], in one direction.
    pub const fn stream(what: What, size: usize) -> Self {
        Self::new(what, Shape::Stream, size)
    }

    /// As [`Case::round_trip`], with [`WINDOW`] concurrent requests.
    pub const fn window(what: What, size: usize) -> Self {
        Self::new(what, Shape::Window, size)
    }

    /// A receiver to which nothing is sent, or many unused endpoints.
    pub const fn idle(what: What) -> Self {
        Self::new(what, Shape::Idle, SMALL)
    }

    /// One process without a peer.
    pub const fn alone(what: What, size: usize) -> Self {
        Self::new(what, Shape::Alone, size)
    }

    /// Writes and reads the whole payload.
    pub const fn touched(self) -> Self {
        Case { touched: true, ..self }
    }

    /// Sets the languages.
    pub const fn between(self, lead: &'static str, follow: &'static str) -> Self {
        Case { lead, follow, ..self }
    }

    /// Sets the rhythm.
    pub const fn rhythm(self, rhythm: Rhythm) -> Self {
        Case { rhythm, ..self }
    }

    /// Sets the processors.
    pub const fn placing(self, placing: Placing) -> Self {
        Case { placing, ..self }
    }

    /// Returns whether the raw limit applies: two processes that do nothing else, on processors of their own.
    pub fn is_limit(&self) -> bool {
        (self.rhythm, self.placing, self.pairs) == (Rhythm::Continuous, Placing::Apart, 1)
    }

    /// Returns the number of processors that the case needs.
    pub fn processors(&self) -> usize {
        let alone = self.shape == Shape::Alone || matches!(self.placing, Placing::One | Placing::Free);
        if alone { 1 } else { 2 }
    }

    /// Returns the roles of the two processes. Some cases have only one.
    pub fn roles(&self) -> (Role, Option<Role>) {
        match self.shape {
            Shape::RoundTrip | Shape::Window | Shape::Connections(_) | Shape::Idle => {
                (Role::Drive, Some(Role::Echo))
            }
            Shape::Stream => (Role::Source, Some(Role::Sink)),
            Shape::Alone => (Role::Drive, None),
        }
    }

    /// Returns the command line of the side that leads or follows, without role, name and budget.
    pub fn options(&self, follows: bool) -> Vec<String> {
        let window = match self.shape {
            Shape::Window => WINDOW,
            Shape::Connections(count) => count,
            _ => 1,
        };
        // Fewer messages are checked if they are large, so that the check is short.
        let verify = ((1 << 20) / (self.size * window)).clamp(1, 16);
        let mut options = vec![format!("--size={}", self.size), format!("--verify={verify}")];
        if window > 1 {
            options.push(format!("--window={window}"));
        }
        if matches!(self.shape, Shape::Connections(_)) {
            options.push("--many".to_owned());
        }
        if self.touched {
            options.push("--touched".to_owned());
        }
        let (burst, rest) = match self.rhythm {
            Rhythm::Continuous => (0, Duration::ZERO),
            Rhythm::Burst(trips) => (trips, REST),
            Rhythm::Paced => (1, PACE),
        };
        if burst > 0 {
            options.extend([format!("--burst={burst}"), format!("--rest-ms={}", rest.as_millis())]);
        }
        if self.rhythm == Rhythm::Paced {
            options.push(format!("--settle-ms={}", SETTLE.as_millis()));
        }
        if self.pairs > 1 {
            options.push("--gate".to_owned());
        }
        if follows && self.lead == "python" && self.follow != "python" {
            options.push(format!("--period={PYTHON_PERIOD}"));
        }
        options
    }
}

impl What {
    /// Returns the name on the command line.
    pub fn word(self) -> String {
        word(self)
    }

    /// Returns the name in a table.
    pub fn title(self) -> &'static str {
        match self {
            What::Line => "limit: one cache line",
            What::Ring => "limit: slot ring",
            What::Futex => "limit: futex",
            What::EventFd => "limit: eventfd and epoll",
            What::Copy => "limit: flag and memcpy",
            What::InPlace => "limit: flag, in place",
            What::Memcpy => "limit: memcpy",
            What::Queue => "ESHM send/recv",
            What::Roomy => "ESHM send/recv, 4 MiB",
            What::Copied => "ESHM send/recv, copied out",
            What::Loan => "ESHM loan",
            What::LoanDefault => "ESHM loan, default options",
            What::Batch => "ESHM send_many/recv_many",
            What::Park => "ESHM send/recv, parked",
            What::Events => "ESHM send/recv, in epoll",
            What::Loop => "ESHM in an event loop",
            What::LoopUnix => "Unix socket in an event loop",
            What::Mailbox => "ESHM write/read",
            What::Idle => "ESHM idle receiver",
            What::Idlers => "1000 idle endpoints of ESHM",
            What::IdleSet => "1000 idle endpoints of ESHM in a wait set",
            What::Open => "ESHM open, besides the reservation",
            What::Attach => "ESHM open by the slave",
            What::First => "ESHM first message after open",
            What::Iceoryx2 => "iceoryx2",
            What::Iceoryx2Event => "iceoryx2, event",
            What::Shmipc => "shmipc",
            What::Unix => "Unix socket",
            What::Seqpacket => "Unix socket, SEQPACKET",
            What::Tcp => "TCP loopback",
            What::Pipe => "pipe",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.title())?;
        if (self.lead, self.follow) != ("rust", "rust") {
            write!(f, ", {} ↔ {}", self.lead, self.follow)?;
        }
        match self.shape {
            Shape::RoundTrip => write!(f, ", round trip, {}", bytes(self.size))?,
            Shape::Stream => write!(f, ", stream, {}", bytes(self.size))?,
            Shape::Connections(count) => write!(f, ", {count} connections, {}", bytes(self.size))?,
            Shape::Window => write!(f, ", {WINDOW} at once, {}", bytes(self.size))?,
            Shape::Alone => write!(f, ", {}", bytes(self.size))?,
            Shape::Idle => {}
        }
        if self.touched {
            f.write_str(", touched")?;
        }
        if self.pairs > 1 {
            write!(f, ", {} pairs", self.pairs)?;
        }
        write!(f, "{}{}", self.rhythm, self.placing)
    }
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continuous => Ok(()),
            Self::Burst(trips) => write!(f, ", bursts of {trips}"),
            Self::Paced => f.write_str(", paced"),
        }
    }
}

impl fmt::Display for Placing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apart => "",
            Self::Pinned => ", pinned apart",
            Self::One => ", one CPU",
            Self::Two => ", two CPUs",
            Self::Free => ", unpinned",
        })
    }
}

/// Returns the name of a value on the command line.
pub fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Formats a size with its unit.
pub fn bytes(size: usize) -> String {
    match size {
        size if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    }
}
