//! The events of an endpoint for the `tracing` subscriber of the application.
//!
//! A subscriber is foreign code. It may use the endpoint of the event, open another endpoint, or fork. Therefore no
//! event is emitted under a lock. Events that occur under a lock are collected here and emitted after its release.

use crate::channel::queue::Broken;
use crate::error::Error;
use crate::peer_state::PeerState;
use crate::role::Role;

/// An event that occurred while the endpoint was locked.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The peer's state changed.
    Peer { peer: Role, from: PeerState, to: PeerState },
    /// Another segment has the name of this endpoint.
    Displaced,
    /// The file of the segment was removed, and a stand-in was created.
    StandIn,
    /// The file of the segment was removed, and no stand-in could be created.
    NoStandIn(Error),
    /// A slave attached to the segment that has the name now.
    Moved,
    /// A slave found a segment and could not attach to it.
    CannotMove(Error),
    /// The queue of the new segment is broken, so the endpoint does not switch.
    CannotMoveInto(Broken),
    /// The queue of the new segment broke during the carry-over.
    NewQueueBroken(Broken),
    /// The queue of an old segment is broken. The messages after that point cannot be found.
    OldQueueBroken(Broken),
}

/// The events to emit, oldest first, each with the name of its segment.
#[derive(Debug, Default)]
pub(crate) struct Notices(Vec<(String, Notice)>);

impl Notices {
    pub(crate) fn push(&mut self, segment: &str, notice: Notice) {
        self.0.push((segment.to_owned(), notice));
    }

    pub(crate) fn append(&mut self, other: &mut Notices) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Emits all events. The caller holds no lock of this library.
    pub(crate) fn emit(self) {
        for (segment, notice) in self.0 {
            notice.emit(&segment);
        }
    }
}

impl Notice {
    fn emit(self, segment: &str) {
        match self {
            Notice::Peer { peer, from, to } => event!(debug, segment, %peer, %from, %to),
            Notice::Displaced => {
                event!(error, segment, "another segment has the name: this endpoint is displaced");
            }
            Notice::StandIn => {
                event!(warn, segment, "the segment's file was removed: another one takes its name");
            }
            Notice::NoStandIn(error) => {
                event!(warn, segment, %error, "the segment's file was removed, and cannot be replaced");
            }
            Notice::Moved => event!(debug, segment, "attached to the new segment of that name"),
            Notice::CannotMove(error) => event!(debug, segment, %error, "cannot reconnect yet"),
            Notice::CannotMoveInto(broken) => {
                event!(warn, segment, ?broken, "the new segment is broken");
            }
            // The sender also finds this at its next call, and reports it.
            Notice::NewQueueBroken(broken) => event!(debug, segment, ?broken, "the new segment is broken"),
            Notice::OldQueueBroken(broken) => {
                event!(warn, segment, ?broken, "the queue of the segment that was left is broken");
            }
        }
    }
}
