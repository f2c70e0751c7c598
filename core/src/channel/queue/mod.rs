//! A queue that delivers every message once and in order: single producer, single consumer, one queue per direction.
//!
//! A message of up to 56 bytes travels in one cache line, together with the mark that publishes it. The poll of the
//! mark by the receiver fetches the message too, and no other line moves between the two cores. A longer message lies
//! in an arena in one piece, and the line holds its place there. (A mark per slot is the idea of D. Vyukov's bounded
//! queue. An arena beside the slots is common.)
//!
//! There is no shared index of sent messages: the marks show what was sent. The number of released messages is in a
//! cache line that only the receiver writes. The sender loads it only when the queue seems full. Either end can be
//! killed at any instruction, and its successor finds a consistent queue: [`QueueSender::resume`],
//! [`QueueReceiver::resume`].

mod arena;
mod copy;
mod receiver;
mod sender;

use crate::segment::layout::{Block, QueueControl, Slot};
use crate::segment::shared_ref::SharedRef;
use crate::sys::{Ordering, futex_wake};
use crate::wait::{Doorbell, EventBell, Fences};

pub(crate) use receiver::QueueReceiver;
pub(crate) use sender::QueueSender;

/// The alignment of arena allocations: a cache line.
const LINE: u64 = 64;

// SAFETY: the sender writes the payload before it publishes the mark, and the receiver reads it after it has seen the
// mark. The sender writes it again only after it has seen the release of the receiver. `QueueSender` and
// `QueueReceiver` are the only users, and the seats ensure that there is one of each per queue.
unsafe impl Sync for Slot {}
// SAFETY: as above. A block belongs to the message whose descriptor was published.
unsafe impl Sync for Block {}

/// The memory of one queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueMemory {
    pub(crate) control: SharedRef<QueueControl>,
    /// The length is a power of two.
    pub(crate) slots: SharedRef<[Slot]>,
    pub(crate) arena: SharedRef<[Block]>,
    /// The size of the longest message in bytes, at most the size of the arena.
    pub(crate) capacity: usize,
    /// The event descriptor of the other end.
    pub(crate) bell: EventBell,
}

/// A field with a value that the protocol forbids. The peer has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) what: &'static str,
    pub(crate) found: u64,
    /// The greatest valid value.
    pub(crate) most: u64,
}

/// A received message in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lent {
    pub(crate) start: *const u8,
    pub(crate) len: usize,
}

impl Lent {
    /// Returns the bytes of the message.
    ///
    /// # Safety
    /// The message is not released, and its queue is mapped, as long as the result is used.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: `peek` found `len` bytes of the queue at `start`, and the caller keeps them.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl QueueMemory {
    #[inline]
    fn control(&self) -> &QueueControl {
        &self.control
    }

    #[inline(always)]
    fn slot(&self, number: u32) -> &Slot {
        let slots: &[Slot] = &self.slots;
        // SAFETY: there is at least one slot, so the masked index is at most `len - 1`. The length is a power of two,
        // so the masked index is also the number modulo `len`.
        unsafe { slots.get_unchecked(number as usize & (slots.len() - 1)) }
    }

