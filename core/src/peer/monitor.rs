//! One background thread per process. It keeps the heartbeats of all endpoints and watches their peers.

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use libc::pthread_t;

use crate::peer::notice::Notices;
use crate::segment::file::Directories;
use crate::sys::fork::{self, GuardAcrossFork};
use crate::sys::schedule::{MonitorSettings, spawn};

static MONITOR: Mutex<Monitor> =
    Mutex::new(Monitor { links: Vec::new(), arrivals: 0, thread: None, settings: MonitorSettings::DEFAULT });
static ARRIVAL: Condvar = Condvar::new();
/// The thread holds this lock while it processes the links, so that no fork happens during that time. A child would
/// inherit the locks of the links, and no thread would release them.
static ROUND: Mutex<()> = Mutex::new(());

/// An object that the thread processes: the link of an endpoint.
pub(crate) trait Watched: Send + Sync {
    /// Keeps the heartbeat and checks the peer. Returns the time of the next call, or `None` for no further call.
    fn keep(&self, now: Instant, round: &mut Round) -> Option<Instant>;
    /// Updates the count of reads in the segment.
    fn publish_reads(&self);
    /// Closes the endpoint without waiting for a lock without a limit.
    fn close_at_exit(&self);
}

/// What the links have in common while the thread processes them all, once.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// The events to emit after the round.
    pub(crate) notices: Notices,
    /// The directories of the segments.
    pub(crate) directories: Directories,
}

struct Monitor {
    links: Vec<Weak<dyn Watched>>,
    /// The total number of links added so far. It shows the thread that a link was added during its round.
    arrivals: u64,
    /// The running thread. It never ends in the process that started it.
    thread: Option<pthread_t>,
    settings: MonitorSettings,
}

impl Monitor {
    /// Starts the thread, unless it is running.
    fn start(&mut self) -> io::Result<pthread_t> {
        if let Some(thread) = self.thread {
            return Ok(thread);
        }
        let thread = spawn("eshm-monitor", run)?.as_pthread_t();
        self.thread = Some(thread);
        // Applied by this thread, because the new one may never run on its present processor. A sandbox, or the
        // reduced privileges of a forked child, may forbid it. An ordinary thread is then better than none.
        let _ = self.settings.apply(thread);
        Ok(thread)
    }

    fn add(&mut self, link: Weak<dyn Watched>) {
        self.links.push(link);
        self.arrivals += 1;
    }
}

fn monitor() -> MutexGuard<'static, Monitor> {
    MONITOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a link to the thread, until the link is closed or dropped.
///
/// # Errors
/// Returns an error if the thread is not running and cannot be started.
pub(crate) fn watch(link: Weak<dyn Watched>) -> io::Result<()> {
    fork::register(&AtForkAndExit);
    let mut monitor = monitor();
    monitor.start()?;
    monitor.add(link);
    // The thread needs the lock as soon as it wakes up.
    drop(monitor);
    ARRIVAL.notify_one();
    Ok(())
}

/// Sets the scheduling of the background thread of this process, which keeps the heartbeats of all its endpoints. It
/// can be called at any time, from any thread, and starts the thread if necessary. The settings hold until the next
/// call, also in forked children as far as the system allows.
///
/// A process with a real-time thread that never sleeps needs this in two cases. If such threads leave no processor
/// free, the background thread needs a higher priority than theirs. If the processors of other programs must stay
/// undisturbed, the background thread needs `cpus`.
///
/// ```
/// use eshm::{MonitorPolicy, MonitorSettings};
/// eshm::configure_monitor(MonitorSettings { policy: MonitorPolicy::Normal, cpus: vec![0] })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Returns [`io::ErrorKind::InvalidInput`] if a priority or a processor is out of range, or if this process can use
/// none of the processors. Returns [`io::ErrorKind::PermissionDenied`] if this process must not use the policy. The
/// previous settings then stay in force.
pub fn configure_monitor(settings: MonitorSettings) -> io::Result<()> {
    settings.check()?;
    fork::register(&AtForkAndExit);
    let mut monitor = monitor();
    let thread = monitor.start()?;
    settings.apply(thread).inspect_err(|_| {
        let _ = monitor.settings.apply(thread);
    })?;
    monitor.settings = settings;
    Ok(())
}

/// Registers a link that keeps its heartbeat itself, so that it is also closed at the exit of the process.
pub(crate) fn close_at_exit(link: Weak<dyn Watched>) {
    fork::register(&AtForkAndExit);
    monitor().add(link);
    ARRIVAL.notify_one();
}

