//! A model of the protocol: where each accepted message is, who can deliver it, and when it may be lost.
//!
//! It is written from `protocol/PROTOCOL.md` alone. A message that `send` accepts is delivered once and in order to the
//! next receiver, across closes, restarts, kills and switches of segments. The protocol has these exceptions:
//!
//! - A call that a kill interrupts may or may not have taken effect. Its messages are *doubtful*.
//! - A message that was received and not released before a kill is received again (§8).
//! - A message that is only in a segment without a name is lost with the last endpoint that holds this segment (§5).
//! - A message that is longer than the segment it would move to is not delivered (§5).
//!
//! Each message has a *home*, the segment that holds it, or is *moving*: it is carried over to another segment at a
//! moment that the test cannot observe. If the receiver is certain to use the home, the message must be available at
//! once. `judge.rs` compares the answers of the peers with this.

use std::collections::VecDeque;

use super::program::{Act, Opening, Step, Verb};
use super::state::{End, Home, Id, Message, Seat, Sizes, Way};
use crate::segment::Side;

/// The model of both ends, both directions, and all segments.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub(super) seats: [Seat; 2],
    pub(super) ways: [Way; 2],
    pub(super) segments: Vec<Sizes>,
    /// The named segment.
    pub(super) named: Option<Id>,
    /// Whether the named segment is a stand-in: its master's name was removed while the slave was alive.
    pub(super) stand_in: bool,
}

impl Model {
    /// Sets which of the two sides release the held message on each receive or read.
    pub fn of(lets_go: [bool; 2]) -> Model {
        let way = |lets_go| Way { lets_go, ..Way::default() };
        // Each direction is named by its sender.
        Model { ways: [way(lets_go[1]), way(lets_go[0])], ..Model::default() }
    }

    pub(super) fn seat(&mut self, side: Side) -> &mut Seat {
        &mut self.seats[side as usize]
    }

    /// Returns whether the endpoint is open.
    pub fn is_open(&self, side: Side) -> bool {
        self.seats[side as usize].open
    }

    /// Returns whether the process is stopped.
    pub fn is_stopped(&self, side: Side) -> bool {
        self.seats[side as usize].stopped
    }

    /// Returns the pending call of this side.
    pub fn busy(&self, side: Side) -> Option<Verb> {
        self.seats[side as usize].busy
    }

    /// Returns whether a master takes over the named segment in place instead of replacing it (§4).
    fn takes_over(&self, opening: Opening) -> Option<Id> {
        let named = self.named?;
        let Sizes { data, queue, .. } = self.segments[named];
        let fits = opening.data.is_none_or(|wanted| wanted == data)
            && opening.queue.is_none_or(|wanted| wanted == queue);
        fits.then_some(named)
    }

    /// Records that an endpoint was opened.
    pub fn opened(&mut self, side: Side, opening: Opening) {
        let home = match (side, self.takes_over(opening)) {
            (Side::Slave, _) => self.named.unwrap_or_default(),
            (Side::Master, Some(named)) => named,
            (Side::Master, None) => {
                let (data, queue) = (opening.data.unwrap_or(4096), opening.queue.unwrap_or(256 << 10));
                self.segments.push(Sizes { data, queue, closed: [false; 2] });
                self.segments.len() - 1
            }
        };
        let replaced = self.named.replace(home).filter(|old| *old != home);
        let closed = &mut self.segments[home].closed;
        closed[side as usize] = false;
        let peer_closed = closed[side.other() as usize];
        *self.seat(side) =
            Seat { open: true, holds: vec![home], sends_to: Some(home), peer_closed, ..Seat::default() };
        let slave = &self.seats[Side::Slave as usize];
        if let Some(old) = replaced.filter(|old| !slave.open || !slave.holds.contains(old)) {
            // A master that replaces a segment without a slave switches from it (§4), unless a slave attaches at that
            // moment.
            let certain = !slave.open;
            let master = self.seat(side);
            if certain { &mut master.holds } else { &mut master.may_hold }.push(old);
            self.moves(side, home);
        }
        self.settle();
    }

