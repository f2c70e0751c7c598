//! How the background thread is scheduled: not as the thread that opens the first endpoint.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use eshm::{Endpoint, MonitorPolicy, MonitorSettings, PeerState, Role, configure_monitor};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

mod common;
use common::{Child, Name, poll, say, scenario, told};

/// How long the real-time thread spins: a part of a second, after which the kernel lets others run by default.
const SPIN: Duration = Duration::from_millis(900);

/// The id of the background thread, which names itself as soon as it runs.
fn monitor() -> Pid {
    let named = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "eshm-monitor\n")
    };
    let task = poll("the background thread", || {
        let mut tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        tasks.find(named)
    });
    Pid::from_raw(task.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

/// The policy and the processors of the background thread.
fn scheduled() -> (i32, Vec<usize>) {
    let thread = monitor();
    // SAFETY: takes no pointers.
    let policy = unsafe { libc::sched_getscheduler(thread.as_raw()) };
    (policy, cpus(thread))
}

fn cpus(thread: Pid) -> Vec<usize> {
    let set = sched_getaffinity(thread).unwrap();
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap()).collect()
}

/// Has the calling thread run on one processor only, and returns all that it had.
fn pin() -> Vec<usize> {
    let all = cpus(Pid::from_raw(0));
    let mut one = CpuSet::new();
    one.set(all[0]).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
    all
}

fn set_policy(policy: i32, priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameters live in this frame.
    unsafe { libc::sched_setscheduler(0, policy, &parameters) == 0 }
}

/// Opens from a pinned thread, and a real-time one if it may, and says how the background thread is scheduled.
fn show_the_schedule(segment: &str) {
    let all = pin();
    let real_time = set_policy(libc::SCHED_FIFO, 50);
    let _master = Endpoint::master(segment).unwrap();
    let (policy, cpus) = scheduled();
    assert_eq!(policy, libc::SCHED_OTHER);
    let others = if real_time { &all[1..] } else { &all[..] };
    assert!(others.iter().all(|cpu| cpus.contains(cpu)), "{others:?} in {cpus:?}");
    // Not where a real-time thread may spin, if there is another processor.
    assert!(!real_time || !cpus.contains(&all[0]) || cpus.len() == 1, "{cpus:?}");
    let set = |policy, cpus| configure_monitor(MonitorSettings { policy, cpus });
    let invalid = [
        set(MonitorPolicy::Fifo(0), vec![]),
        set(MonitorPolicy::RoundRobin(100), vec![]),
        set(MonitorPolicy::Normal, vec![1024]),
        set(MonitorPolicy::Normal, vec![1023]),
    ];
    assert!(invalid.iter().all(|result| result.as_ref().unwrap_err().kind() == ErrorKind::InvalidInput));
    assert_eq!(scheduled().1, cpus);
    set(MonitorPolicy::Normal, vec![all[0] as u32]).unwrap();
    assert_eq!(scheduled(), (libc::SCHED_OTHER, vec![all[0]]));
    if real_time {
        set(MonitorPolicy::RoundRobin(51), vec![]).unwrap();
        assert_eq!(scheduled(), (libc::SCHED_RR, cpus));
    }
    say(if real_time { "ordinary" } else { "ordinary, but no real-time thread is allowed" });
}

/// Sets the settings first: they hold for the thread that is started by it, and in forked children.
fn configure_first(segment: &str) {
    let all = pin();
    configure_monitor(MonitorSettings { policy: MonitorPolicy::Normal, cpus: vec![all[0] as u32] }).unwrap();
    let _master = Endpoint::master(segment).unwrap();
    assert_eq!(scheduled().1, [all[0]]);
    // SAFETY: the child allocates, which glibc makes safe after a fork, and ends with `_exit`.
    let child = unsafe { nix::unistd::fork() }.unwrap();
    let nix::unistd::ForkResult::Parent { child } = child else {
        let _own = Endpoint::master(&format!("{segment}-child")).unwrap().close();
        let kept = scheduled().1 == [all[0]];
        // SAFETY: takes no pointers, and does not return.
        unsafe { libc::_exit(i32::from(!kept)) }
    };
    let ended = nix::sys::wait::waitpid(child, None).unwrap();
    assert_eq!(ended, nix::sys::wait::WaitStatus::Exited(child, 0));
    say("kept");
}

/// A slave in a real-time thread that spins on the only processor that it may use.
fn spin(segment: &str) {
    pin();
    if !set_policy(libc::SCHED_FIFO, 50) {
        say("not allowed");
        return;
    }
    let slave = Endpoint::slave(segment).unwrap();
    say("spins");
    let begun = Instant::now();
    while begun.elapsed() < SPIN {
        std::hint::spin_loop();
    }
    set_policy(libc::SCHED_OTHER, 0);
    say("spun");
    told();
    drop(slave);
}

#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match scenario.as_str() {
        "schedule" => show_the_schedule(&segment),
        "configure" => configure_first(&segment),
        _ => spin(&segment),
    }
}

#[test]
fn the_background_thread_is_an_ordinary_one_on_all_processors_and_can_be_set() {
    let name = Name::new("schedule");
    let child = Child::start("schedule", &name);
    let said = child.line();
    assert!(said.starts_with("ordinary"), "{said}");
    if said != "ordinary" {
        eprintln!("SKIPPED in part: {said}");
    }
    assert!(child.ended().success());
}

#[test]
fn what_was_set_first_holds_for_the_thread_and_in_forked_children() {
    let name = Name::new("schedule-first");
    let child = Child::start("configure", &name);
    child.expect("kept");
    assert!(child.ended().success());
}

#[test]
fn a_real_time_thread_that_spins_does_not_starve_its_heartbeat() {
    let name = Name::new("spin");
    if cpus(Pid::from_raw(0)).len() < 2 {
        eprintln!("SKIPPED: the background thread needs a processor that the spinning thread leaves free");
        return;
    }
    // More than a busy machine keeps an ordinary thread waiting, and less than the thread spins.
    let threshold = Duration::from_millis(600);
    let master = Endpoint::builder(&name).role(Role::Master).stale_threshold(threshold).open().unwrap();
    let mut child = Child::start("spin", &name);
    if child.line() == "not allowed" {
        eprintln!("SKIPPED: this process may not make a real-time thread");
        return;
    }
    master.wait_for_peer(common::WATCHDOG).unwrap();
    let mut states = Vec::new();
    let spun = poll("the end of the spinning", || {
        states.push(master.peer_state());
        child.try_line()
    });
    assert_eq!(spun, "spun");
    assert!(states.iter().all(|state| *state == PeerState::Alive), "it was frozen");
    child.tell("end");
    assert!(child.ended().success());
}
