//! Copies bytes into a slot, and returns pointers to cells.

use crate::segment::layout::{SLOT_PAYLOAD, Slot};

/// Copies at most 56 bytes into a slot that is not published.
#[inline(always)]
pub(super) fn fill_slot(slot: &Slot, bytes: &[u8]) {
    debug_assert!(bytes.len() <= SLOT_PAYLOAD);
    #[cfg(loom)]
    slot.payload.with_mut(|payload| {
        // SAFETY: the pointer is valid, and loom checks that no other thread uses the cell.
        unsafe { (&mut *payload)[..bytes.len()].copy_from_slice(bytes) }
    });
    #[cfg(not(loom))]
    // SAFETY: the caller passes at most 56 bytes, the size of the payload. The slot is not published, so it belongs
    // to this sender alone, and a slice that a caller borrows does not lie in it.
    unsafe {
        copy_short(bytes.as_ptr(), slot.payload.get().cast(), bytes.len());
    }
}

/// Copies 0 to 56 bytes without a call or a loop: from both ends, so that bytes in the middle are copied twice.
///
/// # Safety
/// The contract of [`std::ptr::copy_nonoverlapping`], and `len` ≤ 56.
#[cfg(not(loom))]
#[inline(always)]
#[allow(clippy::multiple_unsafe_ops_per_block, reason = "each one rests on the contract of this function")]
unsafe fn copy_short(from: *const u8, to: *mut u8, len: usize) {
    /// Copies the first and the last `size_of::<T>()` of `len` bytes.
    #[inline]
    unsafe fn both_ends<T>(from: *const u8, to: *mut u8, len: usize) {
        let last = len - size_of::<T>();
        // SAFETY: size_of::<T>() ≤ len, because the caller chooses T so. The accesses are unaligned ones.
        unsafe {
            let (head, tail) =
                (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
            to.cast::<T>().write_unaligned(head);
            to.add(last).cast::<T>().write_unaligned(tail);
        }
    }
    // SAFETY: the T of each arm is at most as long as `len`, and two of them cover it.
    unsafe {
        match len {
            32.. => both_ends::<[u64; 4]>(from, to, len),
            16.. => both_ends::<[u64; 2]>(from, to, len),
            8.. => both_ends::<u64>(from, to, len),
            4.. => both_ends::<u32>(from, to, len),
            2.. => both_ends::<u16>(from, to, len),
            1 => *to = *from,
            0 => {}
        }
    }
}

/// Returns a pointer to the content of a cell. Under loom this counts as a read at this moment.
#[inline]
pub(super) fn cell_pointer<T>(cell: &crate::sys::UnsafeCell<T>) -> *mut T {
    #[cfg(not(loom))]
    return cell.get();
    #[cfg(loom)]
    return cell.with(|content| content.cast_mut());
}
