//! What is done often allocates nothing: neither what succeeds, nor what fails because it would have to wait.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use eshm::{Endpoint, Error, PeerState, Role};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // While the thread ends there is no counter any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: the system's allocator does all of it; a counter without a destructor is no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; `start` is from the same allocator.
        unsafe { System.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as in `dealloc`.
        unsafe { System.realloc(start, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Asserts that `call`, once warm, allocates nothing on this thread.
fn allocates_nothing(what: &str, times: u32, mut call: impl FnMut()) {
    call();
    let before = ALLOCATIONS.get();
    for _ in 0..times {
        call();
    }
    assert_eq!(ALLOCATIONS.get() - before, 0, "{what}");
}

fn pair(test: &str, queue_capacity: usize) -> (Endpoint, Endpoint) {
    let name = format!("allocations-{test}-{}", std::process::id());
    let open = |role| Endpoint::builder(&name).role(role).queue_capacity(queue_capacity).open().unwrap();
    (open(Role::Master), open(Role::Slave))
}

const NOT_AT_ALL: Duration = Duration::ZERO;
const A_MOMENT: Duration = Duration::from_millis(1);

#[test]
fn the_allocator_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn calls_that_find_the_queue_full_allocate_nothing() {
    for capacity in [4096, 0] {
        let (mut master, _slave) = pair(&format!("full-{capacity}"), capacity);
        while master.try_send(&[1; 64]).is_ok() {}
        let (sender, _) = master.split();
        allocates_nothing("try_send", 1000, || {
            assert!(matches!(sender.try_send(&[1; 64]), Err(Error::Full { .. })));
        });
        allocates_nothing("try_loan", 1000, || {
            assert!(matches!(sender.try_loan(64), Err(Error::Full { .. })));
        });
        allocates_nothing("send_timeout of 0", 1000, || {
            assert!(matches!(sender.send_timeout(&[1; 64], NOT_AT_ALL), Err(Error::Timeout { .. })));
        });
        allocates_nothing("send_timeout of 1 ms", 20, || {
            assert!(matches!(sender.send_timeout(&[1; 64], A_MOMENT), Err(Error::Timeout { .. })));
        });
        allocates_nothing("loan_timeout", 20, || {
            assert!(matches!(sender.loan_timeout(64, A_MOMENT), Err(Error::Timeout { .. })));
        });
        allocates_nothing("try_send_many", 1000, || {
            assert_eq!(sender.try_send_many(&[[1; 64]; 3]).unwrap_err().sent, 0);
        });
        let size = sender.max_message() + 1;
        let long = vec![0; size];
        allocates_nothing("a message that is too large", 1000, || {
            assert!(matches!(sender.send(&long), Err(Error::TooLarge { .. })));
        });
    }
}

#[test]
fn calls_that_find_nothing_allocate_nothing() {
    for capacity in [4096, 0] {
        let (mut master, _slave) = pair(&format!("empty-{capacity}"), capacity);
        let (_, receiver) = master.split();
        allocates_nothing("try_recv", 1000, || assert!(receiver.try_recv().unwrap().is_none()));
        allocates_nothing("try_read", 1000, || assert!(receiver.try_read().unwrap().is_none()));
        for (times, timeout) in [(1000, NOT_AT_ALL), (20, A_MOMENT)] {
            allocates_nothing("recv_timeout", times, || {
                assert!(receiver.recv_timeout(timeout).unwrap().is_none());
            });
            allocates_nothing("read_timeout", times, || {
                assert!(receiver.read_timeout(timeout).unwrap().is_none());
            });
            allocates_nothing("recv_many_timeout", times, || {
                assert_eq!(receiver.recv_many_timeout(8, timeout, |_| {}).unwrap(), 0);
            });
        }
    }
}

#[test]
fn calls_on_an_endpoint_that_is_stopped_or_has_no_peer_allocate_nothing() {
    let (mut master, slave) = pair("stopped", 4096);
    drop(slave);
    allocates_nothing("recv without a peer", 1000, || {
        assert!(matches!(master.recv(), Err(Error::PeerClosed { .. })));
    });
    master.inspector().stop();
    allocates_nothing("recv after the stop", 1000, || {
        assert!(matches!(master.recv(), Err(Error::Closed { .. })));
    });

    let (master, mut slave) = pair("reconnecting", 4096);
    drop(master);
    while slave.peer_state() != PeerState::Closed {
        std::thread::yield_now();
    }
    allocates_nothing("try_send without a master", 1000, || {
        assert!(matches!(slave.try_send(b"x"), Err(Error::Reconnecting { .. })));
    });
    allocates_nothing("write without a master", 1000, || {
        assert!(matches!(slave.write(b"x"), Err(Error::Reconnecting { .. })));
    });
}

#[test]
fn calls_that_succeed_allocate_nothing() {
    let (mut master, mut slave) = pair("warm", 64 << 10);
    let message = [7; 56];
    allocates_nothing("send and recv", 1000, || {
        master.send(&message).unwrap();
        assert_eq!(slave.recv().unwrap().len(), message.len());
    });
    allocates_nothing("a loan", 1000, || {
        let mut loan = master.loan(message.len()).unwrap();
        loan.copy_from_slice(&message);
        loan.send().unwrap();
        assert_eq!(slave.recv_timeout(A_MOMENT).unwrap().unwrap().len(), message.len());
    });
    allocates_nothing("write and read", 1000, || {
        master.write(&message).unwrap();
        assert_eq!(slave.read().unwrap().len(), message.len());
    });
    let batch = [message; 8];
    allocates_nothing("send_many and recv_many", 1000, || {
        master.send_many(&batch).unwrap();
        assert_eq!(slave.recv_many(8, |_| {}).unwrap(), 8);
    });
    allocates_nothing("stats", 1000, || assert!(master.stats().unwrap().messages_sent > 0));
}

#[test]
fn waits_and_questions_while_nothing_happens_allocate_nothing() {
    let (mut master, _slave) = pair("idle", 4096);
    master.wait_for_peer(Duration::from_secs(30)).unwrap();
    allocates_nothing("peer_state", 1000, || assert_eq!(master.peer_state(), PeerState::Alive));
    allocates_nothing("recv_timeout", 20, || assert!(master.recv_timeout(A_MOMENT).unwrap().is_none()));
}
