//! Validation of a segment: the header and the size must describe a known layout. Each field is read once.
//!
//! Any process may have written the header. This module reads nothing but the header.

use std::fmt;

use crate::segment::layout::{self, Geometry, Header, QueueGeometry};
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::view::Memory;
use crate::sys::Ordering;

/// The first property that makes a segment unusable.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) what: &'static str,
    pub(crate) found: String,
    pub(crate) expected: String,
}

impl Mismatch {
    fn new(what: &'static str, found: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Mismatch { what, found: found.to_string(), expected: expected.to_string() }
    }
}

/// Checks a mapped segment, as [`validate`] does.
///
/// # Errors
/// Returns the errors of [`validate`].
pub(crate) fn validate_memory(
    memory: &impl Memory,
    configured: Option<usize>,
) -> Result<Option<SegmentLayout>, Mismatch> {
    let header = (memory.len() >= size_of::<Header>()).then(|| memory.header());
    validate(header, memory.len(), configured)
}

/// Checks a segment of `len` bytes. `header` is `None` if the segment is too short for a header. `configured` is the
/// data size of the caller's configuration, for segments of ESHM 1.x that do not determine it. Returns `Ok(None)` if
/// the creator has not finished the segment.
///
/// # Errors
/// Returns a [`Mismatch`] with the first property that does not fit.
pub(crate) fn validate(
    header: Option<&Header>,
    len: usize,
    configured: Option<usize>,
) -> Result<Option<SegmentLayout>, Mismatch> {
    let least = Geometry { data_size: 1 }.total();
    let Some(header) = header.filter(|_| len >= least) else {
        return Err(Mismatch::new(
            "the size",
            format_args!("{len} bytes"),
            format_args!("at least {least} bytes"),
        ));
    };
    // Acquire: pairs with the Release store of the magic in `Start::make`.
    let magic = header.magic.load(Ordering::Acquire);
    // Acquire, as for the extension below: pairs with the Release stores in `SegmentLayout::announce`.
    let version = header.version.load(Ordering::Acquire);
    if magic == 0 && version == 0 {
        return Ok(None);
    }
    if magic != layout::MAGIC {
        return Err(Mismatch::new("the magic", Hex(magic), Hex(layout::MAGIC)));
    }
    let total = match version {
        layout::VERSION => header.layout_size.load(Ordering::Relaxed),
        // Version 2 has no such field. The size of the file determines it.
        layout::VERSION_POLLING => u32::try_from(len).unwrap_or(u32::MAX),
        _ => return Err(Mismatch::new("the version", version, "2 or 3")),
    };
    let extension = header.extension.load(Ordering::Acquire);
    let (geometry, queues) = match extension {
        0 => (legacy_geometry(total, configured)?, None),
        layout::EXTENSION => {
            let geometry = own_geometry(total, header.data_size.load(Ordering::Relaxed))?;
            (geometry, queue_geometry(header, geometry)?)
        }
        other => return Err(Mismatch::new("the extension", other, "0 or 1")),
    };
    let needed = queues.map_or(geometry.total(), QueueGeometry::end);
    if needed > len {
        let expected = format_args!("at least {needed} bytes, by its header");
        return Err(Mismatch::new("the size", format_args!("{len} bytes"), expected));
    }
    Ok(Some(SegmentLayout { geometry, queues, legacy: extension == 0 }))
}

/// Returns the geometry of an ESHM 1.x segment whose `ESHMData` takes `total` bytes.
fn legacy_geometry(total: u32, configured: Option<usize>) -> Result<Geometry, Mismatch> {
    configured
        .map(|data_size| Geometry { data_size })
        .filter(|geometry| geometry.total() == total as usize)
        .or_else(|| Geometry::from_total(total as usize))
        .filter(|geometry| geometry.data_size <= layout::MAX_DATA_SIZE as usize)
        .ok_or_else(|| {
            let expected =
                "128 bytes and twice a channel of a multiple of 64, from 192 bytes to 64 MiB and 128";
            Mismatch::new("the layout size", format_args!("{total} bytes"), expected)
        })
}

/// Returns the geometry of a segment that states its data size.
fn own_geometry(total: u32, data_size: u32) -> Result<Geometry, Mismatch> {
    let geometry = Geometry { data_size: data_size as usize };
    if !(1..=layout::MAX_DATA_SIZE).contains(&data_size) {
        let expected = format_args!("1 to {} bytes", layout::MAX_DATA_SIZE);
        return Err(Mismatch::new("the data size", format_args!("{data_size} bytes"), expected));
    }
    if geometry.total() != total as usize {
        let expected = format_args!("{} bytes, for a data size of {data_size}", geometry.total());
        return Err(Mismatch::new("the layout size", format_args!("{total} bytes"), expected));
    }
    Ok(geometry)
}

/// Returns the queues that the header announces, or `None` if it announces none. Reads each field once.
fn queue_geometry(header: &Header, geometry: Geometry) -> Result<Option<QueueGeometry>, Mismatch> {
    let slots = header.queue_slots.load(Ordering::Relaxed);
    if slots == 0 {
        return Ok(None);
    }
    let (offset, capacity) =
        (header.queue_offset.load(Ordering::Relaxed), header.queue_capacity.load(Ordering::Relaxed));
    if !slots.is_power_of_two() || slots > layout::MAX_QUEUE_SLOTS {
        let expected = format_args!("a power of two up to {}", layout::MAX_QUEUE_SLOTS);
        return Err(Mismatch::new("the number of queue slots", slots, expected));
    }
    if !(1..=layout::MAX_QUEUE_CAPACITY).contains(&capacity) {
        let expected = format_args!("1 to {} bytes", layout::MAX_QUEUE_CAPACITY);
        return Err(Mismatch::new("the queue capacity", format_args!("{capacity} bytes"), expected));
    }
    if offset % 128 != 0 || offset < geometry.total() as u64 || offset > layout::MAX_QUEUE_CAPACITY {
        let expected = format_args!("a multiple of 128 from {} on", geometry.total());
        return Err(Mismatch::new("the queue offset", offset, expected));
    }
    let (offset, capacity) = (offset as usize, capacity as usize);
    Ok(Some(QueueGeometry { offset, capacity, slots: slots as usize }))
}

/// Displays a magic number in hexadecimal.
struct Hex(u32);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}
