//! What a language's peer cannot do, by the design of the language or of its library.

use super::program::{Act, Verb};

/// Languages, the words of [`Act`]s that their peers answer with `unsupported`, and what else they cannot do.
const LACKS: &[(&str, &[&str])] = &[
    // The library has no observer, and releases what is held before it looks for more.
    ("c", &["observe", "look-while-holding"]),
    // A Go program cannot fork.
    ("go", &["fork"]),
    // The variant has no batch of its own that waits, and a wait of it that is cancelled may not have looked yet.
    ("python-asyncio", &["send-many-waiting", "look-before-a-time-out"]),
];

/// What the peer of one language can do. A language that the table does not have can do everything.
#[derive(Clone, Copy)]
pub struct Abilities {
    lacks: &'static [&'static str],
}

impl Abilities {
    /// Those of the language of this name.
    pub fn of(language: &str) -> Abilities {
        let row = LACKS.iter().find(|(name, _)| *name == language);
        Abilities { lacks: row.map_or(&[], |(_, lacks)| lacks) }
    }

    /// Whether the peer can do this.
    pub fn can(&self, act: &Act) -> bool {
        let word = match act {
            Act::Call(Verb::SendMany { wait, .. }) | Act::Begin(Verb::SendMany { wait, .. })
                if *wait != Some(0) =>
            {
                "send-many-waiting"
            }
            Act::Call(verb) | Act::Begin(verb) => verb.name(),
            event => event.event().unwrap_or_default(),
        };
        !self.lacks.contains(&word)
    }

    /// Whether a message stays held while its receiver looks for another, or for a value, or is refused.
    pub fn holds_on(&self) -> bool {
        !self.lacks.contains(&"look-while-holding")
    }

    /// Whether a call finds what is there, however short its time is.
    pub fn finds_at_once(&self, verb: Verb) -> bool {
        let at_once = matches!(verb, Verb::TryRecv | Verb::TryRead | Verb::Hold { .. });
        at_once || !self.lacks.contains(&"look-before-a-time-out")
    }
}