    /// Records that an endpoint was closed, or that its process has ended.
    pub fn ended(&mut self, side: Side, end: End) {
        let busy = self.seat(side).busy;
        let queued = self.segments.iter().all(|sizes| sizes.queue > 0);
        let incoming = &mut self.ways[side.other() as usize];
        let again = std::mem::take(&mut incoming.taken);
        let alone = again.len() == 1 && end == End::Kill && queued && !may_release(busy, incoming.lets_go);
        if end != End::Close {
            again.iter().for_each(|message| {
                incoming.came.remove(&message.number);
            });
            again.iter().rev().for_each(|message| {
                incoming.pending.push_front(Message { sure: message.sure && alone, ..*message });
            });
        }
        incoming.read = None;
        doubt(&mut incoming.pending, taken_at_most(busy, end, queued));
        let outgoing = &mut self.ways[side as usize];
        outgoing.loan = None;
        outgoing.pending.iter_mut().chain(&mut outgoing.taken).for_each(|message| message.own = false);
        // A message that was being carried over may be in either segment, or lost with the segment that both left.
        let carried = outgoing.pending.iter_mut().chain(&mut outgoing.taken).chain(&mut outgoing.value);
        carried.filter(|message| message.home == Home::Moving).for_each(|message| message.sure = false);
        if side == Side::Slave {
            // A slave keeps using a replaced segment. What a former master left there is lost with the slave.
            let left = incoming_of(&mut self.ways, side);
            let left = left.pending.iter_mut().chain(&mut left.value);
            left.filter(|message| message.home == Home::Moving).for_each(|message| message.sure = false);
        }
        let outgoing = &mut self.ways[side as usize];
        if let (Some(value), Some(Verb::Write { .. })) = (&mut outgoing.value, busy) {
            value.sure = false;
        }
        let left = std::mem::take(self.seat(side));
        left.holds.iter().chain(&left.may_hold).for_each(|id| {
            self.segments[*id].closed[side as usize] |= end != End::Kill;
        });
        let other = self.seat(side.other());
        // An endpoint that never switched to the peer's segment was never seen there.
        other.peer_ended |= left.holds.iter().any(|id| other.holds.contains(id));
        other.peer_closed |= end != End::Kill;
        if side == Side::Master {
            self.stand_in = false;
            if matches!(end, End::Close | End::Exit { named: false }) {
                self.named = None;
            }
        }
        self.settle();
    }

    /// Records that the segment's file was removed. A live master has created a stand-in (§5).
    pub fn unlinked(&mut self) {
        let Some(old) = self.named.take() else { return };
        if self.is_open(Side::Master) {
            // The slave's seat of a stand-in was never occupied.
            self.segments.push(Sizes { closed: [false, true], ..self.segments[old] });
            let new = self.segments.len() - 1;
            self.named = Some(new);
            self.stand_in = true;
            if self.is_open(Side::Slave) && !self.seats[Side::Slave as usize].holds.contains(&old) {
                // A slave that was switching to the old segment may find either segment.
                self.seat(Side::Slave).may_hold.push(new);
                self.moves(Side::Master, new);
                self.stand_in = false;
                // The stand-in shows its slave as closed until the slave attaches.
                self.seat(Side::Master).peer_closed = true;
            }
        }
        self.settle();
    }

