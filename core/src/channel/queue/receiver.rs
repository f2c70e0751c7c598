//! The receiving end of a queue.

use super::copy::cell_pointer;
use super::{Broken, Lent, QueueMemory};
use crate::segment::layout::{SLOT_PAYLOAD, Slot};
use crate::sys::Ordering;
use crate::wait::Doorbell;

/// The receiving end.
#[derive(Debug)]
pub(crate) struct QueueReceiver {
    memory: QueueMemory,
    /// The number of the next message.
    next: u32,
}

impl QueueReceiver {
    /// Takes up where the last receiver was: after the last message that it released.
    pub(crate) fn resume(memory: QueueMemory) -> Self {
        // Relaxed: only receivers store to it, and the one before is gone.
        let next = memory.control().consumed.0.load(Ordering::Relaxed);
        QueueReceiver { memory, next }
    }

    /// Looks up to `looks` times for the next message, at nothing but its cache line.
    #[inline(always)]
    pub(crate) fn peek_often(&self, looks: u32) -> Result<Option<Lent>, Broken> {
        for _ in 0..looks {
            if self.has_come() {
                return self.peek();
            }
        }
        Ok(None)
    }

    /// Whether the next message is there: for those who look often, at one cache line.
    #[inline(always)]
    pub(crate) fn has_come(&self) -> bool {
        // Relaxed: what it announces is read by `peek`.
        self.memory.slot(self.next).mark.load(Ordering::Relaxed) == self.next.wrapping_add(1)
    }

    /// The next message, if it is there. It stays the sender's to deliver until `release`.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Result<Option<Lent>, Broken> {
        self.peek_ahead(0)
    }

    /// As `peek`, `ahead` messages further on.
    #[inline(always)]
    pub(crate) fn peek_ahead(&self, ahead: u32) -> Result<Option<Lent>, Broken> {
        let number = self.next.wrapping_add(ahead);
        let slot = self.memory.slot(number);
        // Acquire: pairs with the Release store in `push_short` and `publish`.
        if slot.mark.load(Ordering::Acquire) != number.wrapping_add(1) {
            return Ok(None);
        }
        crash_point!("recv.found");
        // Relaxed: the mark was loaded with Acquire.
        let len = slot.len.load(Ordering::Relaxed);
        if len as usize <= SLOT_PAYLOAD {
            return Ok(Some(Lent { start: cell_pointer(&slot.payload).cast(), len: len as usize }));
        }
        self.in_arena(slot, len).map(Some)
    }

    #[inline(never)]
    fn in_arena(&self, slot: &Slot, len: u32) -> Result<Lent, Broken> {
        let (start, _, len) = self.memory.arena_place(slot, len)?;
        crash_point!("recv.located");
        Ok(Lent { start: self.memory.arena_at(start), len })
    }

    /// Returns the most messages that the queue can hold.
    pub(crate) fn slots(&self) -> usize {
        self.memory.slots.len()
    }

    /// Returns how many messages are published and not released, those that are lent included.
    pub(crate) fn depth(&self) -> u32 {
        self.memory.depth()
    }

    /// Gives `count` messages that were peeked at back to the sender. Returns whether a system call was made.
    #[inline(always)]
    pub(crate) fn release(&mut self, count: u32) -> bool {
        crash_point!("release.begun");
        self.next = self.next.wrapping_add(count);
        // Release: pairs with the Acquire load in `look_at_consumed`: our reads are over before it overwrites.
        self.memory.control().consumed.0.store(self.next, Ordering::Release);
        crash_point!("release.stored");
        let woke = self.memory.room().ring();
        crash_point!("release.rung");
        woke
    }

    /// Where to wait for the next message: says so to the sender.
    pub(crate) fn message_bell(&self) -> Doorbell<'_> {
        self.message_bell_ahead(0)
    }

    /// As `arrival`, for the message `ahead` further on.
    pub(crate) fn message_bell_ahead(&self, ahead: u32) -> Doorbell<'_> {
        let number = self.next.wrapping_add(ahead);
        // Relaxed: pairs with the load in `wake_receiver`, which says what orders the two.
        self.memory.control().receiver_parked.number.store(number, Ordering::Relaxed);
        crash_point!("park.numbered");
        self.memory.message_bell(number)
    }
}
