//! The processes of one side, and the log of their commands and answers.

use std::collections::VecDeque;

use anyhow::{Context, Result};

use super::ability::Abilities;
use crate::language::Language;
use crate::peer::Peer;
use crate::segment::Side;
use crate::toolchain::Peers;

/// The number of log lines per peer that a failure report shows.
pub(super) const TAIL: usize = 20;

/// The processes of one side. They are reused by the next program.
pub(super) struct Actor {
    pub language: &'static Language,
    pub abilities: Abilities,
    /// The process that runs the program. `None` after a kill.
    pub peer: Option<Peer>,
    /// A process that is started in advance, as the next peer or as the intruder.
    pub spare: Option<Peer>,
    pub lines: VecDeque<String>,
}

impl Actor {
    /// Creates a side without a process.
    pub fn new(language: &'static Language) -> Actor {
        let abilities = Abilities::of(language.name);
        Actor { language, abilities, peer: None, spare: None, lines: VecDeque::new() }
    }

    pub fn start(&self, peers: &Peers, side: Side) -> Result<Peer> {
        let mut command = peers.command(self.language).context("its language is missing")?;
        // Each command that opens an endpoint names its segment.
        command.args([side.word(), "unused", "commands"]);
        Peer::start(format!("{} {}", self.language.name, side.word()), command)
    }

    /// Returns the current process, or the one started in advance.
    pub fn peer(&mut self, peers: &Peers, side: Side) -> Result<&mut Peer> {
        if self.peer.is_none() {
            self.peer = Some(match self.spare.take() {
                Some(spare) => spare,
                None => self.start(peers, side)?,
            });
        }
        Ok(self.peer.as_mut().expect("it was put there"))
    }

    pub fn note(&mut self, line: String) {
        if self.lines.len() == TAIL {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Drops the last two lines if they repeat the two before them.
    pub fn forget_repetition(&mut self) {
        // The text after the time and the direction, without numbers.
        let gist =
            |line: &String| line.get(11..).unwrap_or_default().split(['{', ' ']).next().map(str::to_owned);
        let gists: Vec<_> = self.lines.iter().rev().take(4).map(gist).collect();
        if gists.len() == 4 && gists[..2] == gists[2..] {
            self.lines.truncate(self.lines.len() - 2);
        }
    }

    pub fn tail(&self, side: Side) -> String {
        let lines: String = self.lines.iter().map(|line| format!("    {line}\n")).collect();
        format!("  the last lines of the {}, {}:\n{lines}", side.word(), self.language.name)
    }
}
