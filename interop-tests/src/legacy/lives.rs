//! Random programs at both ends: values are complete and in order, and both directions work again after every event.
//!
//! The checks allow what 1.x does: its reader may drop a value or deliver it twice, and its slave gives up after five
//! seconds and must be opened again. A process is killed only between two calls, because a reader of 1.x waits without
//! limit for a value that a killed writer has half written.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;

use super::{WATCHDOG, is_old};
use crate::observe::Observation;
use crate::payload::payload;
use crate::peer::Peer;
use crate::scenario::{Side, Stage, open, options};
use crate::segment::Segment;

/// The number of programs, and of the steps of each.
const PROGRAMS: u64 = 3;
const STEPS: usize = 30;
/// The connect timeout of a slave, in milliseconds.
const CONNECT: u64 = 300;
const SIDES: [Side; 2] = [Side::Master, Side::Slave];
/// Error codes: timeout or reconnecting; peer stale; peer closed.
const AWAY: [i32; 3] = [-10, -11, -16];

/// The process of one side, and the values that it wrote and read.
#[derive(Default)]
struct End {
    peer: Option<Peer>,
    is_old: bool,
    is_open: bool,
    is_stopped: bool,
    /// All offered values, by number, and those that were refused.
    texts: Vec<String>,
    refused: BTreeSet<usize>,
    /// The last value of the peer that this endpoint has read.
    read: Option<usize>,
}

struct Lives<'a> {
    stage: &'a Stage<'a>,
    segment: Segment,
    rng: Rng,
    ends: [End; 2],
    /// The log of commands and answers.
    history: String,
}

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    // Each pairing runs different programs.
    let first = 1000 * stage.pairing.to_string().bytes().map(u64::from).sum::<u64>();
    (first..first + PROGRAMS).try_for_each(|seed| play(stage, seed))
}

fn play(stage: &Stage<'_>, seed: u64) -> Result<()> {
    let end = |language| End { is_old: is_old(language), ..End::default() };
    let mut lives = Lives {
        stage,
        segment: Segment::fresh("legacy-life"),
        rng: Rng::with_seed(seed),
        ends: [end(stage.pairing.master), end(stage.pairing.slave)],
        history: String::new(),
    };
    let played = lives.program();
    played.with_context(|| format!("the program of seed {seed}:\n{}", lives.history))
}

