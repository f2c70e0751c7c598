//! One background thread per process: it keeps the heartbeats of all its endpoints and watches their peers.

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use libc::pthread_t;
use nix::sys::signal::{SigSet, SigmaskHow};

use crate::link::Link;
use crate::notice::Notices;
use crate::process;
use crate::schedule::MonitorSettings;

static MONITOR: Mutex<Monitor> =
    Mutex::new(Monitor { links: Vec::new(), arrivals: 0, thread: None, settings: MonitorSettings::DEFAULT });
static ARRIVAL: Condvar = Condvar::new();
/// Held by the thread while it looks after the links, so that a fork does not happen then: the child would inherit
/// their locks, and nobody to release them.
static ROUND: Mutex<()> = Mutex::new(());

struct Monitor {
    links: Vec<Weak<Link>>,
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

    fn add(&mut self, link: &Arc<Link>) {
        self.links.push(Arc::downgrade(link));
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
pub(crate) fn watch(link: &Arc<Link>) -> io::Result<()> {
    let mut monitor = monitor();
    monitor.start()?;
    monitor.add(link);
    Ok(())
}

/// Schedules the thread as `settings` say, now and in the future. They were checked.
///
/// # Errors
/// If the thread cannot be started, or not be scheduled so.
pub(crate) fn configure(settings: MonitorSettings) -> io::Result<()> {
    process::install_hooks();
    let mut monitor = monitor();
    let thread = monitor.start()?;
    settings.apply(thread).inspect_err(|_| {
        let _ = monitor.settings.apply(thread);
    })?;
    monitor.settings = settings;
    Ok(())
}

/// Remembers a link that keeps its heartbeat itself, so that it too is closed when the process exits.
pub(crate) fn close_at_exit(link: &Arc<Link>) {
    monitor().add(link);
}

/// Takes a closed link out of the thread's care.
pub(crate) fn forget(link: &Link) {
    monitor().links.retain(|one| !std::ptr::eq(one.as_ptr(), link));
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

/// Closes every endpoint of this process that nobody has closed, when it exits.
pub(crate) fn close_all_at_exit() {
    let Some(monitor) = process::lock_at_exit(&MONITOR) else { return };
    for link in monitor.links.iter().filter_map(Weak::upgrade) {
        link.close_at_exit();
        // Dropping the last reference would take other locks.
        std::mem::forget(link);
    }
}

/// The end of the thread's current round, and no next one until this is dropped: taken before all other locks.
pub(crate) fn pause() -> MutexGuard<'static, ()> {
    ROUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The monitor, kept from changing while the process forks.
pub(crate) struct Held(MutexGuard<'static, Monitor>);

pub(crate) fn hold() -> Held {
    Held(monitor())
}

impl Held {
    /// In the child: the thread is not there, and the links are the parent's.
    pub(crate) fn forget_all(mut self) {
        self.0.thread = None;
        // Leaked, not dropped: other threads of the parent may have been using the allocator's locks.
        std::mem::forget(std::mem::take(&mut self.0.links));
    }
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
fn keep(link: &Link, now: Instant, notices: &mut Notices) -> Option<Instant> {
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
    let stamp = process::stamp();
    let mut links: Vec<Arc<Link>> = Vec::new();
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
            let _round = pause();
            links.drain(..).filter_map(|link| keep(&link, now, &mut notices)).min()
        };
        if !notices.is_empty() {
            emit(notices);
            if process::stamp() != stamp {
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
