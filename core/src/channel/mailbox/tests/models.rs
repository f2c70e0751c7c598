//! Models of the channel under every interleaving that loom finds. Run them with `RUSTFLAGS="--cfg loom"`.
//!
//! Values are numbered from 1. Each fills two words with its number, so that a torn value is detected.
//!
//! loom remembers only the last access to an atomic. A thread that loads a word and then stores to it hides from loom
//! that another thread loaded the word before. Therefore every operation starts with a [`step`], which loom cannot
//! miss, and [`explore`] asserts that there was something to explore.

#![allow(clippy::disallowed_types, reason = "a counter of the test itself, which loom must not see")]

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::*;

const SIZE: usize = 16;

/// Runs `writer` and `reader` on one channel in every order. `check` receives their results.
fn explore<W: 'static, R: Send + 'static>(
    heap: fn() -> Heap,
    writer: fn(Channel<'_>) -> W,
    reader: fn(Channel<'_>) -> R,
    check: fn(Channel<'_>, W, R),
) {
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&runs);
    loom::model(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let heap = Arc::new(heap());
        let reading = thread::spawn({
            let heap = Arc::clone(&heap);
            move || reader(heap.channel())
        });
        let written = writer(heap.channel());
        let read = reading.join().unwrap();
        check(heap.channel(), written, read);
    });
    let runs = runs.load(Ordering::Relaxed);
    println!("{runs} executions");
    assert!(runs > 10, "loom explored only {runs} executions");
}

/// Makes loom try every order of the operations that start with it. It orders no memory.
fn step(channel: Channel<'_>) {
    channel.tail.reserved[0].fetch_add(1, Ordering::Relaxed);
}

fn empty() -> Heap {
    Heap::new(SIZE)
}

/// A reader that checks the guarantees for readers.
#[derive(Default)]
struct Reader {
    cursor: Cursor,
    buffer: Vec<u8>,
    /// The number of the last value.
    last: u64,
    received: u64,
}

impl Reader {
    /// Reads once. Returns whether there was a new value.
    fn read(&mut self, channel: Channel<'_>, first: FirstRead) -> bool {
        step(channel);
        let Some(value) = channel.read(&mut self.cursor, first, &mut self.buffer).unwrap() else {
            return false;
        };
        assert_eq!(value.len, SIZE);
        let number = u64::from(self.buffer[0]);
        assert!(self.buffer.iter().all(|byte| u64::from(*byte) == number), "torn: {:?}", self.buffer);
        assert_eq!(self.last + value.skipped + 1, number, "after {}: {value:?}", self.last);
        self.last = number;
        self.received += 1;
        true
    }
}

fn write(channel: Channel<'_>, number: u64) {
    step(channel);
    channel.write(&[number as u8; SIZE], Fences::Symmetric);
}

fn is_taken(channel: Channel<'_>) -> bool {
    step(channel);
    channel.is_taken()
}

fn write_two(channel: Channel<'_>) {
    write(channel, 1);
    write(channel, 2);
}

fn read_two(channel: Channel<'_>, first: FirstRead) -> Reader {
    let mut reader = Reader::default();
    reader.read(channel, first);
    reader.read(channel, first);
    reader
}

/// Values are whole, in order and never repeated, and received + skipped = written.
#[test]
fn a_mailbox_shows_whole_values_once() {
    explore(
        empty,
        write_two,
        |channel| read_two(channel, FirstRead::Current),
        |channel, (), mut reader| {
            reader.read(channel, FirstRead::Current);
            assert_eq!(reader.last, 2, "the latest value was not read");
            assert!(!reader.read(channel, FirstRead::Current), "read twice");
        },
    );
}

/// A writer died during a write. Nobody reads its unfinished value, and the values of its successor are read.
#[test]
fn a_successor_repairs_an_odd_sequence() {
    fn half_written() -> Heap {
        let heap = empty();
        heap.head.sequence.store(1, Ordering::Relaxed);
        heap.data[0].store(u64::MAX, Ordering::Relaxed);
        heap
    }
    explore(
        half_written,
        |channel| {
            assert!(is_taken(channel), "a lossless writer must not wait for the dead one's value");
            write_two(channel);
        },
        |channel| read_two(channel, FirstRead::Current),
        |channel, (), mut reader| {
            reader.read(channel, FirstRead::Current);
            assert_eq!((reader.last, channel.head.sequence.load(Ordering::Relaxed) & 1), (2, 0));
        },
    );
}

/// A writer that overwrites only values that were taken loses nothing.
#[test]
fn nothing_is_overwritten_before_it_is_taken() {
    explore(
        empty,
        |channel| {
            let mut sent = 0;
            for _ in 0..3 {
                if is_taken(channel) {
                    sent += 1;
                    write(channel, sent);
                }
            }
            sent
        },
        |channel| read_two(channel, FirstRead::Untaken),
        |channel, sent, mut reader| {
            reader.read(channel, FirstRead::Untaken);
            assert_eq!((reader.received, reader.last), (sent, sent));
        },
    );
}

/// A value that was overwritten during a read does not mark its successor as taken.
#[test]
fn only_what_was_read_counts_as_taken() {
    explore(
        empty,
        |channel| {
            write_two(channel);
            is_taken(channel)
        },
        |channel| {
            let mut reader = Reader::default();
            reader.read(channel, FirstRead::Current);
            reader
        },
        |_, taken, reader| assert!(!taken || reader.last == 2, "2 counts as taken after {}", reader.last),
    );
}

/// A receiver was killed. Its successor resumes with the first message that it did not take, and receives it once.
#[test]
fn a_successor_receives_what_was_not_taken() {
    explore(
        empty,
        |channel| {
            write(channel, 1);
            let free = is_taken(channel);
            if free {
                write(channel, 2);
            }
            1 + u64::from(free)
        },
        |channel| {
            let mut predecessor = Reader::default();
            predecessor.read(channel, FirstRead::Untaken);
            let mut successor = Reader { last: predecessor.last, ..Reader::default() };
            successor.read(channel, FirstRead::Untaken);
            successor
        },
        |channel, sent, mut successor| {
            successor.read(channel, FirstRead::Untaken);
            assert_eq!(successor.last, sent);
        },
    );
}

/// The last access of a reader to a value happens before the first access of the writer to the next one.
#[test]
fn taking_a_value_transfers_the_channel_to_the_writer() {
    struct Shared {
        heap: Heap,
        /// Stands for the data. loom reports any two accesses to it that are not ordered.
        data: UnsafeCell<()>,
    }
    fn read(shared: &Shared) {
        shared.data.with(|_| ());
        Reader::default().read(shared.heap.channel(), FirstRead::Untaken);
    }
    fn overwrite(shared: &Shared) {
        if is_taken(shared.heap.channel()) {
            shared.data.with_mut(|_| ());
        }
    }
    loom::model(|| {
        let shared = Arc::new(Shared { heap: empty(), data: UnsafeCell::new(()) });
        write(shared.heap.channel(), 1);
        let reading = thread::spawn({
            let shared = Arc::clone(&shared);
            move || read(&shared)
        });
        overwrite(&shared);
        reading.join().unwrap();
    });
}

/// Both doorbells: a parked reader and a parked writer are always woken. Otherwise loom reports a deadlock.
#[test]
fn parked_threads_are_woken() {
    const COUNT: u64 = 2;
    explore(
        empty,
        |channel| {
            for number in 1..=COUNT {
                loop {
                    let sample = channel.taken().sample();
                    if is_taken(channel) {
                        break;
                    }
                    channel.taken().park(sample, Duration::MAX);
                }
                write(channel, number);
            }
        },
        |channel| {
            let mut reader = Reader::default();
            while reader.last < COUNT {
                let sample = channel.value_bell(Fences::Symmetric).sample();
                if !reader.read(channel, FirstRead::Untaken) {
                    channel.value_bell(Fences::Symmetric).park(sample, Duration::MAX);
                }
            }
        },
        |channel, (), ()| {
            for waiters in [&channel.tail.waiters, &channel.tail.taken_waiters] {
                assert_eq!(waiters.load(Ordering::Relaxed) & 0xFFFF, 0, "somebody still counts as parked");
            }
        },
    );
}
