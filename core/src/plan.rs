//! Where the parts of a segment lie, and how to get at them.

use std::sync::Arc;

use crate::layout::{self, Direction, Geometry, Header, QueueGeometry};
use crate::mailbox::{Channel, MailboxMemory};
use crate::memory::Memory;
use crate::queue::QueueMemory;
use crate::sync::Ordering;

/// What a segment's header says of its layout, checked: all of it lies within the segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) geometry: Geometry,
    pub(crate) queues: Option<QueueGeometry>,
    /// Whether an ESHM 1.x process made it.
    pub(crate) legacy: bool,
}

impl Plan {
    /// Writes what [`inspect`](crate::inspect::inspect) reads, but for the magic. Whoever looks meanwhile, or after a kill
    /// meanwhile, finds the version and the extension that were there before, or all that belongs to the new ones.
    pub(crate) fn announce(self, header: &Header, stale_threshold: u32) {
        header.stale_threshold.store(stale_threshold, Ordering::Relaxed);
        header.features.store(layout::FEATURE_WAKES, Ordering::Relaxed);
        header.layout_size.store(self.geometry.total() as u32, Ordering::Relaxed);
        header.data_size.store(self.geometry.data_size as u32, Ordering::Relaxed);
        crash_point!("describe.sizes");
        if let Some(queues) = self.queues {
            header.queue_offset.store(queues.offset as u64, Ordering::Relaxed);
            header.queue_capacity.store(queues.capacity as u64, Ordering::Relaxed);
        }
        header.queue_slots.store(self.queues.map_or(0, |queues| queues.slots as u32), Ordering::Relaxed);
        crash_point!("describe.queues");
        // Release, both: pair with the Acquire loads in `inspect`.
        header.extension.store(layout::EXTENSION, Ordering::Release);
        crash_point!("describe.extended");
        header.version.store(layout::VERSION, Ordering::Release);
    }

    /// Words of a channel's data.
    fn words(self) -> usize {
        (self.geometry.tail() - Geometry::DATA) / 8
    }

    /// One direction's channel.
    pub(crate) fn channel(self, memory: &impl Memory, direction: Direction) -> Channel<'_> {
        let start = self.geometry.channel(direction);
        Channel {
            head: memory.at(start),
            data: memory.slice_at(start + Geometry::DATA, self.words()),
            tail: memory.at(start + self.geometry.tail()),
            capacity: self.geometry.data_size,
        }
    }

    /// One direction's channel, to be kept.
    pub(crate) fn mailbox(self, memory: &Arc<impl Memory>, direction: Direction) -> MailboxMemory {
        let start = self.geometry.channel(direction);
        MailboxMemory {
            head: memory.mapped(start, 1),
            data: memory.mapped(start + Geometry::DATA, self.words()),
            tail: memory.mapped(start + self.geometry.tail(), 1),
            capacity: self.geometry.data_size,
        }
    }

    /// One direction's queue, to be kept, if there are queues.
    pub(crate) fn queue(self, memory: &Arc<impl Memory>, direction: Direction) -> Option<QueueMemory> {
        let geometry = self.queues?;
        Some(QueueMemory {
            control: memory.mapped(geometry.control(direction), 1),
            slots: memory.mapped(geometry.slots(direction), geometry.slots),
            arena: memory.mapped(geometry.arena(direction), geometry.blocks()),
            capacity: geometry.capacity,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
