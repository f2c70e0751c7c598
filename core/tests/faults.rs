//! Processes that are killed, stopped, forked, or end without a close.

mod common;

use std::cell::RefCell;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use common::{Child, Name, WATCHDOG, poll, say, scenario, told};
use eshm::{Builder, Endpoint, Interest, Observer, PeerState, Role};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    let (play, queue) = scenario.split_once(' ').unwrap_or((&scenario, "4096"));
    let queue = queue.parse().unwrap();
    match play {
        "master" => send_and_wait(master(&segment, queue).open().unwrap()),
        "slave" => send_and_wait(Endpoint::slave(&segment).unwrap()),
        "silent-slave" => {
            let _slave = Endpoint::slave(&segment).unwrap();
            say("ready");
            told();
        }
        "holder" => hold_a_message(&segment),
        "exit" => exit_without_closing(&segment, true),
        "exit-manual" => exit_without_closing(&segment, false),
        "exit-logged" => exit_with_a_logger(&segment),
        "exit-slave" => {
            let _slave = Endpoint::slave(&segment).unwrap();
            std::process::exit(0);
        }
        "exit-refused" => {
            say(Endpoint::master(&segment).unwrap_err().code());
            std::process::exit(0);
        }
        "fork" => fork_and_use(&segment),
        "fork-survivor" => fork_a_survivor(&segment),
        "fork-message" => fork_with_a_message(&segment),
        "fork-inspect" => fork_and_inspect(&segment),
        other => panic!("no scenario {other}"),
    }
}

fn master(name: &str, queue: usize) -> Builder {
    Endpoint::builder(name).role(Role::Master).queue_capacity(queue)
}

fn slave(name: &str) -> Builder {
    Endpoint::builder(name).role(Role::Slave).reconnect_interval(Duration::from_millis(1))
}

fn send_and_wait(mut endpoint: Endpoint) {
    endpoint.send(b"unread").unwrap();
    say("ready");
    told();
}

fn until(endpoint: &Endpoint, state: PeerState) {
    poll(&format!("{state}"), || (endpoint.peer_state() == state).then_some(()));
}

#[track_caller]
fn assert_receives(endpoint: &mut Endpoint, bytes: &[u8]) {
    assert_eq!(&*endpoint.recv_timeout(WATCHDOG).unwrap().expect("a message"), bytes);
}

#[test]
fn a_killed_masters_seat_is_free_at_once_and_its_message_survives() {
    for queue in [0, 4096] {
        let name = Name::new("kill-master");
        let child = Child::start(&format!("master {queue}"), &name);
        child.expect("ready");
        child.kill();
        assert!(name.exists());
        let mut master = Endpoint::master(&name).unwrap();
        let mut slave = Endpoint::slave(&name).unwrap();
        assert_receives(&mut slave, b"unread");
        master.send(b"more").unwrap();
        assert_receives(&mut slave, b"more");
    }
}

#[test]
fn a_killed_slaves_seat_is_free_at_once_and_its_message_survives() {
    for queue in [0, 4096] {
        let name = Name::new("kill-slave");
        let mut master = master(&name, queue).open().unwrap();
        let child = Child::start("slave", &name);
        child.expect("ready");
        child.kill();
        let mut slave = Endpoint::slave(&name).unwrap();
        assert_receives(&mut master, b"unread");
        slave.send(b"more").unwrap();
        assert_receives(&mut master, b"more");
    }
}

#[test]
fn what_a_killed_slave_did_not_take_its_successor_receives() {
    for queue in [0, 4096] {
        let name = Name::new("untaken");
        let mut master = master(&name, queue).open().unwrap();
        let child = Child::start("silent-slave", &name);
        child.expect("ready");
        master.send(b"to whom it may concern").unwrap();
        child.kill();
        assert_receives(&mut Endpoint::slave(&name).unwrap(), b"to whom it may concern");
    }
}

fn hold_a_message(segment: &str) {
    let mut slave = Endpoint::slave(segment).unwrap();
    let message = slave.recv().unwrap();
    say(message.text().unwrap());
    told();
}

/// A message that its receiver had not dropped yet when it was killed is delivered again.
#[test]
fn what_a_killed_slave_was_still_looking_at_its_successor_receives() {
    let name = Name::new("held");
    let mut master = Endpoint::master(&name).unwrap();
    master.send(b"held").unwrap();
    let child = Child::start("holder", &name);
    child.expect("held");
    child.kill();
    assert_receives(&mut Endpoint::slave(&name).unwrap(), b"held");
}

