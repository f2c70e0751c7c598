//! Streams in both directions while masters come and go.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use eshm::{Endpoint, Inspector, Receiver, Role, Sender};

use crate::common::{self, Name};
use crate::model::bytes_of;
use crate::{Random, SOON, ok_or_not, sent_of};

/// What the threads tell each other.
#[derive(Default)]
struct Shared {
    end: AtomicBool,
    /// From the slave to the masters.
    up_sent: AtomicU64,
    /// From the masters to the slave.
    down_sent: AtomicU64,
    down_received: AtomicU64,
}

/// Returns a message that fits the smallest queue.
fn fits(number: u64) -> Vec<u8> {
    let mut bytes = bytes_of(number);
    bytes.truncate(100);
    bytes
}

fn setting(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Opens a master with queues of a random capacity.
fn open_master(segment: &Name, random: &mut Random) -> Endpoint {
    let builder = Endpoint::builder(segment).role(Role::Master).stale_threshold(SOON);
    let capacity = [100, 200, 1 << 12, 1 << 16, 1 << 18, 0][random.below(6) as usize];
    let capacity = if std::env::var_os("MOVES_QUEUES").is_some() { capacity.max(100) } else { capacity };
    let since = Instant::now();
    loop {
        match builder.clone().queue_capacity(capacity).auto_cleanup(random.below(2) == 0).open() {
            Ok(master) => break master,
            Err(error) => assert!(since.elapsed() < SOON, "{error}"),
        }
    }
}

/// Sends messages in random ways until the end.
fn send_up(sender: &mut Sender, random: &mut Random, shared: &Shared) {
    let moment = Duration::from_micros(300);
    let mut number = 0;
    while !shared.end.load(SeqCst) {
        let batch: Vec<_> = (number..number + 1 + random.below(40)).map(fits).collect();
        match random.below(4) {
            0 => match sender.send_many_timeout(&batch, moment) {
                Ok(()) => number += batch.len() as u64,
                Err(error) => number += error.sent as u64,
            },
            1 => number += sent_of(sender.try_send_many(&batch), batch.len()),
            2 => {
                if let Ok(mut loan) = sender.try_loan(batch[0].len()) {
                    loan.copy_from_slice(&batch[0]);
                    number += u64::from(loan.send().is_ok());
                }
            }
            _ => number += u64::from(sender.send_timeout(&batch[0], moment).is_ok()),
        }
        shared.up_sent.store(number, SeqCst);
        if random.below(20) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(2000)));
        }
    }
    // Everything that remains is sent.
    let since = Instant::now();
    while sender.send_timeout(&fits(number), Duration::from_millis(5)).is_err() {
        assert!(since.elapsed() < SOON, "the last one does not go");
    }
    shared.up_sent.store(number + 1, SeqCst);
}

/// Checks that `bytes` are the next message.
fn expect_next(bytes: &[u8], next: &mut u64, what: &str) {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(number, *next, "{what}");
    assert_eq!(bytes, fits(number));
    *next += 1;
}

/// Receives messages until the end, and until all that were sent have arrived.
fn receive_down(receiver: &mut Receiver, shared: &Shared) {
    let mut next = 0;
    while !shared.end.load(SeqCst) || shared.down_received.load(SeqCst) < shared.down_sent.load(SeqCst) {
        let got = receiver
            .recv_many_timeout(30, Duration::from_millis(1), |bytes| expect_next(bytes, &mut next, "down"));
        if let Err(error) = got {
            ok_or_not(Err(error));
        }
        shared.down_received.store(next, SeqCst);
    }
}

/// What the masters have sent and received so far.
#[derive(Default)]
struct Masters {
    sent: u64,
    received: u64,
}

impl Masters {
    /// Sends or receives in a random way.
    fn step(&mut self, master: &mut Endpoint, random: &mut Random, round: u64) {
        match random.below(3) {
            0 => {
                let sent = master.send_timeout(&fits(self.sent), Duration::from_micros(200));
                self.sent += u64::from(sent.is_ok());
            }
            1 => {
                let batch: Vec<_> = (self.sent..self.sent + 20).map(fits).collect();
                self.sent += sent_of(master.split().0.try_send_many(&batch), batch.len());
            }
            _ => {
                let most = 1 + random.below(50) as usize;
                let what = format!("up, life {round}");
                let got = master.split().1.recv_many_timeout(most, Duration::from_micros(300), |bytes| {
                    expect_next(bytes, &mut self.received, &what);
                });
                if let Err(error) = got {
                    ok_or_not(Err(error));
                }
            }
        }
    }

    /// Receives everything that the slave has sent.
    fn finish(
        &mut self,
        last: &mut Endpoint,
        up: &ScopedJoinHandle<'_, ()>,
        shared: &Shared,
        slave: &Inspector,
    ) {
        let since = Instant::now();
        while !up.is_finished() || self.received < shared.up_sent.load(SeqCst) {
            let (received, sent) = (self.received, shared.up_sent.load(SeqCst));
            assert!(since.elapsed() < SOON, "up: {received} of {sent}, {}", slave.unreceived());
            if let Some(message) = last.recv_timeout(Duration::from_millis(1)).unwrap() {
                expect_next(&message, &mut self.received, "up, at the end");
            }
        }
    }
}

/// At each end one thread sends and one receives, while masters come and go and the name is removed.
#[test]
fn streams_survive_masters_that_come_and_go() {
    let seed = setting("MOVES_SEED", 1);
    let mut random = Random(seed);
    let segment = Name::new("random-streams");
    let first = open_master(&segment, &mut random);
    let slave = Endpoint::builder(&segment).role(Role::Slave).stale_threshold(SOON);
    let slave = slave.reconnect_interval(Duration::from_millis(1)).open().unwrap();
    let inspector = slave.inspector();
    let (mut sender, mut receiver) = slave.into_split();
    let (shared, mut masters) = (Shared::default(), Masters::default());
    std::thread::scope(|scope| {
        let up = scope.spawn(|| send_up(&mut sender, &mut Random(seed + 1), &shared));
        let down = scope.spawn(|| receive_down(&mut receiver, &shared));
        let mut master = Some(first);
        for round in 0..setting("MOVES_ROUNDS", 40) {
            let mut one = master.take().unwrap_or_else(|| open_master(&segment, &mut random));
            one.wait_for_peer(SOON).unwrap();
            for _ in 0..random.below(60) {
                if up.is_finished() || down.is_finished() {
                    break;
                }
                masters.step(&mut one, &mut random, round);
            }
            shared.down_sent.store(masters.sent, SeqCst);
            if random.below(12) == 0 && fs::remove_file(segment.path()).is_ok() && random.below(2) == 0 {
                common::poll("the stand-in", || segment.exists().then_some(()));
            }
            assert!(!up.is_finished() && !down.is_finished());
            drop(one);
        }
        let mut last = open_master(&segment, &mut random);
        last.wait_for_peer(SOON).unwrap();
        shared.end.store(true, SeqCst);
        masters.finish(&mut last, &up, &shared, &inspector);
        up.join().unwrap();
        down.join().unwrap();
        assert_eq!(shared.down_received.load(SeqCst), masters.sent);
        assert_eq!(inspector.unreceived(), 0);
    });
    println!("{} up, {} down", masters.received, masters.sent);
}