impl Lives<'_> {
    fn program(&mut self) -> Result<()> {
        SIDES.iter().try_for_each(|side| self.open(*side))?;
        (0..STEPS).try_for_each(|_| self.step())?;
        self.history += "the end\n";
        for side in SIDES {
            self.resume(side)?;
        }
        SIDES.iter().try_for_each(|side| self.arrives(*side))?;
        for side in [Side::Slave, Side::Master] {
            self.close(side)?;
            self.end(side).peer.take().context("there is no process")?.finish()?;
        }
        self.segment.is_gone()
    }

    fn step(&mut self) -> Result<()> {
        let side = if self.rng.bool() { Side::Master } else { Side::Slave };
        let chance = self.rng.u32(..20);
        let End { is_open, is_stopped, .. } = *self.end(side);
        match chance {
            0..2 if is_open => self.kill(side),
            _ if is_stopped => self.resume(side),
            _ if !is_open => self.open(side),
            2 => self.close(side),
            3 => self.stop(side),
            4 => {
                thread::sleep(Duration::from_millis(self.rng.u64(1..700)));
                Ok(())
            }
            5..12 => {
                let longest = [40, 300, 4096][self.rng.usize(..3)];
                self.write(side, longest)
            }
            _ => {
                let wait = [0, 1, 20][self.rng.usize(..3)];
                self.read(side, wait)
            }
        }
    }

    fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    fn note(&mut self, side: Side, what: &str) {
        let _ = writeln!(self.history, "    {} {what:.100}", side.word());
    }

    fn ask(&mut self, side: Side, command: &str) -> Result<Observation> {
        if self.end(side).peer.is_none() {
            let options = options(&[("timeout-ms", CONNECT)]);
            let peer = self.stage.start(side, &self.segment, "commands", &options)?;
            self.end(side).peer = Some(peer);
        }
        self.note(side, command);
        let peer = self.end(side).peer.as_mut().expect("it was just put there");
        let said = peer.ask(command)?;
        self.note(side, &format!("  {said:?}"));
        Ok(said)
    }

    fn open(&mut self, side: Side) -> Result<()> {
        let command = open(side.word(), self.segment.name(), None);
        match self.ask(side, &command)? {
            Observation::Opened { role, data_size: 4096 } if role == side.word() => {
                let end = self.end(side);
                (end.is_open, end.read) = (true, None);
                Ok(())
            }
            // There is no segment, or its master is gone, or the other process may still occupy the seat.
            Observation::Error { code: -3 | -10, .. } if side == Side::Slave => Ok(()),
            Observation::Error { code: -15, .. } => Ok(()),
            said => bail!("the {} cannot be opened: {said:?}", side.word()),
        }
    }

    fn close(&mut self, side: Side) -> Result<()> {
        let said = self.ask(side, "close")?;
        ensure!(said == Observation::Ok, "the {} does not close: {said:?}", side.word());
        self.end(side).is_open = false;
        Ok(())
    }

    fn kill(&mut self, side: Side) -> Result<()> {
        self.note(side, "SIGKILL");
        let end = self.end(side);
        (end.is_open, end.is_stopped) = (false, false);
        end.peer.take().context("there is no process")?.end_by_force()
    }

    fn stop(&mut self, side: Side) -> Result<()> {
        self.note(side, "SIGSTOP");
        let end = self.end(side);
        end.is_stopped = true;
        end.peer.as_ref().context("there is no process")?.signal(Signal::SIGSTOP)
    }

    fn resume(&mut self, side: Side) -> Result<()> {
        if !std::mem::take(&mut self.end(side).is_stopped) {
            return Ok(());
        }
        self.note(side, "SIGCONT");
        self.end(side).peer.as_ref().context("there is no process")?.signal(Signal::SIGCONT)
    }

    fn write(&mut self, side: Side, longest: usize) -> Result<()> {
        let number = self.end(side).texts.len();
        let text = hex::encode(payload(side as u64, number as u64, longest));
        self.end(side).texts.push(text.clone());
        match self.ask(side, &format!("write {text}"))? {
            Observation::Ok => Ok(()),
            Observation::Error { code, .. } if AWAY.contains(&code) => {
                self.end(side).refused.insert(number);
                self.is_away(side, code)
            }
            said => bail!("the {} does not write: {said:?}", side.word()),
        }
    }

    fn read(&mut self, side: Side, wait: u64) -> Result<()> {
        let command = if wait == 0 { "try-read".to_owned() } else { format!("read {wait}") };
        match self.ask(side, &command)? {
            Observation::Nothing => Ok(()),
            Observation::Message { hex, .. } => self.comes(side, &hex),
            Observation::Error { code, .. } if AWAY.contains(&code) => self.is_away(side, code),
            said => bail!("the {} does not read: {said:?}", side.word()),
        }
    }

    /// A slave of 1.x that has given up cannot be used any more: its program opens a new one.
    fn is_away(&mut self, side: Side, code: i32) -> Result<()> {
        if self.end(side).is_old && code == -11 { self.close(side) } else { Ok(()) }
    }

    /// Checks a received value: it was accepted, is complete, and is not older than the last one.
    fn comes(&mut self, side: Side, hex: &str) -> Result<()> {
        let writer = self.end(side.other());
        let number = writer.texts.iter().rposition(|text| text == hex);
        let number = number.context("a value that was never written: it is torn, or from another segment")?;
        ensure!(!writer.refused.contains(&number), "value {number} was refused, and came");
        let end = self.end(side);
        let is_next = end.read.is_none_or(|last| number > last || end.is_old && number == last);
        ensure!(is_next, "value {number} came after value {:?}", end.read);
        end.read = Some(number);
        Ok(())
    }

    /// Checks the end state: both are open, and new values of this side arrive.
    fn arrives(&mut self, from: Side) -> Result<()> {
        let first = self.end(from).texts.len();
        let since = Instant::now();
        loop {
            for side in SIDES {
                if !self.end(side).is_open {
                    self.open(side)?;
                }
            }
            if SIDES.iter().all(|side| self.ends[*side as usize].is_open) {
                self.write(from, 40)?;
                self.read(from.other(), 1)?;
            }
            if self.end(from.other()).read.is_some_and(|number| number >= first) {
                return Ok(());
            }
            ensure!(since.elapsed() < WATCHDOG, "what the {} writes does not arrive", from.word());
        }
    }
}
