//! The sending end of a queue.

use std::collections::VecDeque;

use super::copy::{cell_pointer, fill_slot};
use super::{Broken, LINE, QueueMemory};
use crate::segment::layout::{Descriptor, IN_ARENA, SLOT_PAYLOAD};
use crate::sys::{Ordering, prefetch_write};
use crate::wait::Doorbell;

/// A sender without messages in flight continues at the start of the arena once it is this far into it, because
/// memory that was used recently is in a cache. (The limits are low in tests, so that they reach them.)
const RESTART_AFTER: u64 = if cfg!(test) { 128 } else { 32 << 10 };
/// From this size on, a message takes so many lines that the transfer from cache to cache counts.
const SPREAD_MESSAGE: u64 = if cfg!(test) { 192 } else { 16 << 10 };
/// As [`RESTART_AFTER`], for messages of at least [`SPREAD_MESSAGE`]. The private caches of the two processors cannot
/// hold so much, so the lines that are used again lie in the shared cache. A processor gets a line from there several
/// times as fast as from the private cache of another one (`docs/large-payloads.md`).
const RESTART_SPREAD_AFTER: u64 = if cfg!(test) { 256 } else { 2 << 20 };
/// The same for a message that is copied into the arena. The memory that it is copied from is in the private cache too, so
/// that less of the arena is there.
const RESTART_COPIES_AFTER: u64 = RESTART_SPREAD_AFTER / 2;
/// For a message of at least this size, the sender first checks whether messages are in flight. That costs one cache
/// line, of the many that the message takes.
const LONG_MESSAGE: usize = if cfg!(test) { 100 } else { 4 << 10 };

/// How many slots ahead the sender of a half that threads share asks for a line.
const SLOTS_AHEAD: u32 = 8;

/// The place of a message that is being built. Arena positions count from the creation of the queue.
#[derive(Clone, Copy, Debug)]
enum Place {
    Slot,
    Arena { start: u64, end: u64 },
}

/// A message in the arena that is not known to be released.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    number: u32,
    start: u64,
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct QueueSender {
    memory: QueueMemory,
    /// The number of the next message.
    head: u32,
    /// `consumed` at the last load: at most `slots` behind `head`.
    consumed: u32,
    /// The position at which the free part of the arena starts.
    pub(super) arena_head: u64,
    in_flight: VecDeque<InFlight>,
    /// The place and the length of a message that is being built.
    loan: Option<(Place, usize)>,
}

