//! ESHM 1.x as the peer: two stand-ins, and the scenarios of each with every language of ours.
//!
//! `peers/legacy/` does to a segment's bytes what a process of ESHM 1.0 and one of 1.2 do. A reader of 1.x takes the
//! first value that it is shown for an old one; what follows from that is in [`prime`].

mod closes;
mod exchanges;
mod floods;
mod lives;
mod restarts;
mod sends;
mod upgrades;
mod wakes;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::language::{LANGUAGES, Language, Pairing};
use crate::observe::Observation;
use crate::peer::Peer;
use crate::scenario::{CommandPair, Kind, Scenario, Side, Stage, open, word};
use crate::segment::Segment;
use crate::toolchain::Workshop;

/// The time limit of every wait. It ends a test that hangs.
const WATCHDOG: Duration = Duration::from_secs(20);

/// The stand-ins.
#[rustfmt::skip]
pub const VERSIONS: &[Language] = &[
    Language { name: "legacy-1.0", probe: &["cc", "--version"], install: "apt-get install gcc", prepare: version_10 },
    Language { name: "legacy-1.2", probe: &["cc", "--version"], install: "apt-get install gcc", prepare: version_12 },
];

/// The scenarios with the stand-ins.
#[rustfmt::skip]
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "legacy-exchange", kind: Kind::Legacy, promise: "with 1.x: every value of 0 to N bytes arrives in both directions, one of N + 1 is refused", run: exchanges::run },
    Scenario { name: "legacy-latest-value", kind: Kind::Legacy, promise: "with 1.x: a fast writer's values are whole, in order, and the last one arrives, in both directions", run: floods::run },
    Scenario { name: "legacy-send", kind: Kind::Legacy, promise: "with 1.x: send is acknowledged by reading, and times out if the value is not read; recv gets every value", run: sends::run },
    Scenario { name: "legacy-wake", kind: Kind::Legacy, promise: "with 1.2: a parked reader is woken by the other's write; with 1.0: both poll", run: wakes::run },
    Scenario { name: "legacy-restart", kind: Kind::Legacy, promise: "with 1.x: either end is killed and started again, and both directions work again", run: restarts::run },
    Scenario { name: "legacy-close", kind: Kind::Legacy, promise: "with 1.x: either end leaves and comes back, and both directions work again", run: closes::run },
    Scenario { name: "legacy-life", kind: Kind::Legacy, promise: "with 1.x: in random lives of both ends, values are whole and in order, and service comes back", run: lives::run },
    Scenario { name: "legacy-upgrade", kind: Kind::Legacy, promise: "two 1.x processes are replaced one after the other, and nothing is lost from then on", run: upgrades::run },
];

/// Returns the pairings of each version with each language, in both roles.
pub fn pairings() -> Vec<Pairing> {
    let pairs = |old| {
        LANGUAGES.iter().flat_map(move |ours| {
            [Pairing { master: old, slave: ours }, Pairing { master: ours, slave: old }]
        })
    };
    VERSIONS.iter().flat_map(pairs).collect()
}

/// Returns whether this is one of the stand-ins.
pub fn is_old(language: &Language) -> bool {
    VERSIONS.iter().any(|version| version.name == language.name)
}

fn version_10(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    compile(workshop, "legacy_10")
}

fn version_12(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    compile(workshop, "legacy_12")
}

fn compile(workshop: &Workshop, version: &str) -> Result<Vec<PathBuf>> {
    const FOLDER: &str = "interop-tests/peers/legacy";
    let peer = workshop.folder().join(format!("peer-{version}"));
    let mut compile = Command::new("cc");
    compile.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]).arg(&peer);
    compile.args(["main", "endpoint", "payload", version].map(|name| format!("{FOLDER}/{name}.c")));
    compile.arg("-lrt");
    workshop.build(version, &[FOLDER], &peer, &mut [compile])?;
    Ok(vec![peer])
}

/// A process of ours and one of 1.x on a segment.
struct Pair<'a> {
    stage: &'a Stage<'a>,
    segment: Segment,
    peers: CommandPair,
    /// The side of the process of 1.x.
    old: Side,
}

impl<'a> Pair<'a> {
    /// Starts both and opens the segment, the master first. Neither reads anything.
    fn open(stage: &'a Stage<'a>, scenario: &str) -> Result<Pair<'a>> {
        let old = if is_old(stage.pairing.master) { Side::Master } else { Side::Slave };
        let mut pair = Pair { stage, segment: Segment::fresh(scenario), peers: stage.command_pair()?, old };
        pair.open_side(Side::Master)?;
        pair.open_side(Side::Slave)?;
        pair.meet()?;
        Ok(pair)
    }

    fn open_side(&mut self, side: Side) -> Result<()> {
        let command = open(side.word(), self.segment.name(), None);
        let (peer, _) = self.peers.way(side);
        let opened = Observation::Opened { role: side.word().to_owned(), data_size: 4096 };
        peer.expect(&command, &opened)
    }

    /// Waits until each sees the other.
    fn meet(&mut self) -> Result<()> {
        self.peers.master.expect("wait-peer 10000", &Observation::Ok)?;
        self.peers.slave.expect("wait-peer 10000", &Observation::Ok)
    }

    /// Returns our peer and the stand-in.
    fn both(&mut self) -> (&mut Peer, &mut Peer) {
        self.peers.way(self.old.other())
    }

    /// Starts the stand-in's reader.
    fn prime(&mut self) -> Result<()> {
        let (ours, old) = self.both();
        prime(ours, old)
    }

    /// Exchanges a value in each direction.
    fn exchange(&mut self, value: &[u8]) -> Result<()> {
        let (ours, old) = self.both();
        exchange(ours, old, value)?;
        exchange(old, ours, value)
    }

    /// Kills a side's process, and starts another one.
    fn kill(&mut self, side: Side) -> Result<()> {
        let heir = self.stage.start(side, &self.segment, "commands", &[])?;
        let (mortal, _) = self.peers.way(side);
        std::mem::replace(mortal, heir).kill()?;
        Ok(())
    }

    /// Closes both, the slave first, and checks that no file remains.
    fn close(mut self) -> Result<()> {
        self.peers.close(&self.segment)?;
        self.peers.finish()
    }
}

/// Sends one value from one peer to another.
fn exchange(from: &mut Peer, to: &mut Peer, value: &[u8]) -> Result<()> {
    from.expect(&format!("write {}", word(value)), &Observation::Ok)?;
    to.receives("read 10000", value)
}

/// Writes until an old reader delivers something: what it finds when it begins, it takes for old; and one of 1.0 that
/// has come from another segment delivers nothing before this one has had as many values.
fn prime(writer: &mut Peer, reader: &mut Peer) -> Result<()> {
    let since = Instant::now();
    while since.elapsed() < WATCHDOG {
        writer.expect("write 7072696d65", &Observation::Ok)?;
        match reader.ask("try-read")? {
            Observation::Nothing => {}
            Observation::Message { hex, .. } if hex == word(b"prime") => return Ok(()),
            found => bail!("{reader}: {found:?}, expected a value or nothing"),
        }
    }
    bail!("{reader} has delivered nothing in {WATCHDOG:?}")
}

/// Repeats a command until the answer is the expected one.
fn until(peer: &mut Peer, command: &str, holds: impl Fn(&Observation) -> bool) -> Result<()> {
    let since = Instant::now();
    loop {
        let found = peer.ask(command)?;
        if holds(&found) {
            return Ok(());
        }
        ensure!(since.elapsed() < WATCHDOG, "{peer}: {command}: still {found:?} after {WATCHDOG:?}");
    }
}
