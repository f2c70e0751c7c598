//! A message as a binding sees it, in the segment or out of it.

use std::ops::Deref;

use crate::api::receiver::Message;

/// A message that is no longer in the segment.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    pub(super) skipped: u64,
    pub(super) generation: u64,
}

/// A message or a value, while a call takes it. It derefs to its bytes.
#[derive(Debug)]
pub struct Content<'a>(pub(super) Source<'a>);

#[derive(Debug)]
pub(super) enum Source<'a> {
    Message(&'a Message<'a>),
    /// A message of a batch.
    Queue {
        bytes: &'a [u8],
        generation: u64,
    },
    Kept(&'a Kept),
}

impl Content<'_> {
    /// Returns how many values were overwritten between the one read before and this one; 0 for a message.
    pub fn skipped(&self) -> u64 {
        match self.0 {
            Source::Message(message) => message.skipped(),
            Source::Queue { .. } => 0,
            Source::Kept(kept) => kept.skipped,
        }
    }

    /// Returns the peer's generation: greater after each restart of the peer.
    pub fn generation(&self) -> u64 {
        match self.0 {
            Source::Message(message) => message.generation(),
            Source::Queue { generation, .. } => generation,
            Source::Kept(kept) => kept.generation,
        }
    }

    /// Tests whether the bytes lie in the queue, where the peer can change them.
    pub fn is_in_place(&self) -> bool {
        match self.0 {
            Source::Message(message) => message.is_in_place(),
            Source::Queue { .. } => true,
            Source::Kept(_) => false,
        }
    }
}

impl Deref for Content<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self.0 {
            Source::Message(message) => message,
            Source::Queue { bytes, .. } => bytes,
            Source::Kept(kept) => &kept.bytes,
        }
    }
}

impl Kept {
    pub(super) fn of(message: &Message<'_>) -> Self {
        Kept { bytes: message.to_vec(), skipped: message.skipped(), generation: message.generation() }
    }
}
