//! Draws random programs. The same seed gives the same program.

use fastrand::Rng;

use super::ability::Abilities;
use super::program::{Act, Opening, Program, Step, Verb};
use crate::segment::Side;

/// The sizes that a master sets: the defaults, small queues that wrap around, and a data size equal to the capacity.
const SIZES: [(Option<u64>, Option<u64>); 4] =
    [(None, None), (Some(256), Some(4096)), (Some(4096), Some(4096)), (Some(1024), Some(8192))];

/// Longest messages: in a slot, in the arena, and longer than some segments admit.
const LENGTHS: [u64; 6] = [40, 56, 56, 300, 1500, 5000];

/// More messages than the smaller queues can hold.
const FULL: u64 = 80;

/// The state of a side as the generator assumes it. Nothing is run.
#[derive(Clone, Copy, Default)]
struct Belief {
    open: bool,
    stopped: bool,
    begun: bool,
}

struct Generator<'a> {
    rng: Rng,
    /// For cancellations alone. So the programs of languages that cannot cancel do not depend on them.
    cancels: Rng,
    abilities: [&'a Abilities; 2],
    sides: [Belief; 2],
    /// Uses segments without queues and sends no values, because values and messages share the mailbox there.
    queueless: bool,
    steps: Vec<Step>,
}

/// Draws a program of about `length` steps. `abilities` has the master's first.
pub fn program(seed: u64, length: usize, abilities: [&Abilities; 2]) -> Program {
    let mut rng = Rng::with_seed(seed);
    let queueless = rng.u32(..10) == 0;
    let cancels = Rng::with_seed(!seed);
    let sides = [Belief::default(); 2];
    let mut generator = Generator { rng, cancels, abilities, sides, queueless, steps: Vec::new() };
    let first = if generator.rng.u32(..8) == 0 { Side::Slave } else { Side::Master };
    generator.open(first);
    generator.open(first.other());
    while generator.steps.len() < length {
        generator.step();
    }
    Program { steps: generator.steps }
}

