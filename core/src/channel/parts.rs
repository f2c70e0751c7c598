//! The channels of a segment: from its layout to the mailbox and the queue of each direction.

use std::sync::Arc;

use super::mailbox::{Channel, MailboxMemory};
use super::queue::QueueMemory;
use crate::segment::layout::{Direction, Geometry};
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::view::Memory;

impl SegmentLayout {
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
