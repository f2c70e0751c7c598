//! Two processes that run the scenario `ledger`, and may be killed and restarted.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use eshm::layout::event_fifo;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::account::{Account, Journal};
use crate::language::Pairing;
use crate::observe::Observation;
use crate::peer::{Peer, Said};
use crate::segment::{Segment, Side};
use crate::toolchain::Peers;

/// The time limit for a process to reach its crash point.
const DEATH: Duration = Duration::from_secs(10);

/// The crash point at which a process kills itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    pub(super) point: &'static str,
    /// The pass of the point that kills: 1 is the first.
    pub(super) time: u32,
    /// Whether passes count from the start of the process or from [`Duel::arm`].
    pub(super) at_once: bool,
}

/// A segment, two journals, and the settings of both sides.
pub(super) struct Duel<'a> {
    peers: &'a Peers,
    pairing: Pairing,
    pub(super) segment: Segment,
    folder: TempDir,
    /// The master's queue capacity, in bytes.
    pub(super) queue: usize,
    /// Whether both wait for event descriptors.
    pub(super) events: bool,
    lives: [u64; 2],
    /// For each side, ranges whose last messages may be lost because their segment had no name.
    excused: [Vec<RangeInclusive<u64>>; 2],
}

/// One process.
pub(super) struct Life {
    pub(super) peer: Peer,
    side: Side,
    /// The number of the process on its side, from 1. It is the seed of its messages.
    number: u64,
    ready: Option<Instant>,
    /// The peer state that it last reported.
    peer_state: String,
}

impl<'a> Duel<'a> {
    pub(super) fn new(peers: &'a Peers, pairing: Pairing, suite: &str) -> Result<Duel<'a>> {
        let folder = tempfile::tempdir().context("a folder for the journals")?;
        // Small, so that the queue wraps around and is sometimes full.
        let queue = 16384;
        Ok(Duel {
            peers,
            pairing,
            segment: Segment::fresh(suite),
            folder,
            queue,
            events: false,
            lives: [0; 2],
            excused: Default::default(),
        })
    }

    /// Starts a side's next process.
    pub(super) fn start(&mut self, side: Side, crash: Option<Crash>) -> Result<Life> {
        let language = if side == Side::Master { self.pairing.master } else { self.pairing.slave };
        let Some(mut command) = self.peers.command(language) else {
            bail!("{} is not installed: {}", language.name, language.install)
        };
        command.args([side.word(), self.segment.name(), "ledger", "--journal"]).arg(self.journal(side));
        if side == Side::Master {
            command.args(["--queue", &self.queue.to_string()]);
        }
        if self.events {
            command.arg("--events");
        }
        if let Some(crash) = crash {
            command.env("ESHM_CRASH", format!("{}:{}", crash.point, crash.time));
            if !crash.at_once {
                command.env("ESHM_CRASH_WHEN", self.trigger());
            }
        }
        self.lives[side as usize] += 1;
        let number = self.lives[side as usize];
        let label = format!("{} {} (life {number})", language.name, side.word());
        Ok(Life { peer: Peer::start(label, command)?, side, number, ready: None, peer_state: String::new() })
    }

    /// Enables the crash points that wait for it.
    pub(super) fn arm(&self) -> Result<()> {
        Ok(std::fs::write(self.trigger(), "")?)
    }

    /// Disables them again.
    pub(super) fn disarm(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.trigger())?)
    }

    fn trigger(&self) -> PathBuf {
        self.folder.path().join("armed")
    }

    /// Returns the path of a side's journal.
    pub(super) fn journal(&self, side: Side) -> PathBuf {
        self.folder.path().join(side.word())
    }

    /// Ends both, the slave first, and accounts for every message. No file of the segment may remain.
    pub(super) fn finish(&self, mut one: Life, mut other: Life) -> Result<Account> {
        rest(&mut one, &mut other)?;
        let (master, slave) = if one.side == Side::Master { (one, other) } else { (other, one) };
        slave.peer.finish()?;
        master.peer.finish()?;
        self.segment.is_gone()?;
        for role in ['m', 's'] {
            let fifo = format!("/dev/shm/{}", event_fifo("eshm_", role, self.segment.name()));
            ensure!(!Path::new(&fifo).exists(), "{fifo} is left behind");
        }
        self.account()
    }

    /// Accounts for the messages of both directions.
    pub(super) fn account(&self) -> Result<Account> {
        let master = Journal::read(&self.journal(Side::Master))?;
        let slave = Journal::read(&self.journal(Side::Slave))?;
        let [of_master, of_slave] = &self.excused;
        Ok(master.account(&slave, of_master)?.and(slave.account(&master, of_slave)?))
    }

    /// Returns the greatest number that a side has received so far.
    pub(super) fn received(&self, side: Side) -> Result<u64> {
        Ok(Journal::read(&self.journal(side))?.received)
    }

    /// Excuses what a side that was killed had sent after `received`, the last number that the other side had: as much
    /// as was not carried over. What was, came in order, so that only the last ones may be missing.
    pub(super) fn excuse_after(&mut self, side: Side, received: u64) -> Result<()> {
        let sent = Journal::read(&self.journal(side))?.intended;
        self.excused[side as usize].push(received + 1..=sent);
        Ok(())
    }
}

