//! Halves that several threads, or a fork, meet in.

use std::sync::{Barrier, mpsc};
use std::thread;

use super::*;
use crate::PeerState;
use nix::sys::wait::WaitPidFlag;

/// Acts as another thread that has its turn between the first two parts of a wait.
struct Between<F: FnMut()>(Option<F>);

impl<F: FnMut()> Host for Between<F> {
    type Error = Error;

    fn slice(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn between(&mut self) -> Outcome<()> {
        if let Some(mut act) = self.0.take() {
            act();
        }
        Ok(())
    }
}

fn refuse(_: &mut Plain, _: &Content<'_>) -> Outcome<()> {
    Err(Error::Lent { segment: "refused".into() })
}

#[test]
fn a_thread_that_waits_finds_what_another_one_kept() {
    let (master, slave) = pair_of("kept-meanwhile", 0);
    let mut host = Between(Some(|| {
        send(&master, b"first");
        slave.receiver().recv(&mut Plain, Limit::Now, refuse).unwrap_err();
        send(&master, b"second");
    }));
    let found = slave.receiver().recv(&mut host, Limit::For(SECOND), |_, content| Ok(content.to_vec()));
    assert_eq!(found.unwrap().unwrap(), b"first");
    assert_eq!(slave.receiver().recv(&mut Plain, Limit::Now, copy).unwrap().unwrap(), b"second");
}

#[test]
fn two_threads_that_refuse_lose_nothing() {
    let (master, slave) = pair_of("kept-twice", 0);
    let mut host = Between(Some(|| {
        send(&master, b"first");
        slave.receiver().recv(&mut Plain, Limit::Now, refuse).unwrap_err();
        send(&master, b"second");
    }));
    let refused = slave
        .receiver()
        .recv(&mut host, Limit::For(SECOND), |_, _| Err::<(), _>(Error::Lent { segment: "refused".into() }));
    assert!(refused.is_err(), "{refused:?}");
    for expected in [b"first".as_slice(), b"second"] {
        assert_eq!(slave.receiver().recv(&mut Plain, Limit::Now, copy).unwrap().unwrap(), expected);
    }
}

fn is_mapped(address: usize) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|line| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        (number(from)..number(to)).contains(&address)
    })
}

#[test]
fn a_move_leaves_a_retained_loan_mapped() {
    let master = builder("retained-room", Role::Master).open().unwrap();
    let slave = builder("retained-room", Role::Slave).reconnect_interval(Duration::from_millis(10));
    let slave = SharedEndpoint::new(slave.open().unwrap());
    let loan = slave.sender().loan(&mut Plain, 1000, Limit::Now).unwrap();
    slave.sender().retain(&mut Plain, loan.token).unwrap();
    drop(master);
    let _next = builder("retained-room", Role::Master).open().unwrap();
    let started = Instant::now();
    while slave.inspector().stats().unwrap().reconnects == 0 {
        assert!(started.elapsed() < 10 * SECOND, "the slave finds no new master");
        thread::yield_now();
    }
    assert!(slave.receiver().recv(&mut Plain, Limit::Now, copy).unwrap().is_none());
    assert!(slave.receiver().read(&mut Plain, Limit::Now, copy).unwrap().is_none());
    assert!(is_mapped(loan.start as usize));
    slave.sender().unretain(&mut Plain, loan.token);
    assert_eq!(core_code(slave.sender().send_loan(&mut Plain, loan.token)), -10);
}

