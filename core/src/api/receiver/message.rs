//! A message in the receiver's hands.

use std::fmt;
use std::ops::Deref;

use super::Receiver;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::text;

/// A message that was read or received. It derefs to its bytes.
///
/// A received one lies in the queue: while it exists its room is not used again, and a process that is killed before
/// dropping it receives it again when it is back. Who must be safe from a peer that changes the bytes under its
/// reader copies them first.
pub struct Message<'a> {
    pub(super) receiver: &'a mut Receiver,
    pub(super) start: *const u8,
    pub(super) len: usize,
    pub(super) skipped: u64,
    /// Whether it lies in the queue.
    pub(super) lent: bool,
}

impl Message<'_> {
    /// How many values were overwritten between the one read before and this one. 0 for messages that our peers
    /// send with `send`.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The peer's generation: greater after each restart of the peer.
    pub fn generation(&self) -> u64 {
        if self.lent {
            self.receiver.side.attachment.generation()
        } else {
            self.receiver.values.attachment.generation()
        }
    }

    /// Returns a copy of the message as text: see [`text::decode`]. It is copied before it is checked, so that a peer
    /// that goes on writing cannot make text of what is none.
    ///
    /// # Errors
    /// [`Error::InvalidText`].
    pub fn text(&self) -> Result<String> {
        let copy = self.to_vec();
        text::decode(&copy).map(str::to_owned)
    }

    /// The message's memory, without the borrow: for bindings. It is valid until [`Receiver::release`] or any other
    /// call of the receiver, and while the receiver exists.
    #[doc(hidden)]
    pub fn into_raw(self) -> (*const u8, usize) {
        let mut message = std::mem::ManuallyDrop::new(self);
        message.receiver.lent = message.lent.then_some(message.len);
        (message.start, message.len)
    }
}

impl Drop for Message<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.lent {
            self.receiver.release_one(self.len);
        }
    }
}

impl Deref for Message<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is `len` bytes in the receiver's buffer, or in the queue, checked to be inside it, and not
        // released before `self` is dropped; the borrow of the receiver keeps both.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl AsRef<[u8]> for Message<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq<[u8]> for Message<'_> {
    fn eq(&self, bytes: &[u8]) -> bool {
        **self == *bytes
    }
}

impl PartialEq<&[u8]> for Message<'_> {
    fn eq(&self, bytes: &&[u8]) -> bool {
        **self == **bytes
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Message<'_> {
    fn eq(&self, bytes: &[u8; N]) -> bool {
        **self == *bytes
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Message<'_> {
    fn eq(&self, bytes: &&[u8; N]) -> bool {
        **self == **bytes
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes, skipped {})", self.len, self.skipped)
    }
}

// SAFETY: the pointer is to memory that the receiver keeps, and a `&mut Receiver` may go to another thread.
unsafe impl Send for Message<'_> {}
// SAFETY: a shared message only gives out its bytes and its receiver's counts.
unsafe impl Sync for Message<'_> {}
