//! The hooks of this process: fork and exit.
//!
//! A forked child inherits the parent's mappings and file descriptors, and with them the seat locks, which the
//! kernel frees only when the last copy of a descriptor is closed. So the child gives its copies up at once: a
//! parent that is killed is then seen to be dead, however long its children live.

use std::cell::UnsafeCell;
use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::sys::{AtomicBool, AtomicU32, Ordering};

/// How many forks lie between this process and the first.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// The descriptors that hold locks.
static LOCK_FDS: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());
static HOOKS: Once = Once::new();
/// Whether the exit hook has begun: from then on no lock is waited for without limit.
static EXITING: AtomicBool = AtomicBool::new(false);
/// How long the exit hook waits for a lock: other threads hold one for the length of a few system calls.
const EXIT_PATIENCE: Duration = Duration::from_millis(50);

/// A stamp of this process: it differs in a forked child.
#[inline]
pub(crate) fn stamp() -> u32 {
    // Relaxed: it changes only in a new process's first thread, before anything else runs there.
    FORKS.load(Ordering::Relaxed)
}

/// A segment's file. One that may hold locks is not shared with forked children.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    // Dropped first, so that the list never has a number that was closed, and may mean another file by then. `None`: not in
    // the list.
    _listed: Option<Listed>,
    file: File,
}

#[derive(Debug)]
struct Listed(RawFd);

impl SegmentFile {
    /// Opens a file. A fork does not come between its opening and its being known here.
    pub(crate) fn open<E>(open: impl FnOnce() -> Result<OwnedFd, E>) -> Result<Self, E> {
        install_hooks();
        let mut fds = lock_fds();
        let file = File::from(open()?);
        fds.push(file.as_raw_fd());
        Ok(SegmentFile { _listed: Some(Listed(file.as_raw_fd())), file })
    }

    /// Opens a file that will hold no locks: forked children may go on using it.
    pub(crate) fn open_shared<E>(open: impl FnOnce() -> Result<OwnedFd, E>) -> Result<Self, E> {
        Ok(SegmentFile { _listed: None, file: File::from(open()?) })
    }
}

impl Deref for SegmentFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // Relaxed: what matters is whether this very thread is in the exit hook.
        let exiting = EXITING.load(Ordering::Relaxed);
        let fds = if exiting { lock_at_exit(&LOCK_FDS) } else { Some(lock_fds()) };
        let Some(mut fds) = fds else { return };
        if let Some(at) = fds.iter().position(|fd| *fd == self.0) {
            fds.swap_remove(at);
        }
    }
}

fn lock_fds() -> MutexGuard<'static, Vec<RawFd>> {
    LOCK_FDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn install_hooks() {
    HOOKS.call_once(|| {
        // SAFETY: the handlers are functions of this library, which is never unloaded while a thread of it
        // runs, and the monitor's thread always does.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child))
        };
        // SAFETY: as above; `at_exit` neither unwinds nor touches thread-local storage.
        unsafe { libc::atexit(at_exit) };
    });
}

// The locks are held across the fork, so that the child finds what they guard consistent. POSIX lets the forking
// thread unlock them in the child. std does not offer an unlock without the guard, so the guard waits here.
static HELD: HeldAcrossFork<MutexGuard<'static, Vec<RawFd>>> = HeldAcrossFork::new();

/// What takes part in the forks and in the exit of this process: the background thread, which this file knows only so.
pub(crate) trait Participant: Sync {
    /// Before a fork, first: ends what must not be under way in the child, and keeps it from beginning again.
    fn pause(&self);
    /// Before a fork, last: locks what the child must find consistent.
    fn lock(&self);
    /// After the fork, in the parent: unlocks all.
    fn resume(&self);
    /// After the fork, in the child: forgets what is the parent's, and unlocks all.
    fn forget(&self);
    /// At the exit of the process. Waits for no lock without limit: see [`lock_at_exit`].
    fn exit(&self);
}

static PARTICIPANT: OnceLock<&'static dyn Participant> = OnceLock::new();

/// Has `participant` take part from now on. There is one; the first stays.
pub(crate) fn register(participant: &'static dyn Participant) {
    install_hooks();
    // Locked, so that no fork is between its handlers.
    let _fds = lock_fds();
    let _ = PARTICIPANT.set(participant);
}

/// A guard that is kept from before a fork until after it.
pub(crate) struct HeldAcrossFork<T>(UnsafeCell<Option<T>>);

// SAFETY: only the fork handlers touch the cell, and between the first handler and the last the forking thread holds
// `LOCK_FDS`, or the lock that is in the cell, so no other thread can use the cell.
unsafe impl<T> Sync for HeldAcrossFork<T> {}

impl<T> HeldAcrossFork<T> {
    pub(crate) const fn new() -> Self {
        HeldAcrossFork(UnsafeCell::new(None))
    }

    /// Keeps the guard.
    ///
    /// # Safety
    /// The caller is a handler before a fork, and holds `LOCK_FDS` or the lock that `guard` guards.
    pub(crate) unsafe fn put(&self, guard: T) {
        // SAFETY: no other thread is in a handler: see the `Sync` of this type.
        unsafe { *self.0.get() = Some(guard) };
    }

    /// Returns the guard, if one was put.
    ///
    /// # Safety
    /// The caller is a handler after a fork.
    pub(crate) unsafe fn take(&self) -> Option<T> {
        // SAFETY: as in `put`: the thread that forked still holds what it held.
        unsafe { (*self.0.get()).take() }
    }
}

extern "C" fn before_fork() {
    // A pause comes before this lock, and the participant's own locks after it. Again, if one registers in between.
    let fds = loop {
        let participant = PARTICIPANT.get();
        participant.inspect(|participant| participant.pause());
        let fds = lock_fds();
        if participant.is_some() || PARTICIPANT.get().is_none() {
            break fds;
        }
    };
    // SAFETY: this is the handler before a fork, and `LOCK_FDS` is held.
    unsafe { HELD.put(fds) };
    PARTICIPANT.get().inspect(|participant| participant.lock());
}

extern "C" fn after_fork_in_parent() {
    PARTICIPANT.get().inspect(|participant| participant.resume());
    // SAFETY: this is a handler after a fork.
    drop(unsafe { HELD.take() });
}

extern "C" fn after_fork_in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    crate::sys::unregister_fences();
    PARTICIPANT.get().inspect(|participant| participant.forget());
    // SAFETY: this is a handler after a fork.
    let Some(mut fds) = (unsafe { HELD.take() }) else { return };
    // SAFETY: open, dup2 and close are async-signal-safe, and the path is a C string.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    for fd in fds.drain(..) {
        // The number stays taken, by a file that means nothing, since the inherited `File` will close it.
        // SAFETY: `fd` is an open descriptor of this library's, and nothing in the child uses it.
        unsafe { libc::dup3(null, fd, libc::O_CLOEXEC) };
    }
    // SAFETY: `null` was opened above; if that failed, closing −1 is a harmless error.
    unsafe { libc::close(null) };
}

extern "C" fn at_exit() {
    EXITING.store(true, Ordering::Relaxed);
    // A panic must not meet the C library's frames, and there is nobody left to tell of it.
    let _ = std::panic::catch_unwind(|| PARTICIPANT.get().inspect(|participant| participant.exit()));
}

/// Takes a lock while the process exits. `None`: it was not free in time. The thread that exits may hold it itself,
/// below a signal handler that called `exit`; what is not said then, the kernel says by freeing the seat's lock.
pub(crate) fn lock_at_exit<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let until = Instant::now() + EXIT_PATIENCE;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return None,
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}
