//! A pointer into shared memory that keeps the memory mapped.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

/// A reference without a lifetime: the owner of the memory goes along.
pub(crate) struct SharedRef<T: ?Sized> {
    pointer: NonNull<T>,
    _owner: Arc<dyn Any + Send + Sync>,
}

impl<T: ?Sized> SharedRef<T> {
    /// Keeps `target`, which lies in memory that `owner` owns.
    ///
    /// # Safety
    /// `target` stays valid as long as `owner` does, wherever the `Arc` goes.
    pub(crate) unsafe fn new(target: &T, owner: Arc<dyn Any + Send + Sync>) -> Self {
        SharedRef { pointer: NonNull::from(target), _owner: owner }
    }
}

impl<T: ?Sized> Deref for SharedRef<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: valid as long as the owner, by the contract of `new`; the owner lives in `self`.
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

// SAFETY: it gives out `&T` only, so it may go and be shared wherever a `&T` may.
unsafe impl<T: ?Sized + Sync> Send for SharedRef<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for SharedRef<T> {}

#[cfg(test)]
impl<T: Send + Sync + 'static> SharedRef<[T]> {
    /// Memory of this process's own, for tests and models.
    pub(crate) fn heap(values: Vec<T>) -> Self {
        let owner = Arc::new(values);
        // SAFETY: the vector is never changed, so its elements stay where they are as long as it lives.
        unsafe { SharedRef::new(owner.as_slice(), Arc::clone(&owner) as Arc<_>) }
    }
}
