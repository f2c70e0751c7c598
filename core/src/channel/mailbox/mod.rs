//! The latest value: one channel of ESHM 1.x, written and read without a data race.
//!
//! A seqlock. Its payload travels through atomic words, so that a reader that is overtaken by the writer reads
//! stale or mixed words, never undefined ones, and then discards them (Boehm, "Can seqlocks get along with
//! programming language memory models?", MSPC 2012).
//!
//! A value's identity is its even `sequence`: it grows by two per value, whoever writes. `write_count` says the
//! same in 64 bits. Our writer counts before it makes the sequence even, so that a reader that finds a stable
//! sequence finds the count that belongs to it; an ESHM 1.x writer counts after, so its count may lag by one.

use crate::segment::layout::{ChannelHead, ChannelTail};
use crate::segment::shared_ref::SharedRef;
use crate::sys::{AtomicU64, Ordering, fence, spin_hint};
use crate::wait::{Doorbell, Fences};

/// How often a reader that is overtaken starts again before it reports that there is nothing to read.
const ATTEMPTS: usize = if cfg!(loom) { 2 } else { 256 };

/// One direction of a segment, as both of its ends see it.
#[derive(Clone, Copy)]
pub(crate) struct Channel<'a> {
    pub(crate) head: &'a ChannelHead,
    /// The data area in words: `capacity` bytes, rounded up to a multiple of 8.
    pub(crate) data: &'a [AtomicU64],
    pub(crate) tail: &'a ChannelTail,
    /// N: the greatest message in bytes.
    pub(crate) capacity: usize,
}

/// One direction's memory.
#[derive(Clone, Debug)]
pub(crate) struct MailboxMemory {
    /// One of them.
    pub(crate) head: SharedRef<[ChannelHead]>,
    pub(crate) data: SharedRef<[AtomicU64]>,
    /// One of them.
    pub(crate) tail: SharedRef<[ChannelTail]>,
    pub(crate) capacity: usize,
}

impl MailboxMemory {
    #[inline]
    pub(crate) fn channel(&self) -> Channel<'_> {
        Channel { head: &self.head[0], data: &self.data, tail: &self.tail[0], capacity: self.capacity }
    }
}

/// What a reader has seen of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The sequence and count of the last value that was read, or `None` before the first.
    last: Option<Seen>,
    /// Whether the last value was read so lately that fewer than 2³¹ were written since. Then the sequence alone tells
    /// how many, and the line that holds the count stays with the writer.
    pub(crate) recent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    sequence: u32,
    /// What `write_count` was, or would have been.
    count: u64,
}

/// A value that was copied out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Bytes, 0 ..= capacity.
    pub(crate) len: usize,
    /// Values that were overwritten since the last read.
    pub(crate) skipped: u64,
}

/// `data_size` is greater than the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oversize(pub(crate) u32);

/// Which values a first read may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// The current value, even if another reader, now gone, has taken it: what a mailbox shows a newcomer.
    Current,
    /// Only what no reader has taken: what a lossless receiver resumes with.
    Untaken,
}

