//! A file of a domain that is looked at, or removed, and never mapped: whoever truncates it meanwhile ends no process.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::stat::Mode;

use super::{leads_to, lock, seat_lock};
use crate::role::Role;
use crate::sys::fork::SegmentFile;

/// See the module.
#[derive(Debug)]
pub(crate) struct Entry {
    path: PathBuf,
    file: SegmentFile,
}

impl Entry {
    /// Opens a file, without following a symbolic link, to look at it, or also to take its seats, which needs the permission
    /// to write. A FIFO is opened without waiting for its other end; the caller has seen that it is a regular file.
    pub(crate) fn open(path: &Path, for_removal: bool) -> nix::Result<Entry> {
        let access = if for_removal { OFlag::O_RDWR } else { OFlag::O_RDONLY };
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = SegmentFile::open(|| nix::fcntl::open(path, flags, Mode::empty()))?;
        Ok(Entry { path: path.to_owned(), file })
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Reads `N` bytes. Fails where the file ends before.
    pub(crate) fn read<const N: usize>(&self, offset: usize) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, offset as u64)?;
        Ok(bytes)
    }

    /// Whether another open file has the seat.
    pub(crate) fn is_locked(&self, seat: Role) -> bool {
        let mut lock = seat_lock(seat, libc::F_WRLCK);
        // On an error it counts as locked: nobody is declared dead for lack of an answer.
        nix::fcntl::fcntl(&*self.file, FcntlArg::F_OFD_GETLK(&mut lock)).is_err()
            || lock.l_type != libc::F_UNLCK as libc::c_short
    }

    /// Takes both seats, until this is dropped. `Ok(false)`: somebody has one.
    pub(crate) fn lock_both(&self) -> nix::Result<bool> {
        Ok(lock(&self.file, Role::Master)? && lock(&self.file, Role::Slave)?)
    }

    /// Removes the name, if it still leads to this file. `Ok(false)`: it does not.
    pub(crate) fn unlink(&self) -> nix::Result<bool> {
        if !leads_to(&self.path, &self.file) {
            return Ok(false);
        }
        nix::unistd::unlink(&self.path)?;
        Ok(true)
    }
}
