//! The only door to a segment's file and mapping: creating, opening, locking, unlinking, and typed access.
//! `region/making.rs` makes new files, `region/failure.rs` says what to do when the system refuses.
//!
//! A segment appears under its name complete or not at all: it is made without a name, reserved, filled in and
//! locked, and then linked. Attaching is therefore never too early, and two creators cannot both succeed.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is the door")]

mod create;
mod entry;
mod failure;

use std::fs::File;
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
use crate::sys::fork::SegmentFile;

pub(crate) use create::Unpublished;
pub(crate) use entry::Entry;
pub(crate) use failure::{
    attach_error, create_error, errno, remove_error, replace_error, user_name, why_not_removed,
};

/// A mapped segment.
#[derive(Debug)]
pub(crate) struct Region {
    map: MmapRaw,
    file: SegmentFile,
}

/// Where a name leads, seen from a segment that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameLeads {
    /// To this segment, as far as the system says.
    Here,
    /// To another file.
    Elsewhere,
    /// The name does not exist.
    Nowhere,
}

/// What opening a name found.
pub(crate) enum Opened {
    /// There is no such name.
    Missing,
    /// The file is empty: somebody, of ESHM 1.x, is just making it.
    Empty,
    /// A file with content, mapped. The content is yet to be checked.
    Mapped(Region),
}

