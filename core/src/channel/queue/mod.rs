//! Every message, once, in order: a single-producer single-consumer queue per direction.
//!
//! A message of up to 56 bytes travels in one cache line, together with the mark that publishes it: the receiver's
//! poll of the mark brings the message along, and nothing else moves between the two cores. A longer one lies
//! contiguous in an arena, and the line holds its place there. (The idea of a mark per slot is that of D. Vyukov's
//! bounded queue; that of an arena beside it is common to many.)
//!
//! There is no shared index of what was sent: the marks tell. What was released is counted in a line that only the
//! receiver writes; the sender looks at it only when the queue seems full. So either end can be killed at any
//! instruction, and its successor finds the queue whole: [`QueueSender::resume`], [`QueueReceiver::resume`].

mod arena;
mod copy;
mod receiver;
mod sender;

use crate::segment::layout::{Block, QueueControl, Slot};
use crate::segment::shared_ref::SharedRef;
use crate::sys::{Ordering, futex_wake};
use crate::wait::{Doorbell, Fences};

pub(crate) use receiver::QueueReceiver;
pub(crate) use sender::QueueSender;

/// Arena allocations start on cache lines.
const LINE: u64 = 64;

// SAFETY: the payload is written by the sender before it publishes the mark, and read by the receiver after it has
// seen it; the sender writes it again only after it has seen the receiver's release. `QueueSender` and
// `QueueReceiver` are the only users, and there is one of each per queue, by the seats.
unsafe impl Sync for Slot {}
// SAFETY: as above: a block belongs to the message whose descriptor was published.
unsafe impl Sync for Block {}

/// One queue's memory.
#[derive(Clone, Debug)]
pub(crate) struct QueueMemory {
    /// One of them.
    pub(crate) control: SharedRef<[QueueControl]>,
    /// A power of two of them.
    pub(crate) slots: SharedRef<[Slot]>,
    pub(crate) arena: SharedRef<[Block]>,
    /// The greatest message, in bytes: at most the arena's size.
    pub(crate) capacity: usize,
}

/// The peer has written what the protocol forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) what: &'static str,
    pub(crate) found: u64,
    /// The greatest value that would have been right.
    pub(crate) most: u64,
}

/// A received message in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lent {
    pub(crate) start: *const u8,
    pub(crate) len: usize,
}

impl Lent {
    /// The message.
    ///
    /// # Safety
    /// It is not released, and its queue mapped, as long as the result is used.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: `peek` found `len` bytes of the queue at `start`; the caller keeps them.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl QueueMemory {
    #[inline]
    fn control(&self) -> &QueueControl {
        &self.control[0]
    }

    #[inline(always)]
    fn slot(&self, number: u32) -> &Slot {
        let slots: &[Slot] = &self.slots;
        // SAFETY: there is at least one slot, so the masked index is at most `len - 1`. That it is the number modulo
        // `len`, too, is what a power of two is for.
        unsafe { slots.get_unchecked(number as usize & (slots.len() - 1)) }
    }

    /// Where a receiver waits for a message.
    #[inline(always)]
    fn message_bell(&self, number: u32) -> Doorbell<'_> {
        Doorbell {
            word: &self.slot(number).mark,
            waiters: &self.control().receiver_parked.count,
            fences: Fences::Asymmetric,
        }
    }

    /// Where a sender waits for room.
    #[inline]
    pub(crate) fn room(&self) -> Doorbell<'_> {
        Doorbell {
            word: &self.control().consumed.0,
            waiters: &self.control().sender.parked,
            fences: Fences::Asymmetric,
        }
    }

    /// Wakes a parked receiver, after messages were published. Returns whether that took a system call.
    #[inline(always)]
    fn ring_receiver(&self) -> bool {
        // The bell's word does not matter here: where the receiver is parked, it says itself.
        let parked = self.message_bell(0).is_waited_at();
        if parked {
            self.wake_receiver();
        }
        parked
    }

    /// Wakes the receiver, wherever in the queue it waits: it may have taken the first messages of a batch before the
    /// last was published, and wait for that.
    #[cold]
    pub(crate) fn wake_receiver(&self) {
        // Relaxed: stored before the count, and both before the fence in `park`, which came before that in `ring`.
        let number = self.control().receiver_parked.number.load(Ordering::Relaxed);
        futex_wake(&self.slot(number).mark);
        crash_point!("wake.receiver");
    }

    /// Whoever was parked as receiver is gone.
    pub(crate) fn forget_parked_receiver(&self) {
        self.control().receiver_parked.count.store(0, Ordering::Relaxed);
    }

    /// Whoever was parked as sender is gone.
    pub(crate) fn forget_parked_sender(&self) {
        self.control().sender.parked.store(0, Ordering::Relaxed);
    }

    /// Returns how many messages are published and not released: see [`count_published`].
    pub(crate) fn depth(&self) -> u32 {
        let first = self.control().consumed.0.load(Ordering::Relaxed);
        // Relaxed: only counted, nothing behind the mark is read.
        count_published(self.slots.len() as u32, first, |number| {
            self.slot(number).mark.load(Ordering::Relaxed)
        })
    }

    /// Raises the high-water mark to `depth`, if it is below. Only the sender's process calls this; two of its threads that
    /// race lose one observation.
    pub(crate) fn note_depth(&self, depth: u32) {
        let mark = &self.control().sender.high_water;
        // Relaxed, both: information that orders nothing. Stored only when it grows: the receiver reads this cache line.
        if mark.load(Ordering::Relaxed) < depth {
            mark.store(depth, Ordering::Relaxed);
        }
    }

    /// Returns the most unreleased messages that the sender's process has seen, 0 ..= the number of slots.
    pub(crate) fn high_water(&self) -> u32 {
        self.control().sender.high_water.load(Ordering::Relaxed).min(self.slots.len() as u32)
    }
}

/// Returns how many messages of a queue are published and not released, 0 ..= `slots`, given the number of the first that is
/// not released, and the mark of the slot of each number.
///
/// The published ones are a prefix of the numbers from `first` on, so a binary search over their marks finds the end.
/// Marks that change meanwhile, or that a hostile peer wrote, make the result wrong, never out of range.
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
