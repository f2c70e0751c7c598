//! The physical limits: what two processes can do with nothing between them.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::shared::Shared;
use super::{Args, Role, Side, ready};
use crate::duplex::Duplex;
use crate::payload::STOP;
use crate::timing::{self, Observation};

/// Distance between words that must not share a line, nor the pair of lines that are fetched together.
const APART: usize = 128;

fn shared(args: &Args, side: Side, len: usize) -> Result<Shared> {
    match side {
        Side::Lead => Shared::open(&args.name, len),
        Side::Follow => {
            let shared = Shared::create(&args.name, len);
            ready();
            shared
        }
    }
}

/// One cache line goes there and back: the driver stores odd numbers, the echo the even one that follows.
pub struct Line {
    shared: Shared,
    /// Where the answer goes: the same line, or another one.
    answer: usize,
}

impl Line {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let answer = if args.two_lines { APART } else { 0 };
        Ok(Line { shared: shared(args, side, 4096)?, answer })
    }

    /// The round trip.
    pub fn drive(&self, budget: Duration) -> Result<Observation> {
        let (line, answer) = (self.shared.word(0), self.shared.word(self.answer));
        let observed = timing::round_trips(budget, |seq| {
            // Release and Acquire, as any message needs them; each pairs with the other side's.
            line.store(2 * seq + 1, Ordering::Release);
            while answer.load(Ordering::Acquire) != 2 * seq + 2 {}
            Ok(true)
        });
        line.store(STOP, Ordering::Release);
        observed
    }

    /// The other side.
    pub fn echo(&self) -> Observation {
        let (line, answer) = (self.shared.word(0), self.shared.word(self.answer));
        let mut last = 0;
        loop {
            match line.load(Ordering::Acquire) {
                STOP => return Observation::default(),
                odd if odd % 2 == 1 && odd != last => {
                    last = odd;
                    answer.store(odd + 1, Ordering::Release);
                }
                _ => {}
            }
        }
    }
}

/// A ring of 64-byte slots in each direction; a slot's first word says which message it holds.
pub struct Ring {
    shared: Shared,
    /// A power of two of them in each direction.
    slots: u64,
    /// After how many messages the consumer stores its count.
    acknowledge: u64,
    /// Where this side's sending and receiving rings start.
    out: usize,
    into: usize,
    sent: u64,
    received: u64,
    /// What the peer is known to have received.
    acknowledged: u64,
}

impl Ring {
    const SLOT: usize = 64;
    /// A stream needs room to run; a round trip is fastest where the caches near the core hold all of it.
    const STREAM: u64 = 4096;
    const ROUND_TRIP: u64 = 64;

    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let room = Self::SLOT - size_of::<u64>();
        ensure!(args.size <= room, "a slot holds {room} bytes, not {}", args.size);
        let stream = matches!(args.role, Role::Source | Role::Sink);
        let slots = if stream { Self::STREAM } else { Self::ROUND_TRIP };
        // A ring begins with its consumer's count, on a line pair of its own.
        let bytes = APART + Self::SLOT * slots as usize;
        let shared = shared(args, side, 2 * bytes)?;
        let (out, into) = match side {
            Side::Lead => (0, bytes),
            Side::Follow => (bytes, 0),
        };
        // So rarely that the line of the count hardly moves.
        let acknowledge = args.acknowledge.unwrap_or(slots / 8);
        Ok(Ring { shared, slots, acknowledge, out, into, sent: 0, received: 0, acknowledged: 0 })
    }

    #[inline(always)]
    fn slot(&self, ring: usize, index: u64) -> usize {
        ring + APART + (index & (self.slots - 1)) as usize * Self::SLOT
    }
}

impl Duplex for Ring {
    #[inline(always)]
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        while self.sent - self.acknowledged >= self.slots {
            // Acquire: pairs with the Release store in `recv`; the slots were read before.
            self.acknowledged = self.shared.word(self.out).load(Ordering::Acquire);
        }
        let slot = self.slot(self.out, self.sent);
        let payload = self.shared.bytes(slot + size_of::<u64>(), size);
        // SAFETY: in bounds, and the consumer has given this slot back: it reads it again only once the store
        // below has published it.
        fill(unsafe { std::slice::from_raw_parts_mut(payload, size) });
        self.sent += 1;
        // Release: pairs with the Acquire load in `recv`.
        self.shared.word(slot).store(self.sent, Ordering::Release);
        Ok(())
    }

    #[inline(always)]
    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let slot = self.slot(self.into, self.received);
        let published = self.shared.word(slot);
        // Acquire: pairs with the Release store in `send`.
        while published.load(Ordering::Acquire) != self.received + 1 {}
        let payload = self.shared.bytes(slot + size_of::<u64>(), size);
        // SAFETY: in bounds, and the producer writes this slot again only once it was given back below.
        let seen = look(unsafe { std::slice::from_raw_parts(payload, size) });
        self.received += 1;
        if self.received.is_multiple_of(self.acknowledge) {
            // Release: pairs with the Acquire load in `send`.
            self.shared.word(self.into).store(self.received, Ordering::Release);
        }
        Ok(seen)
    }
}

