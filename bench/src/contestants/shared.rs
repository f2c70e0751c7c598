//! The memory that the raw limits are measured in: two processes, one mapping, atomics.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64};

use anyhow::{Context, Result, ensure};
use memmap2::{MmapOptions, MmapRaw};

/// Where a measurement keeps a file of its own. The runner removes it.
pub fn path(name: &str, suffix: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/{name}.{suffix}"))
}

/// A mapping that two processes share.
pub struct Shared {
    map: MmapRaw,
}

impl Shared {
    /// Makes it, all zero.
    pub fn create(name: &str, len: usize) -> Result<Self> {
        let path = path(name, "raw");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("making {}", path.display()))?;
        file.set_len(len as u64)?;
        Self::map(&file, len)
    }

    /// Opens what the peer has made.
    pub fn open(name: &str, len: usize) -> Result<Self> {
        let path = path(name, "raw");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let found = file.metadata()?.len();
        ensure!(found == len as u64, "{} has {found} bytes, expected {len}", path.display());
        Self::map(&file, len)
    }

    fn map(file: &File, len: usize) -> Result<Self> {
        let map = MmapOptions::new().len(len).populate().map_raw(file)?;
        Ok(Shared { map })
    }

    /// The 64-bit atomic at `offset`.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        let pointer = self.bytes(offset, size_of::<u64>());
        assert!(offset.is_multiple_of(align_of::<AtomicU64>()));
        // SAFETY: in bounds (`bytes` has checked) and aligned, since a mapping starts a page; both processes
        // access it as an atomic only; the borrow keeps the mapping.
        unsafe { AtomicU64::from_ptr(pointer.cast()) }
    }

    /// The 32-bit atomic at `offset`.
    pub fn word32(&self, offset: usize) -> &AtomicU32 {
        let pointer = self.bytes(offset, size_of::<u32>());
        assert!(offset.is_multiple_of(align_of::<AtomicU32>()));
        // SAFETY: as in `word`.
        unsafe { AtomicU32::from_ptr(pointer.cast()) }
    }

    /// The first of `len` bytes at `offset`, all in bounds.
    pub fn bytes(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.map.len()), "{offset} + {len}");
        self.map.as_mut_ptr().wrapping_add(offset)
    }
}
