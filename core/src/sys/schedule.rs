//! Scheduling of the background thread. No other file sets thread policies and affinities.
//!
//! A new thread inherits the policy and the affinity of its creator. A real-time thread that spins on its own
//! processor would starve a heartbeat thread that inherited both. The peer would then see the process as frozen.

use std::io;
use std::thread::JoinHandle;

use libc::pthread_t;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::unistd::Pid;

/// The number of processors that an affinity mask can represent.
const MOST_CPUS: u32 = libc::CPU_SETSIZE as u32;

/// The scheduling policy of the background thread. See sched(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MonitorPolicy {
    /// `SCHED_OTHER`, the policy of ordinary threads, independent of the thread that opens an endpoint.
    #[default]
    Normal,
    /// `SCHED_FIFO` with this priority, 1 … 99. Requires `CAP_SYS_NICE` or a sufficient `RLIMIT_RTPRIO`.
    Fifo(u8),
    /// `SCHED_RR` with this priority, 1 … 99. Requires the same as `Fifo`.
    RoundRobin(u8),
}

/// The scheduling of the background thread of this process. See [`configure_monitor`](crate::configure_monitor).
///
/// The default is an ordinary thread on all processors that the system allows this process, independent of the policy
/// and the affinity of the thread that opens the first endpoint. If that is a real-time thread, the default excludes
/// the processors of that thread, unless there are no others. An ordinary thread on such a processor waits until the
/// kernel moves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MonitorSettings {
    /// The scheduling policy.
    pub policy: MonitorPolicy,
    /// The numbers of the processors that the thread can run on, each less than 1024. Empty: the default.
    pub cpus: Vec<u32>,
}

impl MonitorSettings {
    pub(crate) const DEFAULT: MonitorSettings =
        MonitorSettings { policy: MonitorPolicy::Normal, cpus: Vec::new() };

    pub(crate) fn check(&self) -> io::Result<()> {
        let invalid = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if let MonitorPolicy::Fifo(priority) | MonitorPolicy::RoundRobin(priority) = self.policy
            && !(1..=99).contains(&priority)
        {
            return invalid(format!("the priority of the background thread is {priority}; expected 1 to 99"));
        }
        if let Some(cpu) = self.cpus.iter().find(|cpu| **cpu >= MOST_CPUS) {
            return invalid(format!("processor {cpu} of the background thread; expected 0 to 1023"));
        }
        Ok(())
    }

    /// Applies these settings, which `check` has accepted, to a thread of this process.
    ///
    /// # Errors
    /// Returns the error of the system: `EPERM` for a policy that this process must not use, `EINVAL` if it can use
    /// none of the processors.
    pub(crate) fn apply(&self, thread: pthread_t) -> io::Result<()> {
        // The affinity comes first, because the thread may be starving on its present processor.
        if self.cpus.is_empty() {
            let spun_on = processors_of_a_real_time_caller();
            let all = 0..MOST_CPUS;
            let apart = set_of(all.clone().filter(|cpu| spun_on.is_set(*cpu as usize) != Ok(true)));
            // The kernel refuses an empty set. From the set of all processors it takes those that it allows.
            set_affinity(thread, &apart).or_else(|_| set_affinity(thread, &set_of(all)))?;
        } else {
            set_affinity(thread, &set_of(self.cpus.iter().copied()))?;
        }
        let (policy, priority) = match self.policy {
            MonitorPolicy::Normal => (libc::SCHED_OTHER, 0),
            MonitorPolicy::Fifo(priority) => (libc::SCHED_FIFO, priority),
            MonitorPolicy::RoundRobin(priority) => (libc::SCHED_RR, priority),
        };
        // SAFETY: the struct has only integer fields, for which zero is valid.
        let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
        parameters.sched_priority = priority.into();
        // SAFETY: the monitor thread never ends in the process that started it, so the id is valid. The parameters
        // live in this stack frame.
        check(unsafe { libc::pthread_setschedparam(thread, policy, &parameters) })
    }
}

fn set_affinity(thread: pthread_t, cpus: &CpuSet) -> io::Result<()> {
    let set = std::ptr::from_ref(cpus).cast::<libc::cpu_set_t>();
    // SAFETY: a `CpuSet` is a transparent `cpu_set_t`. The id is valid as in `apply`.
    check(unsafe { libc::pthread_setaffinity_np(thread, size_of::<libc::cpu_set_t>(), set) })
}

/// Returns the processors of the calling thread if it is a real-time thread, which may never sleep. Otherwise the set
/// is empty.
fn processors_of_a_real_time_caller() -> CpuSet {
    let own = if is_real_time() { sched_getaffinity(Pid::from_raw(0)).ok() } else { None };
    own.unwrap_or_default()
}

/// Returns whether the calling thread is a real-time thread.
pub(super) fn is_real_time() -> bool {
    // SAFETY: the call takes no pointers.
    let policy = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
    matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR | libc::SCHED_DEADLINE)
}

/// Starts a thread with all signals blocked. The threads of the application handle signals.
pub(crate) fn spawn(name: &str, run: fn()) -> io::Result<JoinHandle<()>> {
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    thread
}

/// Returns the set of these processors, each less than [`MOST_CPUS`].
fn set_of(cpus: impl Iterator<Item = u32>) -> CpuSet {
    let mut set = CpuSet::new();
    for cpu in cpus {
        // Fails only beyond the end of the set.
        let _ = set.set(cpu as usize);
    }
    set
}

/// Converts the return value of a pthread function.
fn check(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
