//! A pointer into shared memory that keeps the memory mapped.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

/// A reference without a lifetime. It holds the owner of the memory.
pub(crate) struct SharedRef<T: ?Sized> {
    pointer: NonNull<T>,
    _owner: Arc<dyn Any + Send + Sync>,
}

impl<T: ?Sized> SharedRef<T> {
    /// Creates a reference to `target`, which lies in memory that `owner` owns.
    ///
    /// # Safety
    /// `target` stays valid as long as `owner` lives, even if the `Arc` moves.
    pub(crate) unsafe fn new(target: &T, owner: Arc<dyn Any + Send + Sync>) -> Self {
        SharedRef { pointer: NonNull::from(target), _owner: owner }
    }
}

impl<T: ?Sized> Deref for SharedRef<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the pointer is valid as long as the owner, by the contract of `new`. The owner lives in `self`.
        unsafe { self.pointer.as_ref() }
    }
}

impl<T: ?Sized> Clone for SharedRef<T> {
    fn clone(&self) -> Self {
        SharedRef { pointer: self.pointer, _owner: Arc::clone(&self._owner) }
    }
}

impl<T: ?Sized> fmt::Debug for SharedRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({:p})", self.pointer)
    }
}

// SAFETY: this type gives out `&T` only, so it can be sent and shared wherever a `&T` can.
unsafe impl<T: ?Sized + Sync> Send for SharedRef<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for SharedRef<T> {}

#[cfg(test)]
impl<T: Send + Sync + 'static> SharedRef<[T]> {
    /// Creates memory of this process, for tests and models.
    pub(crate) fn heap(values: Vec<T>) -> Self {
        let owner = Arc::new(values);
        // SAFETY: the vector never changes, so its elements do not move while it lives.
        unsafe { SharedRef::new(owner.as_slice(), Arc::clone(&owner) as Arc<_>) }
    }
}
