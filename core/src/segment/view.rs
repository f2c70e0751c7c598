//! Typed access to a segment's bytes, by offset: the only place where bytes become the types of the layout.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::segment::layout::{Block, ChannelHead, ChannelTail, Header, QueueControl, Slot};
use crate::segment::shared_ref::SharedRef;
use crate::sys::{AtomicI32, AtomicU32, AtomicU64};

/// A type whose every bit pattern is valid, and which other processes may change at any time.
///
/// # Safety
/// All fields are atomics, or bytes in an `UnsafeCell`.
pub(crate) unsafe trait Shared {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicI32 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU64 {}
// SAFETY: see its definition: atomics only.
unsafe impl Shared for Header {}
// SAFETY: see its definition: atomics only.
unsafe impl Shared for ChannelHead {}
// SAFETY: see its definition: atomics only.
unsafe impl Shared for ChannelTail {}
// SAFETY: see its definition: atomics only.
unsafe impl Shared for QueueControl {}
// SAFETY: see its definition: atomics and bytes.
unsafe impl Shared for Slot {}
// SAFETY: see its definition: bytes.
unsafe impl Shared for Block {}

/// The bytes of a segment.
///
/// # Safety
/// `bytes` always returns the same, which start at a multiple of 128 and are valid for atomic accesses as long as `self`
/// is.
pub(crate) unsafe trait Memory: Send + Sync + Sized + 'static {
    /// All of them.
    fn bytes(&self) -> NonNull<[u8]>;

    /// How many.
    fn len(&self) -> usize {
        self.bytes().len()
    }

    /// The segment's header.
    ///
    /// # Panics
    /// If the segment is shorter than that: the caller has checked.
    fn header(&self) -> &Header {
        self.at(0)
    }

    /// The value at `offset`.
    ///
    /// # Panics
    /// If it would reach beyond the segment, or is not aligned: the caller has checked its geometry.
    fn at<T: Shared>(&self, offset: usize) -> &T {
        &self.slice_at::<T>(offset, 1)[0]
    }

    /// `count` values from `offset` on.
    ///
    /// # Panics
    /// As [`Memory::at`].
    fn slice_at<T: Shared>(&self, offset: usize, count: usize) -> &[T] {
        let bytes = self.bytes();
        let end = count.checked_mul(size_of::<T>()).and_then(|len| len.checked_add(offset));
        assert!(end.is_some_and(|end| end <= bytes.len()), "{count} at {offset} of {}", bytes.len());
        assert!(offset.is_multiple_of(align_of::<T>()), "{offset} for an alignment of {}", align_of::<T>());
        // SAFETY: in bounds, by the first assertion.
        let start = unsafe { bytes.cast::<u8>().add(offset) };
        // SAFETY: aligned, by the contract of `bytes` and the second assertion, since no T needs more than 128; in
        // bounds, and valid as long as `self` is borrowed; any bit pattern is a T and concurrent changes are allowed,
        // as T: Shared.
        unsafe { std::slice::from_raw_parts(start.cast::<T>().as_ptr(), count) }
    }

    /// `count` values from `offset` on, and the memory along with them.
    ///
    /// # Panics
    /// As [`Memory::at`].
    fn mapped<T: Shared>(self: &Arc<Self>, offset: usize, count: usize) -> SharedRef<[T]> {
        // SAFETY: valid as long as the memory is, by the contract of `bytes`.
        unsafe { SharedRef::new(self.slice_at(offset, count), Arc::clone(self) as Arc<_>) }
    }
}

/// A copy of a segment's header in this process's own memory.
pub(crate) struct HeaderCopy(Box<HeaderWords>);

#[repr(C, align(128))]
struct HeaderWords([AtomicU32; size_of::<Header>() / 4]);

impl HeaderCopy {
    pub(crate) fn new(bytes: &[u8; size_of::<Header>()]) -> Self {
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| bytes[4 * at + byte]));
        HeaderCopy(Box::new(HeaderWords(std::array::from_fn(|at| AtomicU32::new(word(at))))))
    }
}

// SAFETY: the box's content stays where it is, at a multiple of 128, and consists of atomics.
unsafe impl Memory for HeaderCopy {
    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(NonNull::from(&*self.0).cast(), size_of::<HeaderWords>())
    }
}
