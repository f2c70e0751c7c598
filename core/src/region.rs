//! The only door to a segment's file and mapping: creating, opening, locking, unlinking, and typed access.
//!
//! A segment appears under its name complete or not at all: it is made without a name, reserved, filled in and
//! locked, and then linked. Attaching is therefore never too early, and two creators cannot both succeed.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is the door")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{AtFlags, FcntlArg, OFlag};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::stat::Mode;
use nix::unistd::Gid;

use crate::config::Role;
use crate::error::{Error, Result};
use crate::layout::Header;
use crate::memory::Memory;
use crate::name::SegmentName;
use crate::process::SegmentFile;

/// Where glibc's and musl's `shm_open` put a shared memory object.
const DIRECTORY: &str = "/dev/shm";

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
    ) -> Result<Region> {
        let failed = |action| move |error: nix::Error| create_error(name, action, error);
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let wanted = Mode::from_bits_truncate(mode.unwrap_or(0o666));
        let file = SegmentFile::open(|| nix::fcntl::open(DIRECTORY, flags, wanted))
            .map_err(failed("making a file in /dev/shm"))?;
        if let Some(group) = group {
            nix::unistd::fchown(&*file, None, Some(Gid::from_raw(group)))
                .map_err(failed("giving it to its group"))?;
        }
        if mode.is_some() {
            // The umask took its part above.
            nix::sys::stat::fchmod(&*file, wanted).map_err(failed("setting its permissions"))?;
        }
        // The kernel would answer a file over this limit with a signal that ends the process.
        let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).map_err(failed("reading the file size limit"))?;
        if len as u64 > limit {
            return Err(create_error(name, "reserving its memory", nix::Error::EFBIG));
        }
        reserve(&file, len).map_err(failed("reserving its memory"))?;
        let map = MmapOptions::new().len(len).map_raw(&*file);
        let map = map.map_err(|error| create_error(name, "mapping it", errno(&error)))?;
        Ok(Region { map, file })
    }

    /// Gives a new segment its name. `Ok(false)`: the name exists already.
    ///
    /// # Errors
    /// [`Error::Create`].
    pub(crate) fn publish(&self, name: &SegmentName) -> Result<bool> {
        let link = nix::unistd::linkat(
            nix::fcntl::AT_FDCWD,
            format!("/proc/self/fd/{}", self.file.as_raw_fd()).as_str(),
            nix::fcntl::AT_FDCWD,
            path(name).as_str(),
            AtFlags::AT_SYMLINK_FOLLOW,
        );
        match link {
            Ok(()) => Ok(true),
            Err(nix::Error::EEXIST) => Ok(false),
            Err(error) => Err(create_error(name, "giving it its name", error)),
        }
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
            what,
            found,
            expected: expected.to_owned(),
        };
        // O_NONBLOCK: a FIFO under the name must not make us wait for its other end.
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let object = format!("/{}", name.file_name());
        let open = || nix::sys::mman::shm_open(object.as_str(), flags, Mode::empty());
        let opened =
            if access == OFlag::O_RDONLY { SegmentFile::open_shared(open) } else { SegmentFile::open(open) };
        let file = match opened {
            Ok(file) => file,
            Err(nix::Error::ENOENT) => return Ok(Opened::Missing),
            Err(nix::Error::ELOOP) => {
                return Err(foreign("the file", "a symbolic link".into(), "a regular file"));
            }
            // glibc makes EINVAL of a directory's EISDIR.
            Err(_) if std::fs::symlink_metadata(path(name)).is_ok_and(|meta| meta.is_dir()) => {
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
        let map = map.map_err(|error| failed("mapping it")(errno(&error)))?;
        Ok(Opened::Mapped(Region { map, file }))
    }

    /// Takes a seat: a lock that lives as long as this open file, and dies with the process, however it ends,
    /// and in whatever PID namespace. `Ok(false)`: another has it.
    pub(crate) fn lock(&self, seat: Role) -> Result<bool, nix::Error> {
        match nix::fcntl::fcntl(&*self.file, FcntlArg::F_OFD_SETLK(&seat_lock(seat, libc::F_WRLCK))) {
            Ok(_) => Ok(true),
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
            Err(error) => Err(error),
        }
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
        let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        match (self.file.metadata(), std::fs::symlink_metadata(path(name))) {
            (Ok(mine), Ok(named)) => id(mine) == id(named),
            _ => false,
        }
    }

    /// Where the name leads. What the system does not tell counts as [`NameLeads::Here`]: nothing is done about it.
    pub(crate) fn trace_name(&self, name: &SegmentName) -> NameLeads {
        let id = |meta: &std::fs::Metadata| (meta.dev(), meta.ino());
        match (std::fs::symlink_metadata(path(name)), self.file.metadata()) {
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
        Ok(nix::unistd::unlink(path(name).as_str())?)
    }

    /// Reserves the file's memory where that was not done.
    ///
    /// # Errors
    /// [`Error::Attach`].
    pub(crate) fn reserve(&self, name: &SegmentName) -> Result<()> {
        reserve(&self.file, self.map.len()).map_err(|error| attach_error(name, "reserving its memory", error))
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

fn path(name: &SegmentName) -> String {
    format!("{DIRECTORY}/{}", name.file_name())
}

/// How much memory is reserved at a time: about 10 ms' worth.
const PIECE: usize = 16 << 20;

/// Has the system set the memory aside now, so that it cannot be missing when it is used.
///
/// tmpfs undoes a reservation that a signal interrupts. A profiler's timer would have it start again for ever, so it is
/// done in pieces, with signals blocked during each.
fn reserve(file: &File, len: usize) -> nix::Result<()> {
    for start in (0..len).step_by(PIECE) {
        let piece = PIECE.min(len - start);
        with_signals_blocked(|| nix::fcntl::posix_fallocate(file, start as i64, piece as i64))?;
    }
    Ok(())
}

fn with_signals_blocked<T>(call: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let done = call();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    done
}

fn attach_error(name: &SegmentName, action: &'static str, error: nix::Error) -> Error {
    Error::Attach { segment: name.as_str().to_owned(), action, source: error.into(), hint: hint(error) }
}

fn create_error(name: &SegmentName, action: &'static str, error: nix::Error) -> Error {
    Error::Create { segment: name.as_str().to_owned(), action, source: error.into(), hint: hint(error) }
}

fn errno(error: &io::Error) -> nix::Error {
    nix::Error::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// What a user can do about a system error.
fn hint(error: nix::Error) -> &'static str {
    use nix::Error;
    match error {
        Error::ENOSPC | Error::ENOMEM => {
            "/dev/shm is full: remove segments that nobody uses, choose a smaller data size, or mount it larger \
             (containers: --shm-size)"
        }
        Error::EACCES | Error::EPERM => {
            "it belongs to another user, or to a group that this one is not in, or its permissions do not let this one \
             in: open it as its owner, or have the master create it with a wider `mode` or another `group`"
        }
        Error::EFBIG => {
            "the file size limit of this process (ulimit -f) is smaller than the segment: raise it"
        }
        Error::EMFILE | Error::ENFILE => {
            "no file descriptors are left: close some, or raise the limit (ulimit -n)"
        }
        Error::EROFS => "/dev/shm is mounted read-only: mount it writable",
        Error::ENOENT => "/dev/shm is missing: mount a tmpfs there",
        _ => "see the system's message",
    }
}
