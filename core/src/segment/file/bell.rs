//! The event descriptor of an endpoint: a FIFO beside the file of its segment (protocol/events.md).

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::Mode;
use nix::unistd::Gid;

use super::{MappedSegment, refers_to};
use crate::error::Result;
use crate::role::Role;
use crate::segment::name::SegmentName;
use crate::segment::view::Memory;
use crate::sys::Ordering;
use crate::sys::fork::TrackedFile;
use crate::wait::RingDescriptor;

/// How each end opens the FIFO. A write to a pipe that has no reader would raise SIGPIPE.
const FLAGS: OFlag = OFlag::O_RDWR.union(OFlag::O_NONBLOCK).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// The size of the pipe in bytes: one page, which one read empties.
const PIPE_SIZE: usize = 4096;

/// The event descriptor of this endpoint.
#[derive(Debug)]
pub(crate) struct EventDescriptor {
    file: TrackedFile,
    /// The path of the FIFO. `None`: the descriptor is an eventfd, which only this process can ring.
    path: Option<PathBuf>,
}

impl EventDescriptor {
    /// Creates the descriptor of the endpoint in the seat `role`, which has the permissions of the file of the segment.
    /// Returns an eventfd where no FIFO can be made.
    ///
    /// # Errors
    /// Returns the error of the system if the process can have no descriptor more.
    pub(super) fn create(name: &SegmentName, role: Role, segment: &Metadata) -> nix::Result<EventDescriptor> {
        let path = name.bell_path(role);
        if let Ok(file) = make_fifo(&path, segment) {
            return Ok(EventDescriptor { file, path: Some(path) });
        }
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let file = TrackedFile::open(|| EventFd::from_value_and_flags(0, flags).map(Into::into))?;
        Ok(EventDescriptor { file, path: None })
    }

    /// Returns whether the peer can ring it.
    pub(crate) fn has_fifo(&self) -> bool {
        self.path.is_some()
    }

    /// Makes the descriptor readable.
    pub(crate) fn ring(&self) {
        ring(&self.file, self.has_fifo());
    }

    /// Makes the descriptor unreadable, until the next ring.
    pub(crate) fn drain(&self) {
        // A pipe that could not be made smaller, or that the peer fills again, stays readable.
        let _ = (&*self.file).read(&mut [0; PIPE_SIZE]);
    }

    /// Removes the name of the FIFO, if it still leads to this one. The descriptor stays usable.
    pub(crate) fn unname(&self) {
        if let Some(path) = self.path.as_ref().filter(|path| refers_to(path, &self.file)) {
            let _ = nix::unistd::unlink(path);
        }
    }
}

impl AsFd for EventDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for EventDescriptor {
    fn drop(&mut self) {
        self.unname();
    }
}

fn ring(mut file: &File, is_fifo: bool) {
    let one = 1_u64.to_ne_bytes();
    // Fails if the pipe is full, which is readable already.
    let _ = if is_fifo { file.write(&one[..1]) } else { file.write(&one) };
}

/// Makes the FIFO in place of what a killed process has left.
fn make_fifo(path: &Path, segment: &Metadata) -> nix::Result<TrackedFile> {
    let _ = nix::unistd::unlink(path);
    nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    crash_point!("bell.made");
    let opened = TrackedFile::open(|| nix::fcntl::open(path, FLAGS, Mode::empty()));
    let file = opened.and_then(|file| share(&file, segment).map(|()| file)).inspect_err(|_| {
        let _ = nix::unistd::unlink(path);
    })?;
    crash_point!("bell.shared");
    Ok(file)
}

/// Checks that it is a FIFO of this process, and gives it the permissions of the segment.
fn share(file: &File, segment: &Metadata) -> nix::Result<()> {
    let meta = file.metadata().map_err(|error| super::errno(&error))?;
    if !meta.file_type().is_fifo() || meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(nix::Error::EEXIST);
    }
    if meta.gid() != segment.gid() {
        // Without it, the members of the group find nothing to ring.
        let _ = nix::unistd::fchown(file, None, Some(Gid::from_raw(segment.gid())));
    }
    nix::sys::stat::fchmod(file, Mode::from_bits_truncate(segment.mode() & 0o666))?;
    // Fails where the limit on pipes is reached: such a pipe has the least size already.
    let _ = fcntl(file, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE as i32));
    Ok(())
}

/// The event descriptor of the peer, opened when it is rung for the first time.
#[derive(Debug)]
pub(crate) struct PeerDescriptor {
    path: PathBuf,
    segment: Arc<MappedSegment>,
    peer: Role,
    /// The open FIFO, and the generation of the peer that it belongs to.
    open: Mutex<Option<(u32, File)>>,
}

impl PeerDescriptor {
    pub(crate) fn new(name: &SegmentName, segment: &Arc<MappedSegment>, peer: Role) -> Self {
        PeerDescriptor {
            path: name.bell_path(peer),
            segment: Arc::clone(segment),
            peer,
            open: Mutex::new(None),
        }
    }

    /// Removes the FIFO of a peer that is dead. The caller holds the seat of the peer.
    pub(crate) fn remove(&self) {
        remove_bell(&self.path);
    }

    /// Rings because this endpoint has closed, whatever the peer is armed for. Does nothing while another thread rings: this
    /// may be the exit of a process in a handler that has interrupted that thread.
    pub(crate) fn ring_at_close(&self) {
        if let Ok(mut open) = self.open.try_lock() {
            self.ring_opened(&mut open);
        }
    }

    fn ring_opened(&self, open: &mut Option<(u32, File)>) {
        // Relaxed: the peer stores it before it asks for a ring, and the caller has seen that it asks.
        let generation = self.segment.header().seat(self.peer).generation.load(Ordering::Relaxed);
        if open.as_ref().is_none_or(|(opened, _)| *opened != generation) {
            *open = open_fifo(&self.path).ok().map(|file| (generation, file));
        }
        if let Some((_, file)) = open {
            ring(file, true);
        }
    }
}

impl RingDescriptor for PeerDescriptor {
    fn ring(&self) {
        self.ring_opened(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Opens the FIFO of the peer. Its owner does not matter: a write of one byte to a FIFO that does not block does no harm.
fn open_fifo(path: &Path) -> nix::Result<File> {
    let file = File::from(nix::fcntl::open(path, FLAGS | OFlag::O_NOCTTY, Mode::empty())?);
    match file.metadata() {
        Ok(meta) if meta.file_type().is_fifo() => Ok(file),
        _ => Err(nix::Error::EINVAL),
    }
}

/// Removes an event FIFO that nobody uses any more.
pub(crate) fn remove_bell(path: &Path) {
    if path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_fifo()) {
        let _ = nix::unistd::unlink(path);
    }
}

impl MappedSegment {
    /// Makes the event descriptor of the endpoint in the seat `role`.
    ///
    /// # Errors
    /// Returns [`Error::Attach`](crate::Error::Attach) if the process can have no descriptor more.
    pub(crate) fn event_descriptor(&self, name: &SegmentName, role: Role) -> Result<EventDescriptor> {
        let segment = self.file.metadata().map_err(|error| super::errno(&error));
        segment
            .and_then(|segment| EventDescriptor::create(name, role, &segment))
            .map_err(|error| super::attach_error(name, "making its event descriptor", error))
    }
}
