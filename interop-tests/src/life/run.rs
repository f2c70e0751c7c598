//! Runs a program with two peer processes and checks each answer against the model.

use std::fmt;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::ability::Abilities;
use super::actor::{Actor, TAIL};
use super::coverage::Coverage;
use super::model::Model;
use super::program::{Act, Opening, Program, Step, Verb};
use super::state::End;
use crate::language::Pairing;
use crate::observe::Observation;
use crate::segment::{Segment, Side};
use crate::toolchain::Peers;

/// Short settings, so that every timeout passes within a few hundred milliseconds.
const SETTINGS: &str = "stale_ms=100 reconnect_timeout_ms=200 reconnect_ms=10 connect_ms=100";

/// Why a program failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The violation of the protocol.
    pub reason: String,
    /// The last commands and answers of both peers.
    pub tails: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.reason, self.tails)
    }
}

/// The two sides of a pairing, which run one program after the other.
pub struct Troupe<'a> {
    peers: &'a Peers,
    actors: [Actor; 2],
    /// The time limit for outstanding deliveries at a program's end.
    limit: Duration,
}

impl<'a> Troupe<'a> {
    /// Creates the sides of a pairing. `limit` is the time limit for outstanding deliveries at the end.
    pub fn new(peers: &'a Peers, pairing: Pairing, limit: Duration) -> Troupe<'a> {
        Troupe { peers, actors: [Actor::new(pairing.master), Actor::new(pairing.slave)], limit }
    }

    /// Returns the abilities of both languages, the master's first.
    pub fn abilities(&self) -> [&Abilities; 2] {
        [&self.actors[0].abilities, &self.actors[1].abilities]
    }

    /// Runs a program, then delivers every outstanding message. Returns the number of steps that ran.
    ///
    /// # Errors
    /// If an answer violates the model, or a peer ends, hangs, or prints an invalid line.
    pub fn play(&mut self, program: &Program, coverage: &mut Coverage) -> Result<usize, Failure> {
        let segment = Segment::fresh("life");
        let model = Model::of(self.abilities().map(|abilities| !abilities.holds_on()));
        let mut play = Play { troupe: self, segment: &segment, model, since: Instant::now(), repeats: false };
        let played = play.program(program, coverage).and_then(|steps| {
            play.finale()?;
            Ok(steps)
        });
        played.map_err(|error| {
            let [master, slave] = &self.actors;
            let tails = master.tail(Side::Master) + &slave.tail(Side::Slave);
            // Their state is unknown: the next program starts new processes.
            self.actors.iter_mut().for_each(|actor| (actor.peer, actor.spare) = (None, None));
            // A peer that ended may have written pages to its stderr.
            let reason: Vec<String> = format!("{error:#}").lines().take(TAIL).map(str::to_owned).collect();
            Failure { reason: reason.join("\n"), tails }
        })
    }
}

/// One run of a program.
pub(super) struct Play<'a, 'b> {
    troupe: &'a mut Troupe<'b>,
    pub(super) segment: &'a Segment,
    pub(super) model: Model,
    since: Instant,
    /// Whether a call is repeated until it succeeds. Its repetitions are not counted.
    repeats: bool,
}

impl Play<'_, '_> {
    fn program(&mut self, program: &Program, coverage: &mut Coverage) -> Result<usize> {
        self.troupe.actors.iter_mut().for_each(|actor| actor.lines.clear());
        let mut last = "open";
        let mut played = 0;
        for (index, step) in program.steps.iter().enumerate() {
            if let Step::At(side, act) = step {
                if !self.troupe.actors[*side as usize].abilities.can(act) {
                    continue;
                }
                self.make_free(*side, *act).with_context(|| format!("step {}, {step}", index + 1))?;
            }
            if !self.model.applies(step) {
                continue;
            }
            match step {
                Step::At(_, Act::Call(verb)) => coverage.count(last, verb.name()),
                Step::At(_, Act::Begin(verb)) => {
                    coverage.count(last, verb.name());
                    last = "begin";
                }
                Step::At(_, act) => last = act.event().unwrap_or(last),
                Step::Unlink => last = "unlink",
                Step::Wait(_) => {}
            }
            self.step(*step).with_context(|| format!("step {}, {step}", index + 1))?;
            played += 1;
        }
        Ok(played)
    }

    /// Finishes the pending call if this act needs an idle process.
    fn make_free(&mut self, side: Side, act: Act) -> Result<()> {
        let through = matches!(act, Act::Kill | Act::Stop | Act::Continue | Act::Finish | Act::Intrude);
        let busy = self.model.busy(side).is_some() && !self.model.is_stopped(side);
        if busy && !through { self.finish(side) } else { Ok(()) }
    }

    fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Wait(millis) => thread::sleep(Duration::from_millis(millis)),
            Step::Unlink => self.unlink()?,
            Step::At(side, act) => self.act(side, act)?,
        }
        Ok(())
    }

    fn act(&mut self, side: Side, act: Act) -> Result<()> {
        match act {
            Act::Open(opening) => self.open(side, opening),
            Act::Close => self.close(side),
            Act::Kill => self.kill(side),
            Act::Stop => self.signal(side, Signal::SIGSTOP),
            Act::Continue => self.signal(side, Signal::SIGCONT),
            Act::ExitBusy => self.exit_busy(side),
            Act::Fork => match self.ask(side, "fork")? {
                Observation::Forked { code: -18 } => Ok(()),
                said => bail!("the child said {said:?}, expected error -18"),
            },
            Act::Observe => match self.ask(side, &format!("observe {}", hex::encode(self.segment.name())))? {
                Observation::Ok => Ok(()),
                Observation::Error { code: -3, .. } if !self.segment.exists() => Ok(()),
                said => bail!("the observer said {said:?}"),
            },
            Act::Intrude => self.intrude(side),
            Act::Call(verb) => self.call(side, verb),
            Act::Begin(verb) => self.begin(side, verb),
            Act::Finish => self.finish(side),
        }
    }

    fn ask(&mut self, side: Side, command: &str) -> Result<Observation> {
        self.tell(side, command)?;
        self.hear(side)
    }

    fn tell(&mut self, side: Side, command: &str) -> Result<()> {
        let at = self.since.elapsed();
        let actor = &mut self.troupe.actors[side as usize];
        actor.note(format!("{:8.3} > {command:.100}", at.as_secs_f64()));
        actor.peer(self.troupe.peers, side)?.tell(command)
    }

    fn hear(&mut self, side: Side) -> Result<Observation> {
        let actor = &mut self.troupe.actors[side as usize];
        let said = actor.peer(self.troupe.peers, side)?.answer()?;
        let line = format!("{said:?}");
        actor.note(format!("{:8.3} < {line:.140}", self.since.elapsed().as_secs_f64()));
        if self.repeats {
            actor.forget_repetition();
        }
        Ok(said)
    }

    fn open(&mut self, side: Side, opening: Opening) -> Result<()> {
        match self.try_open(side, opening)? {
            Observation::Opened { role, .. } => {
                ensure!(role == side.word(), "it was opened as {role}");
                ensure!(self.segment.exists(), "it is open, and nothing has the name");
                self.model.opened(side, opening);
                Ok(())
            }
            Observation::Error { code, message } if self.model.may_not_open(side, code) => {
                self.troupe.actors[side as usize].note(format!("allowed: {code} {message:.60}"));
                Ok(())
            }
            said => bail!("{said:?}, expected it to be opened"),
        }
    }

    fn try_open(&mut self, side: Side, opening: Opening) -> Result<Observation> {
        let role = if opening.auto { "auto" } else { side.word() };
        let command = open_with(role, opening, self.segment);
        self.ask(side, &command)
    }

    fn close(&mut self, side: Side) -> Result<()> {
        match self.ask(side, "leave")? {
            Observation::Closed { unreceived } => {
                if let Some(unreceived) = unreceived {
                    self.model.counts_unreceived(side, unreceived)?;
                }
                self.model.ended(side, End::Close);
                Ok(())
            }
            said => bail!("{said:?}, expected it to be closed"),
        }
    }

    fn kill(&mut self, side: Side) -> Result<()> {
        let actor = &mut self.troupe.actors[side as usize];
        actor.note(format!("{:8.3} SIGKILL", self.since.elapsed().as_secs_f64()));
        actor.peer.take().context("there is no process")?.end_by_force()?;
        self.model.ended(side, End::Kill);
        self.refill(side)
    }

    /// Starts the next process in advance.
    fn refill(&mut self, side: Side) -> Result<()> {
        let actor = &mut self.troupe.actors[side as usize];
        if actor.spare.is_none() {
            actor.spare = Some(actor.start(self.troupe.peers, side)?);
        }
        Ok(())
    }

    fn signal(&mut self, side: Side, signal: Signal) -> Result<()> {
        let actor = &mut self.troupe.actors[side as usize];
        actor.note(format!("{:8.3} {signal}", self.since.elapsed().as_secs_f64()));
        actor.peer(self.troupe.peers, side)?.signal(signal)?;
        self.model.stopped(side, signal == Signal::SIGSTOP);
        Ok(())
    }

    fn exit_busy(&mut self, side: Side) -> Result<()> {
        let said = self.ask(side, "exit-busy")?;
        ensure!(said == Observation::Ok, "{said:?}, expected it to go");
        self.troupe.actors[side as usize].peer.take().context("there is no process")?.finish()?;
        self.model.ended(side, End::Exit { named: self.segment.exists() });
        self.refill(side)
    }

    /// Another process tries to take an occupied seat.
    fn intrude(&mut self, side: Side) -> Result<()> {
        self.refill(side)?;
        let actor = &mut self.troupe.actors[side as usize];
        let intruder = actor.spare.as_mut().expect("it was just filled");
        match intruder.ask(&open_with(side.word(), Opening::default(), self.segment))? {
            Observation::Error { code: -15, .. } => Ok(()),
            said => bail!("a second {} was told {said:?}, expected error -15", side.word()),
        }
    }

    /// Removes the file. A live master restores the name (PROTOCOL.md, "A master whose name is gone").
    fn unlink(&mut self) -> Result<()> {
        let there = fs::remove_file(self.segment.path()).is_ok();
        let since = Instant::now();
        while there && self.model.is_open(Side::Master) && !self.segment.exists() {
            ensure!(since.elapsed() < self.troupe.limit, "the live master did not restore its name");
            thread::sleep(Duration::from_millis(2));
        }
        self.model.unlinked();
        Ok(())
    }

    pub(super) fn call(&mut self, side: Side, verb: Verb) -> Result<()> {
        self.begin(side, verb)?;
        let said = self.hear(side)?;
        let late = !self.troupe.actors[side as usize].abilities.finds_at_once(verb);
        self.model.answers(side, verb, &said, late)
    }

    pub(super) fn begin(&mut self, side: Side, verb: Verb) -> Result<()> {
        let drafts = self.model.begins(side, verb);
        self.tell(side, &command(verb, &drafts))
    }

    pub(super) fn finish(&mut self, side: Side) -> Result<()> {
        let verb = self.model.busy(side).context("no call is under way")?;
        let said = self.hear(side)?;
        self.model.answers(side, verb, &said, true).with_context(|| format!("{verb}, begun before"))
    }

    /// Opens both ends, delivers every accepted message, and closes both ends.
    fn finale(&mut self) -> Result<()> {
        const SIDES: [Side; 2] = [Side::Master, Side::Slave];
        for side in SIDES {
            self.calm(side).context("at the end")?;
        }
        self.repeats = true;
        for side in SIDES {
            self.reopen(side).context("at the end, both are opened")?;
        }
        for side in SIDES {
            self.last_message(side).context("at the end, each sends once more")?;
        }
        for side in SIDES {
            self.drain(side).with_context(|| format!("at the end, what the {} sent is due", side.word()))?;
        }
        self.repeats = false;
        self.peers_wake_each_other().context("at the end, nothing is under way")?;
        for side in [Side::Slave, Side::Master] {
            self.close(side).context("at the end, both are closed")?;
        }
        self.segment.is_gone()
    }

    /// Finishes the pending call of a side, and continues its process.
    fn calm(&mut self, side: Side) -> Result<()> {
        if self.model.is_stopped(side) {
            self.signal(side, Signal::SIGCONT)?;
        }
        if self.model.busy(side).is_some() {
            self.finish(side)?;
        }
        for verb in [Verb::LoanDrop, Verb::Release] {
            if self.model.applies(&Step::At(side, Act::Call(verb))) {
                self.call(side, verb)?;
            }
        }
        Ok(())
    }

    fn reopen(&mut self, side: Side) -> Result<()> {
        let since = Instant::now();
        while !self.model.is_open(side) {
            self.open(side, Opening::default())?;
            // The limit does not include the start of the process, which may take long.
            let is_in_time = self.model.is_open(side) || since.elapsed() < self.troupe.limit;
            ensure!(is_in_time, "the {} cannot be opened", side.word());
        }
        Ok(())
    }

    fn last_message(&mut self, side: Side) -> Result<()> {
        let since = Instant::now();
        let verb = Verb::Send { longest: 24, wait: Some(20) };
        while !self.model.owes_last(side) {
            self.call(side, verb)?;
            if self.model.owes_last(side) {
                break;
            }
            // The receiver must free space first.
            self.call(side.other(), Verb::Recv { wait: Some(1) })?;
            ensure!(since.elapsed() < self.troupe.limit, "the {} cannot send any more", side.word());
        }
        Ok(())
    }

    fn drain(&mut self, from: Side) -> Result<()> {
        let since = Instant::now();
        let verbs = [Verb::Recv { wait: Some(10) }, Verb::Read { wait: 10 }];
        while let Some(owed) = self.model.owed(from) {
            let verb = verbs[usize::from(owed.starts_with("value"))];
            self.call(from.other(), verb)?;
            ensure!(since.elapsed() < self.troupe.limit, "{owed} did not come");
        }
        Ok(())
    }
}

/// Returns the command that opens an endpoint with the settings of this test.
fn open_with(role: &str, opening: Opening, segment: &Segment) -> String {
    let mut command = format!("open-with role={role} name={} {SETTINGS}", hex::encode(segment.name()));
    if let Some(bytes) = opening.data {
        command += &format!(" data_size={bytes}");
    }
    if let Some(bytes) = opening.queue {
        command += &format!(" queue_capacity={bytes}");
    }
    command
}

/// Returns the command for a call.
fn command(verb: Verb, drafts: &[String]) -> String {
    let drafts = drafts.join(" ");
    match verb {
        Verb::Write { .. } | Verb::TrySend { .. } | Verb::Send { wait: None, .. } => {
            format!("{} {drafts}", verb.name())
        }
        Verb::Send { wait: Some(wait), .. } | Verb::CancelSend { wait, .. } | Verb::Loan { wait, .. } => {
            format!("{} {drafts} {wait}", verb.name())
        }
        Verb::SendMany { wait, .. } => {
            let wait = wait.map_or("-".to_owned(), |wait| wait.to_string());
            format!("send-many {wait} {drafts}")
        }
        other => other.to_string(),
    }
}
