//! The arena, which holds long messages.

use super::copy::cell_pointer;
use super::{Broken, LINE, QueueMemory};
use crate::segment::layout::{Descriptor, IN_ARENA, SLOT_PAYLOAD, Slot};

impl QueueMemory {
    pub(super) fn arena_size(&self) -> u64 {
        self.arena.len() as u64 * LINE
    }

    /// Returns the memory of the arena from `position`, a multiple of 64, to its end. The provenance of the pointer
    /// covers all of it, not only the first block, because a message can be longer than a block.
    pub(super) fn arena_at(&self, position: u64) -> *mut u8 {
        let rest = &self.arena[(position % self.arena_size() / LINE) as usize..];
        #[cfg(loom)]
        return cell_pointer(&rest[0].0).cast();
        // All of a block lies in its cell, so it can be written through a shared reference.
        #[cfg(not(loom))]
        return rest.as_ptr().cast_mut().cast();
    }

    /// Returns the place of the message of a published slot with this `len`: its start, the end of the space that it
    /// occupies, and its length. Each field is read once and checked.
    pub(super) fn arena_place(&self, slot: &Slot, len: u32) -> Result<(u64, u64, usize), Broken> {
        if len != IN_ARENA {
            return Err(Broken { what: "a slot's length", found: len.into(), most: SLOT_PAYLOAD as u64 });
        }
        // SAFETY: 16 of the 56 bytes of the payload, at a multiple of 8. Any bytes are a valid Descriptor. The read
        // is volatile, so that a peer that changes the bytes after the checks below does not change what was checked.
        let place = unsafe { cell_pointer(&slot.payload).cast::<Descriptor>().read_volatile() };
        let size = self.arena_size();
        if place.offset % LINE != 0 || place.offset >= size {
            return Err(Broken { what: "a message's offset", found: place.offset, most: size - LINE });
        }
        let most = (size - place.offset).min(self.capacity as u64);
        if place.len > most {
            return Err(Broken { what: "a message's length", found: place.len, most });
        }
        Ok((place.offset, place.offset + place.len.next_multiple_of(LINE), place.len as usize))
    }
}

impl Descriptor {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.offset.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.len.to_ne_bytes());
        bytes
    }
}
