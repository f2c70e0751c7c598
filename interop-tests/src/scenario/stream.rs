//! A peer of the scenario `stream`, and what it has reported so far.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use nix::sys::signal::Signal;

use super::{Side, Stage, options};
use crate::observe::Observation;
use crate::peer::{Line, Peer, Said};
use crate::segment::Segment;

/// The data size of streamed segments, in bytes.
const SIZE: u64 = 256;
/// The longest wait for an event of a stream. It ends a test that hangs.
const WATCHDOG: Duration = Duration::from_secs(30);

/// A message that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    pub(super) at: Instant,
    pub(super) seed: u64,
    pub(super) number: u64,
    pub(super) generation: u64,
}

/// What one process reported, from its READY to its end.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) seed: u64,
    pub(super) ready: Instant,
    /// The messages that `send` accepted and that the process reported before it ended.
    pub(super) sent: u64,
    pub(super) received: Vec<Received>,
    /// The state of the peer as this process reports it.
    pub(super) peer_state: String,
}

impl Life {
    /// Returns how many messages of a series the process has received.
    pub(super) fn received_of(&self, seed: u64) -> usize {
        // Callers ask for the latest series only, so its messages are at the end.
        self.received.iter().rev().take_while(|message| message.seed == seed).count()
    }

    fn note(&mut self, line: Line) -> Result<()> {
        let Said::Observed(observation) = line.said else { bail!("{:?} in a stream", line.said) };
        match observation {
            Observation::Sent { number } => {
                ensure!(number == self.sent, "series {}: sent {number}, expected {}", self.seed, self.sent);
                self.sent += 1;
            }
            Observation::Received { seed, number, generation } => {
                self.received.push(Received { at: line.at, seed, number, generation });
            }
            Observation::Peer { state } => self.peer_state = state,
            Observation::EndSent | Observation::EndReceived | Observation::Done { .. } => {}
            other => bail!("series {}: {other:?} in a stream", self.seed),
        }
        Ok(())
    }
}

/// A process that streams.
pub(super) struct Streamer {
    peer: Peer,
    pub(super) life: Life,
}

impl Streamer {
    /// Starts a process that sends the messages of `seed`, and waits for its READY.
    pub(super) fn start(stage: &Stage<'_>, side: Side, segment: &Segment, seed: u64) -> Result<Streamer> {
        let mut peer = stage.start(side, segment, "stream", &options(&[("size", SIZE), ("seed", seed)]))?;
        let ready = peer.ready()?;
        let life = Life { seed, ready, sent: 0, received: Vec::new(), peer_state: String::new() };
        Ok(Streamer { peer, life })
    }

    /// Reads observations until the condition holds.
    pub(super) fn until(&mut self, what: &str, holds: impl Fn(&Life) -> bool) -> Result<()> {
        let since = Instant::now();
        while !holds(&self.life) {
            ensure!(since.elapsed() < WATCHDOG, "{}: {what} did not happen within {WATCHDOG:?}", self.peer);
            let line = self.peer.hear()?;
            self.life.note(line)?;
        }
        Ok(())
    }

    /// Sends a signal to the process.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        self.peer.signal(signal)
    }

    /// Kills the process.
    pub(super) fn kill(mut self) -> Result<Life> {
        for line in self.peer.kill()? {
            self.life.note(line)?;
        }
        Ok(self.life)
    }

    /// Asks the process to send only the end mark from now on.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.peer.tell("stop")
    }

    /// Waits until the process has ended without an error.
    pub(super) fn finish(mut self) -> Result<Life> {
        for line in self.peer.finish()? {
            self.life.note(line)?;
        }
        Ok(self.life)
    }
}