    /// Returns the doorbell on which a receiver waits for a message.
    #[inline(always)]
    fn message_bell(&self, number: u32) -> Doorbell<'_> {
        Doorbell {
            word: &self.slot(number).mark,
            waiters: &self.control().receiver_parked.count,
            fences: Fences::Asymmetric,
        }
    }

    /// Returns the doorbell of the receiver, for its event descriptor: no thread parks on it.
    #[inline(always)]
    pub(crate) fn arrival_bell(&self) -> Doorbell<'_> {
        self.message_bell(0)
    }

    /// Returns the doorbell on which a sender waits for space.
    #[inline]
    pub(crate) fn space_bell(&self) -> Doorbell<'_> {
        Doorbell {
            word: &self.control().consumed.0,
            waiters: &self.control().sender.parked,
            fences: Fences::Asymmetric,
        }
    }

    /// Wakes a parked receiver after messages were published. Returns whether that took a system call.
    #[inline(always)]
    fn ring_receiver(&self) -> bool {
        // The word of this doorbell does not matter: the receiver publishes the slot on which it is parked.
        let parked = self.arrival_bell().has_waiters();
        if parked {
            self.ring_waiting_receiver();
        }
        parked
    }

    /// Wakes the receiver on whatever slot it waits, and rings its event descriptor if it asks for that.
    #[cold]
    fn ring_waiting_receiver(&self) {
        // Relaxed: as in `wake_receiver`.
        let number = self.control().receiver_parked.number.load(Ordering::Relaxed);
        self.message_bell(number).wake(&self.bell);
        crash_point!("wake.receiver");
    }

    /// Wakes a sender that waits for space, and rings its event descriptor if it asks for that. Returns whether that took a
    /// system call.
    #[inline(always)]
    fn ring_sender(&self) -> bool {
        let waits = self.space_bell().has_waiters();
        if waits {
            self.ring_waiting_sender();
        }
        waits
    }

    #[cold]
    fn ring_waiting_sender(&self) {
        self.space_bell().wake(&self.bell);
    }

    /// Wakes the receiver on whatever slot it waits. It may have taken the first messages of a batch before the last
    /// was published, and may wait for that one.
    #[cold]
    pub(crate) fn wake_receiver(&self) {
        // Relaxed: the receiver stores the number before it raises the count, with Release. `Doorbell::has_waiters` has
        // seen the count, with Acquire.
        let number = self.control().receiver_parked.number.load(Ordering::Relaxed);
        futex_wake(&self.slot(number).mark);
    }

    /// Clears the count of parked receivers, after the receiver has gone.
    pub(crate) fn forget_parked_receiver(&self) {
        self.control().receiver_parked.count.store(0, Ordering::Relaxed);
    }

    /// Clears the count of parked senders, after the sender has gone.
    pub(crate) fn forget_parked_sender(&self) {
        self.control().sender.parked.store(0, Ordering::Relaxed);
    }

    /// Returns how many messages are published and not released: see [`count_published`].
    pub(crate) fn depth(&self) -> u32 {
        let first = self.control().consumed.0.load(Ordering::Relaxed);
        // Relaxed: the marks are only counted, and nothing behind them is read.
        count_published(self.slots.len() as u32, first, |number| {
            self.slot(number).mark.load(Ordering::Relaxed)
        })
    }

    /// Returns the number of released messages, modulo 2³².
    pub(crate) fn released(&self) -> u32 {
        // Relaxed: the number orders nothing.
        self.control().consumed.0.load(Ordering::Relaxed)
    }

    /// Raises the high-water mark to `depth` if it is lower. Only the process of the sender calls this. If two of its
    /// threads race, one observation is lost.
    pub(crate) fn note_depth(&self, depth: u32) {
        let mark = &self.control().sender.high_water;
        // Relaxed, both: the value orders nothing. It is stored only when it grows, because the receiver reads this
        // cache line.
        if mark.load(Ordering::Relaxed) < depth {
            mark.store(depth, Ordering::Relaxed);
        }
    }

    /// Returns the highest number of unreleased messages that the process of the sender has seen, 0 ..= the number of
    /// slots.
    pub(crate) fn high_water(&self) -> u32 {
        self.control().sender.high_water.load(Ordering::Relaxed).min(self.slots.len() as u32)
    }
}

/// Returns how many messages of a queue are published and not released, 0 ..= `slots`. `first` is the number of the
/// first message that is not released. `mark` returns the mark in the slot of a number.
///
/// The published messages are a prefix of the numbers from `first` on, so a binary search over the marks finds the
/// end. Marks that change during the search, or that a hostile peer wrote, make the result wrong, but never out of
/// range.
pub(crate) fn count_published(slots: u32, first: u32, mark: impl Fn(u32) -> u32) -> u32 {
    let (mut published, mut end) = (0, slots);
    while published < end {
        let middle = published + (end - published) / 2;
        let number = first.wrapping_add(middle);
        if mark(number) == number.wrapping_add(1) {
            published = middle + 1;
        } else {
            end = middle;
        }
    }
    published
}

#[cfg(test)]
mod tests;
