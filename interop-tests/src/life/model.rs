//! The promise, as a model: where each accepted message is, who can deliver it, and when it may be gone.
//!
//! Written from `protocol/PROTOCOL.md` alone. What `send` accepts is delivered once and in order to whoever receives
//! next: across closes, restarts, kills, and moves to other segments. The exceptions are those of the protocol:
//!
//! - A call that a kill interrupts may or may not have taken effect. Its messages are *doubtful*.
//! - A message that was received and not released before a kill is received again (§8).
//! - A message that is only in a segment without a name is lost with the last endpoint that holds this segment (§5).
//! - A message that is longer than the segment it would move to is not delivered (§5).
//!
//! Each message has a *home*, the segment that it lies in, or is *moving*: carried over from one segment to another at
//! a moment that nobody outside can see. A message whose home the receiver holds for certain must be there at once.
//! `judge.rs` compares the answers of the peers with this.

use std::collections::{BTreeSet, VecDeque};

use super::program::{Act, Opening, Step, Verb};
use crate::segment::Side;

/// A segment, by the order in which they were made.
pub(super) type Id = usize;

/// How a process's hold on its seat ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A clean close.
    Close,
    /// SIGKILL.
    Kill,
    /// An exit with a call under way: a close, or a kill, as the language has it. Its master may leave the name.
    Exit {
        /// Whether the name still leads to a file.
        named: bool,
    },
}

/// Where a message, or a value, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    In(Id),
    Moving,
}

/// A message that was accepted and not released; or may have been accepted, or released, if it is not `sure`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub number: usize,
    pub sure: bool,
    pub home: Home,
    /// Whether the sender that accepted it is still there.
    pub own: bool,
    /// Whether a receiver that has ended may have taken it, perhaps before its sender's call returned.
    pub taken: bool,
}

/// One end of the pair.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat {
    pub open: bool,
    pub stopped: bool,
    /// The segments that it holds for certain, and those that it may have attached to besides.
    pub holds: Vec<Id>,
    pub may_hold: Vec<Id>,
    /// The segment that its messages go to; unknown while it may be moving.
    pub sends_to: Option<Id>,
    /// Whether the peer has closed, and whether it has ended anyhow, since this endpoint was opened.
    pub peer_closed: bool,
    pub peer_ended: bool,
    /// The call that is under way.
    pub busy: Option<Verb>,
}

/// One direction, named by its sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// The hexadecimal text of every message that was offered, by its number.
    pub texts: Vec<String>,
    pub pending: VecDeque<Message>,
    /// Received and not released: received again after a kill.
    pub taken: Vec<Message>,
    /// Whether the receiver releases what it holds whenever it looks for a message or a value.
    pub lets_go: bool,
    /// The number of a message that is being built in place.
    pub loan: Option<usize>,
    /// The numbers of all messages that came.
    pub came: BTreeSet<usize>,
    /// Every value that was offered, the latest that was written, and the last that the present reader has read.
    pub values: Vec<String>,
    pub value: Option<Message>,
    pub read: Option<usize>,
}

/// The sizes of a segment, and which of its seats are closed, as the next endpoint there may be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub data: u64,
    pub queue: u64,
    pub closed: [bool; 2],
}

impl Sizes {
    /// The longest message.
    pub fn limit(self) -> u64 {
        if self.queue == 0 { self.data } else { self.queue }
    }
}

/// Both ends, both directions, and the segments between them.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub(super) seats: [Seat; 2],
    pub(super) ways: [Way; 2],
    pub(super) segments: Vec<Sizes>,
    /// The segment that has the name.
    pub(super) named: Option<Id>,
    /// Whether the named segment is the stand-in of a master whose name was removed while its slave lives.
    pub(super) stand_in: bool,
}

impl Model {
    /// A model in which the master, and the slave, let what they hold go whenever they look for more.
    pub fn of(lets_go: [bool; 2]) -> Model {
        let way = |lets_go| Way { lets_go, ..Way::default() };
        // Each direction is named by its sender.
        Model { ways: [way(lets_go[1]), way(lets_go[0])], ..Model::default() }
    }

    pub(super) fn seat(&mut self, side: Side) -> &mut Seat {
        &mut self.seats[side as usize]
    }

    /// Whether the endpoint is open.
    pub fn is_open(&self, side: Side) -> bool {
        self.seats[side as usize].open
    }

    /// Whether the process is stopped.
    pub fn is_stopped(&self, side: Side) -> bool {
        self.seats[side as usize].stopped
    }

    /// The call that is under way at this side.
    pub fn busy(&self, side: Side) -> Option<Verb> {
        self.seats[side as usize].busy
    }

    /// Whether a master takes the named segment over in place, rather than replace it (§4).
    fn takes_over(&self, opening: Opening) -> Option<Id> {
        let named = self.named?;
        let Sizes { data, queue, .. } = self.segments[named];
        let fits = opening.data.is_none_or(|wanted| wanted == data)
            && opening.queue.is_none_or(|wanted| wanted == queue);
        fits.then_some(named)
    }

