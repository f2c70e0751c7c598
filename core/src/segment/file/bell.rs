//! The event descriptor of an endpoint: a FIFO beside the file of its segment (protocol/events.md).

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid};

use super::{MappedSegment, id};
use crate::error::Result;
use crate::role::Role;
use crate::segment::layout::EVENT_BYTE;
use crate::segment::name::SegmentName;
use crate::segment::view::Memory;
use crate::sys::Ordering;
use crate::sys::fork::{self, FileId, TrackedFile};
use crate::wait::RingDescriptor;

/// How each end opens the FIFO. A write to a pipe that has no reader would raise SIGPIPE.
const FLAGS: OFlag = OFlag::O_RDWR.union(OFlag::O_NONBLOCK).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// The size of the pipe in bytes: one page, which one read empties.
const PIPE_SIZE: usize = 4096;

/// The event descriptor of this endpoint.
///
/// The program knows the number, and may close it. The number can then be that of another file, which must neither be
/// read nor written nor closed here. So each use first asks the system which file it is.
#[derive(Debug)]
pub(crate) struct EventDescriptor {
    /// `None` only while it is dropped.
    file: Option<TrackedFile>,
    id: FileId,
    /// The process that made it: see [`fork::stamp`].
    stamp: u32,
    /// The path of the FIFO. `None`: the descriptor is a pipe without a name, which only this process can ring.
    path: Option<PathBuf>,
    /// The end for writing of a pipe without a name.
    writer: Option<File>,
}

impl EventDescriptor {
    /// Creates the descriptor of the endpoint in the seat `role`, which has the permissions of the file of the segment.
    /// Returns a pipe without a name where no FIFO can be made.
    ///
    /// # Errors
    /// Returns the error of the system if the process can have no descriptor more.
    pub(super) fn create(name: &SegmentName, role: Role, segment: &Metadata) -> nix::Result<EventDescriptor> {
        let path = name.bell_path(role);
        if let Ok(file) = make_fifo(&path, segment) {
            return EventDescriptor::new(file, Some(path), None);
        }
        let mut writer = None;
        let file = TrackedFile::open(|| {
            let (reader, other) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
            writer = Some(File::from(other));
            Ok::<_, nix::Error>(reader)
        })?;
        reduce(&file);
        EventDescriptor::new(file, None, writer)
    }

    fn new(file: TrackedFile, path: Option<PathBuf>, writer: Option<File>) -> nix::Result<EventDescriptor> {
        let id = fork::file_id(file.as_fd()).ok_or(nix::Error::EBADF)?;
        Ok(EventDescriptor { file: Some(file), id, stamp: fork::stamp(), path, writer })
    }

    /// Returns whether the peer can ring it.
    pub(crate) fn has_fifo(&self) -> bool {
        self.path.is_some()
    }

    /// Returns the file, unless the program has closed the descriptor.
    fn file(&self) -> Option<&File> {
        let file = self.file.as_deref()?;
        (fork::file_id(file.as_fd()) == Some(self.id)).then_some(file)
    }

    /// Returns whether the descriptor is still that of this endpoint. It is not after the program has closed it.
    pub(crate) fn is_open(&self) -> bool {
        self.file().is_some()
    }

    /// Checks that the descriptor is still that of this endpoint.
    ///
    /// # Errors
    /// Returns [`Error::Attach`](crate::Error::Attach) if the program has closed it.
    pub(crate) fn check(&self, name: &SegmentName) -> Result<()> {
        if self.is_open() {
            return Ok(());
        }
        Err(super::attach_error(name, "using its event descriptor", nix::Error::EBADF))
    }

    /// Makes the descriptor readable.
    pub(crate) fn ring(&self) {
        // Checked for a pipe without a name, too: its reader is the descriptor, and a write without a reader is a SIGPIPE.
        if let Some(file) = self.file() {
            ring(self.writer.as_ref().unwrap_or(file));
        }
    }

    /// Makes the descriptor unreadable, until the next ring.
    pub(crate) fn drain(&self) {
        if let Some(mut file) = self.file() {
            // A pipe that could not be made smaller, or that the peer fills again, stays readable.
            let _ = file.read(&mut [0; PIPE_SIZE]);
        }
    }

    /// Removes the name of the FIFO, if it still leads to this one. The descriptor stays usable.
    pub(crate) fn unname(&self) {
        let Some(path) = self.path.as_ref().filter(|_| self.stamp == fork::stamp()) else { return };
        if path.symlink_metadata().is_ok_and(|meta| id(&meta) == self.id) {
            let _ = nix::unistd::unlink(path);
        }
    }
}