impl<'a> Channel<'a> {
    /// Where readers wait for the next value. Which fence the writer needs depends on the reader.
    #[inline(always)]
    pub(crate) fn value_bell(self, fences: Fences) -> Doorbell<'a> {
        Doorbell { word: &self.tail.wake_seq, waiters: &self.tail.waiters, fences }
    }

    /// Where writers wait until the current value is taken.
    pub(crate) fn taken(self) -> Doorbell<'a> {
        Doorbell { word: &self.tail.taken, waiters: &self.tail.taken_waiters, fences: Fences::Asymmetric }
    }

    /// Replaces the value. Returns whether a reader had to be woken, by a system call. `fences`: whether the reader may
    /// be one of ESHM 1.x.
    ///
    /// Only the channel's one writer calls this. Heals the sequence that a writer killed half-way left odd.
    ///
    /// # Panics
    /// If `bytes` is longer than the channel: the caller has checked.
    pub(crate) fn write(self, bytes: &[u8], fences: Fences) -> bool {
        assert!(bytes.len() <= self.capacity);
        // Relaxed: only this writer stores to the sequence.
        let odd = self.head.sequence.load(Ordering::Relaxed) | 1;
        self.head.sequence.store(odd, Ordering::Relaxed);
        crash_point!("write.begun");
        // Pairs with the Acquire fence in `read`: a reader that sees any word stored below also sees the odd
        // sequence, or a later one, when it looks again.
        fence(Ordering::Release);
        copy_in(self.data, bytes);
        crash_point!("write.copied");
        self.head.data_size.store(bytes.len() as u32, Ordering::Relaxed);
        let count = self.tail.write_count.load(Ordering::Relaxed);
        self.tail.write_count.store(count.wrapping_add(1), Ordering::Relaxed);
        crash_point!("write.counted");
        // Pairs with the Acquire load of the sequence in `read`: who sees it even sees this value whole.
        self.head.sequence.store(odd.wrapping_add(1), Ordering::Release);
        crash_point!("write.finished");
        let wake = self.tail.wake_seq.load(Ordering::Relaxed);
        // Pairs with the Acquire load in `Doorbell::sample`: who samples it sees the value above.
        self.tail.wake_seq.store(wake.wrapping_add(1), Ordering::Release);
        crash_point!("write.announced");
        self.value_bell(fences).ring()
    }

    /// Whether our reader has taken the current value, so that a lossless writer may replace it.
    ///
    /// An odd sequence is a predecessor's unfinished value, which nobody can read any more.
    pub(crate) fn is_taken(self) -> bool {
        let sequence = self.head.sequence.load(Ordering::Relaxed);
        // Acquire: pairs with the Release store in `take`; the reader's loads are over before we overwrite.
        let taken = self.tail.taken.load(Ordering::Acquire);
        sequence & 1 == 1 || taken == sequence | 1 || (sequence, taken) == (0, 0)
    }

    /// Whether a read may find something new: for those who look often, at one cache line.
    #[inline(always)]
    pub(crate) fn may_have_news(self, cursor: &Cursor) -> bool {
        // Relaxed: what it announces is read by `read`.
        let sequence = self.head.sequence.load(Ordering::Relaxed);
        sequence & 1 == 0 && cursor.last.is_none_or(|last| last.sequence != sequence)
    }

    /// Whether [`Channel::read`] would find a value. Takes nothing.
    pub(crate) fn has_new_value(self, cursor: &Cursor, first: First) -> bool {
        // Relaxed: what it announces is read by `read`.
        let sequence = self.head.sequence.load(Ordering::Relaxed);
        let cursor = Cursor { recent: false, ..*cursor };
        sequence & 1 == 0 && self.unseen(&cursor, first, sequence).is_some()
    }

    /// Copies the current value to the front of `buffer`, which grows as needed, if it is one that `cursor` has
    /// not seen. `Ok(None)`: there is none, or the writer was faster each of a bounded number of times.
    ///
    /// Only the channel's one reader calls this.
    ///
    /// # Errors
    /// [`Oversize`] when the writer announces more than the channel holds.
    pub(crate) fn read(
        self,
        cursor: &mut Cursor,
        first: First,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Value>, Oversize> {
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release store in `write` that ended this value.
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
            // Pairs with the Release fence in `write`: if a word read above belongs to a later value, the load
            // below sees that value's sequence.
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

    /// Tells the writer that the value of this sequence was read.
    #[inline(always)]
    fn take(self, sequence: u32) {
        // Release: pairs with the Acquire load in `is_taken`.
        self.tail.taken.store(sequence | 1, Ordering::Release);
        crash_point!("read.taken");
        self.taken().ring();
    }

    /// How many values lie between the reader's last one and this one, and what the count is with this one; or `None`
    /// if this one is not new.
    #[inline(always)]
    fn unseen(self, cursor: &Cursor, first: First, sequence: u32) -> Option<(u64, u64)> {
        if let Some(last) = cursor.last {
            let by_sequence = u64::from(sequence.wrapping_sub(last.sequence) / 2);
            if cursor.recent {
                return Some((by_sequence.checked_sub(1)?, last.count.wrapping_add(by_sequence)));
            }
            let count = self.tail.write_count.load(Ordering::Relaxed);
            return Some((grown(by_sequence, count.wrapping_sub(last.count)).checked_sub(1)?, count));
        }
        let count = self.tail.write_count.load(Ordering::Relaxed);
        if sequence == 0 && count == 0 {
            return None;
        }
        // A predecessor of ours may have taken some; Relaxed: only readers store here, and it is gone.
        let taken = self.tail.taken.load(Ordering::Relaxed);
        let untaken =
            if taken == 0 { count.max(1) } else { u64::from((sequence | 1).wrapping_sub(taken) / 2) };
        match (untaken, first) {
            (0, First::Untaken) => None,
            (untaken, _) => Some((untaken.saturating_sub(1), count)),
        }
    }
}

/// How many values were written, from the growth of the sequence, exact modulo 2³¹, and that of the count,
/// which may be off by one at either end (see the module's comment): the number nearest to the second that
/// agrees with the first.
fn grown(by_sequence: u64, by_count: u64) -> u64 {
    const PERIOD: i64 = 1 << 31;
    let off = (by_count as i64).wrapping_sub(by_sequence as i64);
    let periods = off.wrapping_add(PERIOD / 2).div_euclid(PERIOD).clamp(0, i64::MAX / PERIOD - 1);
    by_sequence + (periods * PERIOD) as u64
}

/// Stores `bytes` in the words, the last one filled up with zeros.
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

/// Loads `len` bytes, and up to 7 more, from the words to the front of `buffer`.
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
