//! The async verbs under tokio, cancelled at random: nothing is lost, doubled or reordered.

mod common;

use std::future::Future;
use std::thread;
use std::time::Duration;

use common::Name;
use common::aio::{builder, polls, runtimes, soon};
use eshm::tokio::AsyncEndpoint;
use eshm::{Endpoint, Role};
use tokio::time::timeout;

/// Pseudo-random numbers of a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// Cancels a future at a random point: after some polls, or after some time.
    async fn cancel<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        match self.roll(4) {
            0 => Some(soon(future).await),
            1 => timeout(Duration::from_micros(self.roll(200)), future).await.ok(),
            _ => {
                let count = self.roll(4) as u32 + 1;
                polls(count, future).await
            }
        }
    }
}

/// A task that receives, cancelled at random, beside a thread that sends as fast as it can.
#[test]
fn cancelled_receives_lose_and_double_nothing() {
    const COUNT: u32 = 3000;
    for (seed, runtime) in (1..).zip(runtimes()) {
        let name = Name::new("tokio-cancel-receive");
        let mut master = builder(&name, Role::Master).open().unwrap();
        let sending = thread::spawn(move || {
            for number in 0..COUNT {
                master.send(&number.to_ne_bytes()).unwrap();
                master.write(&number.to_ne_bytes()).unwrap();
                if number % 61 == 0 {
                    thread::yield_now();
                }
            }
            master
        });
        runtime.block_on(async {
            let mut slave = AsyncEndpoint::open(builder(&name, Role::Slave)).await.unwrap();
            let mut dice = Dice(seed);
            let (mut next, mut latest) = (0_u32, None);
            let number = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().unwrap());
            while next < COUNT {
                match dice.roll(8) {
                    0 => {
                        let mut numbers = Vec::new();
                        let each = |bytes: &[u8]| numbers.push(number(bytes));
                        dice.cancel(slave.recv_many(5, each)).await.transpose().unwrap();
                        for found in numbers {
                            assert_eq!(found, next);
                            next += 1;
                        }
                    }
                    1 => {
                        // The last value may be read already.
                        let value = polls(2, slave.read()).await.transpose().unwrap();
                        if let Some(value) = value.map(|value| number(&value)) {
                            assert!(latest.is_none_or(|latest| latest < value), "{latest:?}, then {value}");
                            latest = Some(value);
                        }
                    }
                    _ => {
                        let found = dice.cancel(slave.recv()).await.transpose().unwrap();
                        if let Some(found) = found.map(|message| number(&message)) {
                            assert_eq!(found, next);
                            next += 1;
                        }
                    }
                }
            }
            let error = polls(2, slave.recv()).await.transpose();
            assert!(error.unwrap().is_none());
        });
        drop(sending.join().unwrap());
    }
}

/// A task that sends, cancelled at random, beside a thread that receives slowly.
#[test]
fn cancelled_sends_send_nothing_or_once() {
    const COUNT: u32 = 3000;
    for (seed, runtime) in (11..).zip(runtimes()) {
        let name = Name::new("tokio-cancel-send");
        let small = |role| Endpoint::builder(&name).role(role).queue_capacity(256);
        let mut master = small(Role::Master).open().unwrap();
        let receiving = thread::spawn(move || {
            for number in 0..COUNT {
                assert_eq!(master.recv().unwrap(), number.to_ne_bytes());
                if number % 7 == 0 {
                    thread::yield_now();
                }
            }
            assert!(master.try_recv().unwrap().is_none());
            master
        });
        runtime.block_on(async {
            let mut slave = AsyncEndpoint::open(small(Role::Slave)).await.unwrap();
            let mut dice = Dice(seed);
            let mut next = 0_u32;
            while next < COUNT {
                let bytes = next.to_ne_bytes();
                match dice.roll(6) {
                    0 => {
                        let end = COUNT.min(next + 20);
                        let batch: Vec<_> = (next..end).map(u32::to_ne_bytes).collect();
                        let mut left = &batch[..];
                        dice.cancel(slave.send_many(&mut left)).await.transpose().unwrap();
                        next = end - left.len() as u32;
                    }
                    1 => {
                        if let Some(loan) = dice.cancel(slave.loan(4)).await {
                            let mut loan = loan.unwrap();
                            loan.copy_from_slice(&bytes);
                            loan.send().unwrap();
                            next += 1;
                        }
                    }
                    _ => {
                        let sent = dice.cancel(slave.send(&bytes)).await.transpose().unwrap();
                        next += u32::from(sent.is_some());
                    }
                }
            }
            drop(receiving.join().unwrap());
        });
    }
}
