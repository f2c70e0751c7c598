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

use std::collections::VecDeque;

use crate::layout::{Block, Descriptor, IN_ARENA, QueueControl, SLOT_PAYLOAD, Slot};
use crate::mapped::Mapped;
use crate::sync::{Ordering, futex_wake};
use crate::wait::{Doorbell, Fences};

/// Arena allocations start on cache lines.
const LINE: u64 = 64;
/// A sender that has nothing in flight starts over at the arena's beginning once it is so far into it: memory that was
/// used lately lies in a cache. (In tests after little, so that they come to it.)
const WARM: u64 = if cfg!(test) { 128 } else { 32 << 10 };
/// For a message of so many bytes it looks whether it has anything in flight: that costs one cache line of many.
const LONG: usize = if cfg!(test) { 100 } else { 4 << 10 };

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
    pub(crate) control: Mapped<[QueueControl]>,
    /// A power of two of them.
    pub(crate) slots: Mapped<[Slot]>,
    pub(crate) arena: Mapped<[Block]>,
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

/// The receiving end.
#[derive(Debug)]
pub(crate) struct QueueReceiver {
    memory: QueueMemory,
    /// The number of the next message.
    next: u32,
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
    fn arrival(&self, number: u32) -> Doorbell<'_> {
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
        let parked = self.arrival(0).is_waited_at();
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

    fn arena_size(&self) -> u64 {
        self.arena.len() as u64 * LINE
    }

    /// The arena's memory from `position`, a multiple of 64, to its end. The pointer is one into all of that, not into the first
    /// block of it: a message is longer.
    fn arena_at(&self, position: u64) -> *mut u8 {
        let rest = &self.arena[(position % self.arena_size() / LINE) as usize..];
        #[cfg(loom)]
        return cell_pointer(&rest[0].0).cast();
        // All of a block lies in its cell, so it may be written through a shared reference.
        #[cfg(not(loom))]
        return rest.as_ptr().cast_mut().cast();
    }

    /// Where in the arena a published slot with this `len` says that its message lies, each field read once and
    /// checked: its start, the end of the room it takes, and its length.
    fn arena_place(&self, slot: &Slot, len: u32) -> Result<(u64, u64, usize), Broken> {
        if len != IN_ARENA {
            return Err(Broken { what: "a slot's length", found: len.into(), most: SLOT_PAYLOAD as u64 });
        }
        // SAFETY: 16 of the payload's 56 bytes, at a multiple of 8; any bytes are a Descriptor. Volatile, so that a
        // peer that changes them after the checks below does not change what was checked.
        let place = unsafe { cell_pointer(&slot.payload).cast::<Descriptor>().read_volatile() };
        let size = self.arena_size();
        if place.offset % LINE != 0 || place.offset >= size {
            return Err(Broken { what: "a message's offset", found: place.offset, most: size - LINE });
        }
        let most = (size - place.offset).min(self.capacity as u64);
        if place.len > most {
            return Err(Broken { what: "a message's length", found: place.len, most });
        }
        Ok((place.offset, place.offset + place.len.next_multiple_of(LINE), place.len as usize))
    }
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
    pub(crate) fn arrival(&self) -> Doorbell<'_> {
        self.arrival_ahead(0)
    }

    /// As `arrival`, for the message `ahead` further on.
    pub(crate) fn arrival_ahead(&self, ahead: u32) -> Doorbell<'_> {
        let number = self.next.wrapping_add(ahead);
        // Relaxed: pairs with the load in `wake_receiver`, which says what orders the two.
        self.memory.control().receiver_parked.number.store(number, Ordering::Relaxed);
        crash_point!("park.numbered");
        self.memory.arrival(number)
    }
}

impl Descriptor {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.offset.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.len.to_ne_bytes());
        bytes
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

/// Puts at most 56 bytes into a slot that is not published.
#[inline(always)]
fn fill_slot(slot: &Slot, bytes: &[u8]) {
    debug_assert!(bytes.len() <= SLOT_PAYLOAD);
    #[cfg(loom)]
    slot.payload.with_mut(|payload| {
        // SAFETY: a valid pointer, and loom checks that nobody else uses the cell.
        unsafe { (&mut *payload)[..bytes.len()].copy_from_slice(bytes) }
    });
    #[cfg(not(loom))]
    // SAFETY: the caller has at most 56 bytes, which is what the payload has; the slot is not published, so it is
    // this sender's alone, and a slice that a caller borrows is not in it.
    unsafe {
        copy_short(bytes.as_ptr(), slot.payload.get().cast(), bytes.len());
    }
}

/// Copies 0 to 56 bytes without a call or a loop: from both ends, with what lies in the middle copied twice.
///
/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`], and `len` ≤ 56.
#[cfg(not(loom))]
#[inline(always)]
#[allow(clippy::multiple_unsafe_ops_per_block, reason = "each one rests on the contract of this function")]
unsafe fn copy_short(from: *const u8, to: *mut u8, len: usize) {
    /// Copies the first and the last `size_of::<T>()` of `len` bytes.
    #[inline]
    unsafe fn both_ends<T>(from: *const u8, to: *mut u8, len: usize) {
        let last = len - size_of::<T>();
        // SAFETY: size_of::<T>() ≤ len, by the caller's choice of T; unaligned accesses.
        unsafe {
            let (head, tail) =
                (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
            to.cast::<T>().write_unaligned(head);
            to.add(last).cast::<T>().write_unaligned(tail);
        }
    }
    // SAFETY: each arm's T is at most as long as `len`, and two of them cover it.
    unsafe {
        match len {
            32.. => both_ends::<[u64; 4]>(from, to, len),
            16.. => both_ends::<[u64; 2]>(from, to, len),
            8.. => both_ends::<u64>(from, to, len),
            4.. => both_ends::<u32>(from, to, len),
            2.. => both_ends::<u16>(from, to, len),
            1 => *to = *from,
            0 => {}
        }
    }
}

/// The content of a cell, as a pointer. Under loom, it counts as a read at this moment.
#[inline]
fn cell_pointer<T>(cell: &crate::sync::UnsafeCell<T>) -> *mut T {
    #[cfg(not(loom))]
    return cell.get();
    #[cfg(loom)]
    return cell.with(|content| content.cast_mut());
}

#[cfg(test)]
mod tests;
