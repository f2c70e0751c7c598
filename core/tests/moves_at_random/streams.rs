//! Streams in both directions while masters come and go.

use std::fs;
use std::time::{Duration, Instant};

use eshm::{Endpoint, Role};

use crate::common::{self, Name};
use crate::model::bytes_of;
use crate::{Random, SOON, ok_or_not, sent_of};

/// At each end one thread sends and one receives, while masters come and go and the name is removed.
#[test]
fn streams_survive_masters_that_come_and_go() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
    let rounds = std::env::var("MOVES_ROUNDS").map_or(40, |text| text.parse::<u32>().unwrap());
    let seed = std::env::var("MOVES_SEED").map_or(1, |text| text.parse::<u64>().unwrap());
    let mut random = Random(seed);
    let segment = Name::new("random-streams");
    let open = |random: &mut Random| {
        let builder = Endpoint::builder(&segment).role(Role::Master).stale_threshold(SOON);
        let capacity = [100, 200, 1 << 12, 1 << 16, 1 << 18, 0][random.below(6) as usize];
        let capacity = if std::env::var_os("MOVES_QUEUES").is_some() { capacity.max(100) } else { capacity };
        let since = Instant::now();
        loop {
            match builder.clone().queue_capacity(capacity).auto_cleanup(random.below(2) == 0).open() {
                Ok(master) => break master,
                Err(error) => assert!(since.elapsed() < SOON, "{error}"),
            }
        }
    };
    let first = open(&mut random);
    let slave = Endpoint::builder(&segment)
        .role(Role::Slave)
        .stale_threshold(SOON)
        .reconnect_interval(Duration::from_millis(1))
        .open()
        .unwrap();
    let inspector = slave.inspector();
    let (mut sender, mut receiver) = slave.into_split();
    let end = AtomicBool::new(false);
    let (up_sent, down_sent, down_received) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let fits = |number: u64| {
        let mut bytes = bytes_of(number);
        bytes.truncate(100);
        bytes
    };
    std::thread::scope(|scope| {
        let up = scope.spawn(|| {
            let mut random = Random(seed + 1);
            let mut number = 0;
            while !end.load(SeqCst) {
                let batch: Vec<_> = (number..number + 1 + random.below(40)).map(fits).collect();
                match random.below(4) {
                    0 => match sender.send_many_timeout(&batch, Duration::from_micros(300)) {
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
                    _ => {
                        number +=
                            u64::from(sender.send_timeout(&batch[0], Duration::from_micros(300)).is_ok())
                    }
                }
                up_sent.store(number, SeqCst);
                if random.below(20) == 0 {
                    std::thread::sleep(Duration::from_micros(random.below(2000)));
                }
            }
            // Everything that remains is sent.
            let since = Instant::now();
            while sender.send_timeout(&fits(number), Duration::from_millis(5)).is_err() {
                assert!(since.elapsed() < SOON, "the last one does not go");
            }
            up_sent.store(number + 1, SeqCst);
            sender
        });
        let down = scope.spawn(|| {
            let mut next = 0;
            while !end.load(SeqCst) || down_received.load(SeqCst) < down_sent.load(SeqCst) {
                let got = receiver.recv_many_timeout(30, Duration::from_millis(1), |bytes| {
                    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                    assert_eq!(number, next, "down");
                    assert_eq!(bytes, fits(number));
                    next += 1;
                });
                if let Err(error) = got {
                    ok_or_not(Err(error));
                }
                down_received.store(next, SeqCst);
            }
            receiver
        });
        let mut master = Some(first);
        let mut expected = 0u64;
        let mut sent = 0u64;
        for round in 0..rounds {
            let mut one = master.take().unwrap_or_else(|| open(&mut random));
            one.wait_for_peer(SOON).unwrap();
            for _ in 0..random.below(60) {
                if up.is_finished() || down.is_finished() {
                    break;
                }
                match random.below(3) {
                    0 => {
                        if one.send_timeout(&fits(sent), Duration::from_micros(200)).is_ok() {
                            sent += 1;
                        }
                    }
                    1 => {
                        let batch: Vec<_> = (sent..sent + 20).map(fits).collect();
                        sent += sent_of(one.split().0.try_send_many(&batch), batch.len());
                    }
                    _ => {
                        let most = 1 + random.below(50) as usize;
                        let got =
                            one.split().1.recv_many_timeout(most, Duration::from_micros(300), |bytes| {
                                let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                                assert_eq!(number, expected, "up, life {round}");
                                assert_eq!(bytes, fits(number));
                                expected += 1;
                            });
                        if let Err(error) = got {
                            ok_or_not(Err(error));
                        }
                    }
                }
            }
            down_sent.store(sent, SeqCst);
            if random.below(12) == 0 && fs::remove_file(segment.path()).is_ok() && random.below(2) == 0 {
                common::poll("the stand-in", || segment.exists().then_some(()));
            }
            assert!(!up.is_finished() && !down.is_finished());
            drop(one);
        }
        let mut last = open(&mut random);
        last.wait_for_peer(SOON).unwrap();
        end.store(true, SeqCst);
        let since = Instant::now();
        while !up.is_finished() || expected < up_sent.load(SeqCst) {
            assert!(
                since.elapsed() < SOON,
                "up: {expected} of {}, {}",
                up_sent.load(SeqCst),
                inspector.unreceived()
            );
            if let Some(message) = last.recv_timeout(Duration::from_millis(1)).unwrap() {
                assert_eq!(&*message, fits(expected), "up, at the end");
                expected += 1;
            }
        }
        let sender = up.join().unwrap();
        let receiver = down.join().unwrap();
        assert_eq!(down_received.load(SeqCst), sent);
        assert_eq!(inspector.unreceived(), 0);
        println!("{expected} up, {sent} down");
        drop((sender, receiver));
    });
}