impl QueueSender {
    /// Continues after the last message that the previous sender published.
    ///
    /// # Errors
    /// Returns [`Broken`] if the slots contradict each other.
    pub(crate) fn resume(memory: QueueMemory) -> Result<Self, Broken> {
        let consumed = memory.control().consumed.0.load(Ordering::Acquire);
        let (mut head, mut arena_head) = (consumed, 0);
        let mut in_flight: VecDeque<InFlight> = VecDeque::new();
        let size = memory.arena_size();
        for _ in 0..memory.slots.len() {
            let slot = memory.slot(head);
            // Acquire: pairs with the Release stores in `push_short` and `publish` of a process that may be gone.
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
                in_flight.push_back(InFlight { number: head, start });
                arena_head = end;
            }
            head = head.wrapping_add(1);
        }
        Ok(QueueSender { memory, head, consumed, arena_head, in_flight, loan: None })
    }

    /// Returns the size of the longest message in bytes.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.memory.capacity
    }

    /// Publishes a message of at most `capacity` bytes. Returns `Ok(None)` if there is no space, and otherwise
    /// whether a system call woke the receiver.
    #[inline(always)]
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<Option<bool>, Broken> {
        self.send_in::<false>(bytes)
    }

    /// As `send`. `SHARED`: in a half that threads share, whose lock is unlocked after it.
    #[inline(always)]
    pub(crate) fn send_in<const SHARED: bool>(&mut self, bytes: &[u8]) -> Result<Option<bool>, Broken> {
        if bytes.len() <= SLOT_PAYLOAD && self.has_known_slot() {
            self.push_short(bytes);
            let woke = self.memory.ring_receiver();
            crash_point!("send.rung");
            self.prefetch_next_slot::<SHARED>();
            return Ok(Some(woke));
        }
        Ok(self.push(bytes)?.then(|| self.memory.ring_receiver()))
    }

    /// Makes the processor fetch the cache line of the next message for writing while there is time. The receiver
    /// still has a copy of it from its last use, and would otherwise have to give it up when the message is written.
    ///
    /// The next locked instruction waits for a store until its line has come. Where a lock follows, an instruction asks
    /// for the line, and for one some slots ahead: a line takes as long as some messages.
    #[inline(always)]
    fn prefetch_next_slot<const SHARED: bool>(&self) {
        if SHARED {
            let free = self.memory.slots.len() as u32 - self.head.wrapping_sub(self.consumed);
            if free > 0 {
                prefetch_write(self.memory.slot(self.head));
            }
            if free > SLOTS_AHEAD {
                prefetch_write(self.memory.slot(self.head.wrapping_add(SLOTS_AHEAD)));
            }
            crash_point!("send.prepared");
        } else if self.has_known_slot() {
            // The stored value does not matter: the slot is free, and its length is valid only with its next mark.
            self.memory.slot(self.head).len.store(0, Ordering::Relaxed);
            crash_point!("send.prepared");
        }
    }

    /// Publishes as many messages as there is space for, with one check for a parked receiver. Returns their number,
    /// and whether a system call was made.
    ///
    /// # Errors
    /// Returns [`Broken`] if none was published.
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
        // A send ends a loan, because its space is allocated again below.
        self.loan = None;
        if !self.has_slot()? {
            return Ok(false);
        }
        if bytes.len() <= SLOT_PAYLOAD {
            self.push_short(bytes);
            return Ok(true);
        }
        let Some(place) = self.find_arena_place(bytes.len(), RESTART_COPIES_AFTER)? else { return Ok(false) };
        let Place::Arena { start, .. } = place else { unreachable!("reserved in the arena") };
        // SAFETY: `find_arena_place` found `bytes.len()` contiguous bytes at `start` that no message occupies. The arena
        // is shared memory, so it overlaps a borrowed slice only if the caller has lent that slice to itself. The
        // borrow of `self` by a loan excludes this.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.arena_at(start), bytes.len()) };
        crash_point!("arena.copied");
        self.publish(place, bytes.len());
        Ok(true)
    }

    /// Publishes a message of at most 56 bytes, for which a slot is free.
    #[inline(always)]
    fn push_short(&mut self, bytes: &[u8]) {
        self.loan = None;
        let slot = self.memory.slot(self.head);
        fill_slot(slot, bytes);
        crash_point!("send.filled");
        slot.len.store(bytes.len() as u32, Ordering::Relaxed);
        crash_point!("send.measured");
        self.head = self.head.wrapping_add(1);
        // Release: pairs with the Acquire load in `QueueReceiver::peek_ahead`. A receiver that sees the mark sees the
        // message.
        slot.mark.store(self.head, Ordering::Release);
        crash_point!("send.published");
    }

    /// Reserves space for a message of `len` bytes that is built in place, until `send_loan`. Discards an earlier
    /// loan. Returns `Ok(None)` if there is no space now.
    pub(crate) fn loan(&mut self, len: usize) -> Result<Option<*mut u8>, Broken> {
        self.loan = None;
        if !self.has_slot()? {
            return Ok(None);
        }
        let (place, start) = if len <= SLOT_PAYLOAD {
            (Place::Slot, cell_pointer(&self.memory.slot(self.head).payload).cast())
        } else {
            match self.find_arena_place(len, RESTART_SPREAD_AFTER)? {
                Some(place @ Place::Arena { start, .. }) => (place, self.memory.arena_at(start)),
                _ => return Ok(None),
            }
        };
        self.loan = Some((place, len));
        crash_point!("loan.reserved");
        Ok(Some(start))
    }

    /// Publishes the message that was built in the loan. Returns its length, and whether a system call was made.
    pub(crate) fn send_loan(&mut self) -> Option<(usize, bool)> {
        let (place, len) = self.loan.take()?;
        self.publish(place, len);
        crash_point!("loan.sent");
        Some((len, self.memory.ring_receiver()))
    }

    pub(crate) fn forget_loan(&mut self) {
        self.loan = None;
    }

    pub(crate) fn space_bell(&self) -> Doorbell<'_> {
        self.memory.space_bell()
    }

    /// Returns whether a slot was free when `consumed` was last loaded.
    #[inline(always)]
    fn has_known_slot(&self) -> bool {
        (self.head.wrapping_sub(self.consumed) as usize) < self.memory.slots.len()
    }

    fn has_slot(&mut self) -> Result<bool, Broken> {
        if self.has_known_slot() {
            return Ok(true);
        }
        self.load_consumed()?;
        if self.has_known_slot() {
            return Ok(true);
        }
        self.memory.note_depth(self.memory.slots.len() as u32);
        Ok(false)
    }

    /// Loads the count of the receiver, once, and checks that it is possible.
    fn load_consumed(&mut self) -> Result<(), Broken> {
        // Acquire: pairs with the Release store in `release`. The receiver no longer reads the messages that it
        // released.
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

    /// Finds contiguous space in the arena, for `len` ≤ capacity. Reserves nothing: the place is taken when the message is
    /// published. With nothing in flight, a long message starts before `spread`, or at the start of the arena.
    fn find_arena_place(&mut self, len: usize, spread: u64) -> Result<Option<Place>, Broken> {
        if len < LONG_MESSAGE || self.in_flight.is_empty() {
            let place = self.find_in_known_space(len, spread);
            if place.is_some() {
                return Ok(place);
            }
        }
        self.load_consumed()?;
        Ok(self.find_in_known_space(len, spread))
    }

    fn find_in_known_space(&self, len: usize, spread: u64) -> Option<Place> {
        let size = self.memory.arena_size();
        let len = (len as u64).next_multiple_of(LINE);
        // With nothing in flight no position is compared with an earlier one: the numbers begin again, and do not overflow.
        let free = self.in_flight.is_empty();
        let head = if free { self.arena_head % size } else { self.arena_head };
        let offset = head % size;
        let limit = if len < SPREAD_MESSAGE { RESTART_AFTER } else { spread };
        // A message that does not fit before the end of the arena starts at its beginning.
        let over = offset + len > size || (free && offset >= limit);
        let start = if over { head + (size - offset) } else { head };
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
                self.in_flight.push_back(InFlight { number: self.head, start });
                self.arena_head = end;
            }
        }
        crash_point!("publish.measured");
        self.head = self.head.wrapping_add(1);
        // Release: pairs with the Acquire load in `QueueReceiver::peek_ahead`, as in `push_short`.
        slot.mark.store(self.head, Ordering::Release);
        crash_point!("publish.published");
    }
}
