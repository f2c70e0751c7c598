//! The latest value: one channel of ESHM 1.x, written and read without a data race.
//!
//! The channel is a seqlock. Its payload travels through atomic words. A reader that the writer overtakes reads stale
//! or mixed words, never undefined ones, and then discards them (Boehm, "Can seqlocks get along with programming
//! language memory models?", MSPC 2012).
//!
//! The even `sequence` identifies a value. It grows by two per value, independent of the writer. `write_count` is the
//! same in 64 bits. A writer of 2.0 increments the count before it makes the sequence even, so that a reader that
//! finds a stable sequence finds the count that belongs to it. An ESHM 1.x writer increments it after that, so its
//! count can be one behind.

use crate::segment::layout::{ChannelHead, ChannelTail};
use crate::segment::shared_ref::SharedRef;
use crate::sys::{AtomicU64, Ordering, fence, spin_hint};
use crate::wait::{Doorbell, EventBell, Fences};

/// The number of attempts of a reader that the writer overtakes, before it reports that there is no new value.
const ATTEMPTS: usize = if cfg!(loom) { 2 } else { 256 };

/// One direction of a segment, as both ends see it.
#[derive(Clone, Copy)]
pub(crate) struct Channel<'a> {
    pub(crate) head: &'a ChannelHead,
    /// The data area in words: `capacity` bytes, rounded up to a multiple of 8.
    pub(crate) data: &'a [AtomicU64],
    pub(crate) tail: &'a ChannelTail,
    /// N: the size of the longest value in bytes.
    pub(crate) capacity: usize,
    /// The event descriptor of the other end.
    pub(crate) bell: &'a EventBell,
}

/// The memory of one direction.
#[derive(Clone, Debug)]
pub(crate) struct MailboxMemory {
    pub(crate) head: SharedRef<ChannelHead>,
    pub(crate) data: SharedRef<[AtomicU64]>,
    pub(crate) tail: SharedRef<ChannelTail>,
    pub(crate) capacity: usize,
    pub(crate) bell: EventBell,
}

impl MailboxMemory {
    #[inline]
    pub(crate) fn channel(&self) -> Channel<'_> {
        Channel {
            head: &self.head,
            data: &self.data,
            tail: &self.tail,
            capacity: self.capacity,
            bell: &self.bell,
        }
    }
}

/// The last value that a reader has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The sequence and the count of the last value that was read. `None` before the first.
    last: Option<Seen>,
    /// Set if fewer than 2³¹ values were written since the last value was read. Then the sequence alone determines
    /// the number of new values, and the cache line of the count stays with the writer.
    pub(crate) recent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    sequence: u32,
    /// The `write_count` of this value, read or computed.
    count: u64,
}

/// A value that was copied out of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// The length in bytes, 0 ..= capacity.
    pub(crate) len: usize,
    /// The number of values that were overwritten since the last read.
    pub(crate) skipped: u64,
}

/// The `data_size` field, which is greater than the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oversize(pub(crate) u32);

/// The values that a first read may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstRead {
    /// The current value, even if an earlier reader has taken it. For a new reader of a mailbox.
    Current,
    /// Only a value that no reader has taken. For a lossless receiver that resumes.
    Untaken,
}

