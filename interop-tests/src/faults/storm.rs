//! The suite `storm`: both ends are killed, stopped and started again at random, and every message is accounted for.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use nix::sys::signal::Signal;

use super::account::Account;
use super::duel::{Duel, Life};
use super::row::Row;
use crate::language::{Language, Pairing};
use crate::segment::Side;
use crate::toolchain::Peers;

/// The time limit for both ends to make progress without faults. It ends a storm that hangs.
const STUCK: Duration = Duration::from_secs(30);
/// The interval of checks for progress.
const LOOK: Duration = Duration::from_micros(200);

/// The plan of the suite.
pub struct Plan {
    /// The pairings, which run one after the other.
    pub pairings: Vec<Pairing>,
    /// The total duration.
    pub length: Duration,
    /// The seed of the faults and their times.
    pub seed: u64,
}

/// The counts of one storm.
struct Tally {
    kills: u64,
    stops: u64,
    account: Account,
    /// In microseconds: from READY or SIGCONT until both have received a message.
    recoveries: Histogram<u64>,
}

impl Tally {
    fn new() -> Tally {
        let recoveries = Histogram::new(3).expect("three digits are possible");
        Tally { kills: 0, stops: 0, account: Account::default(), recoveries }
    }

    fn row(&self, case: &str) -> Row {
        let quantile = |quantile| self.recoveries.value_at_quantile(quantile) as f64 / 1000.0;
        Row::new("storm", case)
            .figure("messages", self.account.delivered as f64)
            .figure("kills", self.kills as f64)
            .figure("stops", self.stops as f64)
            .figure("recoveries", self.recoveries.len() as f64)
            .figure("p50 ms", quantile(0.5))
            .figure("p90 ms", quantile(0.9))
            .figure("p99 ms", quantile(0.99))
            .figure("max ms", self.recoveries.max() as f64 / 1000.0)
            .figure("lost", self.account.lost as f64)
            .figure("twice", self.account.duplicates as f64)
            .figure("in doubt", self.account.doubtful as f64)
            .figure("of them arrived", self.account.doubtful_delivered as f64)
            .figure("again", self.account.again as f64)
    }
}

/// Runs the suite and prints its rows. Returns whether all passed.
///
/// # Errors
/// If the peers cannot be built.
pub fn run(plan: &Plan) -> Result<bool> {
    let languages: Vec<&Language> =
        plan.pairings.iter().flat_map(|pairing| [pairing.master, pairing.slave]).collect();
    let peers = Peers::prepare(&languages)?;
    let there = |language| peers.command(language).is_some();
    let pairings: Vec<_> =
        plan.pairings.iter().filter(|pairing| there(pairing.master) && there(pairing.slave)).collect();
    eprintln!("storm: seed {}", plan.seed);
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let (mut all, mut passed) = (Tally::new(), true);
    for pairing in &pairings {
        let mut tally = Tally::new();
        let length = plan.length / pairings.len() as u32;
        let outcome = storm(&peers, **pairing, length, random.fork(), &mut tally);
        let mut row = tally.row(&pairing.to_string());
        if let Err(error) = outcome {
            row.fail(&format!("seed {}: {error:#}", plan.seed));
        }
        row.print();
        eprintln!("storm: {pairing}: {} kills, {} messages", tally.kills, tally.account.delivered);
        passed &= row.passed;
        all.kills += tally.kills;
        all.stops += tally.stops;
        all.account = all.account.and(tally.account);
        all.recoveries.add(&tally.recoveries).context("histograms of one kind")?;
    }
    all.row(&format!("together (seed {})", plan.seed)).print();
    Ok(passed && !pairings.is_empty())
}