impl Region {
    /// Makes a segment of `len` zero bytes that has no name yet, with exactly these permissions, or, for `None`, those that
    /// the umask leaves of 0666; and of this group, if one is given.
    ///
    /// # Errors
    /// [`Error::Create`]; nothing is left behind.
    pub(crate) fn create(
        name: &SegmentName,
        len: usize,
        mode: Option<u32>,
        group: Option<u32>,
    ) -> Result<(Region, Unpublished)> {
        let failed = |action| move |error: nix::Error| create_error(name, action, error);
        let (file, unpublished) = create::make_file(name, mode).map_err(failed("making its file"))?;
        if let Some(group) = group {
            nix::unistd::fchown(&*file, None, Some(Gid::from_raw(group)))
                .map_err(failed("giving it to its group"))?;
        }
        if let Some(mode) = mode {
            // The file was made with fewer, and the umask took its part.
            nix::sys::stat::fchmod(&*file, Mode::from_bits_truncate(mode))
                .map_err(failed("setting its permissions"))?;
        }
        // The kernel would answer a file over this limit with a signal that ends the process.
        let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).map_err(failed("reading the file size limit"))?;
        if len as u64 > limit {
            return Err(create_error(name, "reserving its memory", nix::Error::EFBIG));
        }
        create::reserve(name, &file, len).map_err(|error| error.create_error(name))?;
        let map = MmapOptions::new().len(len).map_raw(&*file);
        let map = map.map_err(|error| failure::mapping_error(name, len, true, errno(&error)))?;
        Ok((Region { map, file }, unpublished))
    }

    /// Gives a new segment its name. `Ok(false)`: the name exists already.
    ///
    /// # Errors
    /// [`Error::Create`].
    pub(crate) fn publish(&self, name: &SegmentName, unpublished: Unpublished) -> Result<bool> {
        unpublished.publish(&self.file, name)
    }

    /// Opens and maps what lies under the name, if it is a regular file of a trusted owner.
    ///
    /// # Errors
    /// [`Error::Attach`], [`Error::Foreign`].
    pub(crate) fn open(name: &SegmentName, any_owner: bool) -> Result<Opened> {
        Region::open_for(name, any_owner, OFlag::O_RDWR)
    }

    /// As [`Region::open`], for reading only. What is mapped so must not be written, nor a seat be taken: the system
    /// would answer with a signal, and an error.
    ///
    /// # Errors
    /// As [`Region::open`].
    pub(crate) fn observe(name: &SegmentName, any_owner: bool) -> Result<Opened> {
        Region::open_for(name, any_owner, OFlag::O_RDONLY)
    }

    fn open_for(name: &SegmentName, any_owner: bool, access: OFlag) -> Result<Opened> {
        let failed = |action| move |error: nix::Error| attach_error(name, action, error);
        let foreign = |what, found: String, expected: &str| Error::Foreign {
            segment: name.as_str().to_owned(),
            path: name.shown_path(),
            what,
            found,
            expected: expected.to_owned(),
        };
        // O_NONBLOCK: a FIFO under the name must not make us wait for its other end.
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let path = name.path();
        let open = || nix::fcntl::open(path, flags, Mode::empty());
        let opened =
            if access == OFlag::O_RDONLY { SegmentFile::open_shared(open) } else { SegmentFile::open(open) };
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
        Ok(Opened::Mapped(Region { map, file }))
    }

    /// Takes a seat: a lock that lives as long as this open file, and dies with the process, however it ends,
    /// and in whatever PID namespace. `Ok(false)`: another has it.
    pub(crate) fn lock(&self, seat: Role) -> Result<bool, nix::Error> {
        lock(&self.file, seat)
    }

    /// Gives a seat up.
    pub(crate) fn unlock(&self, seat: Role) {
        // Cannot fail for a valid descriptor and range; if it did, closing the file would still unlock it.
        let _ = nix::fcntl::fcntl(&*self.file, FcntlArg::F_OFD_SETLK(&seat_lock(seat, libc::F_UNLCK)));
    }

    /// Whether another open file, of any process, has the seat.
    pub(crate) fn is_locked(&self, seat: Role) -> bool {
        let mut lock = seat_lock(seat, libc::F_WRLCK);
        // On an error it counts as locked: nobody is declared dead for lack of an answer.
        nix::fcntl::fcntl(&*self.file, FcntlArg::F_OFD_GETLK(&mut lock)).is_err()
            || lock.l_type != libc::F_UNLCK as libc::c_short
    }

    /// Whether the name still leads to this file.
    pub(crate) fn is_named(&self, name: &SegmentName) -> bool {
        leads_to(name.path(), &self.file)
    }

    /// Where the name leads. What the system does not tell counts as [`NameLeads::Here`]: nothing is done about it.
    pub(crate) fn trace_name(&self, name: &SegmentName) -> NameLeads {
        let id = |meta: &std::fs::Metadata| (meta.dev(), meta.ino());
        match (std::fs::symlink_metadata(name.path()), self.file.metadata()) {
            (Ok(named), Ok(mine)) if id(&named) != id(&mine) => NameLeads::Elsewhere,
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => NameLeads::Nowhere,
            _ => NameLeads::Here,
        }
    }

    /// Removes the name, if it still leads to this file.
    pub(crate) fn unlink(&self, name: &SegmentName) -> io::Result<()> {
        if !self.is_named(name) {
            return Ok(());
        }
        Ok(nix::unistd::unlink(name.path())?)
    }

    /// Reserves the file's memory where that was not done.
    ///
    /// # Errors
    /// [`Error::Attach`].
    pub(crate) fn reserve(&self, name: &SegmentName) -> Result<()> {
        create::reserve(name, &self.file, self.map.len()).map_err(|error| error.attach_error(name))
    }

    /// Gives the file exactly these permissions, and this group, those that are given, if they differ.
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

// SAFETY: the mapping stays where it is, starts on a page, and is readable in full, and writable unless it is an
// observer's, who only loads: at most 8 bytes at a time, which needs no writable memory.
unsafe impl Memory for Region {
    fn bytes(&self) -> NonNull<[u8]> {
        let start = NonNull::new(self.map.as_mut_ptr()).expect("nothing is mapped at 0");
        NonNull::slice_from_raw_parts(start, self.map.len())
    }
}

/// A seat is the lock on the four bytes of that endpoint's pid.
fn seat_lock(seat: Role, kind: libc::c_int) -> libc::flock {
    let start = match seat {
        Role::Slave => std::mem::offset_of!(Header, slave_pid),
        Role::Master | Role::Auto => std::mem::offset_of!(Header, master_pid),
    };
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start as libc::off_t,
        l_len: 4,
        l_pid: 0,
    }
}

/// Takes a seat's lock on a file: see [`Region::lock`].
fn lock(file: &File, seat: Role) -> nix::Result<bool> {
    match nix::fcntl::fcntl(file, FcntlArg::F_OFD_SETLK(&seat_lock(seat, libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a path leads to this file.
fn leads_to(path: &Path, file: &File) -> bool {
    let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(file), Ok(named)) => id(file) == id(named),
        _ => false,
    }
}
