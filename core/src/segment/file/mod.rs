//! The file and the mapping of a segment: create, open, lock, unlink. No other module creates or maps segment files.
//! `create.rs` creates new files, `bell.rs` event descriptors, `directory.rs` tells whether names may have changed,
//! `entry.rs` reads files without mapping them, `failure.rs` describes errors of the system.
//!
//! A segment appears under its name when it is complete. It is created without a name, reserved, filled in and
//! locked, and then linked. A slave can therefore never attach too early, and of two creators only one succeeds.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the one place that maps files")]

mod bell;
mod create;
mod directory;
mod entry;
mod failure;

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;
use nix::unistd::Gid;

use crate::error::{Error, Result};
use crate::role::Role;
use crate::segment::layout::Header;
use crate::segment::name::SegmentName;
use crate::segment::view::Memory;
use crate::sys::fork::TrackedFile;

pub(crate) use bell::{EventDescriptor, PeerDescriptor, remove_bell};
pub(crate) use create::Unpublished;
pub(crate) use directory::{Directories, Stamp};
pub(crate) use entry::Entry;
pub(crate) use failure::{
    attach_error, create_error, errno, remove_error, replace_error, user_name, why_not_removed,
};

/// A mapped segment.
#[derive(Debug)]
pub(crate) struct MappedSegment {
    map: MmapRaw,
    file: TrackedFile,
    /// The device and the number of the file.
    id: (u64, u64),
}

/// Where a name leads, for a segment that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameTarget {
    /// To this segment, as far as the system reports.
    ThisFile,
    /// To another file.
    OtherFile,
    /// The name does not exist.
    Missing,
}

/// The result of opening a name.
pub(crate) enum Opened {
    /// The name does not exist.
    Missing,
    /// The file is empty: an ESHM 1.x process is creating it.
    Empty,
    /// A mapped file with content. The content is not checked yet.
    Mapped(MappedSegment),
}

