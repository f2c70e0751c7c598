//! What an endpoint with an event descriptor waits for (protocol/events.md).

use std::ops::{BitOr, BitOrAssign};
use std::time::Duration;

use crate::peer_state::PeerState;
use crate::segment::file::EventDescriptor;
use crate::sys::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use crate::wait::coarse_now;

/// The events for which an event descriptor becomes readable. Combine them with `|`.
///
/// ```
/// use eshm::Interest;
/// let interest = Interest::READABLE | Interest::PEER;
/// assert!(interest.contains(Interest::PEER) && !interest.contains(Interest::VALUE));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interest(u32);

impl Interest {
    /// Nothing. The descriptor is readable after a stop, a close and a displacement only.
    #[cfg(any(feature = "async", feature = "tokio"))]
    pub(crate) const NONE: Interest = Interest(0);
    /// A message: `try_recv` may find one.
    pub const READABLE: Interest = Interest(1);
    /// A new value: `try_read` may find one.
    pub const VALUE: Interest = Interest(2);
    /// Room: `try_send` was refused for lack of room, and may succeed now.
    pub const WRITABLE: Interest = Interest(4);
    /// A change of the peer's state since the last [`Events::peer_state`](crate::Events::peer_state).
    pub const PEER: Interest = Interest(8);

    /// Returns the interest of these bits, `None` if one of them is of no kind: for bindings, whose kinds have the same
    /// numbers.
    pub const fn from_bits(bits: u32) -> Option<Interest> {
        if bits & !0xf == 0 { Some(Interest(bits)) } else { None }
    }

    /// Returns whether this contains all of `other`.
    pub const fn contains(self, other: Interest) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        self.0 |= other.0;
    }
}

/// The event descriptor of an endpoint, and what it is armed for.
///
/// A kind is armed while a verb of it has found nothing since the last ring. The fields are hints of one thread for
/// another: a wrong one makes the descriptor readable in vain, or leaves an event to the next round of the background thread.
/// So all accesses but those of `armed` are Relaxed; the descriptor itself orders them.
#[derive(Debug)]
pub(crate) struct EventSource {
    pub(crate) descriptor: EventDescriptor,
    interest: AtomicU32,
    armed: AtomicU32,
    /// Set once the background thread has rung for room, until a message is refused again.
    answered: AtomicBool,
    /// The kinds for which the peer has begun to ring, at the last round of the background thread.
    doubted: AtomicU32,
    /// The state of the peer that the program has asked for last.
    noticed: AtomicU32,
    /// How far the receiver of the peer was when a message was refused.
    progress: AtomicU64,
    /// When a message was refused last, in milliseconds since the fixed point of `coarse_now`.
    refused_at: AtomicU64,
    /// Set while messages are refused because there is no master.
    awaits_master: AtomicBool,
}

impl EventSource {
    pub(crate) fn new(descriptor: EventDescriptor, interest: Interest, noticed: PeerState) -> Self {
        EventSource {
            descriptor,
            interest: AtomicU32::new(interest.0),
            armed: AtomicU32::new(0),
            answered: AtomicBool::new(false),
            doubted: AtomicU32::new(0),
            noticed: AtomicU32::new(noticed as u32),
            progress: AtomicU64::new(0),
            refused_at: AtomicU64::new(0),
            awaits_master: AtomicBool::new(false),
        }
    }

    pub(crate) fn set_interest(&self, interest: Interest) {
        self.interest.store(interest.0, Ordering::Relaxed);
    }

    pub(crate) fn wants(&self, kind: Interest) -> bool {
        Interest(self.interest.load(Ordering::Relaxed)).contains(kind)
    }

    pub(crate) fn arm(&self, kind: Interest) {
        self.doubted.fetch_and(!kind.0, Ordering::Relaxed);
        if kind == Interest::WRITABLE {
            self.answered.store(false, Ordering::Relaxed);
        }
        // Acquire: pairs with the Release in `disarm`. If that is first, the caller's look sees why the other thread rings.
        // If it is second, who reads the byte of that ring sees that the kind is not armed.
        self.armed.fetch_or(kind.0, Ordering::Acquire);
    }

    /// Returns whether this was called before since the kind was armed.
    pub(crate) fn doubt(&self, kind: Interest) -> bool {
        Interest(self.doubted.fetch_or(kind.0, Ordering::Relaxed)).contains(kind)
    }

    pub(crate) fn disarm(&self, kind: Interest) {
        // Release: pairs with the Acquire in `arm`.
        self.armed.fetch_and(!kind.0, Ordering::Release);
    }

    /// Takes note that the background thread rings for room.
    pub(crate) fn answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn is_armed(&self, kind: Interest) -> bool {
        Interest(self.armed.load(Ordering::Relaxed)).contains(kind)
    }

    pub(crate) fn notice(&self, state: PeerState) {
        self.noticed.store(state as u32, Ordering::Relaxed);
    }

    pub(crate) fn has_noticed(&self, state: PeerState) -> bool {
        self.noticed.load(Ordering::Relaxed) == state as u32
    }

    /// Takes note that a message is refused while the receiver of the peer is this far.
    pub(crate) fn note_refusal(&self, progress: u64) {
        self.progress.store(progress, Ordering::Relaxed);
        self.refused_at.store(coarse_now().as_millis() as u64, Ordering::Relaxed);
    }

    /// Returns the time since the last refusal.
    pub(crate) fn refused_for(&self) -> Duration {
        let now = coarse_now().as_millis() as u64;
        Duration::from_millis(now.saturating_sub(self.refused_at.load(Ordering::Relaxed)))
    }

    pub(crate) fn await_master(&self) {
        self.awaits_master.store(true, Ordering::Relaxed);
        // Pairs with the fence in `awaits_master`: either the caller sees the new state of the peer, or the thread that
        // has seen it sees the flag.
        fence(Ordering::SeqCst);
    }

    pub(crate) fn awaits_master(&self) -> bool {
        // Pairs with the fence in `await_master`.
        fence(Ordering::SeqCst);
        self.awaits_master.load(Ordering::Relaxed)
    }

    pub(crate) fn end_await_of_master(&self) {
        self.awaits_master.store(false, Ordering::Relaxed);
    }

    pub(crate) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }
}