    /// Applies what follows sooner or later: endpoints switch, and segments without name and user cease to exist.
    fn settle(&mut self) {
        let [master, slave] = &self.seats;
        if let Some(named) = self.named {
            let apart = !master.open || !slave.holds.iter().any(|id| master.holds.contains(id));
            if slave.open && slave.sends_to != Some(named) && apart {
                self.moves(Side::Slave, named);
            } else if master.open && self.stand_in && !slave.open {
                self.stand_in = false;
                self.moves(Side::Master, named);
                // The stand-in shows its slave as closed, however it ended.
                self.seat(Side::Master).peer_closed = true;
            }
        }
        let [master, slave] = &self.seats;
        let named = self.named;
        let held = |id| Some(id) == named || master.holds.contains(&id) || slave.holds.contains(&id);
        let maybe = |id| master.may_hold.contains(&id) || slave.may_hold.contains(&id);
        for way in &mut self.ways {
            way.pending.retain(|message| match message.home {
                Home::In(id) => held(id) || maybe(id),
                Home::Moving => true,
            });
            for message in way.pending.iter_mut().chain(&mut way.value) {
                if let Home::In(id) = message.home
                    && !held(id)
                {
                    message.sure = false;
                }
            }
        }
    }

    /// Records that this endpoint switches to a segment and carries over its unreceived messages.
    fn moves(&mut self, side: Side, to: Id) {
        let limit = self.segments[to].limit();
        let seat = self.seat(side);
        seat.sends_to = None;
        if !seat.may_hold.contains(&to) {
            seat.may_hold.push(to);
        }
        // A message in a segment that only the receiver uses stays there.
        let own = [&seat.holds[..], &seat.may_hold[..]].concat();
        let carried = |message: &&mut Message| match message.home {
            Home::In(id) => own.contains(&id),
            Home::Moving => true,
        };
        let way = &mut self.ways[side as usize];
        for message in way.pending.iter_mut().filter(carried) {
            message.home = Home::Moving;
            message.sure &= way.texts[message.number].len() as u64 / 2 <= limit;
        }
        for other in way.taken.iter_mut().chain(&mut way.value).filter(carried) {
            other.home = Home::Moving;
        }
    }

    /// Returns whether this unreceived message must be available to its receiver now.
    pub(super) fn is_visible(&self, from: Side, message: Option<&Message>) -> bool {
        let receiver = &self.seats[from.other() as usize];
        let here = |message: &Message| matches!(message.home, Home::In(id) if receiver.holds.contains(&id));
        message.is_some_and(here)
    }

    /// Returns the first sure message of a direction.
    pub(super) fn first_sure(&self, from: Side) -> Option<&Message> {
        self.ways[from as usize].pending.iter().find(|message| message.sure)
    }

    /// Describes a sure message or value of this direction that is not delivered yet.
    pub fn owed(&self, from: Side) -> Option<String> {
        let way = &self.ways[from as usize];
        let value = way.value.filter(|value| value.sure && way.read.is_none_or(|read| read < value.number));
        let message = self.first_sure(from).map(|message| ("message", message.number));
        let (what, number) = message.or(value.map(|value| ("value", value.number)))?;
        Some(format!("{what} {number} of the {}", from.word()))
    }

    /// Returns whether the newest message of this direction is sure.
    pub fn owes_last(&self, from: Side) -> bool {
        let way = &self.ways[from as usize];
        way.pending.back().is_some_and(|last| last.sure && last.number + 1 == way.texts.len())
    }

    /// Records that the process was stopped or continued.
    pub fn stopped(&mut self, side: Side, stopped: bool) {
        self.seat(side).stopped = stopped;
    }

    /// Returns whether opening an endpoint may fail with this code.
    pub fn may_not_open(&self, side: Side, code: i32) -> bool {
        let peer = &self.seats[side.other() as usize];
        match (side, code) {
            // There is no segment, or its master is gone or about to switch.
            (Side::Slave, -3) => self.named.is_none() || !peer.open,
            // A master whose name was removed soon leaves the old segment. Until then it keeps this seat.
            (Side::Slave, -15) => peer.open && (peer.stopped || peer.sends_to != self.named),
            // A slave was stopped while it cleared the seat.
            (Side::Master, -15) => peer.stopped,
            _ => false,
        }
    }

