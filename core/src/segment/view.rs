//! Typed access to the bytes of a segment, by offset. No other module turns bytes into layout types.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::segment::layout::{Block, ChannelHead, ChannelTail, Header, QueueControl, Slot};
use crate::segment::shared_ref::SharedRef;
use crate::sys::{AtomicI32, AtomicU32, AtomicU64};

/// A type for which every bit pattern is valid, and which other processes may change at any time.
///
/// # Safety
/// All fields are atomics, or bytes in an `UnsafeCell`.
pub(crate) unsafe trait Shared {}
// SAFETY: the type is an atomic.
unsafe impl Shared for AtomicU32 {}
// SAFETY: the type is an atomic.
unsafe impl Shared for AtomicI32 {}
// SAFETY: the type is an atomic.
unsafe impl Shared for AtomicU64 {}
// SAFETY: all fields are atomics.
unsafe impl Shared for Header {}
// SAFETY: all fields are atomics.
unsafe impl Shared for ChannelHead {}
// SAFETY: all fields are atomics.
unsafe impl Shared for ChannelTail {}
// SAFETY: all fields are atomics.
unsafe impl Shared for QueueControl {}
// SAFETY: all fields are atomics, or bytes in an `UnsafeCell`.
unsafe impl Shared for Slot {}
// SAFETY: the only field is bytes in an `UnsafeCell`.
unsafe impl Shared for Block {}

/// The bytes of a segment.
///
/// # Safety
/// `bytes` always returns the same range. It starts at a multiple of 128 and is valid for atomic accesses as long as
/// `self` lives.
pub(crate) unsafe trait Memory: Send + Sync + Sized + 'static {
    /// Returns all bytes.
    fn bytes(&self) -> NonNull<[u8]>;

    /// Returns the number of bytes.
    fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Returns the header of the segment.
    ///
    /// # Panics
    /// Panics if the segment is shorter than a header. The caller has checked that.
    fn header(&self) -> &Header {
        self.at(0)
    }

    /// Returns the value at `offset`.
    ///
    /// # Panics
    /// Panics if the value would reach beyond the segment, or is not aligned. The caller has checked its geometry.
    fn at<T: Shared>(&self, offset: usize) -> &T {
        &self.slice_at::<T>(offset, 1)[0]
    }

    /// Returns `count` values from `offset` on.
    ///
    /// # Panics
    /// Panics as [`Memory::at`] does.
    fn slice_at<T: Shared>(&self, offset: usize, count: usize) -> &[T] {
        let bytes = self.bytes();
        let end = count.checked_mul(size_of::<T>()).and_then(|len| len.checked_add(offset));
        assert!(end.is_some_and(|end| end <= bytes.len()), "{count} at {offset} of {}", bytes.len());
        assert!(offset.is_multiple_of(align_of::<T>()), "{offset} for an alignment of {}", align_of::<T>());
        // SAFETY: in bounds, by the first assertion.
        let start = unsafe { bytes.cast::<u8>().add(offset) };
        // SAFETY: the pointer is aligned, by the contract of `bytes` and the second assertion, because no T needs an
        // alignment above 128. The range is in bounds, and valid while `self` is borrowed. Any bit pattern is a valid
        // T and concurrent changes are allowed, because T: Shared.
        unsafe { std::slice::from_raw_parts(start.cast::<T>().as_ptr(), count) }
    }

    /// Returns the value at `offset`, in a reference that keeps the memory.
    ///
    /// # Panics
    /// Panics as [`Memory::at`] does.
    fn shared<T: Shared>(self: &Arc<Self>, offset: usize) -> SharedRef<T> {
        SharedRef::new(self, |memory| memory.at(offset))
    }

    /// Returns `count` values from `offset` on, in a reference that keeps the memory.
    ///
    /// # Panics
    /// Panics as [`Memory::at`] does.
    fn shared_slice<T: Shared>(self: &Arc<Self>, offset: usize, count: usize) -> SharedRef<[T]> {
        SharedRef::new(self, |memory| memory.slice_at(offset, count))
    }
}

/// A copy of a segment header in the memory of this process.
pub(crate) struct HeaderCopy(Box<HeaderWords>);

#[repr(C, align(128))]
struct HeaderWords([AtomicU32; size_of::<Header>() / 4]);

impl HeaderCopy {
    pub(crate) fn new(bytes: &[u8; size_of::<Header>()]) -> Self {
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| bytes[4 * at + byte]));
        HeaderCopy(Box::new(HeaderWords(std::array::from_fn(|at| AtomicU32::new(word(at))))))
    }
}

// SAFETY: the content of the box never moves, starts at a multiple of 128, and consists of atomics.
unsafe impl Memory for HeaderCopy {
    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(NonNull::from(&*self.0).cast(), size_of::<HeaderWords>())
    }
}
