//! What an endpoint tells the application's `tracing` subscriber.
//!
//! A subscriber is foreign code: it may use the endpoint that an event is about, open another one, or fork. So no event
//! is emitted under a lock. What happens under one is collected here, and emitted after the lock was released.

use crate::channel::queue::Broken;
use crate::error::Error;
use crate::peer_state::PeerState;
use crate::role::Role;

/// Something that happened to an endpoint while it was locked.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The peer's state changed.
    Peer { peer: Role, from: PeerState, to: PeerState },
    /// Another segment has this endpoint's name.
    Displaced,
    /// The segment's file was removed, and a stand-in made.
    StandIn,
    /// The segment's file was removed, and no stand-in could be made.
    NoStandIn(Error),
    /// A slave attached to the segment that has the name now.
    Moved,
    /// A slave found a segment and could not attach to it.
    CannotMove(Error),
    /// The queue of a segment that was to be moved to is broken: the endpoint stays.
    CannotMoveInto(Broken),
    /// The queue of the new segment broke during the carry-over.
    NewQueueBroken(Broken),
    /// The queue of a segment that was left is broken: what follows there cannot be found.
    OldQueueBroken(Broken),
}

/// What is to be emitted, oldest first, each with its segment's name.
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

    /// Emits all. The caller holds no lock of this library.
    pub(crate) fn emit(self) {
        for (segment, notice) in self.0 {
            notice.emit(&segment);
        }
    }
}

impl Notice {
    fn emit(self, segment: &str) {
        match self {
            Notice::Peer { peer, from, to } => tracing::debug!(segment, %peer, %from, %to),
            Notice::Displaced => {
                tracing::error!(segment, "another segment has the name: this endpoint is displaced");
            }
            Notice::StandIn => {
                tracing::warn!(segment, "the segment's file was removed: another one takes its name");
            }
            Notice::NoStandIn(error) => {
                tracing::warn!(segment, %error, "the segment's file was removed, and cannot be replaced");
            }
            Notice::Moved => tracing::debug!(segment, "attached to the new segment of that name"),
            Notice::CannotMove(error) => tracing::debug!(segment, %error, "cannot reconnect yet"),
            Notice::CannotMoveInto(broken) => {
                tracing::warn!(segment, ?broken, "the new segment is broken");
            }
            // The sender finds it, too, with its next call, and reports it.
            Notice::NewQueueBroken(broken) => tracing::debug!(segment, ?broken, "the new segment is broken"),
            Notice::OldQueueBroken(broken) => {
                tracing::warn!(segment, ?broken, "the queue of the segment that was left is broken");
            }
        }
    }
}