#[test]
fn a_limit_holds_though_the_peer_is_given_up_earlier() {
    let open = |test: &str| {
        let master = builder(test, Role::Master).auto_cleanup(false).open().unwrap();
        let slave = builder(test, Role::Slave).reconnect_timeout(Duration::from_millis(50)).open().unwrap();
        drop(master);
        while slave.peer_state() != PeerState::Closed {
            thread::yield_now();
        }
        SharedEndpoint::new(slave)
    };
    let limit = Duration::from_millis(300);
    let slave = open("limit-holds");
    for round in ["before it is given up", "after it"] {
        let started = Instant::now();
        let (sent, outcome) = slave.sender().send_many(&mut Plain, &[b"x"; 3], Limit::For(limit));
        assert_eq!((sent, core_code(outcome)), (0, -10), "a batch, {round}");
        assert!(started.elapsed() >= limit, "a batch, {round}");
        let started = Instant::now();
        assert_eq!(core_code(slave.sender().send(&mut Plain, b"x", Limit::For(limit))), -10, "{round}");
        assert!(started.elapsed() >= limit, "{round}");
    }
    // The master left its segment's name.
    std::fs::remove_file(format!("/dev/shm/eshm_{}", slave.inspector().name())).unwrap();
}

#[test]
fn a_close_returns_when_the_seat_is_free() {
    for round in 0..50 {
        let test = format!("both-close-{round}");
        let endpoint = SharedEndpoint::new(builder(&test, Role::Master).open().unwrap());
        let go = Barrier::new(2);
        let close = || {
            go.wait();
            let closed = endpoint.close(&mut Plain).is_some();
            builder(&test, Role::Master).auto_cleanup(false).open().map(|_| closed)
        };
        let both = thread::scope(|scope| {
            let other = scope.spawn(close);
            [close(), other.join().unwrap()]
        });
        // One of the two that open afterwards may find the other one in the seat.
        assert!(both.iter().flatten().count() >= 1, "{both:?}");
        std::fs::remove_file(format!("/dev/shm/eshm_{}", endpoint.inspector().name())).ok();
    }
}

#[test]
fn a_child_of_a_process_with_threads_in_calls_uses_its_own_endpoints() {
    let (master, slave) = pair("fork-with-waiters");
    let (started, threads) = mpsc::channel();
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let slave = Arc::clone(&slave);
            let started = started.clone();
            thread::spawn(move || {
                started.send(nix::unistd::gettid()).unwrap();
                drop(slave.receiver().recv(&mut Plain, Limit::For(60 * SECOND), copy));
            })
        })
        .collect();
    for _ in 0..4 {
        let status = format!("/proc/self/task/{}/stat", threads.recv().unwrap());
        // Asleep: in its call, or waiting for its turn.
        while !std::fs::read_to_string(&status).unwrap().contains(") S ") {
            thread::yield_now();
        }
    }
    // SAFETY: the child uses endpoints of its own, and ends without destructors.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            for round in 0..10 {
                let test = format!("child-{round}");
                let own = Arc::new(SharedEndpoint::new(builder(&test, Role::Master).open().unwrap()));
                let receive = |own: Arc<SharedEndpoint>| {
                    let limit = Limit::For(Duration::from_millis(30));
                    thread::spawn(move || drop(own.receiver().recv(&mut Plain, limit, copy)))
                };
                let all: Vec<_> = (0..4).map(|_| receive(Arc::clone(&own))).collect();
                all.into_iter().for_each(|one| one.join().unwrap());
                own.close(&mut Plain);
            }
            // SAFETY: ends this process only.
            unsafe { libc::_exit(0) };
        }
        ForkResult::Parent { child } => {
            let started = Instant::now();
            let status = loop {
                match waitpid(child, Some(WaitPidFlag::WNOHANG)).unwrap() {
                    WaitStatus::StillAlive if started.elapsed() < 60 * SECOND => {
                        thread::sleep(Duration::from_millis(5));
                    }
                    WaitStatus::StillAlive => {
                        nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
                        waitpid(child, None).unwrap();
                        panic!("the child hangs");
                    }
                    status => break status,
                }
            };
            assert_eq!(status, WaitStatus::Exited(child, 0));
        }
    }
    master.close(&mut Plain);
    slave.close(&mut Plain);
    waiters.into_iter().for_each(|one| one.join().unwrap());
}
