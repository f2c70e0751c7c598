//! Creation of a segment file before it has its name, and publication under that name.
//!
//! Where the system supports it, the file has no name until it is complete. Otherwise it has a temporary name, which
//! nobody opens. Publication creates the real name as a hard link and removes the temporary one.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, OFlag, fallocate, posix_fallocate};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

use super::failure::{self, Unreserved};
use super::{create_error, lock, refers_to};
use crate::error::Result;
use crate::role::Role;
use crate::segment::name::{SegmentName, TEMPORARY};
use crate::sys::fork::TrackedFile;
use crate::sys::memory_limits;

/// The number of temporary names to try. A name exists already with a probability of 2⁻⁶⁴. A clean-up that runs at
/// the same time can remove it.
const TRIES: usize = 16;

/// A new file without its name. Dropping it leaves nothing behind.
#[derive(Debug)]
#[must_use = "the file is to be published"]
pub(crate) struct Unpublished(LinkMethod);

/// How the file gets its name.
#[derive(Debug)]
enum LinkMethod {
    /// By its entry in /proc/self/fd.
    Proc,
    /// By its descriptor: for root, and from Linux 6.10 on for the process that created the file.
    Descriptor,
    /// By its temporary name.
    Name(Temporary),
}

/// A temporary name. Dropping it removes the name.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // The name may be gone: a clean-up removes it if the file also has its real name.
        let _ = nix::unistd::unlink(&self.0);
    }
}

/// Creates an empty file in the directory of the domain. It has no more than these permissions. For `None` it has
/// those that the umask leaves of 0666.
///
/// # Errors
/// Returns the error of the system.
pub(super) fn make_file(name: &SegmentName, mode: Option<u32>) -> nix::Result<(TrackedFile, Unpublished)> {
    // The other permissions are set after the group.
    let mode = Mode::from_bits_truncate(mode.map_or(0o666, |_| 0o600));
    #[cfg(feature = "crash-points")]
    if crate::sys::crash::is_requested(&["create.temporary", "create.doubled"]) {
        return make_temporary(name, mode);
    }
    let directory = name.domain().directory();
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    match TrackedFile::open(|| nix::fcntl::open(directory, flags, mode)) {
        Ok(file) => {
            let mut methods = [LinkMethod::Proc, LinkMethod::Descriptor].into_iter();
            if let Some(method) = methods.find(|method| method.is_supported(&file, directory)) {
                return Ok((file, Unpublished(method)));
            }
        }
        // The file system, the kernel or a sandbox does not support such files. Some sandboxes allow only certain
        // file names.
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

/// Creates a file with a temporary name and locks the seat of the master in it, so that a clean-up does not remove
/// it.
fn make_temporary(name: &SegmentName, mode: Mode) -> nix::Result<(TrackedFile, Unpublished)> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    for _ in 0..TRIES {
        let pid = std::process::id();
        let random = RandomState::new().hash_one(pid);
        let file_name = format!("{}{TEMPORARY}-{pid}-{random:016x}", name.domain().prefix());
        let path = name.domain().directory().join(file_name);
        let file = match TrackedFile::open(|| nix::fcntl::open(&path, flags, mode)) {
            Ok(file) => file,
            Err(nix::Error::EEXIST) => continue,
            Err(error) => return Err(error),
        };
        let temporary = Temporary(path);
        crash_point!("create.temporary");
        // Until now the file looked like one that a dead process has left behind.
        if lock(&file, Role::Master)? && refers_to(&temporary.0, &file) {
            return Ok((file, Unpublished(LinkMethod::Name(temporary))));
        }
    }
    Err(nix::Error::EEXIST)
}

impl LinkMethod {
    /// Returns whether the system supports this way. Uses the directory as the new name, so that the expected error
    /// is EEXIST.
    fn is_supported(&self, file: &File, directory: &Path) -> bool {
        self.link(file, directory) == Err(nix::Error::EEXIST)
    }

    fn link(&self, file: &File, path: &Path) -> nix::Result<()> {
        match self {
            LinkMethod::Proc => {
                let entry = format!("/proc/self/fd/{}", file.as_raw_fd());
                linkat(AT_FDCWD, entry.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
            }
            LinkMethod::Descriptor => linkat(file, "", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH),
            LinkMethod::Name(Temporary(temporary)) => {
                linkat(AT_FDCWD, temporary, AT_FDCWD, path, AtFlags::empty())
            }
        }
    }
}

impl Unpublished {
    /// Gives the file its name. Returns `Ok(false)` if the name exists already.
    ///
    /// # Errors
    /// Returns [`Error::Create`](crate::Error::Create) if the system refuses.
    pub(super) fn publish(self, file: &File, name: &SegmentName) -> Result<bool> {
        let linked = self.0.link(file, name.path());
        if matches!(self.0, LinkMethod::Name(_)) {
            crash_point!("create.doubled");
        }
        match (linked, &self.0) {
            (Ok(()), _) => Ok(true),
            (Err(nix::Error::EEXIST), _) => Ok(false),
            (Err(nix::Error::EPERM | nix::Error::EOPNOTSUPP), LinkMethod::Name(_)) => {
                Err(failure::without_links(name))
            }
            (Err(error), _) => Err(create_error(name, "giving it its name", error)),
        }
    }
}

/// The size of one reservation, which takes about 10 ms.
const PIECE: usize = 16 << 20;

/// Reserves the memory now, so that no access fails later for lack of memory.
///
/// tmpfs undoes a reservation that a signal interrupts. With the timer of a profiler it would restart for ever.
/// Therefore the file is reserved in pieces, with signals blocked during each.
///
/// Where the file system cannot reserve, the C library writes into each block instead. In a segment that others use, such a
/// write could undo theirs, so it is an error unless the file `is_new`.
///
/// # Errors
/// Returns an error also if memory is too scarce. The kernel would kill the process.
pub(super) fn reserve(name: &SegmentName, file: &File, len: usize, is_new: bool) -> Result<(), Unreserved> {
    let there = file.metadata().map_or(0, |meta| meta.blocks().saturating_mul(512));
    memory_limits::check_memory(name.domain().directory(), (len as u64).saturating_sub(there))
        .map_err(Unreserved::Short)?;
    for start in (0..len).step_by(PIECE) {
        let piece = PIECE.min(len - start);
        let (start, piece) = (start as i64, piece as i64);
        with_signals_blocked(|| match is_new {
            true => posix_fallocate(file, start, piece),
            false => fallocate(file, FallocateFlags::empty(), start, piece),
        })
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
