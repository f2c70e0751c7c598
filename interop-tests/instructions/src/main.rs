//! What `scripts/test_instructions.sh` counts: each verb at both ends. `instructions.c` does the same in C.
//!
//! Callgrind counts only inside of `counted`, and writes a part of its report at each call of `part_ends`. For each
//! part, the program prints a line: `LANGUAGE END VERB BYTES CALLS`.

use std::fmt::Display;
use std::hint::black_box;
use std::time::Duration;

use eshm::{Endpoint, Role};

const FEW: u32 = 100;
const MANY: u32 = 500;
/// Messages of a call of `send_many` and `recv_many`.
const BATCH: usize = 8;
/// Every message of the longest turn has its place in the queue.
const QUEUE: usize = 24 << 20;
/// No time-out and no heartbeat may end in a run.
const HOUR: Duration = Duration::from_secs(3600);

/// At the start of a cache line: the instructions of a copy depend on the alignment.
#[repr(align(64))]
struct Batch<const BYTES: usize>([[u8; BYTES]; BATCH]);

static SHORT: Batch<56> = Batch([[7; 56]; BATCH]);
static LONG: Batch<4096> = Batch([[7; 4096]; BATCH]);

/// The only function in which callgrind counts.
#[inline(never)]
fn counted(calls: u32, call: &mut impl FnMut()) {
    for _ in 0..calls {
        call();
    }
}

/// Callgrind ends a part of its report here.
#[inline(never)]
fn part_ends(end: &str, verb: &str, bytes: usize, calls: u32) {
    println!("rust {end} {verb} {bytes} {calls}");
}

fn ok<T, E: Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

struct Pair {
    master: Endpoint,
    slave: Endpoint,
    bytes: usize,
}

impl Pair {
    fn open(bytes: usize) -> Pair {
        let name = format!("instructions-{}", std::process::id());
        let open = |role| {
            let builder = Endpoint::builder(&name).queue_capacity(QUEUE).stale_threshold(HOUR);
            ok(builder.heartbeat_interval(Duration::from_secs(1)).role(role).open())
        };
        Pair { master: open(Role::Master), slave: open(Role::Slave), bytes }
    }

    fn message(&self) -> &'static [u8] {
        &LONG.0[0][..self.bytes]
    }

    fn fill(&mut self, messages: u32) {
        for _ in 0..messages {
            ok(self.master.try_send(self.message()));
        }
    }

    fn drain(&mut self) {
        while ok(self.slave.try_recv()).is_some() {}
    }

    /// Counts a verb of the sender: its messages fit into the empty queue.
    fn sends(&mut self, verb: &str, mut call: impl FnMut(&mut Endpoint)) {
        for calls in [FEW, FEW, MANY] {
            counted(calls, &mut || call(&mut self.master));
            part_ends("sender", verb, self.bytes, calls);
            self.drain();
        }
    }

    /// Counts a verb of the receiver: every message that it asks for is there.
    fn receives(&mut self, verb: &str, messages: u32, mut call: impl FnMut(&mut Endpoint)) {
        for calls in [FEW, FEW, MANY] {
            self.fill(calls * messages);
            counted(calls, &mut || call(&mut self.slave));
            part_ends("receiver", verb, self.bytes, calls);
            assert!(ok(self.slave.try_recv()).is_none(), "{verb} has left a message");
        }
    }

    /// Counts a verb that reads: a new value is there before each call.
    fn reads(&mut self, verb: &str, mut call: impl FnMut(&mut Endpoint)) {
        for calls in [FEW, FEW, MANY] {
            for _ in 0..calls {
                ok(self.master.write(self.message()));
                counted(1, &mut || call(&mut self.slave));
            }
            part_ends("receiver", verb, self.bytes, calls);
        }
    }

    fn count(&mut self) {
        let (message, len) = (self.message(), self.bytes);
        self.sends("send", |master| ok(master.send(black_box(message))));
        self.sends("try_send", |master| ok(master.try_send(black_box(message))));
        self.sends("loan+send", |master| {
            let mut loan = ok(master.loan(black_box(len)));
            loan.copy_from_slice(message);
            ok(loan.send());
        });
        self.sends("send_many(8)", |master| match len {
            56 => ok(master.send_many(black_box(&SHORT.0))),
            _ => ok(master.send_many(black_box(&LONG.0))),
        });
        self.receives("recv", 1, |slave| drop(black_box(ok(slave.recv()))));
        self.receives("try_recv", 1, |slave| drop(black_box(ok(slave.try_recv()).unwrap())));
        self.receives("recv_many(8)", 8, |slave| {
            let received = ok(slave.recv_many(BATCH, |message| {
                black_box(message);
            }));
            assert_eq!(received, BATCH);
        });
        self.sends("write", |master| ok(master.write(black_box(message))));
        self.reads("read", |slave| drop(black_box(ok(slave.read()))));
        self.reads("try_read", |slave| drop(black_box(ok(slave.try_read()).unwrap())));
    }
}

fn main() {
    for bytes in [56, 4096] {
        Pair::open(bytes).count();
    }
}
