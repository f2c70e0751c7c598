mod tables;
mod threads;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::*;
use crate::{Builder, Disconnect, Endpoint, Role, Stats, WaitStrategy};

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(20);

type Outcome<T> = Result<T, Error>;

/// A host that counts what it is asked for, and ends a call after some parts.
#[derive(Default)]
struct Counting {
    blocks: u32,
    betweens: u32,
    /// Ends the call at this many parts.
    last: Option<u32>,
    glances: bool,
}

impl Host for Counting {
    type Error = Error;

    fn slice(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn block<T: Send>(&mut self, part: impl FnOnce() -> T + Send) -> T {
        self.blocks += 1;
        part()
    }

    fn between(&mut self) -> Outcome<()> {
        self.betweens += 1;
        if self.last == Some(self.betweens) {
            return Err(Error::Stale { segment: "ended by its host".into() });
        }
        Ok(())
    }

    fn glance(&self) -> Option<Glance> {
        self.glances.then_some(Glance { time: Duration::from_secs(10), looks: 10, pauses: 1 })
    }
}

fn builder(test: &str, role: Role) -> Builder {
    Endpoint::builder(&format!("unit-raw-{test}-{}", std::process::id())).role(role)
}

fn pair_of(test: &str, queue_capacity: usize) -> (Arc<SharedEndpoint>, Arc<SharedEndpoint>) {
    let open = |role| {
        let endpoint = builder(test, role).queue_capacity(queue_capacity).open().unwrap();
        Arc::new(SharedEndpoint::new(endpoint))
    };
    (open(Role::Master), open(Role::Slave))
}

fn pair(test: &str) -> (Arc<SharedEndpoint>, Arc<SharedEndpoint>) {
    pair_of(test, 4096)
}

fn copy<H: Host>(_: &mut H, content: &Content<'_>) -> Result<Vec<u8>, H::Error> {
    Ok(content.to_vec())
}

fn recv(endpoint: &SharedEndpoint) -> Vec<u8> {
    endpoint.receiver().recv(&mut Plain, Limit::For(SECOND), copy).unwrap().unwrap()
}

fn send(endpoint: &SharedEndpoint, bytes: &[u8]) {
    endpoint.sender().send(&mut Plain, bytes, Limit::Now).unwrap();
}

fn core_code<T: std::fmt::Debug>(outcome: Outcome<T>) -> i32 {
    outcome.unwrap_err().code()
}

/// Fills the queue, and returns how many messages that took.
fn fill(endpoint: &SharedEndpoint) -> usize {
    let (sent, outcome) = endpoint.sender().send_many(&mut Plain, &vec![[0; 8]; 1 << 16], Limit::Now);
    assert_eq!(core_code(outcome), -12);
    sent
}

#[test]
fn a_token_is_given_back_once() {
    let (master, slave) = pair("once");
    let sender = master.sender();
    let loan = sender.loan(&mut Plain, 8, Limit::Now).unwrap();
    assert_eq!(sender.lent(), Some(loan.token));
    assert_eq!(Token::from_number(loan.token.to_number()), Some(loan.token));
    sender.give_back(&mut Plain, loan.token).unwrap();
    assert!(matches!(sender.give_back(&mut Plain, loan.token), Err(Error::Stale { .. })));
    assert!(matches!(sender.send_loan(&mut Plain, loan.token), Err(Error::Stale { .. })));
    assert!(sender.abandon(&mut Plain, loan.token));

    let again = sender.loan(&mut Plain, 3, Limit::Now).unwrap();
    assert_ne!(again.token, loan.token);
    // SAFETY: three bytes that are lent to this test alone.
    unsafe { again.start.copy_from_nonoverlapping(b"abc".as_ptr(), again.len) };
    sender.send_loan(&mut Plain, again.token).unwrap();
    assert_eq!(sender.lent(), None);

    let receiver = slave.receiver();
    let borrowed = receiver.borrow(&mut Plain, Limit::Now).unwrap().unwrap();
    // SAFETY: the message is borrowed until it is released below.
    assert_eq!(unsafe { std::slice::from_raw_parts(borrowed.start, borrowed.len) }, b"abc");
    receiver.release(&mut Plain, borrowed.token).unwrap();
    assert!(matches!(receiver.release(&mut Plain, borrowed.token), Err(Error::Stale { .. })));
    assert_eq!(slave.inspector().stats().unwrap().messages_received, 1);
}

#[test]
fn an_open_loan_refuses_everything_else() {
    let (master, _slave) = pair("refuses");
    let sender = master.sender();
    let loan = sender.loan(&mut Plain, 8, Limit::Now).unwrap();
    assert!(matches!(sender.send(&mut Plain, b"x", Limit::Forever), Err(Error::Lent { .. })));
    assert!(matches!(sender.write(&mut Plain, b"x"), Err(Error::Lent { .. })));
    assert!(matches!(sender.send_many(&mut Plain, &["x"], Limit::Now), (0, Err(Error::Lent { .. }))));
    assert!(matches!(sender.loan(&mut Plain, 1, Limit::Now), Err(Error::Lent { .. })));
    sender.send_loan(&mut Plain, loan.token).unwrap();
}

#[test]
fn the_next_receive_ends_a_borrow_that_nobody_retains() {
    let (master, slave) = pair("next");
    send(&master, b"first");
    send(&master, b"second");
    let receiver = slave.receiver();
    let first = receiver.borrow(&mut Plain, Limit::Now).unwrap().unwrap();
    receiver.retain(&mut Plain, first.token).unwrap();
    assert!(matches!(receiver.recv(&mut Plain, Limit::Now, copy), Err(Error::InUse { .. })));
    assert!(matches!(receiver.release(&mut Plain, first.token), Err(Error::InUse { .. })));
    receiver.unretain(&mut Plain, first.token);
    assert_eq!(recv(&slave), b"second");
    assert!(matches!(receiver.release(&mut Plain, first.token), Err(Error::Stale { .. })));
}

#[test]
fn abandoned_memory_is_taken_back_with_its_last_user() {
    let (master, slave) = pair("abandoned");
    let sender = master.sender();
    let loan = sender.loan(&mut Plain, 8, Limit::Now).unwrap();
    sender.retain(&mut Plain, loan.token).unwrap();
    sender.retain(&mut Plain, loan.token).unwrap();
    assert!(!sender.abandon(&mut Plain, loan.token));
    assert!(matches!(sender.retain(&mut Plain, loan.token), Err(Error::InUse { .. })));
    sender.unretain(&mut Plain, loan.token);
    assert!(matches!(sender.send(&mut Plain, b"x", Limit::Now), Err(Error::InUse { .. })));
    sender.unretain(&mut Plain, loan.token);
    send(&master, b"x");
    assert_eq!(recv(&slave), b"x");
}

#[test]
fn a_closed_half_stays_until_nobody_retains_its_memory() {
    let (master, slave) = pair("retained");
    send(&master, b"kept");
    let borrowed = slave.receiver().borrow(&mut Plain, Limit::Now).unwrap().unwrap();
    slave.receiver().retain(&mut Plain, borrowed.token).unwrap();
    assert!(slave.close(&mut Plain).is_some());
    assert!(slave.close(&mut Plain).is_none());
    assert_eq!(core_code(slave.receiver().recv(&mut Plain, Limit::Now, copy)), -14);
    // SAFETY: it is retained.
    assert_eq!(unsafe { std::slice::from_raw_parts(borrowed.start, borrowed.len) }, b"kept");
    assert!(slave.inspector().stats().is_ok());
    slave.receiver().unretain(&mut Plain, borrowed.token);
    assert_eq!(slave.inspector().stats().unwrap_err().code(), -14);
}

#[test]
fn another_thread_ends_a_call_that_waits() {
    let (master, _slave) = pair("ends");
    let wait = |master: &Arc<SharedEndpoint>| {
        let master = Arc::clone(master);
        let thread =
            std::thread::spawn(move || core_code(master.receiver().recv(&mut Plain, Limit::Forever, copy)));
        std::thread::sleep(SHORT);
        thread
    };
    let thread = wait(&master);
    let started = Instant::now();
    assert!(master.receiver().close(&mut Plain));
    assert_eq!(thread.join().unwrap(), -14);
    assert!(started.elapsed() < SECOND);

    let (master, _slave) = pair("ends-both");
    let thread = wait(&master);
    assert!(master.close(&mut Plain).is_some());
    assert_eq!(thread.join().unwrap(), -14);
}

#[test]
fn others_have_their_turn_between_two_parts() {
    let (master, slave) = pair("turn");
    let waiting = Arc::clone(&slave);
    let thread = std::thread::spawn(move || {
        let mut host = Counting::default();
        let got = waiting.receiver().recv(&mut host, Limit::Forever, copy).unwrap().unwrap();
        (got, host.blocks > 1 && host.betweens > 0)
    });
    std::thread::sleep(SHORT);
    // The other thread holds the lock for a part.
    assert!(slave.receiver().read(&mut Plain, Limit::Now, copy).unwrap().is_none());
    send(&master, b"at last");
    assert_eq!(thread.join().unwrap(), (b"at last".to_vec(), true));
}

#[test]
fn the_host_ends_each_verb() {
    let (master, _slave) = pair_of("host", 64);
    let ended = || Counting { last: Some(2), ..Counting::default() };
    fill(&master);
    let long = Limit::For(60 * SECOND);
    let sender = master.sender();
    assert!(matches!(sender.send(&mut ended(), b"x", long), Err(Error::Stale { .. })));
    assert!(matches!(sender.loan(&mut ended(), 1, Limit::Forever), Err(Error::Stale { .. })));
    assert!(matches!(sender.send_many(&mut ended(), &["x"], long), (0, Err(Error::Stale { .. }))));
    let receiver = master.receiver();
    assert!(matches!(receiver.recv(&mut ended(), long, copy), Err(Error::Stale { .. })));
    assert!(matches!(receiver.read(&mut ended(), long, copy), Err(Error::Stale { .. })));
    assert!(matches!(receiver.borrow(&mut ended(), Limit::Forever), Err(Error::Stale { .. })));
    let each = |_: &mut Counting, _: &Content<'_>| ControlFlow::Continue(());
    assert!(matches!(receiver.recv_many(&mut ended(), long, 9, each), Err(Error::Stale { .. })));
    // Nothing was lent by a call that was ended.
    assert_eq!((sender.lent(), receiver.lent()), (None, None));
}

#[test]
fn limits_end_each_verb() {
    let (master, _slave) = pair_of("limits", 64);
    fill(&master);
    let (sender, receiver) = (master.sender(), master.receiver());
    let short = Limit::For(SHORT);
    assert_eq!(core_code(sender.send(&mut Plain, b"x", Limit::Now)), -12);
    assert_eq!(core_code(sender.loan(&mut Plain, 1, Limit::Now)), -12);
    assert_eq!(core_code(sender.send(&mut Plain, b"x", short)), -10);
    assert_eq!(core_code(sender.loan(&mut Plain, 1, short)), -10);
    assert_eq!(core_code(sender.send_many(&mut Plain, &["x"], short).1), -10);
    assert!(receiver.recv(&mut Plain, Limit::Now, copy).unwrap().is_none());
    assert!(receiver.borrow(&mut Plain, Limit::Now).unwrap().is_none());
    assert_eq!(core_code(receiver.recv(&mut Plain, short, copy)), -10);
    assert_eq!(core_code(receiver.read(&mut Plain, short, copy)), -10);
    assert_eq!(core_code(receiver.borrow(&mut Plain, Limit::For(Duration::ZERO))), -10);
    assert_eq!(master.inspector().stats().unwrap().timeouts, 6);
}

#[test]
fn a_glance_finds_without_blocking() {
    let (master, slave) = pair("glance");
    let thread = std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        send(&master, b"seen");
        master
    });
    let mut host = Counting { glances: true, ..Counting::default() };
    assert_eq!(slave.receiver().recv(&mut host, Limit::Forever, copy).unwrap().unwrap(), b"seen");
    assert_eq!(host.blocks, 0);
    thread.join().unwrap();
}