impl Life {
    /// Waits until it is attached.
    pub(super) fn ready(&mut self) -> Result<Instant> {
        if self.ready.is_none() {
            self.ready = Some(self.peer.ready()?);
        }
        Ok(self.ready.expect("it was set"))
    }

    /// Waits for the first message of another process, and returns when it came.
    fn hears(&mut self, other: &Life) -> Result<Instant> {
        self.until(
            &format!("a message of {}", other.peer),
            |_, said| matches!(said, Observation::Received { seed, .. } if *seed == other.number),
        )
    }

    /// Waits until it reports that all messages are sent and received.
    fn is_done(&mut self) -> Result<()> {
        self.until("the end of the traffic", |_, said| matches!(said, Observation::Done { .. })).map(drop)
    }

    /// Waits until it has noticed that its peer is gone. Returns the time, or `None` if it had noticed before.
    pub(super) fn notices(&mut self) -> Result<Option<Instant>> {
        let gone = |state: &str| state == "dead" || state == "closed";
        if gone(&self.peer_state) {
            return Ok(None);
        }
        self.until("the peer's death", |state, _| gone(state)).map(Some)
    }

    /// Waits until it reports this peer state.
    pub(super) fn sees(&mut self, state: &str) -> Result<()> {
        if self.peer_state == state {
            return Ok(());
        }
        self.until(&format!("a peer that is {state}"), |said, _| said == state).map(drop)
    }

    /// Reads its lines until the last reported peer state and the present line match what is waited for.
    fn until(&mut self, what: &str, holds: impl Fn(&str, &Observation) -> bool) -> Result<Instant> {
        loop {
            let line = self.peer.hear().with_context(|| format!("while waiting for {what}"))?;
            let Said::Observed(said) = &line.said else {
                self.ready = Some(line.at);
                continue;
            };
            match said {
                Observation::Error { code, message } => bail!("{}: {code}: {message}", self.peer),
                Observation::Peer { state } => self.peer_state.clone_from(state),
                _ => {}
            }
            if holds(&self.peer_state, said) {
                return Ok(line.at);
            }
        }
    }

    /// Waits until the crash point has killed it.
    pub(super) fn dies(self, crash: Crash) -> Result<()> {
        self.peer.ends_by(Signal::SIGKILL, DEATH).with_context(|| format!("{} was not reached", crash.point))
    }
}

/// Waits until each has received a message of the other. Returns the time since the later one attached.
pub(super) fn service(one: &mut Life, other: &mut Life) -> Result<Duration> {
    // The master is asked first, because a slave may still wait for it.
    let (first, second) =
        if one.side == Side::Master { (&mut *one, &mut *other) } else { (&mut *other, &mut *one) };
    let ready = first.ready()?.max(second.ready()?);
    let heard = one.hears(other)?.max(other.hears(one)?);
    Ok(heard.saturating_duration_since(ready))
}

/// Stops both when all messages are delivered. They then wait for the order to go on or to leave.
pub(super) fn rest(one: &mut Life, other: &mut Life) -> Result<()> {
    one.peer.tell("stop")?;
    other.peer.tell("stop")?;
    one.is_done()?;
    other.is_done()
}
