//! A whole segment on the heap. Two threads use it as two processes would. Miri runs these tests: it detects races,
//! and pointers that reach beyond the range from which they were made.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::thread;
use std::time::Duration;

use super::*;
use crate::channel::mailbox::{Cursor, FirstRead};
use crate::channel::queue::{QueueReceiver, QueueSender};
use crate::role::Role;
use crate::segment::layout::{self, QueueGeometry};
use crate::segment::seat::Threshold;
use crate::segment::validate::validate_memory;
use crate::sys::Ordering;
use crate::wait::{EventBell, Fences};

/// The number of messages, and of values, that are exchanged.
const COUNT: usize = if cfg!(miri) { 40 } else { 20_000 };
const DATA_SIZE: usize = 100;
const CAPACITY: usize = 500;
/// Lengths of messages: in a slot, in several blocks of the arena, and in the whole arena.
const LENGTHS: [usize; 7] = [0, 1, 56, 57, 64, 200, CAPACITY];

struct Heap {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory is on the heap, which all threads share.
unsafe impl Send for Heap {}
// SAFETY: as above. Users access it through atomics, or transfer ownership of the bytes through them.
unsafe impl Sync for Heap {}

// SAFETY: one allocation with this alignment, valid until it is dropped.
unsafe impl Memory for Heap {
    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start, self.layout.size())
    }
}

impl Heap {
    fn new(len: usize) -> Arc<Heap> {
        let layout = Layout::from_size_align(len, 128).unwrap();
        // SAFETY: the layout has a non-zero size.
        let start = unsafe { alloc_zeroed(layout) };
        Arc::new(Heap { start: NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout)), layout })
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout, and its users keep it by an `Arc`.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Creates a segment and describes it as a master does.
fn segment() -> (Arc<Heap>, SegmentLayout) {
    let geometry = Geometry { data_size: DATA_SIZE };
    let queues = QueueGeometry::new(geometry.total(), CAPACITY);
    let layout = SegmentLayout { geometry, queues: Some(queues), legacy: false };
    let heap = Heap::new(queues.end());
    layout.announce(heap.header(), 100);
    heap.header().magic.store(layout::MAGIC, Ordering::Release);
    (heap, layout)
}

fn message(number: usize, lengths: &[usize]) -> Vec<u8> {
    vec![number as u8; lengths[number % lengths.len()]]
}

#[test]
fn validation_returns_the_announced_layout() {
    let (heap, layout) = segment();
    let found = validate_memory(&*heap, None).ok().flatten().unwrap();
    assert_eq!(found.geometry.data_size, layout.geometry.data_size);
    assert_eq!(found.queues.map(|queues| queues.capacity), Some(CAPACITY));
}

#[test]
fn an_occupied_seat_is_seen_completely() {
    let (heap, _) = segment();
    let seen = Arc::clone(&heap);
    let watcher = thread::spawn(move || {
        let seat = seen.header().seat(Role::Slave);
        while !seat.pulse().alive {
            thread::yield_now();
        }
        assert!(seat.is_ours() && !seat.is_legacy());
        while seat.threshold() != Threshold::Known(Duration::from_millis(7)) {
            thread::yield_now();
        }
    });
    let seat = heap.header().seat(Role::Slave);
    assert_eq!(seat.threshold(), Threshold::Nobody);
    seat.occupy(4711);
    seat.publish_threshold(Duration::from_millis(7));
    seat.beat();
    watcher.join().unwrap();
}

#[test]
fn every_message_arrives_as_it_was_sent() {
    let (heap, layout) = segment();
    let receiving = layout.queue(&heap, Direction::MasterToSlave, EventBell::none()).unwrap();
    let receiver = thread::spawn(move || {
        let mut receiver = QueueReceiver::resume(receiving);
        for number in 0..COUNT {
            let lent = loop {
                match receiver.peek().unwrap() {
                    Some(lent) => break lent,
                    None => thread::yield_now(),
                }
            };
            // SAFETY: the message is released below.
            assert_eq!(unsafe { lent.bytes() }, message(number, &LENGTHS));
            receiver.release(1);
        }
    });
    let mut sender =
        QueueSender::resume(layout.queue(&heap, Direction::MasterToSlave, EventBell::none()).unwrap())
            .unwrap();
    for number in 0..COUNT {
        let bytes = message(number, &LENGTHS);
        if number % 2 == 0 {
            while sender.send(&bytes).unwrap().is_none() {
                thread::yield_now();
            }
            continue;
        }
        let start = loop {
            match sender.loan(bytes.len()).unwrap() {
                Some(start) => break start,
                None => thread::yield_now(),
            }
        };
        // SAFETY: the loan has space for these bytes, which belong to this sender until it sends them.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        sender.send_loan().unwrap();
    }
    receiver.join().unwrap();
}

#[test]
fn a_value_is_read_whole() {
    let (heap, layout) = segment();
    let reading = layout.mailbox(&heap, Direction::SlaveToMaster, EventBell::none());
    let reader = thread::spawn(move || {
        let (mut cursor, mut buffer, mut last) = (Cursor::default(), Vec::new(), 0);
        // No writer overwrites the last value.
        while last < COUNT {
            let Some(value) = reading.channel().read(&mut cursor, FirstRead::Current, &mut buffer).unwrap()
            else {
                thread::yield_now();
                continue;
            };
            assert!(buffer[..value.len].iter().all(|byte| *byte == value.len as u8), "a torn value");
            last = if value.len == DATA_SIZE { COUNT } else { last };
        }
    });
    let writing = layout.mailbox(&heap, Direction::SlaveToMaster, EventBell::none());
    for number in 0..COUNT {
        let len = number % DATA_SIZE;
        writing.channel().write(&vec![len as u8; len], Fences::Symmetric);
    }
    writing.channel().write(&[DATA_SIZE as u8; DATA_SIZE], Fences::Symmetric);
    reader.join().unwrap();
}
