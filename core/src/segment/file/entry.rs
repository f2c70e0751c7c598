//! A file of a domain that is read or removed, and never mapped. A truncation by another process therefore kills
//! nobody.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::stat::Mode;

use super::{lock, refers_to, seat_lock};
use crate::role::Role;
use crate::sys::fork::TrackedFile;

/// An open file of a domain. See the module.
#[derive(Debug)]
pub(crate) struct Entry {
    path: PathBuf,
    file: TrackedFile,
}

impl Entry {
    /// Opens a file to read it. Does not follow a symbolic link. `for_removal` also allows locking its seats, which
    /// requires the permission to write. Does not wait for the other end of a FIFO; the caller has checked that the
    /// file is a regular one.
    pub(crate) fn open(path: &Path, for_removal: bool) -> nix::Result<Entry> {
        let access = if for_removal { OFlag::O_RDWR } else { OFlag::O_RDONLY };
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = TrackedFile::open(|| nix::fcntl::open(path, flags, Mode::empty()))?;
        Ok(Entry { path: path.to_owned(), file })
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Reads `N` bytes. Returns an error if the file ends before that.
    pub(crate) fn read<const N: usize>(&self, offset: usize) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, offset as u64)?;
        Ok(bytes)
    }

    /// Returns whether another open file holds the lock of the seat.
    pub(crate) fn is_locked(&self, seat: Role) -> bool {
        let mut lock = seat_lock(seat, libc::F_WRLCK);
        // An error counts as locked, so that no peer is declared dead for lack of an answer.
        nix::fcntl::fcntl(&*self.file, FcntlArg::F_OFD_GETLK(&mut lock)).is_err()
            || lock.l_type != libc::F_UNLCK as libc::c_short
    }

    /// Locks both seats until this value is dropped. Returns `Ok(false)` if another open file holds one.
    pub(crate) fn lock_both(&self) -> nix::Result<bool> {
        Ok(lock(&self.file, Role::Master)? && lock(&self.file, Role::Slave)?)
    }

    /// Removes the name if it still refers to this file. Returns `Ok(false)` if it does not.
    pub(crate) fn unlink(&self) -> nix::Result<bool> {
        if !refers_to(&self.path, &self.file) {
            return Ok(false);
        }
        nix::unistd::unlink(&self.path)?;
        Ok(true)
    }
}
