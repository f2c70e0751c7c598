//! The abilities that a language's peer lacks, by the design of the language or of its library.

use super::program::{Act, Verb};

/// For each language: the words of [`Act`]s that its peer answers with `unsupported`, and other abilities that it
/// lacks.
const LACKS: &[(&str, &[&str])] = &[
    // The library has no observer, and a receive releases the held message first.
    ("c", &["observe", "look-while-holding"]),
    // A Go program cannot fork.
    ("go", &["fork"]),
    ("go-poller", &["fork"]),
    // A cancelled wait may not have looked yet.
    ("python-asyncio", &["look-before-a-time-out"]),
    ("rust-tokio", &["look-before-a-time-out"]),
    ("cpp-asio", &["look-before-a-time-out"]),
];

/// The languages whose peers end a wait by cancelling it. In the others `cancel-recv` and `cancel-send` are time-outs.
const CANCELS: &[&str] = &["go", "go-poller", "python-asyncio", "rust-tokio", "cpp-asio"];

/// The abilities of one language's peer. A language without an entry in the table has all of them.
#[derive(Clone, Copy)]
pub struct Abilities {
    lacks: &'static [&'static str],
    cancels: bool,
}

impl Abilities {
    /// Returns the abilities of the language with this name.
    pub fn of(language: &str) -> Abilities {
        let row = LACKS.iter().find(|(name, _)| *name == language);
        Abilities { lacks: row.map_or(&[], |(_, lacks)| lacks), cancels: CANCELS.contains(&language) }
    }

    /// Returns whether the peer can cancel a wait.
    pub fn cancels(&self) -> bool {
        self.cancels
    }

    /// Returns whether the peer can do this.
    pub fn can(&self, act: &Act) -> bool {
        let word = match act {
            Act::Call(verb) | Act::Begin(verb) => verb.name(),
            event => event.event().unwrap_or_default(),
        };
        !self.lacks.contains(&word)
    }

    /// Returns whether a held message stays held when a further receive or read is attempted or refused.
    pub fn holds_on(&self) -> bool {
        !self.lacks.contains(&"look-while-holding")
    }

    /// Returns whether a call finds an available message even with the shortest timeout.
    pub fn finds_at_once(&self, verb: Verb) -> bool {
        let at_once = matches!(verb, Verb::TryRecv | Verb::TryRead);
        at_once || !self.lacks.contains(&"look-before-a-time-out")
    }
}
