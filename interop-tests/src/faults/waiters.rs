//! The suite `waiters`: a process that waits in an event loop is killed, and its peer rings its successor
//! (protocol/events.md).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::row::Row;
use crate::language::{LANGUAGES, Language, Pairing, VARIANTS};
use crate::observe::Observation;
use crate::peer::Peer;
use crate::scenario::{CommandPair, Stage, word};
use crate::segment::{BELL, Map, Segment, Side};
use crate::toolchain::Peers;

/// The timeout of a wait that is killed, or that the peer ends, in milliseconds.
const WAIT: u64 = 20_000;
/// The time limit for a wait to arm its event descriptor.
const ARMED: Duration = Duration::from_secs(10);
/// The sizes of the segment: a few messages fill the queue.
const SIZES: &str = "data_size=256 queue_capacity=4096";
/// More messages than the queue holds, and their content.
const FULL: usize = 80;
const LENGTH: usize = 200;

/// What the killed process and its successor wait for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Message,
    Value,
    Room,
}

/// The plan of the suite.
pub struct Plan {
    /// The languages of the waiters. Empty: all that wait in an event loop.
    pub languages: Vec<String>,
    /// Every language rings, instead of Rust alone.
    pub full: bool,
}

/// Runs the suite and prints its rows. Returns whether all passed.
///
/// # Errors
/// If the peers cannot be built.
pub fn run(plan: &Plan) -> Result<bool> {
    let named =
        |one: &&Language| plan.languages.is_empty() || plan.languages.iter().any(|name| name == one.name);
    let waiters = || VARIANTS.iter().filter(named);
    let ringers = || LANGUAGES.iter().filter(|one| plan.full || one.name == "rust");
    let all: Vec<&Language> = waiters().chain(ringers()).collect();
    let peers = Peers::prepare(&all)?;
    let mut passed = true;
    for waiter in waiters() {
        for ringer in ringers() {
            let mut row = Row::new("waiters", format!("{} waits, {} rings", waiter.name, ringer.name));
            if let Some(missing) = [waiter, ringer].into_iter().find(|one| peers.command(one).is_none()) {
                row.skipped = true;
                row.reason = format!("{} is missing: {}", missing.name, missing.install);
                row.print();
                continue;
            }
            for side in [Side::Master, Side::Slave] {
                for wait in [Wait::Message, Wait::Value, Wait::Room] {
                    let name = format!("{} {wait:?} ms", side.word()).to_lowercase();
                    match drill(&peers, (waiter, ringer), side, wait) {
                        Ok(time) => row = row.figure(&name, time.as_secs_f64() * 1000.0),
                        Err(error) => row.fail(&format!("{} {wait:?}: {error:#}", side.word())),
                    }
                }
            }
            passed &= row.passed;
            row.print();
        }
    }
    Ok(passed)
}

/// Kills a waiter twice, has the next one wait, and returns the time from the event to the end of its wait.
fn drill(
    peers: &Peers,
    (waiter, ringer): (&'static Language, &'static Language),
    side: Side,
    wait: Wait,
) -> Result<Duration> {
    let (master, slave) = if side == Side::Master { (waiter, ringer) } else { (ringer, waiter) };
    let stage = Stage { pairing: Pairing { master, slave }, peers };
    let segment = Segment::fresh("waiters");
    let CommandPair { mut master, mut slave } = stage.command_pair()?;
    open(&mut master, Side::Master, &segment)?;
    open(&mut slave, Side::Slave, &segment)?;
    let (mut ringer, mut waiter) = if side == Side::Master { (slave, master) } else { (master, slave) };
    let mut drill = Drill { segment: &segment, map: segment.map()?, side, wait, sent: 0 };
    meet(&mut waiter, &mut ringer)?;
    drill.fill(&mut waiter)?;
    for _ in 0..2 {
        // Rung once, so that the ringer has the descriptor that the kill makes useless.
        drill.rings(&mut waiter, &mut ringer)?;
        drill.begins(&mut waiter)?;
        waiter.end_by_force()?;
        waiter = stage.start(side, &Segment::fresh("unused"), "commands", &[])?;
        open(&mut waiter, side, &segment)?;
        meet(&mut waiter, &mut ringer)?;
    }
    let time = drill.rings(&mut waiter, &mut ringer)?;
    let (mut master, mut slave) = if side == Side::Master { (waiter, ringer) } else { (ringer, waiter) };
    for peer in [&mut slave, &mut master] {
        peer.expect("close", &Observation::Ok)?;
    }
    segment.is_gone()?;
    CommandPair { master, slave }.finish()?;
    Ok(time)
}