/// A flag and a memcpy on each side: what copying a message in and out costs at least.
pub struct Copy {
    shared: Shared,
    out: usize,
    into: usize,
    sent: u64,
    received: u64,
    buffer: Vec<u8>,
}

impl Copy {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let bytes = (APART + args.size).next_multiple_of(4096);
        let (out, into) = match side {
            Side::Lead => (0, bytes),
            Side::Follow => (bytes, 0),
        };
        let shared = shared(args, side, 2 * bytes)?;
        Ok(Copy { shared, out, into, sent: 0, received: 0, buffer: vec![0; args.size] })
    }
}

impl Duplex for Copy {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let message = &mut self.buffer[..size];
        fill(message);
        let area = self.shared.bytes(self.out + APART, size);
        // SAFETY: in bounds of both; the peer has answered the message before, so it does not read any more.
        unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), area, size) };
        self.sent += 1;
        // Release: pairs with the Acquire load in `recv`.
        self.shared.word(self.out).store(self.sent, Ordering::Release);
        Ok(())
    }

    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.received += 1;
        // Acquire: pairs with the Release store in `send`.
        while self.shared.word(self.into).load(Ordering::Acquire) != self.received {}
        let area = self.shared.bytes(self.into + APART, size);
        let message = &mut self.buffer[..size];
        // SAFETY: in bounds of both; the peer writes again only after it has got the answer.
        unsafe { std::ptr::copy_nonoverlapping(area, message.as_mut_ptr(), size) };
        Ok(look(message))
    }
}

/// The same without the copies: each side writes its payload and reads the other's in place, always in the same one.
pub struct InPlace(pub Copy);

impl Duplex for InPlace {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let Copy { shared, out, sent, .. } = &mut self.0;
        let area = shared.bytes(*out + APART, size);
        // SAFETY: in bounds; the peer has answered the message before, so it does not read any more.
        fill(unsafe { std::slice::from_raw_parts_mut(area, size) });
        *sent += 1;
        // Release: pairs with the Acquire load in `recv`.
        shared.word(*out).store(*sent, Ordering::Release);
        Ok(())
    }

    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let Copy { shared, into, received, .. } = &mut self.0;
        *received += 1;
        // Acquire: pairs with the Release store in `send`.
        while shared.word(*into).load(Ordering::Acquire) != *received {}
        // SAFETY: in bounds; the peer writes again only after it has got the answer.
        Ok(look(unsafe { std::slice::from_raw_parts(shared.bytes(*into + APART, size), size) }))
    }
}

/// Both sides sleep in the kernel whenever they have nothing to do.
pub struct Futex(Shared);

impl Futex {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        Ok(Futex(shared(args, side, 4096)?))
    }

    /// The round trip.
    pub fn drive(&self, budget: Duration) -> Result<Observation> {
        let (out, into) = (self.0.word32(0), self.0.word32(APART));
        let observed = timing::round_trips(budget, |seq| {
            let seq = seq as u32 + 1;
            store_and_wake(out, seq);
            wait_for_change(into, seq - 1);
            Ok(into.load(Ordering::Acquire) == seq)
        });
        store_and_wake(out, u32::MAX);
        observed
    }

    /// The other side.
    pub fn echo(&self) -> Observation {
        let (into, out) = (self.0.word32(0), self.0.word32(APART));
        let mut before = 0;
        loop {
            before = wait_for_change(into, before);
            if before == u32::MAX {
                return Observation::default();
            }
            store_and_wake(out, before);
        }
    }
}

fn store_and_wake(word: &AtomicU32, value: u32) {
    // Release: pairs with the Acquire loads of `wait_for_change`.
    word.store(value, Ordering::Release);
    // SAFETY: the word outlives the call; FUTEX_WAKE takes no other pointer.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

fn wait_for_change(word: &AtomicU32, before: u32) -> u32 {
    loop {
        let none = std::ptr::null::<libc::timespec>();
        // SAFETY: the word outlives the call; a null timeout means none. It returns at once when the word is
        // not `before` any more, so no wake-up is missed.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, before, none) };
        let now = word.load(Ordering::Acquire);
        if now != before {
            return now;
        }
    }
}

/// memcpy between two private buffers, in one process: nanoseconds per copy.
pub fn memcpy(args: &Args) -> Observation {
    let source = vec![1u8; args.size];
    let mut target = vec![0u8; args.size];
    let mut copies = Vec::new();
    let started = Instant::now();
    while started.elapsed() < args.budget() || copies.is_empty() {
        let one = Instant::now();
        target.copy_from_slice(black_box(&source));
        black_box(&mut target);
        copies.push(one.elapsed().as_nanos() as f64);
    }
    let messages = copies.len() as u64;
    Observation { ns: timing::median(&mut copies), messages, ..Observation::default() }
}
