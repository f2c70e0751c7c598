//! The sending end of a queue.

use std::collections::VecDeque;

use super::copy::{cell_pointer, fill_slot};
use super::{Broken, LINE, QueueMemory};
use crate::segment::layout::{Descriptor, IN_ARENA, SLOT_PAYLOAD};
use crate::sys::Ordering;
use crate::wait::Doorbell;

/// A sender that has nothing in flight starts over at the arena's beginning once it is so far into it: memory that was
/// used lately lies in a cache. (In tests after little, so that they come to it.)
const WARM: u64 = if cfg!(test) { 128 } else { 32 << 10 };
/// For a message of so many bytes it looks whether it has anything in flight: that costs one cache line of many.
const LONG: usize = if cfg!(test) { 100 } else { 4 << 10 };

/// Where a message that is being built lies. Positions in the arena count from the queue's beginning.
#[derive(Clone, Copy, Debug)]
enum Place {
    Slot,
    Arena { start: u64, end: u64 },
}

/// A message in the arena that is not known to be released.
#[derive(Clone, Copy, Debug)]
struct Flight {
    number: u32,
    start: u64,
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct QueueSender {
    memory: QueueMemory,
    /// The number of the next message.
    head: u32,
    /// `consumed` when last looked at: at most `slots` behind `head`.
    consumed: u32,
    /// Where the arena's free part starts.
    arena_head: u64,
    in_flight: VecDeque<Flight>,
    /// A message that is being built, and its length.
    loan: Option<(Place, usize)>,
}

impl QueueSender {
    /// Takes up where the last sender was: finds what it published.
    ///
    /// # Errors
    /// [`Broken`] when the slots contradict each other.
    pub(crate) fn resume(memory: QueueMemory) -> Result<Self, Broken> {
        let consumed = memory.control().consumed.0.load(Ordering::Acquire);
        let (mut head, mut arena_head) = (consumed, 0);
        let mut in_flight: VecDeque<Flight> = VecDeque::new();
        let size = memory.arena_size();
        for _ in 0..memory.slots.len() {
            let slot = memory.slot(head);
            // Acquire: pairs with the Release store in `publish`, by a process that may be gone.
            if slot.mark.load(Ordering::Acquire) != head.wrapping_add(1) {
                break;
            }
            let len = slot.len.load(Ordering::Relaxed);
            if len as usize > SLOT_PAYLOAD {
                let (offset, end, _) = memory.arena_place(slot, len)?;
                // The first arena position at or after the head that has this offset.
                let start = arena_head + (offset + size - arena_head % size) % size;
                let end = start + (end - offset);
                let first = in_flight.front().map_or(start, |flight| flight.start);
                if end - first > size {
                    return Err(Broken {
                        what: "the messages' total length",
                        found: end - first,
                        most: size,
                    });
                }
                in_flight.push_back(Flight { number: head, start });
                arena_head = end;
            }
            head = head.wrapping_add(1);
        }
        Ok(QueueSender { memory, head, consumed, arena_head, in_flight, loan: None })
    }

    /// The greatest message, in bytes.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.memory.capacity
    }

    /// Publishes a message of at most `capacity` bytes; `Ok(None)`: there is no room. Otherwise returns whether the
    /// receiver had to be woken by a system call.
    #[inline(always)]
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<Option<bool>, Broken> {
        if bytes.len() <= SLOT_PAYLOAD && self.has_known_slot() {
            self.push_short(bytes);
            let woke = self.memory.ring_receiver();
            crash_point!("send.rung");
            self.own_next_line();
            return Ok(Some(woke));
        }
        Ok(self.push(bytes)?.then(|| self.memory.ring_receiver()))
    }

    /// Has the processor fetch the next message's cache line for writing while there is time: the receiver has a copy of
    /// it from its last use, and would otherwise be asked to give it up when the message is written.
    #[inline(always)]
    fn own_next_line(&self) {
        if self.has_known_slot() {
            // A store that means nothing: the slot is free, and its length counts from its next mark on.
            self.memory.slot(self.head).len.store(0, Ordering::Relaxed);
            crash_point!("send.prepared");
        }
    }

    /// Publishes as many messages as there is room for, with one look for a parked receiver. Returns how many, and
    /// whether a system call was made.
    ///
    /// # Errors
    /// [`Broken`] when none was published.
    pub(crate) fn send_many<'a>(
        &mut self,
        messages: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(usize, bool), Broken> {
        let first = self.head;
        for bytes in messages {
            if bytes.len() <= SLOT_PAYLOAD && self.has_known_slot() {
                self.push_short(bytes);
            } else {
                match self.push(bytes) {
                    Ok(true) => {}
                    Err(broken) if self.head == first => return Err(broken),
                    Ok(false) | Err(_) => break,
                }
            }
            crash_point!("batch.next");
        }
        let sent = self.head.wrapping_sub(first) as usize;
        let woke = sent > 0 && self.memory.ring_receiver();
        crash_point!("batch.rung");
        Ok((sent, woke))
    }

    #[inline(never)]
    fn push(&mut self, bytes: &[u8]) -> Result<bool, Broken> {
        // Whatever sends ends a loan: its place is given out again below.
        self.loan = None;
        if !self.has_slot()? {
            return Ok(false);
        }
        if bytes.len() <= SLOT_PAYLOAD {
            self.push_short(bytes);
            return Ok(true);
        }
        let Some(place) = self.reserve_arena(bytes.len())? else { return Ok(false) };
        let Place::Arena { start, .. } = place else { unreachable!("reserved in the arena") };
        // SAFETY: `reserve_arena` found `bytes.len()` contiguous bytes at `start` that no message occupies; the
        // arena is shared memory, so it does not overlap a borrowed slice unless the caller lent itself one, which
        // the borrow of `self` by a loan excludes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.arena_at(start), bytes.len()) };
        crash_point!("arena.copied");
        self.publish(place, bytes.len());
        Ok(true)
    }