#[test]
fn a_killed_peer_is_dead_and_its_successor_a_new_generation() {
    let name = Name::new("generation");
    let mut child = Child::start("master", &name);
    child.expect("ready");
    let mut slave = slave(&name).open().unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    for _ in 0..5 {
        let generation = slave.generation();
        assert!(slave.stats().unwrap().master_alive);
        child.kill();
        until(&slave, PeerState::Dead);
        let stats = slave.stats().unwrap();
        assert!(!stats.master_alive && stats.slave_alive);
        assert_eq!(slave.write(b"to nobody").unwrap_err().code(), -10);
        assert_eq!(slave.try_send(b"to nobody").unwrap_err().code(), -10);
        child = Child::start("master", &name);
        child.expect("ready");
        slave.wait_for_peer(WATCHDOG).unwrap();
        assert!(slave.generation() > generation);
        slave.write(b"to somebody").unwrap();
    }
}

#[test]
fn a_waiting_slave_receives_from_the_restarted_master() {
    let name = Name::new("waits");
    let child = Child::start("master", &name);
    child.expect("ready");
    let mut slave = slave(&name).open().unwrap();
    assert_receives(&mut slave, b"unread");
    thread::scope(|scope| {
        let received = scope.spawn(move || slave.recv().map(|message| message.to_vec()));
        child.kill();
        let mut master = Endpoint::master(&name).unwrap();
        master.send(b"here I am again").unwrap();
        assert_eq!(received.join().unwrap().unwrap(), b"here I am again");
    });
}

#[test]
fn a_stopped_peer_is_frozen_and_thaws() {
    let name = Name::new("stop");
    let child = Child::start("master", &name);
    child.expect("ready");
    let slave = slave(&name).open().unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    let generation = slave.generation();
    child.signal(Signal::SIGSTOP);
    until(&slave, PeerState::Frozen);
    // It lives: nobody may have its seat.
    assert_eq!(Endpoint::master(&name).unwrap_err().code(), -15);
    child.signal(Signal::SIGCONT);
    until(&slave, PeerState::Alive);
    assert_eq!(slave.generation(), generation);
}

#[test]
fn a_slave_that_has_given_a_stopped_master_up_is_told_until_it_thaws() {
    let name = Name::new("give-up");
    let child = Child::start("master", &name);
    child.expect("ready");
    let mut slave = slave(&name).reconnect_timeout(Duration::from_millis(300)).open().unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    child.signal(Signal::SIGSTOP);
    until(&slave, PeerState::Frozen);
    let error = poll("that write is refused", || slave.write(b"to nobody").err());
    assert_eq!(error.code(), -11);
    assert_eq!(slave.try_send(b"to nobody").unwrap_err().code(), -11);
    assert_eq!(slave.read().unwrap_err().code(), -11);
    child.signal(Signal::SIGCONT);
    poll("that write is not refused any more", || slave.write(b"to somebody").ok());
}

fn exit_without_closing(segment: &str, background: bool) {
    let _master = Endpoint::builder(segment).role(Role::Master).background(background).open().unwrap();
    say(std::fs::exists(format!("/dev/shm/eshm_{segment}")).unwrap());
    std::process::exit(0);
}

#[test]
fn an_exit_without_a_close_leaves_nothing_behind() {
    for scenario in ["exit", "exit-manual"] {
        let name = Name::new("exit");
        let child = Child::start(scenario, &name);
        child.expect("true");
        assert!(child.ended().success());
        assert!(!name.exists(), "{scenario}");
    }
}

/// A logger that keeps something in thread-local storage, as most do.
struct Logger;

struct Line(String);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.clear();
    }
}

thread_local!(static LINE: RefCell<Line> = const { RefCell::new(Line(String::new())) });

impl tracing::Subscriber for Logger {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        LINE.with(|line| line.borrow_mut().0 = event.metadata().name().to_owned());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

fn exit_with_a_logger(segment: &str) {
    tracing::subscriber::set_global_default(Logger).unwrap();
    exit_without_closing(segment, true);
}

#[test]
fn an_exit_with_a_logger_is_a_clean_one() {
    let name = Name::new("exit-logged");
    let child = Child::start("exit-logged", &name);
    child.expect("true");
    let status = child.ended();
    assert!(status.success(), "{status}");
    assert!(!name.exists());
}

#[test]
fn another_processes_exit_leaves_a_live_masters_segment_alone() {
    let name = Name::new("bystander");
    let mut master = Endpoint::master(&name).unwrap();
    assert!(Child::start("exit-slave", &name).ended().success());
    until(&master, PeerState::Closed);
    let child = Child::start("exit-refused", &name);
    child.expect("-15");
    assert!(child.ended().success());
    assert!(name.exists());
    master.send(b"still here").unwrap();
    assert_receives(&mut Endpoint::slave(&name).unwrap(), b"still here");
}

/// Forks, and has the child of it `play` and end with the code that it returns.
fn fork_to(play: impl FnOnce() -> i32) -> Pid {
    // SAFETY: the child calls what may allocate, which glibc makes safe after a fork; it then ends with `_exit`.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            // SAFETY: takes no pointers. Whoever hangs is ended.
            unsafe { libc::alarm(10) };
            let code = play();
            // SAFETY: takes no pointers, and does not return.
            unsafe { libc::_exit(code) }
        }
    }
}