impl<'a> Channel<'a> {
    /// Returns the doorbell on which readers wait for the next value. The kind of the reader determines the fence of
    /// the writer.
    #[inline(always)]
    pub(crate) fn value_bell(self, fences: Fences) -> Doorbell<'a> {
        Doorbell { word: &self.tail.wake_seq, waiters: &self.tail.waiters, fences }
    }

    /// Returns the doorbell on which writers wait until the current value is taken.
    pub(crate) fn taken(self) -> Doorbell<'a> {
        Doorbell { word: &self.tail.taken, waiters: &self.tail.taken_waiters, fences: Fences::Asymmetric }
    }

    /// Replaces the value. Returns whether a system call woke a reader. `fences` is symmetric if the reader may be an
    /// ESHM 1.x process.
    ///
    /// Only the one writer of the channel calls this. It repairs an odd sequence, which a writer leaves if it is
    /// killed during a write.
    ///
    /// # Panics
    /// Panics if `bytes` is longer than the channel. The caller has checked that.
    pub(crate) fn write(self, bytes: &[u8], fences: Fences) -> bool {
        assert!(bytes.len() <= self.capacity);
        // Relaxed: only this writer stores to the sequence.
        let odd = self.head.sequence.load(Ordering::Relaxed) | 1;
        self.head.sequence.store(odd, Ordering::Relaxed);
        crash_point!("write.begun");
        // Pairs with the Acquire fence in `read`: a reader that sees any word stored below also sees the odd
        // sequence, or a later one, at its second load.
        fence(Ordering::Release);
        copy_in(self.data, bytes);
        crash_point!("write.copied");
        self.head.data_size.store(bytes.len() as u32, Ordering::Relaxed);
        let count = self.tail.write_count.load(Ordering::Relaxed);
        self.tail.write_count.store(count.wrapping_add(1), Ordering::Relaxed);
        crash_point!("write.counted");
        // Release: pairs with the Acquire load of the sequence in `read`. A reader that sees it even sees the whole
        // value.
        self.head.sequence.store(odd.wrapping_add(1), Ordering::Release);
        crash_point!("write.finished");
        let wake = self.tail.wake_seq.load(Ordering::Relaxed);
        // Release: pairs with the Acquire load in `Doorbell::sample`. A reader that samples it sees the value above.
        self.tail.wake_seq.store(wake.wrapping_add(1), Ordering::Release);
        crash_point!("write.announced");
        let waits = self.value_bell(fences).has_waiters();
        if waits {
            self.wake_readers(fences);
        }
        waits
    }

    /// Apart, so that a write that wakes nobody does not load whom to ring.
    #[cold]
    fn wake_readers(self, fences: Fences) {
        self.value_bell(fences).wake(self.bell);
    }

    /// Returns whether a reader of 2.0 has taken the current value, so that a lossless writer may replace it.
    ///
    /// An odd sequence marks an unfinished value of a dead writer. Nobody can read it any more.
    pub(crate) fn is_taken(self) -> bool {
        let sequence = self.head.sequence.load(Ordering::Relaxed);
        // Acquire: pairs with the Release store in `take`. The loads of the reader are complete before this writer
        // overwrites.
        let taken = self.tail.taken.load(Ordering::Acquire);
        sequence & 1 == 1 || taken == sequence | 1 || (sequence, taken) == (0, 0)
    }

    /// Returns whether a read may find a new value. For frequent polls: it loads one cache line.
    #[inline(always)]
    pub(crate) fn may_have_new_value(self, cursor: &Cursor) -> bool {
        // Relaxed: `read` loads the value.
        let sequence = self.head.sequence.load(Ordering::Relaxed);
        sequence & 1 == 0 && cursor.last.is_none_or(|last| last.sequence != sequence)
    }

    /// Copies the current value to the start of `buffer`, if `cursor` has not seen it. The buffer grows as needed.
    /// Returns `Ok(None)` if there is no new value, or if the writer was faster in each of a bounded number of
    /// attempts.
    ///
    /// Only the one reader of the channel calls this.
    ///
    /// # Errors
    /// Returns [`Oversize`] if the writer announces more bytes than the channel holds.
    #[inline(always)]
    pub(crate) fn read(
        self,
        cursor: &mut Cursor,
        first: FirstRead,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Value>, Oversize> {
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release store in `write` that completed this value.
            let sequence = self.head.sequence.load(Ordering::Acquire);
            if sequence & 1 == 1 {
                spin_hint();
                continue;
            }
            let Some((skipped, count)) = self.unseen(cursor, first, sequence) else { return Ok(None) };
            let size = self.head.data_size.load(Ordering::Relaxed);
            let len = size as usize;
            let fits = len <= self.capacity;
            if fits {
                copy_out(self.data, buffer, len);
            }
            // Pairs with the Release fence in `write`: if a word read above belongs to a later value, the load below
            // sees the sequence of that value.
            fence(Ordering::Acquire);
            if self.head.sequence.load(Ordering::Relaxed) != sequence {
                spin_hint();
                continue;
            }
            if !fits {
                return Err(Oversize(size));
            }
            cursor.last = Some(Seen { sequence, count });
            crash_point!("read.copied");
            self.take(sequence);
            crash_point!("read.rung");
            return Ok(Some(Value { len, skipped }));
        }
        Ok(None)
    }

    /// Tells the writer that the value with this sequence was read.
    #[inline(always)]
    fn take(self, sequence: u32) {
        // Release: pairs with the Acquire load in `is_taken`.
        self.tail.taken.store(sequence | 1, Ordering::Release);
        crash_point!("read.taken");
        if self.taken().has_waiters() {
            self.ring_waiting_writer();
        }
    }

    #[cold]
    fn ring_waiting_writer(self) {
        self.taken().wake(self.bell);
    }

    /// Returns the number of values between the last one of the reader and this one, and the count of this one.
    /// Returns `None` if this value is not new.
    #[inline(always)]
    fn unseen(self, cursor: &Cursor, first: FirstRead, sequence: u32) -> Option<(u64, u64)> {
        if let Some(last) = cursor.last {
            let by_sequence = u64::from(sequence.wrapping_sub(last.sequence) / 2);
            if cursor.recent {
                return Some((by_sequence.checked_sub(1)?, last.count.wrapping_add(by_sequence)));
            }
            let count = self.tail.write_count.load(Ordering::Relaxed);
            return Some((
                values_written(by_sequence, count.wrapping_sub(last.count)).checked_sub(1)?,
                count,
            ));
        }
        let count = self.tail.write_count.load(Ordering::Relaxed);
        if sequence == 0 && count == 0 {
            return None;
        }
        // Relaxed: only readers store here, and the previous reader, which may have taken some values, is gone.
        let taken = self.tail.taken.load(Ordering::Relaxed);
        let untaken =
            if taken == 0 { count.max(1) } else { u64::from((sequence | 1).wrapping_sub(taken) / 2) };
        match (untaken, first) {
            (0, FirstRead::Untaken) => None,
            (untaken, _) => Some((untaken.saturating_sub(1), count)),
        }
    }
}