impl Generator<'_> {
    fn step(&mut self) {
        self.cancel_perhaps();
        let side = if self.rng.bool() { Side::Master } else { Side::Slave };
        let belief = self.sides[side as usize];
        if !belief.open {
            match self.rng.u32(..10) {
                0 => {
                    let millis = [400, 10, 10, 1][self.rng.usize(..4)];
                    self.push(Step::Wait(millis));
                }
                1 => self.push(Step::Unlink),
                _ => self.open(side),
            }
        } else if belief.stopped {
            let act = if self.rng.u32(..4) == 0 { Act::Kill } else { Act::Continue };
            self.act(side, act);
        } else if belief.begun && self.rng.bool() {
            self.act(side, Act::Finish);
        } else if self.rng.u32(..5) == 0 {
            self.event(side);
        } else {
            let verb = self.verb();
            self.act(side, Act::Call(verb));
        }
    }

    fn event(&mut self, side: Side) {
        let act = match self.rng.u32(..32) {
            0..6 => Act::Close,
            6..13 => Act::Kill,
            13..16 => Act::Stop,
            16 => Act::ExitBusy,
            17 => Act::Fork,
            18 => Act::Observe,
            19 | 20 => Act::Intrude,
            21 => return self.push(Step::Unlink),
            22 => {
                let millis = self.rng.u64(1..120);
                return self.push(Step::Wait(millis));
            }
            23..26 => {
                let verb = self.verb();
                self.act(side, Act::Begin(verb));
                return self.act(side, Act::Kill);
            }
            _ => Act::Begin(self.verb()),
        };
        self.act(side, act);
    }

    /// Sometimes cancels a call that may wait, and repeats it.
    fn cancel_perhaps(&mut self) {
        if self.cancels.u32(..8) > 0 {
            return;
        }
        let side = if self.cancels.bool() { Side::Master } else { Side::Slave };
        let Belief { open, stopped, begun } = self.sides[side as usize];
        if open && !stopped && !begun && self.abilities[side as usize].cancels() {
            self.cancel(side);
        }
    }

    /// A call waits. Meanwhile the other side may do what it waits for, or be killed. Then the call is cancelled and
    /// repeated.
    fn cancel(&mut self, side: Side) {
        let wait = [0, 1, 2, 5][self.cancels.usize(..4)];
        let longest = LENGTHS[self.cancels.usize(..LENGTHS.len())];
        let receives = self.cancels.bool();
        let (call, again, answer) = if receives {
            (Verb::CancelRecv { wait }, Verb::Recv { wait: Some(20) }, Verb::TrySend { longest })
        } else {
            if self.cancels.bool() {
                // Most of these calls wait, because the queue is full.
                self.act(side, Act::Call(Verb::SendMany { count: FULL, longest: 300, wait: Some(0) }));
            }
            (Verb::CancelSend { longest, wait }, Verb::Send { longest, wait: Some(20) }, Verb::TryRecv)
        };
        self.act(side, Act::Begin(call));
        let other = self.sides[side.other() as usize];
        if other.open && !other.stopped {
            match self.cancels.u32(..8) {
                0 => self.act(side.other(), Act::Kill),
                1..6 => self.act(side.other(), Act::Call(answer)),
                _ => {}
            }
        }
        self.act(side, Act::Finish);
        for _ in 0..self.cancels.u32(..3) {
            self.act(side, Act::Call(call));
        }
        self.act(side, Act::Call(again));
    }

    fn open(&mut self, side: Side) {
        let auto = self.rng.u32(..6) == 0;
        let opening = match side {
            Side::Slave => Opening { auto, ..Opening::default() },
            Side::Master if self.queueless && self.rng.u32(..4) > 0 => {
                Opening { auto, data: Some(4096), queue: Some(0) }
            }
            Side::Master => {
                let (data, queue) = SIZES[self.rng.usize(..SIZES.len())];
                Opening { auto, data, queue }
            }
        };
        self.act(side, Act::Open(opening));
    }

    fn verb(&mut self) -> Verb {
        let longest = LENGTHS[self.rng.usize(..LENGTHS.len())];
        let wait = [0, 1, 5, 20][self.rng.usize(..4)];
        let some = (self.rng.u32(..3) > 0).then_some(wait);
        let verb = match self.rng.u32(..44) {
            0..3 => Verb::Write { longest: longest.min(200) },
            3 => Verb::TryRead,
            4..6 => Verb::Read { wait },
            6..12 => Verb::Send { longest, wait: some },
            12..15 => Verb::TrySend { longest },
            15..18 => {
                let wait = [Some(0), Some(20), None][self.rng.usize(..3)];
                let few = self.rng.u64(1..6);
                // Sometimes fills a small queue. With a timeout, because a call without one may never return.
                let many = few == 5 && longest <= 300 && wait.is_some();
                Verb::SendMany { count: if many { FULL } else { few }, longest, wait }
            }
            18..20 => Verb::Loan { longest, wait },
            20..22 => Verb::LoanSend,
            22 => Verb::LoanDrop,
            23..28 => Verb::Recv { wait: some },
            28..32 => Verb::TryRecv,
            32..35 => Verb::RecvMany { most: self.rng.u64(1..9), wait },
            35 => Verb::CancelRecv { wait },
            36..39 => Verb::Hold { wait },
            39 => Verb::Held,
            40..42 => Verb::Release,
            42 => Verb::WaitPeer { wait: 200 },
            _ => Verb::State,
        };
        let value = matches!(verb, Verb::Write { .. } | Verb::TryRead | Verb::Read { .. });
        if value && self.queueless { Verb::TryRecv } else { verb }
    }

    /// Adds an act that the side's language supports, and assumes that it succeeds.
    fn act(&mut self, side: Side, act: Act) {
        if !self.abilities[side as usize].can(&act) {
            return;
        }
        let belief = &mut self.sides[side as usize];
        match act {
            Act::Open(_) => *belief = Belief { open: true, ..Belief::default() },
            Act::Close | Act::Kill | Act::ExitBusy => *belief = Belief::default(),
            Act::Stop => belief.stopped = true,
            Act::Continue => belief.stopped = false,
            Act::Begin(_) => belief.begun = true,
            Act::Finish | Act::Call(_) => belief.begun = false,
            Act::Fork | Act::Observe | Act::Intrude => {}
        }
        self.push(Step::At(side, act));
    }

    fn push(&mut self, step: Step) {
        self.steps.push(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_stands_for_one_program() {
        let all = Abilities::of("rust");
        let drawn = |seed| program(seed, 40, [&all, &all]);
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!((40..43).contains(&drawn(7).steps.len()));
        assert_eq!(drawn(7).to_string().parse::<Program>().unwrap(), drawn(7));
    }

    #[test]
    fn languages_that_cancel_do_so_and_the_others_do_not() {
        let cancelled = |name| {
            let abilities = Abilities::of(name);
            let programs = (0..50).map(|seed| program(seed, 40, [&abilities, &abilities]).to_string());
            programs.filter(|text| text.contains("begin cancel-send")).count()
        };
        assert_eq!(cancelled("c"), 0);
        assert!(cancelled("python-asyncio") > 10 && cancelled("go") > 10);
    }
}