fn storm(
    peers: &Peers,
    pairing: Pairing,
    length: Duration,
    random: fastrand::Rng,
    tally: &mut Tally,
) -> Result<()> {
    let mut duel = Duel::new(peers, pairing, "storm")?;
    let ends = [duel.start(Side::Master, None)?, duel.start(Side::Slave, None)?];
    let mut storm = Storm { duel, ends, random, tally };
    storm.recover()?;
    let since = Instant::now();
    while since.elapsed() < length {
        storm.lull(150);
        match storm.random.u32(0..10) {
            0..6 => storm.kill_one()?,
            6..8 => storm.kill_both()?,
            _ => storm.stop_one()?,
        }
    }
    storm.recover()?;
    let [master, slave] = storm.ends;
    tally.account = storm.duel.finish(master, slave)?;
    tally.account.holds()
}

/// A running storm.
struct Storm<'a> {
    duel: Duel<'a>,
    /// Master and slave.
    ends: [Life; 2],
    random: fastrand::Rng,
    tally: &'a mut Tally,
}

impl Storm<'_> {
    /// Waits for a random time before the next fault.
    fn lull(&mut self, most_millis: u64) {
        thread::sleep(Duration::from_micros(self.random.u64(0..=most_millis * 1000)));
    }

    fn side(&mut self) -> Side {
        if self.random.bool() { Side::Master } else { Side::Slave }
    }

    /// Kills one end at a random moment, and restarts it.
    fn kill_one(&mut self) -> Result<()> {
        let side = self.side();
        self.kill(side)?;
        if self.random.bool() {
            self.lull(200);
        }
        self.restart(side)?;
        self.recover_perhaps()
    }

    /// Kills both ends, and restarts them in random order.
    fn kill_both(&mut self) -> Result<()> {
        let first = self.side();
        self.kill(first)?;
        self.kill(first.other())?;
        let first = self.side();
        self.restart(first)?;
        self.lull(10);
        self.restart(first.other())?;
        self.recover_perhaps()
    }

    /// Stops one end for less or more than its peer's stale threshold.
    fn stop_one(&mut self) -> Result<()> {
        let side = self.side();
        // A process that is not attached yet is not a peer.
        self.end(side).ready()?;
        self.end(side).peer.signal(Signal::SIGSTOP)?;
        self.tally.stops += 1;
        self.lull(250);
        let before = self.received()?;
        self.end(side).peer.signal(Signal::SIGCONT)?;
        self.progress(Instant::now(), before)
    }

    fn end(&mut self, side: Side) -> &mut Life {
        &mut self.ends[side as usize]
    }

    fn kill(&mut self, side: Side) -> Result<()> {
        self.tally.kills += 1;
        self.end(side).peer.end_by_force()
    }

    fn restart(&mut self, side: Side) -> Result<()> {
        *self.end(side) = self.duel.start(side, None)?;
        Ok(())
    }

    /// Usually waits for recovery from the last fault before the next one.
    fn recover_perhaps(&mut self) -> Result<()> {
        if self.random.u32(0..4) > 0 { self.recover() } else { Ok(()) }
    }

    /// Waits until both are attached and have received a message since.
    fn recover(&mut self) -> Result<()> {
        let [master, slave] = &mut self.ends;
        let ready = master.ready()?.max(slave.ready()?);
        let before = self.received()?;
        self.progress(ready, before)
    }

    fn progress(&mut self, since: Instant, before: [u64; 2]) -> Result<()> {
        loop {
            let now = self.received()?;
            if now[0] > before[0] && now[1] > before[1] {
                break;
            }
            ensure!(since.elapsed() < STUCK, "no progress from {before:?} for {STUCK:?}: {now:?} received");
            thread::sleep(LOOK);
        }
        self.tally.recoveries.record(since.elapsed().as_micros() as u64)?;
        Ok(())
    }

    /// Returns the numbers of the last messages that master and slave have received.
    fn received(&self) -> Result<[u64; 2]> {
        Ok([received(&self.duel.journal(Side::Master))?, received(&self.duel.journal(Side::Slave))?])
    }
}

/// Returns the word `received` of a journal.
fn received(journal: &Path) -> Result<u64> {
    let mut word = [0; 8];
    let read = File::open(journal).and_then(|file| file.read_exact_at(&mut word, 16));
    // The file may not exist yet.
    Ok(if read.is_ok() { u64::from_ne_bytes(word) } else { 0 })
}