    /// An endpoint was opened.
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
            // A master that replaces a segment without a slave moves from there (§4), unless a slave comes just then.
            let certain = !slave.open;
            let master = self.seat(side);
            if certain { &mut master.holds } else { &mut master.may_hold }.push(old);
            self.moves(side, home);
        }
        self.settle();
    }

    /// An endpoint was closed, or its process has ended.
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
        // What was being carried over may have got there or not; or the peer holds it in a segment that is gone with both.
        let carried = outgoing.pending.iter_mut().chain(&mut outgoing.taken).chain(&mut outgoing.value);
        carried.filter(|message| message.home == Home::Moving).for_each(|message| message.sure = false);
        if side == Side::Slave {
            // A slave that lives when a master replaces the segment holds it: what a former master left there goes with it.
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
        // One that never got to the other's segment was never seen there.
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

    /// The segment's file was removed; a live master has put a stand-in there (§5).
    pub fn unlinked(&mut self) {
        let Some(old) = self.named.take() else { return };
        if self.is_open(Side::Master) {
            // Nobody has sat in the slave's seat of a stand-in, and it is named after the one who sat in the other.
            self.segments.push(Sizes { closed: [false, true], ..self.segments[old] });
            let new = self.segments.len() - 1;
            self.named = Some(new);
            self.stand_in = true;
            if self.is_open(Side::Slave) && !self.seats[Side::Slave as usize].holds.contains(&old) {
                // A slave on its way to the old segment may find either.
                self.seat(Side::Slave).may_hold.push(new);
                self.moves(Side::Master, new);
                self.stand_in = false;
                // In the stand-in its slave is closed until it comes.
                self.seat(Side::Master).peer_closed = true;
            }
        }
        self.settle();
    }

    /// What follows by itself, sooner or later: endpoints move, and segments without name and holder are gone.
    fn settle(&mut self) {
        let [master, slave] = &self.seats;
        if let Some(named) = self.named {
            let apart = !master.open || !slave.holds.iter().any(|id| master.holds.contains(id));
            if slave.open && slave.sends_to != Some(named) && apart {
                self.moves(Side::Slave, named);
            } else if master.open && self.stand_in && !slave.open {
                self.stand_in = false;
                self.moves(Side::Master, named);
                // In the stand-in its slave is closed, however it ended.
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

    /// This endpoint is about to move to a segment, and carries over what it has sent.
    fn moves(&mut self, side: Side, to: Id) {
        let limit = self.segments[to].limit();
        let seat = self.seat(side);
        seat.sends_to = None;
        if !seat.may_hold.contains(&to) {
            seat.may_hold.push(to);
        }
        // What only the receiver holds stays with it.
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

    /// Whether a message that the receiver of this direction has not got must be there now.
    pub(super) fn is_visible(&self, from: Side, message: Option<&Message>) -> bool {
        let receiver = &self.seats[from.other() as usize];
        let here = |message: &Message| matches!(message.home, Home::In(id) if receiver.holds.contains(&id));
        message.is_some_and(here)
    }

    /// The first message of a direction that is certain to be there.
    pub(super) fn first_sure(&self, from: Side) -> Option<&Message> {
        self.ways[from as usize].pending.iter().find(|message| message.sure)
    }

    /// What of this direction is certain to be there, and still to be delivered.
    pub fn owed(&self, from: Side) -> Option<String> {
        let way = &self.ways[from as usize];
        let value = way.value.filter(|value| value.sure && way.read.is_none_or(|read| read < value.number));
        let message = self.first_sure(from).map(|message| ("message", message.number));
        let (what, number) = message.or(value.map(|value| ("value", value.number)))?;
        Some(format!("{what} {number} of the {}", from.word()))
    }

    /// Whether the newest message of this direction was accepted for certain: nothing is behind it.
    pub fn owes_last(&self, from: Side) -> bool {
        let way = &self.ways[from as usize];
        way.pending.back().is_some_and(|last| last.sure && last.number + 1 == way.texts.len())
    }

    /// The process was stopped, or goes on.
    pub fn stopped(&mut self, side: Side, stopped: bool) {
        self.seat(side).stopped = stopped;
    }

    /// Whether an endpoint may be refused with this code when it is opened.
    pub fn may_not_open(&self, side: Side, code: i32) -> bool {
        let peer = &self.seats[side.other() as usize];
        match (side, code) {
            // There is no segment, or its master is gone, or is about to move.
            (Side::Slave, -3) => self.named.is_none() || !peer.open,
            // A master whose name was removed leaves the old segment in a moment, and holds this seat until then.
            (Side::Slave, -15) => peer.open && (peer.stopped || peer.sends_to != self.named),
            // A slave that was stopped while it tidied the seat up.
            (Side::Master, -15) => peer.stopped,
            _ => false,
        }
    }

    /// Whether a step has a meaning now.
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
            // Both seats of the named segment are known to be taken.
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

    /// Whether a call without a time-out ends: at once, or because the peer is gone and the reconnect timeout ends.
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
            // Little enough to find room, whatever the sizes are.
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

/// The direction in which this side receives.
fn incoming_of(ways: &mut [Way; 2], side: Side) -> &mut Way {
    &mut ways[side.other() as usize]
}

/// How many messages a receive that the end has interrupted may have taken for good.
fn taken_at_most(busy: Option<Verb>, end: End, queued: bool) -> u64 {
    match (busy, end) {
        // What is held is not released, and so is received again; without queues it is taken.
        (Some(Verb::Hold { .. }), End::Kill) if queued => 0,
        (Some(Verb::RecvMany { most, .. }), _) => most,
        (Some(Verb::Recv { .. } | Verb::TryRecv | Verb::CancelRecv { .. } | Verb::Hold { .. }), _) => 1,
        (_, End::Exit { .. }) => 1,
        _ => 0,
    }
}

/// Whether a call that the end has interrupted may have released what was held.
fn may_release(busy: Option<Verb>, lets_go: bool) -> bool {
    busy.is_some_and(|verb| verb == Verb::Release || verb.receives() || lets_go && verb.looks())
}

/// So many of the messages that are certain may be gone, in their order; and those between them that are under way.
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