fn exit_code(child: Pid) -> String {
    match waitpid(child, None).unwrap() {
        WaitStatus::Exited(_, code) => code.to_string(),
        other => format!("{other:?}"),
    }
}

fn fork_and_use(segment: &str) {
    let mut kept = Some(Endpoint::master(segment).unwrap());
    let child = fork_to(|| {
        let mut master = kept.take().unwrap();
        let timeout = Duration::from_millis(1);
        let codes = [
            master.write(b"").map_err(|error| error.code()),
            master.send(b"").map_err(|error| error.code()),
            master.try_send(b"").map_err(|error| error.code()),
            master.send_timeout(b"", timeout).map_err(|error| error.code()),
            master.try_read().map(drop).map_err(|error| error.code()),
            master.try_recv().map(drop).map_err(|error| error.code()),
            master.recv_timeout(timeout).map(drop).map_err(|error| error.code()),
            master.stats().map(drop).map_err(|error| error.code()),
            master.update_heartbeat().map_err(|error| error.code()),
            master.close().map(drop).map_err(|error| error.code()),
        ];
        codes.iter().filter(|code| **code != Err(-18)).count() as i32
    });
    say(exit_code(child));
    // A child may open endpoints of its own.
    let own = format!("{segment}-own");
    let child = fork_to(|| {
        let mut master = Endpoint::master(&own).unwrap();
        let mut slave = Endpoint::slave(&own).unwrap();
        slave.wait_for_peer(WATCHDOG).unwrap();
        master.send(b"hello").unwrap();
        i32::from(&*slave.recv().unwrap() != b"hello")
    });
    say(exit_code(child));
    // An observer takes no part, and so goes on.
    let mut observer = Observer::open(segment).unwrap();
    let child = fork_to(|| i32::from(observer.look().master.state != PeerState::Alive));
    say(exit_code(child));
    let master = kept.as_mut().unwrap();
    master.send(b"still the parent's").unwrap();
    told();
}

#[test]
fn a_forked_child_is_refused_and_leaves_its_parents_endpoint_alone() {
    let name = Name::new("fork");
    let child = Child::start("fork", &name);
    child.expect("0");
    child.expect("0");
    child.expect("0");
    assert_receives(&mut Endpoint::slave(&name).unwrap(), b"still the parent's");
    assert!(name.exists());
}

fn fork_a_survivor(segment: &str) {
    let _master = Endpoint::master(segment).unwrap();
    let survivor = fork_to(|| {
        nix::unistd::pause();
        0
    });
    say(survivor);
    told();
}

#[test]
fn a_killed_master_is_dead_though_a_forked_child_of_it_lives() {
    let name = Name::new("survivor");
    let child = Child::start("fork-survivor", &name);
    let survivor = Pid::from_raw(child.line().parse().unwrap());
    let slave = slave(&name).open().unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    child.kill();
    until(&slave, PeerState::Dead);
    let master = Endpoint::master(&name).map(drop).map_err(|error| error.code());
    kill(survivor, Signal::SIGKILL).unwrap();
    assert_eq!(master, Ok(()));
}

fn fork_with_a_message(segment: &str) {
    let mut master = master(segment, 4096).open().unwrap();
    let mut slave = Endpoint::slave(segment).unwrap();
    while master.try_send(b"full").is_ok() {}
    let message = slave.recv().unwrap();
    let mut message = Some(message);
    let child = fork_to(|| {
        drop(message.take());
        0
    });
    say(exit_code(child));
    say(format!("{:?}", master.try_send(b"one too many").map_err(|error| error.code())));
    drop(message);
}

/// What a parent still looks at, a forked child must not give back.
#[test]
fn a_forked_childs_copy_of_a_message_releases_nothing() {
    let name = Name::new("fork-message");
    let child = Child::start("fork-message", &name);
    child.expect("0");
    child.expect("Err(-12)");
    assert!(child.ended().success());
}

fn fork_and_inspect(segment: &str) {
    let (sender, receiver) = Endpoint::master(segment).unwrap().into_split();
    let (busy, end) = mpsc::channel::<()>();
    let codes = thread::scope(|scope| {
        // Keeps the endpoint busy, so that a fork finds it so.
        scope.spawn(move || {
            while end.try_recv() == Err(TryRecvError::Empty) {
                sender.stats().unwrap();
            }
        });
        let codes: Vec<_> = (0..20)
            .map(|_| {
                exit_code(fork_to(|| {
                    let _ = (receiver.generation(), receiver.peer_state(), receiver.peer_is_legacy());
                    let _ = receiver.events(Interest::READABLE);
                    receiver.wait_for_peer(Duration::ZERO).map_or_else(|error| -error.code(), |()| 0)
                }))
            })
            .take_while(|code| code == "18")
            .collect();
        drop(busy);
        codes
    });
    say(codes.len());
}

#[test]
fn a_forked_child_may_ask_and_never_hangs() {
    let name = Name::new("fork-inspect");
    let child = Child::start("fork-inspect", &name);
    child.expect("20");
    assert!(child.ended().success());
}
