//! Handles for C that cannot dangle.
//!
//! A handle is no address. It is a number that a registry gave out, mixed with a mask. Each number says which place
//! in the registry and which generation of it, and the generation of a place changes when it is used again. So a
//! handle that was destroyed, or that never was one, is recognised without a look at memory that it points to, and
//! a thread that is inside a call keeps what it uses while another destroys it.

use sharded_slab::{Config, Entry, Slab};

use crate::error::{Failure, Result, SHM_CREATE};

/// As many bits as possible for the generations: 2 million handles at a time, of each of 4096 threads.
pub(crate) struct Places;

impl Config for Places {
    const INITIAL_PAGE_SIZE: usize = 32;
    const MAX_PAGES: usize = 16;
}

/// The handles of one kind.
pub(crate) struct Registry<T> {
    slab: Slab<T, Places>,
    mask: usize,
}

impl<T> Registry<T> {
    /// The mask makes small integers, pointers into the heap or the stack, and handles of other kinds no handles of
    /// this one.
    pub(crate) fn new(mask: usize) -> Self {
        Registry { slab: Slab::new_with_config(), mask }
    }

    /// Returns a handle of this.
    pub(crate) fn insert<H>(&self, content: T) -> Result<*mut H> {
        let key = self.slab.insert(content).ok_or_else(|| {
            Failure::Own(SHM_CREATE, "this thread has as many endpoints open as it can: destroy some".into())
        })?;
        Ok(std::ptr::without_provenance_mut(key ^ self.mask))
    }

    /// Returns what a handle stands for.
    pub(crate) fn find<H>(&self, handle: *mut H) -> Option<Entry<'_, T, Places>> {
        self.slab.get(handle.addr() ^ self.mask)
    }

    /// Makes it no handle any more. Calls that use what it stands for keep that until they return.
    pub(crate) fn remove<H>(&self, handle: *mut H) {
        self.slab.remove(handle.addr() ^ self.mask);
    }
}
