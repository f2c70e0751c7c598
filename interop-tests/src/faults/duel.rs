//! Two processes that keep ledgers, and may be killed and started again.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::account::{Account, Journal};
use crate::language::Pairing;
use crate::observe::Observation;
use crate::peer::{Peer, Said};
use crate::segment::{Segment, Side};
use crate::toolchain::Peers;

/// How long a process may take to die where it shall.
const DEATH: Duration = Duration::from_secs(10);

/// Where a process kills itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    pub(super) point: &'static str,
    /// At which time it passes the point.
    pub(super) time: u32,
    /// Whether the times count from its start, or from [`Duel::arm`].
    pub(super) at_once: bool,
}

/// A segment, two journals, and what both sides are started with.
pub(super) struct Duel<'a> {
    peers: &'a Peers,
    pairing: Pairing,
    pub(super) segment: Segment,
    folder: TempDir,
    /// The queue capacity that the master asks for, in bytes.
    pub(super) queue: usize,
    lives: [u64; 2],
    /// For each side, which of its messages were lost with a segment without a name: at the end of each range.
    excused: [Vec<RangeInclusive<u64>>; 2],
}

/// One process.
pub(super) struct Life {
    pub(super) peer: Peer,
    side: Side,
    /// Which process of its side it is, from 1: the series of its messages.
    number: u64,
    ready: Option<Instant>,
    /// How its peer is, as it last said.
    peer_state: String,
}

impl<'a> Duel<'a> {
    pub(super) fn new(peers: &'a Peers, pairing: Pairing, suite: &str) -> Result<Duel<'a>> {
        let folder = tempfile::tempdir().context("a folder for the journals")?;
        // Small, so that the queue goes round and is full now and then.
        let queue = 16384;
        Ok(Duel {
            peers,
            pairing,
            segment: Segment::fresh(suite),
            folder,
            queue,
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

    /// Makes crashes happen that wait for it.
    pub(super) fn arm(&self) -> Result<()> {
        Ok(std::fs::write(self.trigger(), "")?)
    }

    /// Makes them wait again.
    pub(super) fn disarm(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.trigger())?)
    }

    fn trigger(&self) -> PathBuf {
        self.folder.path().join("armed")
    }

    /// Where a side's journal is.
    pub(super) fn journal(&self, side: Side) -> PathBuf {
        self.folder.path().join(side.word())
    }

    /// Ends both, the slave first, and accounts for every message: nothing may be left of the segment.
    pub(super) fn finish(&self, mut one: Life, mut other: Life) -> Result<Account> {
        rest(&mut one, &mut other)?;
        let (master, slave) = if one.side == Side::Master { (one, other) } else { (other, one) };
        slave.peer.finish()?;
        master.peer.finish()?;
        self.segment.is_gone()?;
        self.account()
    }

    /// Accounts for the messages of both directions.
    pub(super) fn account(&self) -> Result<Account> {
        let master = Journal::read(&self.journal(Side::Master))?;
        let slave = Journal::read(&self.journal(Side::Slave))?;
        let [of_master, of_slave] = &self.excused;
        Ok(master.account(&slave, of_master)?.and(slave.account(&master, of_slave)?))
    }

    /// The greatest number that a side has received so far.
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

    /// Waits until it has said that all is sent and received.
    fn is_done(&mut self) -> Result<()> {
        self.until("the end of the traffic", |_, said| matches!(said, Observation::Done { .. })).map(drop)
    }

    /// Waits until it has noticed that its peer is gone, and returns when it did; `None`: it had before.
    pub(super) fn notices(&mut self) -> Result<Option<Instant>> {
        let gone = |state: &str| state == "dead" || state == "closed";
        if gone(&self.peer_state) {
            return Ok(None);
        }
        self.until("the peer's death", |state, _| gone(state)).map(Some)
    }

    /// Waits until it has said that its peer is in this state.
    pub(super) fn sees(&mut self, state: &str) -> Result<()> {
        if self.peer_state == state {
            return Ok(());
        }
        self.until(&format!("a peer that is {state}"), |said, _| said == state).map(drop)
    }

    /// Listens until its peer's state, as it said last, and what it says now are what is waited for.
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

    /// Waits until it has died of its crash.
    pub(super) fn dies(self, crash: Crash) -> Result<()> {
        self.peer.ends_by(Signal::SIGKILL, DEATH).with_context(|| format!("{} was not reached", crash.point))
    }
}

/// Waits until each has received a message of the other; how long that took since the later one was attached.
pub(super) fn service(one: &mut Life, other: &mut Life) -> Result<Duration> {
    // A slave that waits for its master is not the one to ask first.
    let (first, second) =
        if one.side == Side::Master { (&mut *one, &mut *other) } else { (&mut *other, &mut *one) };
    let ready = first.ready()?.max(second.ready()?);
    let heard = one.hears(other)?.max(other.hears(one)?);
    Ok(heard.saturating_duration_since(ready))
}

/// Has both stop when all is delivered. They wait then, to be told to go on or to leave.
pub(super) fn rest(one: &mut Life, other: &mut Life) -> Result<()> {
    one.peer.tell("stop")?;
    other.peer.tell("stop")?;
    one.is_done()?;
    other.is_done()
}