impl MappedSegment {
    /// Creates a segment of `len` zero bytes without a name. It has exactly these permissions. For `None` it has
    /// those that the umask leaves of 0666. If a group is given, the file belongs to it.
    ///
    /// # Errors
    /// Returns [`Error::Create`], and leaves nothing behind.
    pub(crate) fn create(
        name: &SegmentName,
        len: usize,
        mode: Option<u32>,
        group: Option<u32>,
    ) -> Result<(MappedSegment, Unpublished)> {
        let failed = |action| move |error: nix::Error| create_error(name, action, error);
        let (file, unpublished) = create::make_file(name, mode).map_err(failed("making its file"))?;
        if let Some(group) = group {
            nix::unistd::fchown(&*file, None, Some(Gid::from_raw(group)))
                .map_err(failed("giving it to its group"))?;
        }
        let made = file.metadata().map_err(|error| create_error(name, "inspecting it", errno(&error)))?;
        if let Some(mode) = mode.filter(|mode| *mode != made.mode() & 0o7777) {
            // The file was created with fewer permissions, and the umask has removed some. A sandbox may refuse the call
            // that most endpoints do not need.
            nix::sys::stat::fchmod(&*file, Mode::from_bits_truncate(mode))
                .map_err(failed("setting its permissions"))?;
        }
        // The kernel would answer a larger file with a signal that ends the process.
        let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).map_err(failed("reading the file size limit"))?;
        if len as u64 > limit {
            return Err(create_error(name, "reserving its memory", nix::Error::EFBIG));
        }
        create::reserve(name, &file, len, true).map_err(|error| error.create_error(name))?;
        let map = MmapOptions::new().len(len).map_raw(&*file);
        let map = map.map_err(|error| failure::mapping_error(name, len, true, errno(&error)))?;
        Ok((MappedSegment { map, file, id: id(&made) }, unpublished))
    }

    /// Gives a new segment its name. Returns `Ok(false)` if the name exists already.
    ///
    /// # Errors
    /// Returns [`Error::Create`] if the system refuses.
    pub(crate) fn publish(&self, name: &SegmentName, unpublished: Unpublished) -> Result<bool> {
        unpublished.publish(&self.file, name)
    }

    /// Opens and maps the file of this name, if it is a regular file of a trusted owner.
    ///
    /// # Errors
    /// Returns [`Error::Attach`] if the system refuses, [`Error::Foreign`] for another kind of file or another owner.
    pub(crate) fn open(name: &SegmentName, any_owner: bool) -> Result<Opened> {
        MappedSegment::open_for(name, any_owner, OFlag::O_RDWR)
    }

    /// Opens a segment as [`MappedSegment::open`] does, for reading only. The caller must not write to the mapping and must
    /// not lock a seat: the system would answer with a signal or an error.
    ///
    /// # Errors
    /// Returns the errors of [`MappedSegment::open`].
    pub(crate) fn observe(name: &SegmentName, any_owner: bool) -> Result<Opened> {
        MappedSegment::open_for(name, any_owner, OFlag::O_RDONLY)
    }

    fn open_for(name: &SegmentName, any_owner: bool, access: OFlag) -> Result<Opened> {
        let failed = |action| move |error: nix::Error| attach_error(name, action, error);
        let foreign = |what, found: String, expected: &str| Error::Foreign {
            segment: name.shared(),
            path: name.shown_path(),
            what,
            found,
            expected: expected.to_owned(),
        };
        // O_NONBLOCK: the open of a FIFO must not wait for its other end.
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let path = name.path();
        let open = || nix::fcntl::open(path, flags, Mode::empty());
        let opened =
            if access == OFlag::O_RDONLY { TrackedFile::open_shared(open) } else { TrackedFile::open(open) };
        let file = match opened {
            Ok(file) => file,
            Err(nix::Error::ENOENT) => return Ok(Opened::Missing),
            Err(nix::Error::ELOOP) => {
                return Err(foreign("the file", "a symbolic link".into(), "a regular file"));
            }
            Err(nix::Error::EISDIR) => {
                return Err(foreign("the file", "a directory".into(), "a regular file"));
            }
            Err(error) => return Err(failed("opening it")(error)),
        };
        let meta = file.metadata().map_err(|error| failed("inspecting it")(errno(&error)))?;
        if !meta.is_file() {
            let found = match meta.file_type() {
                kind if kind.is_fifo() => "a FIFO",
                kind if kind.is_dir() => "a directory",
                _ => "a special file",
            };
            return Err(foreign("the file", found.into(), "a regular file"));
        }
        let me = nix::unistd::geteuid().as_raw();
        if !any_owner && meta.uid() != me && meta.uid() != 0 {
            let expected = format!("user {me} (this one) or root; `any_owner` accepts others");
            return Err(foreign("the owner", format!("user {}", meta.uid()), &expected));
        }
        if meta.len() == 0 {
            return Ok(Opened::Empty);
        }
        let mut options = MmapOptions::new();
        options.len(meta.len() as usize);
        let map = if access == OFlag::O_RDONLY {
            options.map_raw_read_only(&*file)
        } else {
            options.map_raw(&*file)
        };
        let map =
            map.map_err(|error| failure::mapping_error(name, meta.len() as usize, false, errno(&error)))?;
        Ok(Opened::Mapped(MappedSegment { map, file, id: id(&meta) }))
    }

    /// Locks a seat. The lock lasts as long as this open file. The kernel releases it when the process dies, no
    /// matter how, and in every PID namespace. Returns `Ok(false)` if another open file holds it.
    pub(crate) fn lock(&self, seat: Role) -> Result<bool, nix::Error> {
        lock(&self.file, seat)
    }

    /// Unlocks a seat.
    pub(crate) fn unlock(&self, seat: Role) {
        // Cannot fail for a valid descriptor and range. If it did, closing the file would still unlock the seat.
        let _ = nix::fcntl::fcntl(&*self.file, FcntlArg::F_OFD_SETLK(&seat_lock(seat, libc::F_UNLCK)));
    }

    /// Returns whether another open file, of any process, holds the lock of the seat.
    pub(crate) fn is_locked(&self, seat: Role) -> bool {
        let mut lock = seat_lock(seat, libc::F_WRLCK);
        // An error counts as locked, so that no peer is declared dead for lack of an answer.
        nix::fcntl::fcntl(&*self.file, FcntlArg::F_OFD_GETLK(&mut lock)).is_err()
            || lock.l_type != libc::F_UNLCK as libc::c_short
    }

    /// Returns whether the name still refers to this file.
    pub(crate) fn owns_name(&self, name: &SegmentName) -> bool {
        refers_to(name.path(), &self.file)
    }

    /// Returns where the name leads. If the system does not report it, returns [`NameTarget::ThisFile`], which has no
    /// consequences.
    pub(crate) fn name_target(&self, name: &SegmentName) -> NameTarget {
        match std::fs::symlink_metadata(name.path()) {
            Ok(named) if id(&named) != self.id => NameTarget::OtherFile,
            Err(error) if error.kind() == io::ErrorKind::NotFound => NameTarget::Missing,
            _ => NameTarget::ThisFile,
        }
    }

    /// Removes the name if it still refers to this file.
    pub(crate) fn unlink(&self, name: &SegmentName) -> io::Result<()> {
        if !self.owns_name(name) {
            return Ok(());
        }
        Ok(nix::unistd::unlink(name.path())?)
    }

    /// Reserves the memory of a file that its creator has not reserved.
    ///
    /// # Errors
    /// Returns [`Error::Attach`] if the system refuses.
    pub(crate) fn reserve(&self, name: &SegmentName) -> Result<()> {
        create::reserve(name, &self.file, self.map.len(), false).map_err(|error| error.attach_error(name))
    }

    /// Sets exactly these permissions and this group, each if it is given and differs.
    pub(crate) fn set_access(&self, mode: Option<u32>, group: Option<u32>) -> io::Result<()> {
        let meta = self.file.metadata()?;
        if let Some(group) = group.filter(|group| *group != meta.gid()) {
            nix::unistd::fchown(&*self.file, None, Some(Gid::from_raw(group)))?;
        }
        if let Some(mode) = mode.filter(|mode| *mode != meta.mode() & 0o777) {
            nix::sys::stat::fchmod(self.file.as_fd(), Mode::from_bits_truncate(mode))?;
        }
        Ok(())
    }
}

