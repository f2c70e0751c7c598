//! Bytes into and out of a slot.

use crate::segment::layout::{SLOT_PAYLOAD, Slot};

/// Puts at most 56 bytes into a slot that is not published.
#[inline(always)]
pub(super) fn fill_slot(slot: &Slot, bytes: &[u8]) {
    debug_assert!(bytes.len() <= SLOT_PAYLOAD);
    #[cfg(loom)]
    slot.payload.with_mut(|payload| {
        // SAFETY: a valid pointer, and loom checks that nobody else uses the cell.
        unsafe { (&mut *payload)[..bytes.len()].copy_from_slice(bytes) }
    });
    #[cfg(not(loom))]
    // SAFETY: the caller has at most 56 bytes, which is what the payload has; the slot is not published, so it is
    // this sender's alone, and a slice that a caller borrows is not in it.
    unsafe {
        copy_short(bytes.as_ptr(), slot.payload.get().cast(), bytes.len());
    }
}

/// Copies 0 to 56 bytes without a call or a loop: from both ends, with what lies in the middle copied twice.
///
/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`], and `len` ≤ 56.
#[cfg(not(loom))]
#[inline(always)]
#[allow(clippy::multiple_unsafe_ops_per_block, reason = "each one rests on the contract of this function")]
unsafe fn copy_short(from: *const u8, to: *mut u8, len: usize) {
    /// Copies the first and the last `size_of::<T>()` of `len` bytes.
    #[inline]
    unsafe fn both_ends<T>(from: *const u8, to: *mut u8, len: usize) {
        let last = len - size_of::<T>();
        // SAFETY: size_of::<T>() ≤ len, by the caller's choice of T; unaligned accesses.
        unsafe {
            let (head, tail) =
                (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
            to.cast::<T>().write_unaligned(head);
            to.add(last).cast::<T>().write_unaligned(tail);
        }
    }
    // SAFETY: each arm's T is at most as long as `len`, and two of them cover it.
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

/// The content of a cell, as a pointer. Under loom, it counts as a read at this moment.
#[inline]
pub(super) fn cell_pointer<T>(cell: &crate::sys::UnsafeCell<T>) -> *mut T {
    #[cfg(not(loom))]
    return cell.get();
    #[cfg(loom)]
    return cell.with(|content| content.cast_mut());
}
