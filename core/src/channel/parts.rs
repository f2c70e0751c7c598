//! The channels of a segment: creates the mailbox and the queue of each direction from the layout.

use std::sync::Arc;

use super::mailbox::{Channel, MailboxMemory};
use super::queue::QueueMemory;
use crate::segment::layout::{Direction, Geometry};
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::view::Memory;
use crate::wait::EventBell;

impl SegmentLayout {
    /// Returns the number of data words of a channel.
    fn words(self) -> usize {
        (self.geometry.tail() - Geometry::DATA) / 8
    }

    /// Returns the channel of a direction. `bell` is that of the peer.
    pub(crate) fn channel<'a>(
        self,
        memory: &'a impl Memory,
        direction: Direction,
        bell: &'a EventBell,
    ) -> Channel<'a> {
        let start = self.geometry.channel(direction);
        Channel {
            head: memory.at(start),
            data: memory.slice_at(start + Geometry::DATA, self.words()),
            tail: memory.at(start + self.geometry.tail()),
            capacity: self.geometry.data_size,
            bell,
        }
    }

    /// Returns the channel of a direction, in a form that keeps the memory.
    pub(crate) fn mailbox(
        self,
        memory: &Arc<impl Memory>,
        direction: Direction,
        bell: &EventBell,
    ) -> MailboxMemory {
        let start = self.geometry.channel(direction);
        MailboxMemory {
            head: memory.shared(start),
            data: memory.shared_slice(start + Geometry::DATA, self.words()),
            tail: memory.shared(start + self.geometry.tail()),
            capacity: self.geometry.data_size,
            bell: bell.clone(),
        }
    }

    /// Returns the queue of a direction, in a form that keeps the memory, if the segment has queues.
    pub(crate) fn queue(
        self,
        memory: &Arc<impl Memory>,
        direction: Direction,
        bell: &EventBell,
    ) -> Option<QueueMemory> {
        let geometry = self.queues?;
        Some(QueueMemory {
            control: memory.shared(geometry.control(direction)),
            slots: memory.shared_slice(geometry.slots(direction), geometry.slots),
            arena: memory.shared_slice(geometry.arena(direction), geometry.blocks()),
            capacity: geometry.capacity,
            bell: bell.clone(),
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
