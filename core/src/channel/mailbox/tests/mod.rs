//! Tests of a channel on the heap: against a simple model (`properties`), and under every interleaving (`models`).

use super::*;
use crate::segment::layout::{ChannelHead, ChannelTail};
use crate::sys::AtomicU32;

#[cfg(loom)]
mod models;
#[cfg(not(loom))]
mod properties;

/// The memory that a [`Channel`] borrows.
struct Heap {
    head: ChannelHead,
    data: Vec<AtomicU64>,
    tail: ChannelTail,
    capacity: usize,
}

impl Heap {
    fn new(capacity: usize) -> Heap {
        Heap {
            head: ChannelHead { sequence: AtomicU32::new(0), data_size: AtomicU32::new(0) },
            data: (0..capacity.div_ceil(8)).map(|_| AtomicU64::new(0)).collect(),
            tail: ChannelTail {
                write_count: AtomicU64::new(0),
                read_count: AtomicU64::new(0),
                wake_seq: AtomicU32::new(0),
                waiters: AtomicU32::new(0),
                unused: std::array::from_fn(|_| AtomicU32::new(0)),
                taken: AtomicU32::new(0),
                taken_waiters: AtomicU32::new(0),
                reserved: std::array::from_fn(|_| AtomicU32::new(0)),
            },
            capacity,
        }
    }

    fn channel(&self) -> Channel<'_> {
        Channel {
            head: &self.head,
            data: &self.data,
            tail: &self.tail,
            capacity: self.capacity,
            bell: EventBell::none(),
        }
    }
}