impl AsFd for EventDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_ref().expect("it is being used").as_fd()
    }
}

impl Drop for EventDescriptor {
    fn drop(&mut self) {
        self.unname();
        if !self.is_open()
            && let Some(file) = self.file.take()
        {
            file.abandon();
        }
    }
}

fn ring(mut file: &File) {
    // Fails if the pipe is full, which is readable already.
    let _ = file.write(&[EVENT_BYTE]);
}

/// Makes a pipe smaller. Fails where the limit on pipes is reached: such a pipe has the least size already.
fn reduce(file: &File) {
    let _ = fcntl(file, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE as i32));
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

/// Checks that it is a FIFO of this process, and gives it the owner, the group and the permissions of the segment, as
/// far as this process may. A peer that cannot open it is one that does not ring.
fn share(file: &File, segment: &Metadata) -> nix::Result<()> {
    let meta = file.metadata().map_err(|error| super::errno(&error))?;
    let me = nix::unistd::geteuid();
    if !meta.file_type().is_fifo() || meta.uid() != me.as_raw() {
        return Err(nix::Error::EEXIST);
    }
    // Only root may give it away. Its mode may exclude the owner of the segment otherwise.
    let owner = (me.is_root() && meta.uid() != segment.uid()).then(|| Uid::from_raw(segment.uid()));
    let group = (meta.gid() != segment.gid()).then(|| Gid::from_raw(segment.gid()));
    if owner.is_some() || group.is_some() {
        let _ = nix::unistd::fchown(file, owner, group);
    }
    let mode = segment.mode() & 0o666;
    if meta.mode() & 0o7777 != mode {
        let _ = nix::sys::stat::fchmod(file, Mode::from_bits_truncate(mode));
    }
    reduce(file);
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

    /// Removes the FIFO of a peer that is dead. The caller holds the seat of the peer. `has_name`: the name of the segment
    /// still leads to this one. Otherwise the FIFO may be that of a successor, which has another segment.
    pub(crate) fn remove(&self, has_name: bool) {
        // This process would count as one that uses it.
        *self.lock() = None;
        if has_name && is_fifo(&self.path) {
            let _ = nix::unistd::unlink(&self.path);
        } else {
            remove_bell(&self.path);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u32, File)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings because this endpoint has closed, whatever the peer is armed for. Does nothing while another thread rings: this
    /// may be the exit of a process in a handler that has interrupted that thread.
    pub(crate) fn ring_at_close(&self) {
        if let Ok(mut open) = self.open.try_lock() {
            self.ring_opened(&mut open, self.generation());
        }
    }

    fn ring_opened(&self, open: &mut Option<(u32, File)>, generation: u32) {
        if open.as_ref().is_none_or(|(opened, _)| *opened != generation) {
            *open = open_fifo(&self.path).ok().map(|file| (generation, file));
        }
        if let Some((_, file)) = open {
            ring(file);
        }
    }
}

impl RingDescriptor for PeerDescriptor {
    fn generation(&self) -> u32 {
        // Acquire: pairs with the Release in `Seat::occupy`, before which the successor has cleared what its predecessor
        // had asked for.
        self.segment.header().seat(self.peer).generation.load(Ordering::Acquire)
    }

    fn ring(&self, generation: u32) {
        self.ring_opened(&mut self.lock(), generation);
    }
}

/// Opens the FIFO of the peer. Its owner does not matter: a write of one byte to a FIFO that does not block does no harm.
/// A file of another kind is not opened. That could have effects, such as the loss of the locks that this process has.
fn open_fifo(path: &Path) -> nix::Result<File> {
    if !is_fifo(path) {
        return Err(nix::Error::EINVAL);
    }
    let file = File::from(nix::fcntl::open(path, FLAGS | OFlag::O_NOCTTY, Mode::empty())?);
    // The name may lead to another file by now.
    match file.metadata() {
        Ok(meta) if meta.file_type().is_fifo() => Ok(file),
        _ => Err(nix::Error::EINVAL),
    }
}

fn is_fifo(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_fifo())
}

/// Removes an event FIFO that no process has open.
pub(crate) fn remove_bell(path: &Path) {
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    // The system refuses to open a FIFO for writing that no process has open for reading, as its endpoint has.
    if is_fifo(path) && nix::fcntl::open(path, flags, Mode::empty()).err() == Some(nix::Error::ENXIO) {
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
