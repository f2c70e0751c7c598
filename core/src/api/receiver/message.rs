//! A message that was read or received.

use std::fmt;
use std::ops::Deref;

use super::Receiver;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::segment::layout::Slot;
use crate::sys::prefetch_read;
use crate::text;

/// Four slots ahead: a cache line takes as long as some messages.
const AHEAD: usize = 4 * size_of::<Slot>();

/// A message or a value that was received. Derefs to its bytes, and compares with bytes.
///
/// A message of [`Receiver::recv`] usually lies in the queue, see [`Message::is_in_place`]. Dropping it releases it: its memory
/// is used again. If the process is killed before, the next process in its role receives the message again. A hostile peer
/// could change the bytes meanwhile: copy them before you check them.
///
/// ```
/// let mut master = eshm::Endpoint::master("doc-message")?;
/// let mut slave = eshm::Endpoint::slave("doc-message")?;
/// master.send(b"pose 1 2 3")?;
/// let message = slave.recv()?;
/// assert_eq!(message, b"pose 1 2 3");
/// let copy = message.to_vec();
/// drop(message);
/// assert_eq!(copy.len(), 10);
/// # Ok::<(), eshm::Error>(())
/// ```
pub struct Message<'a> {
    pub(super) receiver: &'a mut Receiver,
    pub(super) start: *const u8,
    pub(super) len: usize,
    pub(super) skipped: u64,
    /// Whether it lies in the queue.
    pub(super) lent: bool,
}

impl Message<'_> {
    /// Returns whether the message lies in the queue, where it stays the next one until it is dropped. Otherwise it is a copy
    /// that is released already.
    pub fn is_in_place(&self) -> bool {
        self.lent
    }

    /// Returns how many values were overwritten since the one that was read before. 0 for a message.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Returns the peer's generation, which is greater after each restart of the peer.
    pub fn generation(&self) -> u64 {
        if self.lent {
            self.receiver.side.attachment.generation()
        } else {
            self.receiver.values.attachment.generation()
        }
    }

    /// Fetches the slot of a later message: worth it in a stream, where that is published. Otherwise it takes the line away
    /// from the sender.
    #[inline(always)]
    pub(crate) fn prefetch_later(&self) {
        prefetch_read(self.start.wrapping_add(AHEAD));
    }

    /// Returns a copy of the message as text: see [`text::decode`]. Copies before it checks, so that a peer that goes on
    /// writing cannot change what was checked.
    ///
    /// # Errors
    /// [`Error::InvalidText`]: the message is not UTF-8, or has a NUL before its end.
    pub fn text(&self) -> Result<String> {
        let copy = self.to_vec();
        text::decode(&copy).map(str::to_owned)
    }

    /// Returns the message's memory, without the borrow: for bindings. It is valid until [`Receiver::release`] or any other
    /// call of the receiver, and while the receiver exists.
    pub(crate) fn into_raw(self) -> (*const u8, usize) {
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
