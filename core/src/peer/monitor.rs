//! One background thread per process: it keeps the heartbeats of all its endpoints and watches their peers.

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use libc::pthread_t;
use nix::sys::signal::{SigSet, SigmaskHow};

use crate::peer::notice::Notices;
use crate::sys::fork::{self, HeldAcrossFork};
use crate::sys::schedule::MonitorSettings;

static MONITOR: Mutex<Monitor> =
    Mutex::new(Monitor { links: Vec::new(), arrivals: 0, thread: None, settings: MonitorSettings::DEFAULT });
static ARRIVAL: Condvar = Condvar::new();
/// Held by the thread while it looks after the links, so that a fork does not happen then: the child would inherit
/// their locks, and nobody to release them.
static ROUND: Mutex<()> = Mutex::new(());

/// What the thread looks after: the link of an endpoint.
pub(crate) trait Watched: Send + Sync {
    /// Keeps the heartbeat, and looks at the peer. Returns when to come again; `None`: never. Events go to `notices`.
    fn keep(&self, now: Instant, notices: &mut Notices) -> Option<Instant>;
    /// Brings the segment's count of reads up to date.
    fn publish_reads(&self);
    /// Closes the endpoint, without waiting for a lock without limit.
    fn close_at_exit(&self);
}

struct Monitor {
    links: Vec<Weak<dyn Watched>>,
    /// How many links have come, ever: tells the thread that one came while it was not looking.
    arrivals: u64,
    /// The thread, once it is running. It never ends in the process that started it.
    thread: Option<pthread_t>,
    settings: MonitorSettings,
}

impl Monitor {
    /// Starts the thread, unless it is running.
    fn start(&mut self) -> io::Result<pthread_t> {
        if let Some(thread) = self.thread {
            return Ok(thread);
        }
        let thread = spawn()?;
        self.thread = Some(thread);
        // From here, not by the thread itself, which may never run where it is. A sandbox may forbid it, and so may the
        // privileges that a forked child gave up: an ordinary thread is better than none.
        let _ = self.settings.apply(thread);
        Ok(thread)
    }

    fn add(&mut self, link: Weak<dyn Watched>) {
        self.links.push(link);
        self.arrivals += 1;
        ARRIVAL.notify_one();
    }
}

fn monitor() -> MutexGuard<'static, Monitor> {
    MONITOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a link into the thread's care, until the link is closed or dropped.
///
/// # Errors
/// If the thread is not running yet and cannot be started.
pub(crate) fn watch(link: Weak<dyn Watched>) -> io::Result<()> {
    fork::register(&AtForkAndExit);
    let mut monitor = monitor();
    monitor.start()?;
    monitor.add(link);
    Ok(())
}

/// Sets how the background thread of this process is scheduled, which keeps the heartbeats of all its endpoints. It may be
/// called at any time, from any thread; it starts the thread if it is not running yet. What is set holds until it is
/// set anew, also in forked
/// children, as far as they may use it.
///
/// A process with a real-time thread that never sleeps needs this in two cases: if the background thread has no processor that
/// such a thread leaves free, it needs a higher priority than that thread; and if the processors of other programs are
/// to be left alone, it needs `cpus`.
///
/// ```
/// use eshm::{MonitorPolicy, MonitorSettings};
/// eshm::configure_monitor(MonitorSettings { policy: MonitorPolicy::Normal, cpus: vec![0] })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`]: a priority or a processor is out of range, or this process may use none of the processors.
/// [`io::ErrorKind::PermissionDenied`]: this process may not use the policy. What was set before holds then.
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

/// Remembers a link that keeps its heartbeat itself, so that it too is closed when the process exits.
pub(crate) fn close_at_exit(link: Weak<dyn Watched>) {
    fork::register(&AtForkAndExit);
    monitor().add(link);
}

/// Takes a closed link out of the thread's care.
pub(crate) fn forget(link: &dyn Watched) {
    monitor().links.retain(|one| !std::ptr::addr_eq(one.as_ptr(), link));
}

/// Brings the counts of reads of all endpoints of this process up to date.
pub(crate) fn publish_reads() {
    // One after the other, without the lock, and without memory for a list of them: statistics are asked for often.
    let mut next = 0;
    loop {
        let Some(link) = monitor().links.get(next).cloned() else { break };
        next += 1;
        if let Some(link) = link.upgrade() {
            link.publish_reads();
        }
    }
}

/// The thread's part in the forks and the exit of this process.
struct AtForkAndExit;

static PAUSED: HeldAcrossFork<MutexGuard<'static, ()>> = HeldAcrossFork::new();
static LOCKED: HeldAcrossFork<MutexGuard<'static, Monitor>> = HeldAcrossFork::new();

impl fork::Participant for AtForkAndExit {
    /// Waits for the end of the current round, and keeps the next one from beginning. `ROUND` comes before all other locks.
    fn pause(&self) {
        // SAFETY: the handler before a fork calls this; `ROUND` is held.
        unsafe { PAUSED.put(round()) };
    }

    fn lock(&self) {
        // SAFETY: the handler before a fork calls this; `MONITOR` is held.
        unsafe { LOCKED.put(monitor()) };
    }

    fn resume(&self) {
        // SAFETY: a handler after a fork calls this.
        drop(unsafe { LOCKED.take() });
        // SAFETY: as above.
        drop(unsafe { PAUSED.take() });
    }

    /// The thread is not in the child, and the links are the parent's.
    fn forget(&self) {
        // SAFETY: a handler after a fork calls this.
        let _paused = unsafe { PAUSED.take() };
        // SAFETY: as above.
        let Some(mut monitor) = (unsafe { LOCKED.take() }) else { return };
        monitor.thread = None;
        // Leaked, not dropped: other threads of the parent may have been using the allocator's locks.
        std::mem::forget(std::mem::take(&mut monitor.links));
    }

    /// Closes every endpoint of this process that nobody has closed.
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

/// Starts the thread with all signals blocked: they are the application's, on its own threads.
fn spawn() -> io::Result<pthread_t> {
    let mut before = SigSet::empty();
    nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let thread = std::thread::Builder::new().name("eshm-monitor".to_owned()).spawn(run);
    nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    Ok(thread?.as_pthread_t())
}

/// A panic over one link must not end the heartbeats of the others. It does end this one's: its peer will see it.
fn keep(link: &dyn Watched, now: Instant, notices: &mut Notices) -> Option<Instant> {
    let kept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| link.keep(now, notices)));
    kept.unwrap_or_else(|_| {
        forget(link);
        None
    })
}

/// Emits what was noticed during a round, with no lock held. A subscriber that panics ends no heartbeats.
fn emit(notices: Notices) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| notices.emit()));
}

fn run() {
    let stamp = fork::stamp();
    let mut links: Vec<Arc<dyn Watched>> = Vec::new();
    loop {
        let now = Instant::now();
        // The list is not locked while links are looked after: that opens files, and takes their locks.
        let arrivals = {
            let monitor = monitor();
            links.extend(monitor.links.iter().filter_map(Weak::upgrade));
            monitor.arrivals
        };
        let mut notices = Notices::default();
        let next = {
            let _round = round();
            links.drain(..).filter_map(|link| keep(&*link, now, &mut notices)).min()
        };
        if !notices.is_empty() {
            emit(notices);
            if fork::stamp() != stamp {
                // A subscriber forked: in the child this thread has nothing to look after.
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