/// A peer that needs this processor cannot answer while a glance lasts.
#[test]
fn glances_that_are_in_vain_are_left_out() {
    let (_master, slave) = pair("vain");
    for _ in 0..8 {
        assert_eq!(core_code(slave.receiver().recv(&mut Plain, Limit::For(Duration::ZERO), copy)), -10);
    }
    // A glance would last ten seconds.
    let mut host = Counting { glances: true, last: Some(1), ..Counting::default() };
    let begun = std::time::Instant::now();
    assert!(slave.receiver().recv(&mut host, Limit::For(60 * SECOND), copy).is_err());
    assert_eq!(host.blocks, 1);
    assert!(begun.elapsed() < 5 * SECOND);
}

#[test]
fn a_batch_says_how_many_were_sent() {
    let (master, slave) = pair_of("batch", 64);
    let messages: Vec<[u8; 4]> = (0..5000_u32).map(u32::to_le_bytes).collect();
    let (sent, outcome) = master.sender().send_many(&mut Plain, &messages, Limit::For(SHORT));
    assert_eq!(core_code(outcome), -10);
    assert!(sent > 0 && sent < messages.len());
    let (rest, sending) = (messages[sent..].to_vec(), Arc::clone(&master));
    let thread =
        std::thread::spawn(move || sending.sender().send_many(&mut Plain, &rest, Limit::For(60 * SECOND)));
    let mut got = Vec::new();
    while got.len() < messages.len() {
        slave
            .receiver()
            .recv_many(&mut Plain, Limit::For(SECOND), 100, |_, message| {
                got.push(<[u8; 4]>::try_from(&**message).unwrap());
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    let (more, outcome) = thread.join().unwrap();
    outcome.unwrap();
    assert_eq!((sent + more, got), (messages.len(), messages));
}

/// Receives a batch that stops at the second message of three.
fn stopped(endpoint: &SharedEndpoint, stop: fn() -> Stop<Error>) -> Outcome<usize> {
    let mut seen = 0;
    endpoint.receiver().recv_many(&mut Plain, Limit::For(SECOND), 9, |_, _| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(stop()) } else { ControlFlow::Continue(()) }
    })
}

#[test]
fn a_batch_stops_where_its_caller_wants() {
    let (master, slave) = pair("stops");
    let send_three = || ["1", "2", "3"].map(|text| send(&master, text.as_bytes()));
    let rest = || -> usize {
        let mut count = 0;
        while slave.receiver().recv(&mut Plain, Limit::Now, copy).unwrap().is_some() {
            count += 1;
        }
        count
    };
    send_three();
    assert_eq!((stopped(&slave, || Stop::After).unwrap(), rest()), (2, 1));
    send_three();
    assert_eq!((stopped(&slave, || Stop::Before).unwrap(), rest()), (1, 2));
    send_three();
    let undo = || Stop::Undo(Error::Lent { segment: "undone".into() });
    assert!(matches!(stopped(&slave, undo), Err(Error::Lent { .. })));
    assert_eq!(rest(), 3);
    send_three();
    assert!(catch_unwind(AssertUnwindSafe(|| stopped(&slave, || panic!("on purpose")))).is_err());
    assert_eq!(rest(), 3);
}

#[test]
fn what_cannot_be_taken_stays_the_next_one() {
    let refuse = |_: &mut Plain, _: &Content<'_>| Err::<(), _>(Error::Lent { segment: "refused".into() });
    for capacity in [4096, 0] {
        let (master, slave) = pair_of(&format!("stays-{capacity}"), capacity);
        let receiver = slave.receiver();
        send(&master, b"message");
        for _ in 0..2 {
            assert!(matches!(receiver.recv(&mut Plain, Limit::For(SECOND), refuse), Err(Error::Lent { .. })));
        }
        let stop = |_: &mut Plain, _: &Content<'_>| ControlFlow::Break(Stop::Before);
        assert_eq!(receiver.recv_many(&mut Plain, Limit::Now, 9, stop).unwrap(), 0);
        let borrowed = receiver.borrow(&mut Plain, Limit::Now).unwrap().unwrap();
        // SAFETY: the message is borrowed until the next call.
        assert_eq!(unsafe { std::slice::from_raw_parts(borrowed.start, borrowed.len) }, b"message");
        assert!(receiver.recv(&mut Plain, Limit::Now, copy).unwrap().is_none());

        master.sender().write(&mut Plain, b"value").unwrap();
        assert!(matches!(receiver.read(&mut Plain, Limit::For(SECOND), refuse), Err(Error::Lent { .. })));
        assert_eq!(receiver.read(&mut Plain, Limit::Now, copy).unwrap().unwrap(), b"value");
        assert!(receiver.read(&mut Plain, Limit::Now, copy).unwrap().is_none());
        master.sender().write(&mut Plain, b"older").unwrap();
        assert!(receiver.read(&mut Plain, Limit::Now, refuse).is_err());
        master.sender().write(&mut Plain, b"newer").unwrap();
        assert_eq!(receiver.read(&mut Plain, Limit::Now, copy).unwrap().unwrap(), b"newer");
        assert!(receiver.read(&mut Plain, Limit::Now, copy).unwrap().is_none());
    }
}

#[test]
fn a_forked_child_is_refused_and_changes_nothing() {
    let (master, slave) = pair("fork");
    send(&master, b"lent");
    let borrowed = slave.receiver().borrow(&mut Plain, Limit::Now).unwrap().unwrap();
    let loan = slave.sender().loan(&mut Plain, 4, Limit::Now).unwrap();
    // SAFETY: the child calls nothing but this module and `_exit`, and no other thread of this test holds a lock of
    // these.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let codes = [
                slave
                    .receiver()
                    .release(&mut Plain, borrowed.token)
                    .map_or_else(|error| error.code(), |()| 0),
                slave.sender().give_back(&mut Plain, loan.token).map_or_else(|error| error.code(), |()| 0),
                slave.sender().send_loan(&mut Plain, loan.token).map_or_else(|error| error.code(), |()| 0),
                slave.sender().send(&mut Plain, b"x", Limit::Now).map_or_else(|error| error.code(), |()| 0),
                slave.receiver().recv(&mut Plain, Limit::Now, copy).map_or_else(|error| error.code(), |_| 0),
            ];
            let closed = slave.close(&mut Plain).is_some();
            let right = codes == [-18; 5] && !closed;
            // SAFETY: ends this process, which has nothing to clean up.
            unsafe { libc::_exit(i32::from(!right)) };
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
    assert_eq!(slave.inspector().stats().unwrap().messages_received, 0);
    slave.receiver().release(&mut Plain, borrowed.token).unwrap();
    slave.sender().send_loan(&mut Plain, loan.token).unwrap();
    assert_eq!(slave.inspector().stats().unwrap().messages_received, 1);
    assert_eq!(recv(&master).len(), 4);
}