/// Returns how many values were written. The growth of the sequence is exact modulo 2³¹. The growth of the count can
/// be off by one at either end (see the module). The result is the number nearest to the second that agrees with the
/// first.
fn values_written(by_sequence: u64, by_count: u64) -> u64 {
    const PERIOD: i64 = 1 << 31;
    let off = (by_count as i64).wrapping_sub(by_sequence as i64);
    let periods = off.wrapping_add(PERIOD / 2).div_euclid(PERIOD).clamp(0, i64::MAX / PERIOD - 1);
    by_sequence + (periods * PERIOD) as u64
}

/// Stores `bytes` in the words, and fills the last word with zeros.
fn copy_in(words: &[AtomicU64], bytes: &[u8]) {
    let mut chunks = bytes.chunks_exact(8);
    let mut words = words.iter();
    for (chunk, word) in chunks.by_ref().zip(words.by_ref()) {
        word.store(u64::from_ne_bytes(chunk.try_into().expect("a chunk of 8")), Ordering::Relaxed);
    }
    let rest = chunks.remainder();
    if let (false, Some(word)) = (rest.is_empty(), words.next()) {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        word.store(u64::from_ne_bytes(last), Ordering::Relaxed);
    }
}

/// Loads `len` bytes, and up to 7 more, from the words to the start of `buffer`.
fn copy_out(words: &[AtomicU64], buffer: &mut Vec<u8>, len: usize) {
    let words = &words[..len.div_ceil(8)];
    if buffer.len() < words.len() * 8 {
        buffer.resize(words.len() * 8, 0);
    }
    for (chunk, word) in buffer.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
}

#[cfg(test)]
mod tests;
