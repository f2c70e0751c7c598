//! What the model knows: the seats, the directions, the segments, and where each message is.

use std::collections::{BTreeSet, VecDeque};

use super::program::Verb;

/// A segment, numbered in order of creation.
pub(super) type Id = usize;

/// How a process left its seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A clean close.
    Close,
    /// SIGKILL.
    Kill,
    /// An exit with a pending call. It is a close or a kill, depending on the language. A master may leave the name
    /// behind.
    Exit {
        /// Whether the name still exists.
        named: bool,
    },
}

/// The location of a message or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    In(Id),
    Moving,
}

/// A message that was accepted and not released. If it is not `sure`, it may not have been accepted, or may have been
/// released.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub number: usize,
    pub sure: bool,
    pub home: Home,
    /// Whether the sender that accepted it is still open.
    pub own: bool,
    /// Whether a receiver that has ended may have received it, perhaps before its sender's call returned.
    pub taken: bool,
}

/// One end of the pair.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat {
    pub open: bool,
    pub stopped: bool,
    /// The segments that it certainly uses, and further ones that it may have attached to.
    pub holds: Vec<Id>,
    pub may_hold: Vec<Id>,
    /// The segment that its messages go to. `None` while it may be switching.
    pub sends_to: Option<Id>,
    /// Whether the peer has closed, or has ended in any way, since this endpoint was opened.
    pub peer_closed: bool,
    pub peer_ended: bool,
    /// The pending call.
    pub busy: Option<Verb>,
}

/// One direction, named by its sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// The hexadecimal text of every offered message, by number.
    pub texts: Vec<String>,
    pub pending: VecDeque<Message>,
    /// Messages that were received and not released. They are received again after a kill.
    pub taken: Vec<Message>,
    /// Whether each receive or read first releases the held message.
    pub lets_go: bool,
    /// The number of the message in the open loan.
    pub loan: Option<usize>,
    /// The numbers of all received messages.
    pub came: BTreeSet<usize>,
    /// All offered values, the latest written value, and the last value that the present reader has read.
    pub values: Vec<String>,
    pub value: Option<Message>,
    pub read: Option<usize>,
}

/// The sizes of a segment, and which of its seats were closed cleanly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub data: u64,
    pub queue: u64,
    pub closed: [bool; 2],
}

impl Sizes {
    /// Returns the longest message.
    pub fn limit(self) -> u64 {
        if self.queue == 0 { self.data } else { self.queue }
    }
}