    /// Publishes a message of at most 56 bytes, for which there is a slot.
    #[inline(always)]
    fn push_short(&mut self, bytes: &[u8]) {
        self.loan = None;
        let slot = self.memory.slot(self.head);
        fill_slot(slot, bytes);
        crash_point!("send.filled");
        slot.len.store(bytes.len() as u32, Ordering::Relaxed);
        crash_point!("send.measured");
        self.head = self.head.wrapping_add(1);
        // Release: pairs with the Acquire load in `QueueReceiver::peek_ahead`: who sees the mark sees the message.
        slot.mark.store(self.head, Ordering::Release);
        crash_point!("send.published");
    }

    /// Room for a message of `len` bytes to be built in place, until `send_loan`; a loan before it is forgotten.
    /// `Ok(None)`: there is none now.
    pub(crate) fn loan(&mut self, len: usize) -> Result<Option<*mut u8>, Broken> {
        self.loan = None;
        if !self.has_slot()? {
            return Ok(None);
        }
        let (place, start) = if len <= SLOT_PAYLOAD {
            (Place::Slot, cell_pointer(&self.memory.slot(self.head).payload).cast())
        } else {
            match self.reserve_arena(len)? {
                Some(place @ Place::Arena { start, .. }) => (place, self.memory.arena_at(start)),
                _ => return Ok(None),
            }
        };
        self.loan = Some((place, len));
        crash_point!("loan.reserved");
        Ok(Some(start))
    }

    /// Publishes what was built in the loan. Returns its length, and whether a system call was made.
    pub(crate) fn send_loan(&mut self) -> Option<(usize, bool)> {
        let (place, len) = self.loan.take()?;
        self.publish(place, len);
        crash_point!("loan.sent");
        Some((len, self.memory.ring_receiver()))
    }

    pub(crate) fn forget_loan(&mut self) {
        self.loan = None;
    }

    pub(crate) fn room(&self) -> Doorbell<'_> {
        self.memory.room()
    }

    /// Whether a message of `len` bytes, at most `capacity`, can be published now. Reserves nothing.
    pub(crate) fn has_room(&mut self, len: usize) -> Result<bool, Broken> {
        Ok(self.has_slot()? && (len <= SLOT_PAYLOAD || self.reserve_arena(len)?.is_some()))
    }

    /// Whether a slot was free when `consumed` was last looked at.
    #[inline(always)]
    fn has_known_slot(&self) -> bool {
        (self.head.wrapping_sub(self.consumed) as usize) < self.memory.slots.len()
    }

    fn has_slot(&mut self) -> Result<bool, Broken> {
        if self.has_known_slot() {
            return Ok(true);
        }
        self.look_at_consumed()?;
        if self.has_known_slot() {
            return Ok(true);
        }
        self.memory.note_depth(self.memory.slots.len() as u32);
        Ok(false)
    }

    /// Reads the receiver's count, once, and believes it only if it can be true.
    fn look_at_consumed(&mut self) -> Result<(), Broken> {
        // Acquire: pairs with the Release store in `release`: the receiver is done with what it released.
        let consumed = self.memory.control().consumed.0.load(Ordering::Acquire);
        let (unread, before) = (self.head.wrapping_sub(consumed), self.head.wrapping_sub(self.consumed));
        if unread > before {
            return Err(Broken {
                what: "the count of messages in the queue",
                found: unread.into(),
                most: before.into(),
            });
        }
        self.consumed = consumed;
        while self.in_flight.front().is_some_and(|flight| self.head.wrapping_sub(flight.number) > unread) {
            self.in_flight.pop_front();
        }
        Ok(())
    }

    /// Finds contiguous room in the arena, for `len` ≤ capacity.
    fn reserve_arena(&mut self, len: usize) -> Result<Option<Place>, Broken> {
        if len < LONG || self.in_flight.is_empty() {
            let place = self.find_in_arena(len);
            if place.is_some() {
                return Ok(place);
            }
        }
        self.look_at_consumed()?;
        Ok(self.find_in_arena(len))
    }

    fn find_in_arena(&self, len: usize) -> Option<Place> {
        let size = self.memory.arena_size();
        let len = (len as u64).next_multiple_of(LINE);
        let offset = self.arena_head % size;
        // A message that would not fit before the arena's end starts at its beginning.
        let over = offset + len > size || (self.in_flight.is_empty() && offset >= WARM);
        let start = if over { self.arena_head + (size - offset) } else { self.arena_head };
        let end = start + len;
        let oldest = self.in_flight.front().map_or(start, |flight| flight.start);
        (end - oldest <= size).then_some(Place::Arena { start, end })
    }

    fn publish(&mut self, place: Place, len: usize) {
        let slot = self.memory.slot(self.head);
        match place {
            Place::Slot => slot.len.store(len as u32, Ordering::Relaxed),
            Place::Arena { start, end } => {
                let descriptor = Descriptor { offset: start % self.memory.arena_size(), len: len as u64 };
                fill_slot(slot, &descriptor.to_bytes());
                crash_point!("publish.described");
                slot.len.store(IN_ARENA, Ordering::Relaxed);
                self.in_flight.push_back(Flight { number: self.head, start });
                self.arena_head = end;
            }
        }
        crash_point!("publish.measured");
        self.head = self.head.wrapping_add(1);
        // Release: as in `push_short`.
        slot.mark.store(self.head, Ordering::Release);
        crash_point!("publish.published");
    }
}
