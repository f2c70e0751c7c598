//! What is measured: one contestant, one shape, one size.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use crate::contestants::{Role, What};

/// The payloads of every table, in bytes.
pub const SIZES: [usize; 11] =
    [8, 56, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// What one cache line carries.
pub const SMALL: usize = 56;
/// shmipc's own benchmark has so many requests under way at once.
pub const WINDOW: usize = 199;

/// What the two processes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One message there, one back.
    RoundTrip,
    /// One direction, at full speed.
    Stream,
    /// [`WINDOW`] requests under way.
    Window,
    /// Waiting for nothing.
    Idle,
    /// One process by itself.
    Alone,
}

/// One row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Case {
    /// Who.
    pub what: What,
    /// How.
    pub shape: Shape,
    /// The language of the side that drives or streams.
    pub lead: &'static str,
    /// The language of the side that echoes or counts.
    pub follow: &'static str,
    /// Bytes per message.
    pub size: usize,
    /// Whether the whole payload is written and read.
    pub touched: bool,
}

impl Case {
    const fn new(what: What, shape: Shape, size: usize) -> Self {
        Case { what, shape, lead: "rust", follow: "rust", size, touched: false }
    }

    /// Rust ↔ Rust, with a payload of which only the first word is touched.
    pub const fn round_trip(what: What, size: usize) -> Self {
        Self::new(what, Shape::RoundTrip, size)
    }

    /// The same in one direction.
    pub const fn stream(what: What, size: usize) -> Self {
        Self::new(what, Shape::Stream, size)
    }

    /// The same with [`WINDOW`] requests under way.
    pub const fn window(what: What, size: usize) -> Self {
        Self::new(what, Shape::Window, size)
    }

    /// A receiver that waits in vain.
    pub const fn idle() -> Self {
        Self::new(What::Idle, Shape::Idle, SMALL)
    }

    /// memcpy.
    pub const fn memcpy(size: usize) -> Self {
        Self::new(What::Memcpy, Shape::Alone, size)
    }

    /// The same with the whole payload written and read.
    pub const fn touched(self) -> Self {
        Case { touched: true, ..self }
    }

    /// The same between other languages.
    pub const fn between(self, lead: &'static str, follow: &'static str) -> Self {
        Case { lead, follow, ..self }
    }

    /// What the two processes do; the second may not be needed.
    pub fn roles(&self) -> (Role, Option<Role>) {
        match self.shape {
            Shape::RoundTrip | Shape::Window | Shape::Idle => (Role::Drive, Some(Role::Echo)),
            Shape::Stream => (Role::Source, Some(Role::Sink)),
            Shape::Alone => (Role::Drive, None),
        }
    }

    /// The command line after the program's own, but for role, name and budget.
    pub fn options(&self) -> Vec<String> {
        let window = if self.shape == Shape::Window { WINDOW } else { 1 };
        // The check is over soon, however large the messages are, and however many at once.
        let verify = ((1 << 20) / (self.size * window)).clamp(1, 16);
        let mut options = vec![format!("--size={}", self.size), format!("--verify={verify}")];
        if window > 1 {
            options.push(format!("--window={window}"));
        }
        if self.touched {
            options.push("--touched".to_owned());
        }
        options
    }
}

impl What {
    /// Its name on the command line.
    pub fn word(self) -> String {
        word(self)
    }

    /// Its name in a table.
    pub fn title(self) -> &'static str {
        match self {
            What::Line => "limit: one cache line",
            What::Ring => "limit: slot ring",
            What::Futex => "limit: futex",
            What::Copy => "limit: flag and memcpy",
            What::Memcpy => "limit: memcpy",
            What::Queue => "ESHM send/recv",
            What::Copied => "ESHM send/recv, copied out",
            What::Loan => "ESHM loan",
            What::Batch => "ESHM send_many/recv_many",
            What::Park => "ESHM send/recv, parked",
            What::Mailbox => "ESHM write/read",
            What::Idle => "ESHM idle receiver",
            What::Iceoryx2 => "iceoryx2",
            What::Shmipc => "shmipc",
            What::Unix => "Unix socket",
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
            Shape::Window => write!(f, ", {WINDOW} at once, {}", bytes(self.size))?,
            Shape::Alone => write!(f, ", {}", bytes(self.size))?,
            Shape::Idle => {}
        }
        if self.touched { f.write_str(", touched") } else { Ok(()) }
    }
}

/// What a value is called on the command line.
pub fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A size as people write it.
pub fn bytes(size: usize) -> String {
    match size {
        size if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    }
}