// SAFETY: the mapping never moves, starts on a page and is readable in full. It is writable, unless it is that of an
// observer. An observer only loads, at most 8 bytes at a time, and such loads need no writable memory.
unsafe impl Memory for MappedSegment {
    fn bytes(&self) -> NonNull<[u8]> {
        let start = NonNull::new(self.map.as_mut_ptr()).expect("nothing is mapped at 0");
        NonNull::slice_from_raw_parts(start, self.map.len())
    }
}

/// Returns the lock of a seat: it covers the four bytes of the pid of that endpoint.
fn seat_lock(seat: Role, kind: libc::c_int) -> libc::flock {
    let start = match seat {
        Role::Slave => std::mem::offset_of!(Header, slave_pid),
        Role::Master => std::mem::offset_of!(Header, master_pid),
    };
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start as libc::off_t,
        l_len: 4,
        l_pid: 0,
    }
}

/// Locks a seat in a file. See [`MappedSegment::lock`].
fn lock(file: &File, seat: Role) -> nix::Result<bool> {
    match nix::fcntl::fcntl(file, FcntlArg::F_OFD_SETLK(&seat_lock(seat, libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the device and the number of a file.
fn id(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// Returns whether a path refers to this file.
fn refers_to(path: &Path, file: &File) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(file), Ok(named)) => id(&file) == id(&named),
        _ => false,
    }
}
