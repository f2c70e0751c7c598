//! Random programs of two endpoints, whose segment is closed, replaced and renamed under them, against a model.

#![allow(clippy::disallowed_types, reason = "flags of the test itself")]

#[path = "../common/mod.rs"]
mod common;
mod model;
mod segments;
mod streams;
mod world;

use std::time::Duration;

use eshm::{BatchError, Endpoint, Error, Role};

use world::World;

/// A small generator of random numbers. Its seed determines a program.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// The time within which everything happens that must happen.
const SOON: Duration = Duration::from_secs(20);

/// Returns whether a call succeeded. An error that the programs expect is a failure; any other one panics.
fn ok_or_not(result: Result<(), Error>) -> bool {
    match result {
        Ok(()) => true,
        Err(
            Error::Full { .. }
            | Error::Reconnecting { .. }
            | Error::PeerClosed { .. }
            | Error::PeerStale { .. }
            | Error::Timeout { .. },
        ) => false,
        Err(error) => panic!("{error}"),
    }
}

fn master_of(segment: &str, capacity: usize) -> Endpoint {
    Endpoint::builder(segment).role(Role::Master).queue_capacity(capacity).open().unwrap()
}

fn searching_slave(segment: &str) -> Endpoint {
    Endpoint::builder(segment).role(Role::Slave).reconnect_interval(Duration::from_millis(5)).open().unwrap()
}

/// Returns how many messages of a batch of `all` were sent.
fn sent_of(outcome: Result<(), BatchError>, all: usize) -> u64 {
    outcome.map_or_else(|error| error.sent, |()| all) as u64
}

/// Runs the program of a seed.
fn run(seed: u64) {
    let mut world = World::new(seed);
    let steps = 20 + world.random.below(60);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..steps {
            world.step();
        }
        world.finish();
    }));
    if result.is_err() {
        panic!("seed {seed}, values {}:\n{}", world.values, world.log.join("\n"));
    }
}

#[test]
fn random_programs_lose_duplicate_and_reorder_nothing() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u64>().expect("a number"))
    };
    let first = number("MOVES_SEED", 1);
    for seed in first..first + number("MOVES_COUNT", 50) {
        run(seed);
    }
}
