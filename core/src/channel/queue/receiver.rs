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
    /// Continues after the last message that the previous receiver released.
    pub(crate) fn resume(memory: QueueMemory) -> Self {
        // Relaxed: only receivers store to it, and the previous one is gone.
        let next = memory.control().consumed.0.load(Ordering::Relaxed);
        QueueReceiver { memory, next }
    }

    /// Polls up to `polls` times for the next message. A poll loads only the cache line of that message.
    #[inline(always)]
    pub(crate) fn poll(&self, polls: u32) -> Result<Option<Lent>, Broken> {
        for _ in 0..polls {
            if self.has_next() {
                return self.peek();
            }
        }
        Ok(None)
    }

    /// Returns whether the next message is published. For frequent polls: it loads one cache line.
    #[inline(always)]
    pub(crate) fn has_next(&self) -> bool {
        // Relaxed: `peek` loads the message.
        self.memory.slot(self.next).mark.load(Ordering::Relaxed) == self.next.wrapping_add(1)
    }

    /// Returns the next message if it is published. The sender must not reuse its memory until `release`.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Result<Option<Lent>, Broken> {
        self.peek_ahead(0)
    }

    /// Returns the message that is `ahead` messages after the next one, as `peek` does.
    #[inline(always)]
    pub(crate) fn peek_ahead(&self, ahead: u32) -> Result<Option<Lent>, Broken> {
        let number = self.next.wrapping_add(ahead);
        let slot = self.memory.slot(number);
        // Acquire: pairs with the Release stores in `push_short` and `publish`.
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

    /// Returns the number of messages that the queue can hold.
    pub(crate) fn slots(&self) -> usize {
        self.memory.slots.len()
    }

    /// Returns how many messages are published and not released, including those that are lent.
    pub(crate) fn depth(&self) -> u32 {
        self.memory.depth()
    }

    /// Releases `count` messages that were peeked at to the sender. Returns whether a system call was made.
    #[inline(always)]
    pub(crate) fn release(&mut self, count: u32) -> bool {
        crash_point!("release.begun");
        self.next = self.next.wrapping_add(count);
        // Release: pairs with the Acquire load in `load_consumed`. The reads of this receiver are complete before
        // the sender overwrites.
        self.memory.control().consumed.0.store(self.next, Ordering::Release);
        crash_point!("release.stored");
        let woke = self.memory.space_bell().ring();
        crash_point!("release.rung");
        woke
    }

    /// Returns the doorbell on which to wait for the next message, and publishes its number to the sender.
    pub(crate) fn message_bell(&self) -> Doorbell<'_> {
        self.message_bell_ahead(0)
    }

    /// Returns the doorbell of the message that is `ahead` messages after the next one, as `message_bell` does.
    pub(crate) fn message_bell_ahead(&self, ahead: u32) -> Doorbell<'_> {
        let number = self.next.wrapping_add(ahead);
        // Relaxed: pairs with the load in `wake_receiver`, where a comment explains what orders the two.
        self.memory.control().receiver_parked.number.store(number, Ordering::Relaxed);
        crash_point!("park.numbered");
        self.memory.message_bell(number)
    }
}
