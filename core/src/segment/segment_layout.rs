//! The places of the parts of a segment.

use super::layout::{self, Geometry, Header, QueueGeometry};
use crate::sys::Ordering;

/// The checked layout of a segment. All of it lies within the segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentLayout {
    pub(crate) geometry: Geometry,
    pub(crate) queues: Option<QueueGeometry>,
    /// Set if an ESHM 1.x process created the segment.
    pub(crate) legacy: bool,
}

impl SegmentLayout {
    /// Writes the fields that [`validate`](crate::segment::validate::validate) reads, except for the magic. A reader at
    /// any time, also after a kill in between, finds either the version and extension from before, or everything that
    /// belongs to the new ones.
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
        // Release, both: pair with the Acquire loads in `validate`.
        header.extension.store(layout::EXTENSION, Ordering::Release);
        crash_point!("describe.extended");
        header.version.store(layout::VERSION, Ordering::Release);
    }
}