/// Has the thread process all links at once, because one of them needs a shorter interval.
pub(crate) fn hurry() {
    monitor().arrivals += 1;
    ARRIVAL.notify_one();
}

/// Removes a closed link from the thread.
pub(crate) fn forget(link: &dyn Watched) {
    monitor().links.retain(|one| !std::ptr::addr_eq(one.as_ptr(), link));
}

/// Updates the counts of reads of all endpoints of this process.
pub(crate) fn publish_reads() {
    // The links are processed one by one, without the lock and without a list in memory, because statistics are
    // requested often.
    let mut next = 0;
    loop {
        let Some(link) = monitor().links.get(next).cloned() else { break };
        next += 1;
        if let Some(link) = link.upgrade() {
            link.publish_reads();
        }
    }
}

/// The part of the monitor in the forks and the exit of this process.
struct AtForkAndExit;

static PAUSED: GuardAcrossFork<MutexGuard<'static, ()>> = GuardAcrossFork::new();
static LOCKED: GuardAcrossFork<MutexGuard<'static, Monitor>> = GuardAcrossFork::new();

impl fork::Participant for AtForkAndExit {
    /// Waits for the end of the present round and prevents the next one. `ROUND` comes before all other locks.
    fn pause(&self) {
        // SAFETY: the handler before a fork calls this, and `ROUND` is held. The forking thread takes `LOCK_FDS`
        // after it.
        unsafe { PAUSED.put(round()) };
    }

    fn lock(&self) {
        // SAFETY: the handler before a fork calls this, and `MONITOR` is held.
        unsafe { LOCKED.put(monitor()) };
    }

    fn resume(&self) {
        // SAFETY: a handler after a fork calls this.
        drop(unsafe { LOCKED.take() });
        // SAFETY: as above.
        drop(unsafe { PAUSED.take() });
    }

    /// Clears the state. The thread does not exist in the child, and the links belong to the parent.
    fn forget(&self) {
        // SAFETY: a handler after a fork calls this.
        let _paused = unsafe { PAUSED.take() };
        // SAFETY: as above.
        let Some(mut monitor) = (unsafe { LOCKED.take() }) else { return };
        monitor.thread = None;
        // Leaked, not dropped: other threads of the parent may have held the locks of the allocator.
        std::mem::forget(std::mem::take(&mut monitor.links));
    }

    /// Closes every open endpoint of this process.
    fn exit(&self) {
        let Some(monitor) = fork::lock_at_exit(&MONITOR) else { return };
        for link in monitor.links.iter().filter_map(Weak::upgrade) {
            link.close_at_exit();
            // Dropping the last reference would take other locks.
            std::mem::forget(link);
        }
    }
}

fn round() -> MutexGuard<'static, ()> {
    ROUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `keep`. A panic over one link must not end the heartbeats of the others. It ends the heartbeat of this link,
/// so that its peer detects the failure.
fn keep(link: &dyn Watched, now: Instant, round: &mut Round) -> Option<Instant> {
    let kept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| link.keep(now, round)));
    kept.unwrap_or_else(|_| {
        forget(link);
        None
    })
}

/// Emits the events of a round, with no lock held. A subscriber that panics ends no heartbeats.
fn emit(notices: Notices) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| notices.emit()));
}

fn run() {
    let stamp = fork::stamp();
    let mut links: Vec<Arc<dyn Watched>> = Vec::new();
    let mut common = Round::default();
    loop {
        let now = Instant::now();
        // The list is not locked while links are processed, because that opens files and takes the locks of the
        // links.
        let arrivals = {
            let monitor = monitor();
            links.extend(monitor.links.iter().filter_map(Weak::upgrade));
            monitor.arrivals
        };
        common.directories.begin_round();
        let next = {
            let _round = round();
            links.drain(..).filter_map(|link| keep(&*link, now, &mut common)).min()
        };
        if !common.notices.is_empty() {
            emit(std::mem::take(&mut common.notices));
            if fork::stamp() != stamp {
                // A subscriber forked. In the child this thread has no links to process.
                return;
            }
        }
        let monitor = monitor();
        if monitor.arrivals != arrivals {
            continue;
        }
        match next {
            Some(next) => drop(ARRIVAL.wait_timeout(monitor, next.saturating_duration_since(Instant::now()))),
            None => drop(ARRIVAL.wait(monitor)),
        }
    }
}
