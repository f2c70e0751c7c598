//! How a segment's file is made before it has its name, and how it gets it.
//!
//! The file has no name until it is complete, where the system can do so. Otherwise it has a temporary one, which nobody
//! opens: the file gets its real name by a hard link, and loses the other.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

use super::failure::{self, Unreserved};
use super::{create_error, leads_to, lock};
use crate::error::Result;
use crate::role::Role;
use crate::segment::name::{SegmentName, TEMPORARY};
use crate::sys::fork::SegmentFile;
use crate::sys::memory_limits;

/// How many temporary names are tried. One is taken by chance of 2⁻⁶⁴, and removed by somebody who tidies up just then.
const TRIES: usize = 16;

/// A new file that has not got its name. Dropped, it leaves nothing.
#[derive(Debug)]
#[must_use = "the file is to be published"]
pub(crate) struct Unpublished(Way);

/// How the file gets its name.
#[derive(Debug)]
enum Way {
    /// By its entry in /proc/self/fd.
    Proc,
    /// By its descriptor: for root, and, from Linux 6.10 on, for whoever made it.
    Descriptor,
    /// By its temporary name.
    Name(Temporary),
}

/// A temporary name, removed when this is dropped.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may be gone: whoever tidies up removes one whose file has its real name.
        let _ = nix::unistd::unlink(&self.0);
    }
}

/// Makes an empty file in the domain's directory, with no more than these permissions, or, for `None`, those that the umask
/// leaves of 0666.
///
/// # Errors
/// What the system says.
pub(super) fn make_file(name: &SegmentName, mode: Option<u32>) -> nix::Result<(SegmentFile, Unpublished)> {
    // More is given when it has its group.
    let mode = Mode::from_bits_truncate(mode.map_or(0o666, |_| 0o600));
    #[cfg(feature = "crash-points")]
    if crate::sys::crash::is_ordered(&["create.temporary", "create.doubled"]) {
        return make_temporary(name, mode);
    }
    let directory = name.domain().directory();
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    match SegmentFile::open(|| nix::fcntl::open(directory, flags, mode)) {
        Ok(file) => {
            let mut ways = [Way::Proc, Way::Descriptor].into_iter();
            if let Some(way) = ways.find(|way| way.is_open(&file, directory)) {
                return Ok((file, Unpublished(way)));
            }
        }
        // A file system without such files, a kernel, or a sandbox: some admit only files by their names.
        Err(
            nix::Error::EOPNOTSUPP
            | nix::Error::EISDIR
            | nix::Error::EINVAL
            | nix::Error::ENOSYS
            | nix::Error::EACCES
            | nix::Error::EPERM,
        ) => {}
        Err(error) => return Err(error),
    }
    make_temporary(name, mode)
}

/// Makes a file with a temporary name, and takes the master's seat in it: whoever tidies up leaves it alone then.
fn make_temporary(name: &SegmentName, mode: Mode) -> nix::Result<(SegmentFile, Unpublished)> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    for _ in 0..TRIES {
        let pid = std::process::id();
        let random = RandomState::new().hash_one(pid);
        let file_name = format!("{}{TEMPORARY}-{pid}-{random:016x}", name.domain().prefix());
        let path = name.domain().directory().join(file_name);
        let file = match SegmentFile::open(|| nix::fcntl::open(&path, flags, mode)) {
            Ok(file) => file,
            Err(nix::Error::EEXIST) => continue,
            Err(error) => return Err(error),
        };
        let temporary = Temporary(path);
        crash_point!("create.temporary");
        // Until now it looked like one that was left behind.
        if lock(&file, Role::Master)? && leads_to(&temporary.0, &file) {
            return Ok((file, Unpublished(Way::Name(temporary))));
        }
    }
    Err(nix::Error::EEXIST)
}

impl Way {
    /// Whether the system goes this way: it finds that the directory, as the new name, exists.
    fn is_open(&self, file: &File, directory: &Path) -> bool {
        self.link(file, directory) == Err(nix::Error::EEXIST)
    }

    fn link(&self, file: &File, path: &Path) -> nix::Result<()> {
        match self {
            Way::Proc => {
                let entry = format!("/proc/self/fd/{}", file.as_raw_fd());
                linkat(AT_FDCWD, entry.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
            }
            Way::Descriptor => linkat(file, "", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH),
            Way::Name(Temporary(temporary)) => linkat(AT_FDCWD, temporary, AT_FDCWD, path, AtFlags::empty()),
        }
    }
}

impl Unpublished {
    /// Gives the file its name. `Ok(false)`: the name exists already.
    ///
    /// # Errors
    /// [`Error::Create`](crate::Error::Create).
    pub(super) fn publish(self, file: &File, name: &SegmentName) -> Result<bool> {
        let linked = self.0.link(file, name.path());
        if matches!(self.0, Way::Name(_)) {
            crash_point!("create.doubled");
        }
        match (linked, &self.0) {
            (Ok(()), _) => Ok(true),
            (Err(nix::Error::EEXIST), _) => Ok(false),
            (Err(nix::Error::EPERM | nix::Error::EOPNOTSUPP), Way::Name(_)) => {
                Err(failure::without_links(name))
            }
            (Err(error), _) => Err(create_error(name, "giving it its name", error)),
        }
    }
}

/// How much memory is reserved at a time: about 10 ms' worth.
const PIECE: usize = 16 << 20;

/// Has the system set the memory aside now, so that it cannot be missing when it is used.
///
/// tmpfs undoes a reservation that a signal interrupts. A profiler's timer would have it start again for ever, so it is
/// done in pieces, with signals blocked during each.
///
/// # Errors
/// Also when there is too little memory, which would end the process.
pub(super) fn reserve(name: &SegmentName, file: &File, len: usize) -> Result<(), Unreserved> {
    let there = file.metadata().map_or(0, |meta| meta.blocks().saturating_mul(512));
    memory_limits::check_memory(name.domain().directory(), (len as u64).saturating_sub(there))
        .map_err(Unreserved::Short)?;
    for start in (0..len).step_by(PIECE) {
        let piece = PIECE.min(len - start);
        with_signals_blocked(|| nix::fcntl::posix_fallocate(file, start as i64, piece as i64))
            .map_err(Unreserved::Failed)?;
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
