//! The two words of a link that are read without its lock.
//!
//! The status word: one load tells a half of the endpoint whether something needs its attention.

use crate::peer_state::PeerState;
use crate::sys::{AtomicU32, Ordering};

/// The endpoint is closed.
pub(super) const CLOSED: u32 = 1;
/// The endpoint is a slave whose master is gone, or frozen for longer than the reconnect timeout.
pub(super) const NO_MASTER: u32 = 2;
/// The peer is an ESHM 1.x process.
pub(super) const LEGACY: u32 = 4;
/// Another segment has the name of this one.
pub(super) const DISPLACED: u32 = 8;
/// The endpoint is stopped and not closed yet.
pub(super) const STOPPED: u32 = 16;
/// The endpoint rests and has no living peer. One that comes, perhaps of ESHM 1.x, is seen only at the next look of the
/// monitor, so each call looks itself.
pub(super) const ALONE: u32 = 32;
/// The bits above the flags count the attachments.
const EPOCH: u32 = 64;

/// Bits 0 to 5: the flags above. Upper bits: the attachment epoch, which grows with each move to another segment.
///
/// The word is written under the lock of the link and read without it. The stores are Release. [`StatusWord::epoch`]
/// is Acquire: a thread that sees a new epoch finds everything that was written before. The other loads are Relaxed:
/// nothing beyond the word is concluded from them.
#[derive(Debug, Default)]
pub(super) struct StatusWord(AtomicU32);

impl StatusWord {
    /// Returns the word of an open endpoint in this epoch, with no flag set.
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
        // Acquire: pairs with the Release store in `begin_epoch`. The master of the old segment was gone before that
        // store.
        self.0.load(Ordering::Acquire) / EPOCH
    }

    pub(super) fn set(&self, flag: u32) {
        self.replace(flag, flag);
    }

    /// Returns the flags of `mask` that are set.
    pub(super) fn flags(&self, mask: u32) -> u32 {
        self.0.load(Ordering::Relaxed) & mask
    }

    /// Sets the flags of `mask` to their values in `flags`.
    pub(super) fn replace(&self, mask: u32, flags: u32) {
        // Release: pairs with the Acquire load in `epoch`.
        self.0.store(self.0.load(Ordering::Relaxed) & !mask | flags, Ordering::Release);
    }

    /// Starts the next epoch after a switch to another segment, with only these flags set.
    pub(super) fn begin_epoch(&self, flags: u32) {
        // Release: pairs with the Acquire load in `epoch`. A thread that sees it finds the carry-over started and the
        // trail complete.
        self.0.store(StatusWord::settled(self.epoch().wrapping_add(1)) | flags, Ordering::Release);
    }
}

/// What an endpoint knows of its peer, from the last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerView {
    pub(super) state: PeerState,
    /// Set when the reconnect timeout or attempts are used up: calls without a timeout fail, and the search continues.
    pub(super) reconnect_expired: bool,
}

/// A [`PeerView`]: the state in the lower bits, [`EXPIRED`] above them.
///
/// It is written under the lock of the link and read without it. The store is Release and the load Acquire: a thread that
/// sees here that the peer has closed finds everything that was written before.
#[derive(Debug)]
pub(super) struct PeerWord(AtomicU32);

const EXPIRED: u32 = 1 << 8;

impl PeerWord {
    pub(super) fn new(state: PeerState) -> Self {
        PeerWord(AtomicU32::new(state as u32))
    }

    pub(super) fn load(&self) -> PeerView {
        // Acquire: pairs with the Release store in `store`.
        let word = self.0.load(Ordering::Acquire);
        PeerView { state: PeerState::from_u32(word & !EXPIRED), reconnect_expired: word & EXPIRED != 0 }
    }

    pub(super) fn store(&self, view: PeerView) {
        let expired = if view.reconnect_expired { EXPIRED } else { 0 };
        // Release: pairs with the Acquire load in `load`.
        self.0.store(view.state as u32 | expired, Ordering::Release);
    }
}