fn open(peer: &mut Peer, side: Side, segment: &Segment) -> Result<()> {
    let sizes = if side == Side::Master { SIZES } else { "" };
    let name = hex::encode(segment.name());
    match peer.ask(format!("open-with role={} name={name} {sizes}", side.word()).trim())? {
        Observation::Opened { .. } => Ok(()),
        said => bail!("{peer}: {said:?}, expected it to be opened"),
    }
}

fn meet(one: &mut Peer, other: &mut Peer) -> Result<()> {
    one.expect("wait-peer 5000", &Observation::Ok)?;
    other.expect("wait-peer 5000", &Observation::Ok)
}

/// One waiter's kind of wait.
struct Drill<'a> {
    segment: &'a Segment,
    map: Map,
    side: Side,
    wait: Wait,
    /// The number of events so far.
    sent: u8,
}

impl Drill<'_> {
    /// Fills the queue if the waiter waits for room.
    fn fill(&self, waiter: &mut Peer) -> Result<()> {
        if !matches!(self.wait, Wait::Room) {
            return Ok(());
        }
        let message = word(&[0; LENGTH]);
        let batch = format!("send-many 0 {}", vec![message; FULL].join(" "));
        match waiter.ask(&batch)? {
            Observation::Count { code: -12, .. } => Ok(()),
            said => bail!("{said:.100?}, expected a full queue"),
        }
    }

    /// Has the waiter begin its wait, and waits until its event descriptor is armed.
    fn begins(&self, waiter: &mut Peer) -> Result<()> {
        let from = self.side.other();
        if matches!(self.wait, Wait::Value) {
            // A new reader reads the value again that its predecessor has read.
            waiter.ask("try-read")?;
        }
        let (command, at) = match self.wait {
            Wait::Message => (format!("recv {WAIT}"), self.map.parked_receivers(from)),
            Wait::Value => (format!("read {WAIT}"), self.map.parked_readers(from)),
            Wait::Room => (format!("send {} {WAIT}", word(&[0; LENGTH])), self.map.parked_senders(self.side)),
        };
        waiter.tell(&command)?;
        let since = Instant::now();
        while self.segment.word(at)? & BELL == 0 {
            ensure!(since.elapsed() < ARMED, "{waiter} arms no event descriptor in {:?}", self.wait);
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// A wait that the ringer ends. The ringer must ring the present waiter, not an earlier one.
    fn rings(&mut self, waiter: &mut Peer, ringer: &mut Peer) -> Result<Duration> {
        self.begins(waiter)?;
        self.sent += 1;
        let content = word(&[self.sent; LENGTH]);
        let since = Instant::now();
        match self.wait {
            Wait::Message => ringer.expect(&format!("send {content} 5000"), &Observation::Ok)?,
            Wait::Value => ringer.expect(&format!("write {content}"), &Observation::Ok)?,
            Wait::Room => match ringer.ask("recv 5000")? {
                Observation::Message { .. } => {}
                said => bail!("{ringer}: {said:?}, expected a message"),
            },
        }
        let said = waiter.answer()?;
        let time = since.elapsed();
        match (self.wait, said) {
            (Wait::Message | Wait::Value, Observation::Message { hex, .. }) if hex == content => {}
            (Wait::Room, Observation::Ok) => {}
            (_, said) => bail!("{waiter}: {said:?}, expected the end of its wait"),
        }
        let bell = self.segment.bell(self.side);
        ensure!(has_open(ringer, &bell)?, "{ringer} has not rung {}", bell.display());
        Ok(time)
    }
}

/// Returns whether a process has this very file open.
fn has_open(peer: &Peer, file: &Path) -> Result<bool> {
    let wanted = fs::metadata(file).with_context(|| format!("{} cannot be looked at", file.display()))?;
    let descriptors = PathBuf::from(format!("/proc/{}/fd", peer.pid()));
    let found = fs::read_dir(&descriptors)?.any(|descriptor| {
        let found = descriptor.and_then(|descriptor| fs::metadata(descriptor.path()));
        found.is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
    });
    Ok(found)
}
