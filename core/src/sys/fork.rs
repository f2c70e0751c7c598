//! The hooks of this process for fork and exit.
//!
//! A forked child inherits the mappings and file descriptors of the parent, and with them the seat locks. The kernel
//! releases a lock only when the last copy of its descriptor is closed. The child therefore closes its copies at
//! once. The death of the parent is then visible, no matter how long its children live.

use std::cell::UnsafeCell;
use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::sys::{AtomicBool, AtomicU32, Ordering};

/// The number of forks between this process and the first process.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// The descriptors that hold locks, and those that only this process may use.
static LOCK_FDS: Mutex<Vec<Tracked>> = Mutex::new(Vec::new());
static HOOKS: Once = Once::new();
/// Set when the exit hook starts. From then on no lock is waited for without a limit.
static EXITING: AtomicBool = AtomicBool::new(false);
/// How long the exit hook waits for a lock. Other threads hold one for the duration of a few system calls.
const EXIT_LOCK_TIMEOUT: Duration = Duration::from_millis(50);

/// Returns a stamp of this process. A forked child has a different one.
#[inline]
pub(crate) fn stamp() -> u32 {
    // Relaxed: the value changes only in the first thread of a new process, before any other code runs there.
    FORKS.load(Ordering::Relaxed)
}

/// The file of a segment. Forked children do not share a file that can hold locks.
#[derive(Debug)]
pub(crate) struct TrackedFile {
    // Dropped before `file`, so that the list never contains the number of a closed descriptor, which may refer to
    // another file by then. `None`: the file is not in the list.
    _registration: Option<Registration>,
    file: File,
}

/// Removes the descriptor from the list.
#[derive(Debug)]
struct Registration(Tracked);

/// A descriptor in the list. The program may have closed an event descriptor, so that the number is that of another file,
/// which may be in the list, too.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tracked {
    fd: RawFd,
    /// `None`: the system does not tell.
    file: Option<FileId>,
}

/// The device and the number of a file.
pub(crate) type FileId = (u64, u64);

/// Returns the identity of the file that a descriptor leads to, or `None` if it leads to none.
pub(crate) fn file_id(fd: BorrowedFd<'_>) -> Option<FileId> {
    nix::sys::stat::fstat(fd).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

impl TrackedFile {
    /// Opens a file. No fork happens between the open and the registration of the descriptor.
    pub(crate) fn open<E>(open: impl FnOnce() -> Result<OwnedFd, E>) -> Result<Self, E> {
        install_hooks();
        let mut fds = lock_fds();
        let file = File::from(open()?);
        let tracked = Tracked { fd: file.as_raw_fd(), file: file_id(file.as_fd()) };
        fds.push(tracked);
        Ok(TrackedFile { _registration: Some(Registration(tracked)), file })
    }

    /// Opens a file that never holds locks. Forked children can continue to use it.
    pub(crate) fn open_shared<E>(open: impl FnOnce() -> Result<OwnedFd, E>) -> Result<Self, E> {
        Ok(TrackedFile { _registration: None, file: File::from(open()?) })
    }

    /// Leaves the descriptor as it is: the program has closed it, and its number may be that of another file.
    pub(crate) fn abandon(self) {
        let TrackedFile { _registration, file } = self;
        let _ = file.into_raw_fd();
    }
}

impl Deref for TrackedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Relaxed: the flag only matters to the thread that runs the exit hook, which has set it.
        let exiting = EXITING.load(Ordering::Relaxed);
        let fds = if exiting { lock_at_exit(&LOCK_FDS) } else { Some(lock_fds()) };
        let Some(mut fds) = fds else { return };
        if let Some(at) = fds.iter().position(|one| *one == self.0) {
            fds.swap_remove(at);
        }
    }
}

fn lock_fds() -> MutexGuard<'static, Vec<Tracked>> {
    LOCK_FDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn install_hooks() {
    HOOKS.call_once(|| {
        // SAFETY: the handlers are functions of this library. The library is never unloaded while one of its threads
        // runs, and the monitor thread always runs.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child))
        };
        // SAFETY: as above. `at_exit` neither unwinds nor uses thread-local storage.
        unsafe { libc::atexit(at_exit) };
    });
}

// The locks are held across the fork, so that the data they guard is consistent in the child. POSIX allows the
// forking thread to unlock them in the child. std offers no unlock without the guard, so this cell keeps the guard.
static LOCK_FDS_GUARD: GuardAcrossFork<MutexGuard<'static, Vec<Tracked>>> = GuardAcrossFork::new();

