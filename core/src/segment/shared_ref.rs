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
    /// Creates a reference to a part of the memory that `owner` owns.
    pub(crate) fn new<O: Send + Sync + 'static>(
        owner: &Arc<O>,
        part: impl for<'a> FnOnce(&'a O) -> &'a T,
    ) -> Self {
        SharedRef { pointer: NonNull::from(part(owner)), _owner: Arc::clone(owner) as Arc<_> }
    }
}

impl<T: ?Sized> Deref for SharedRef<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `part` borrowed the target from the owner, for any lifetime of that borrow. The owner lives in `self`,
        // and nobody can borrow it mutably: it is behind an `Arc`, and this is one of its references.
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
        write!(f, "SharedRef({:p})", self.pointer)
    }
}

// SAFETY: this type gives out `&T` only, so it can be sent and shared wherever a `&T` can.
unsafe impl<T: ?Sized + Sync> Send for SharedRef<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for SharedRef<T> {}

#[cfg(test)]
impl<T: Send + Sync + 'static> SharedRef<T> {
    /// Creates a value in the memory of this process, for tests and models.
    pub(crate) fn heap(value: T) -> Self {
        SharedRef::new(&Arc::new(value), |value| value)
    }
}

#[cfg(test)]
impl<T: Send + Sync + 'static> SharedRef<[T]> {
    /// Creates values in the memory of this process, for tests and models.
    pub(crate) fn heap_slice(values: Vec<T>) -> Self {
        SharedRef::new(&Arc::new(values), Vec::as_slice)
    }
}
