//! What the verbs cost in one thread, without a peer on another core: `cargo bench --package eshm`.
//!
//! `bench/` measures what two processes see.
#![allow(missing_docs, reason = "criterion's macros make functions")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eshm::{Endpoint, Role};

/// A cache line's payload, one byte more, a page, and beyond the caches next to the core.
const SIZES: [usize; 5] = [8, 56, 57, 4 << 10, 1 << 20];

/// Both ends, with a heartbeat so slow that it is no noise.
fn pair(name: &str, size: usize) -> (Endpoint, Endpoint) {
    let name = format!("bench-{name}-{size}-{}", std::process::id());
    let builder = |role| {
        let slow = Endpoint::builder(&name).heartbeat_interval(Duration::from_secs(1));
        slow.stale_threshold(Duration::from_secs(60)).role(role)
    };
    let master = builder(Role::Master).data_size(size).queue_capacity(size.max(64 << 10)).open();
    let master = master.expect("a master");
    (master, builder(Role::Slave).open().expect("a slave"))
}

fn each_size(
    criterion: &mut Criterion,
    name: &str,
    turn: impl Fn(&mut Endpoint, &mut Endpoint, &[u8]) -> eshm::Result<()>,
) {
    let mut group = criterion.benchmark_group(name);
    for size in SIZES {
        let (mut master, mut slave) = pair(name, size);
        let message = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| turn(&mut master, &mut slave, &message).expect("no error"));
        });
    }
    group.finish();
}

fn mailbox(criterion: &mut Criterion) {
    each_size(criterion, "write", |master, _, message| master.write(black_box(message)));
    each_size(criterion, "write-read", |master, slave, message| {
        master.write(black_box(message))?;
        black_box(&*slave.read()?);
        Ok(())
    });
}

fn queue(criterion: &mut Criterion) {
    each_size(criterion, "send-recv", |master, slave, message| {
        master.send(black_box(message))?;
        black_box(&*slave.recv()?);
        Ok(())
    });
    each_size(criterion, "loan-recv", |master, slave, message| {
        let mut loan = master.loan(message.len())?;
        black_box(&mut *loan);
        loan.send()?;
        black_box(&*slave.recv()?);
        Ok(())
    });
}

fn nothing_there(criterion: &mut Criterion) {
    let (_master, mut slave) = pair("empty", 8);
    criterion.bench_function("try_recv, empty", |bencher| {
        bencher.iter(|| assert!(slave.try_recv().expect("no error").is_none()));
    });
    criterion.bench_function("try_read, nothing new", |bencher| {
        bencher.iter(|| assert!(slave.try_read().expect("no error").is_none()));
    });
}

criterion_group!(benches, mailbox, queue, nothing_there);
criterion_main!(benches);