/// Takes part in the forks and the exit of this process. The background thread implements it.
pub(crate) trait Participant: Sync {
    /// Runs first before a fork. Ends work that must not be in progress in the child, and prevents new work.
    fn pause(&self);
    /// Runs last before a fork. Locks the data that must be consistent in the child.
    fn lock(&self);
    /// Runs after the fork in the parent. Unlocks everything.
    fn resume(&self);
    /// Runs after the fork in the child. Discards the state of the parent and unlocks everything.
    fn forget(&self);
    /// Runs at the exit of the process. Waits for no lock without a limit: see [`lock_at_exit`].
    fn exit(&self);
}

static PARTICIPANT: OnceLock<&'static dyn Participant> = OnceLock::new();

/// Registers `participant`. There is only one; later calls have no effect.
pub(crate) fn register(participant: &'static dyn Participant) {
    install_hooks();
    // The lock excludes a fork that is between its handlers.
    let _fds = lock_fds();
    let _ = PARTICIPANT.set(participant);
}

/// Keeps a guard from before a fork until after it.
pub(crate) struct GuardAcrossFork<T>(UnsafeCell<Option<T>>);

// SAFETY: only the fork handlers access the cell. Between the first handler and the last, the forking thread holds
// `LOCK_FDS`, or the lock whose guard is in the cell. So no other thread can access the cell.
unsafe impl<T> Sync for GuardAcrossFork<T> {}

impl<T> GuardAcrossFork<T> {
    pub(crate) const fn new() -> Self {
        GuardAcrossFork(UnsafeCell::new(None))
    }

    /// Stores the guard.
    ///
    /// # Safety
    /// The caller is a handler that runs before a fork, and holds `LOCK_FDS` or the lock of `guard`.
    pub(crate) unsafe fn put(&self, guard: T) {
        // SAFETY: no other thread is in a handler, as the `Sync` implementation of this type explains.
        unsafe { *self.0.get() = Some(guard) };
    }

    /// Returns the guard, if one is stored.
    ///
    /// # Safety
    /// The caller is a handler that runs after a fork.
    pub(crate) unsafe fn take(&self) -> Option<T> {
        // SAFETY: as in `put`: the thread that forked still holds the same locks.
        unsafe { (*self.0.get()).take() }
    }
}

extern "C" fn before_fork() {
    // `pause` comes before this lock, and `lock` after it. The loop repeats if a participant registers in between.
    let fds = loop {
        let participant = PARTICIPANT.get();
        participant.inspect(|participant| participant.pause());
        let fds = lock_fds();
        if participant.is_some() || PARTICIPANT.get().is_none() {
            break fds;
        }
    };
    // SAFETY: this is the handler before a fork, and `LOCK_FDS` is held.
    unsafe { LOCK_FDS_GUARD.put(fds) };
    PARTICIPANT.get().inspect(|participant| participant.lock());
}

extern "C" fn after_fork_in_parent() {
    PARTICIPANT.get().inspect(|participant| participant.resume());
    // SAFETY: this is a handler that runs after a fork.
    drop(unsafe { LOCK_FDS_GUARD.take() });
}

extern "C" fn after_fork_in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    crate::sys::unregister_fences();
    PARTICIPANT.get().inspect(|participant| participant.forget());
    // SAFETY: this is a handler that runs after a fork.
    let Some(mut fds) = (unsafe { LOCK_FDS_GUARD.take() }) else { return };
    // SAFETY: open, dup3 and close are async-signal-safe, and the path is a C string.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    for Tracked { fd, file } in fds.drain(..) {
        // SAFETY: −1 is in no list, and the number is only asked about. fstat is async-signal-safe.
        if file.is_some() && file_id(unsafe { BorrowedFd::borrow_raw(fd) }) != file {
            continue;
        }
        // The descriptor number stays in use, for an unrelated file, because the inherited `File` closes it later.
        // SAFETY: `fd` is an open descriptor of this library, and nothing in the child uses it.
        unsafe { libc::dup3(null, fd, libc::O_CLOEXEC) };
    }
    // SAFETY: `null` was opened above. If that failed, closing −1 is a harmless error.
    unsafe { libc::close(null) };
}

extern "C" fn at_exit() {
    EXITING.store(true, Ordering::Relaxed);
    // A panic must not unwind into the C library, and there is nobody to report it to.
    let _ = std::panic::catch_unwind(|| PARTICIPANT.get().inspect(|participant| participant.exit()));
}

/// Takes a lock while the process exits. Returns `None` if the lock was not free in time. The exiting thread may hold the
/// lock itself, if a signal handler that interrupted it called `exit`. The peer then learns of the exit when the kernel
/// releases the seat lock.
pub(crate) fn lock_at_exit<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let until = Instant::now() + EXIT_LOCK_TIMEOUT;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return None,
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}