    /// Returns whether a step applies now.
    pub fn applies(&self, step: &Step) -> bool {
        let &Step::At(side, act) = step else {
            return *step != Step::Unlink || !self.is_stopped(Side::Master);
        };
        let (seat, peer) = (&self.seats[side as usize], &self.seats[side.other() as usize]);
        let running = seat.open && !seat.stopped;
        match act {
            Act::Open(opening) => !seat.open && (side == Side::Master || !opening.auto || peer.open),
            Act::Kill => seat.open,
            Act::Continue => seat.stopped,
            Act::Close | Act::Stop | Act::ExitBusy | Act::Fork | Act::Observe => running,
            // Both seats of the named segment are certainly occupied.
            Act::Intrude => {
                let settled = seat.open && peer.open && seat.sends_to.is_some() && peer.sends_to.is_some();
                settled && (self.stand_in || seat.sends_to == self.named)
            }
            Act::Finish => running && seat.busy.is_some(),
            Act::Begin(verb) => running && self.fits(side, verb) && verb.is_bounded(),
            Act::Call(verb) => {
                running && self.fits(side, verb) && (verb.is_bounded() || self.ends(side, verb))
            }
        }
    }

    fn fits(&self, side: Side, verb: Verb) -> bool {
        let (outgoing, incoming) = (&self.ways[side as usize], &self.ways[side.other() as usize]);
        match verb {
            Verb::Loan { .. } => outgoing.loan.is_none(),
            Verb::LoanSend | Verb::LoanDrop => outgoing.loan.is_some(),
            Verb::Hold { .. } => incoming.taken.is_empty(),
            Verb::Held | Verb::Release => !incoming.taken.is_empty(),
            _ => true,
        }
    }

    /// Returns whether a call without a timeout ends: at once, or because the peer is gone and the reconnect timeout
    /// passes.
    fn ends(&self, side: Side, verb: Verb) -> bool {
        let (seat, peer) = (&self.seats[side as usize], &self.seats[side.other() as usize]);
        let way = &self.ways[side as usize];
        let gone = seat.peer_ended && !peer.open;
        match verb {
            Verb::Recv { .. } => {
                let incoming = &self.ways[side.other() as usize];
                let free = incoming.taken.is_empty() || incoming.lets_go;
                free && (gone || self.is_visible(side.other(), self.first_sure(side.other())))
            }
            // Few enough to fit at all sizes.
            _ => {
                let little = verb.longest().is_some_and(|longest| longest <= 300);
                let queued = self.segments.iter().all(|sizes| sizes.queue > 0);
                let waiting = way.pending.iter().map(|message| way.texts[message.number].len() / 2);
                let few = way.pending.len() < 4 && waiting.sum::<usize>() < 1000;
                let room = little && queued && way.taken.is_empty() && few;
                way.loan.is_none() && (gone || room)
            }
        }
    }
}

/// Returns the direction in which this side receives.
fn incoming_of(ways: &mut [Way; 2], side: Side) -> &mut Way {
    &mut ways[side.other() as usize]
}

/// Returns how many messages a receive that was interrupted by the process's end may have released.
fn taken_at_most(busy: Option<Verb>, end: End, queued: bool) -> u64 {
    match (busy, end) {
        // A held message is not released, so it is received again. Without queues it is gone from the mailbox.
        (Some(Verb::Hold { .. }), End::Kill) if queued => 0,
        (Some(Verb::RecvMany { most, .. }), _) => most,
        (Some(Verb::Recv { .. } | Verb::TryRecv | Verb::CancelRecv { .. } | Verb::Hold { .. }), _) => 1,
        (_, End::Exit { .. }) => 1,
        _ => 0,
    }
}

/// Returns whether a call that was interrupted by the process's end may have released the held messages.
fn may_release(busy: Option<Verb>, lets_go: bool) -> bool {
    busy.is_some_and(|verb| verb == Verb::Release || verb.receives() || lets_go && verb.looks())
}

/// Marks this many sure messages, in order, as possibly gone, and the doubtful ones between them.
fn doubt(pending: &mut VecDeque<Message>, mut most: u64) {
    for message in pending {
        if most == 0 {
            break;
        }
        most -= u64::from(message.sure);
        message.sure = false;
        message.taken = true;
    }
}
