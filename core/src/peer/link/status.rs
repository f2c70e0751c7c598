//! The status word of a link: one load tells a half of the endpoint whether anything needs its attention.

use crate::sys::{AtomicU32, Ordering};

/// The endpoint is closed.
pub(super) const CLOSED: u32 = 1;
/// A slave whose master is gone, or given up.
pub(super) const ADRIFT: u32 = 2;
/// The peer is an ESHM 1.x process.
pub(super) const LEGACY: u32 = 4;
/// Another segment has this one's name.
pub(super) const DISPLACED: u32 = 8;
/// The endpoint was stopped, and is still to be closed.
pub(super) const STOPPED: u32 = 16;
/// The bits above the flags count the attachments.
const EPOCH: u32 = 32;

/// Bits 0 to 4: the flags above. Upper bits: the attachment epoch, which grows with each move to another segment.
///
/// It is written under the link's lock and read without it. The stores are Release. [`StatusWord::epoch`] is Acquire: whoever
/// sees a new epoch finds all that was written before. The other loads are Relaxed: they conclude nothing beyond the word.
#[derive(Debug, Default)]
pub(super) struct StatusWord(AtomicU32);

impl StatusWord {
    /// Returns the word of an open endpoint, of this epoch, with no flag set.
    pub(super) fn settled(epoch: u32) -> u32 {
        epoch.wrapping_mul(EPOCH)
    }

    #[inline(always)]
    pub(super) fn is(&self, word: u32) -> bool {
        self.0.load(Ordering::Relaxed) == word
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.0.load(Ordering::Relaxed) & flag != 0
    }

    pub(super) fn epoch(&self) -> u32 {
        // Acquire: pairs with the Release store in `begin_epoch`: the old segment's master was gone before it.
        self.0.load(Ordering::Acquire) / EPOCH
    }

    pub(super) fn set(&self, flag: u32) {
        self.replace(flag, flag);
    }

    /// Returns the flags of `mask` that are set.
    pub(super) fn flags(&self, mask: u32) -> u32 {
        self.0.load(Ordering::Relaxed) & mask
    }

    /// Gives the flags of `mask` the values that they have in `flags`.
    pub(super) fn replace(&self, mask: u32, flags: u32) {
        // Release: pairs with the Acquire load in `epoch`.
        self.0.store(self.0.load(Ordering::Relaxed) & !mask | flags, Ordering::Release);
    }

    /// Counts a move to another segment, with only these flags set.
    pub(super) fn begin_epoch(&self, flags: u32) {
        // Release: pairs with the Acquire load in `epoch`: who sees it finds the carry-over begun, and the trail complete.
        self.0.store(StatusWord::settled(self.epoch().wrapping_add(1)) | flags, Ordering::Release);
    }
}
