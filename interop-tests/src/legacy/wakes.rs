//! Wake-ups of parked readers.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Pair, WATCHDOG};
use crate::observe::Observation;
use crate::peer::Peer;
use crate::scenario::{Side, Stage};
use crate::segment::Segment;

/// A channel's field `waiters`, for N = 4096.
const WAITERS: usize = 4124;
/// The number of attempts: a reader that parks for 50 ms at a time may happen to poll at the time of the write.
const ROUNDS: usize = 50;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = Pair::open(stage, "legacy-wake")?;
    pair.prime()?;
    // Our reader polls until it has seen that the peer wakes readers.
    pair.exchange(b"once")?;
    pair.exchange(b"twice")?;
    let version_12 = [stage.pairing.master, stage.pairing.slave].iter().any(|one| one.name == "legacy-1.2");
    if version_12 {
        woken(&mut pair, pair_side(stage).other())?;
        woken(&mut pair, pair_side(stage))?;
    } else {
        polled(&mut pair)?;
    }
    pair.close()
}

fn pair_side(stage: &Stage<'_>) -> Side {
    if super::is_old(stage.pairing.master) { Side::Master } else { Side::Slave }
}

/// Parks a reader, lets the `writer` write, and checks that the stand-in counts a wake.
fn woken(pair: &mut Pair<'_>, writer: Side) -> Result<()> {
    let before = wakes(pair)?;
    for _ in 0..ROUNDS {
        let (write, read) = pair.peers.way(writer);
        read.tell("read 10000")?;
        parked(&pair.segment, writer)?;
        write.expect("write 77616b65", &Observation::Ok)?;
        answered(read)?;
        if wakes(pair)? > before {
            return Ok(());
        }
    }
    bail!("none of {ROUNDS} parked readers was woken by the {}", writer.word())
}

/// Version 1.0 does not wake readers. Checks that the value arrives by polling.
fn polled(pair: &mut Pair<'_>) -> Result<()> {
    for writer in [Side::Master, Side::Slave] {
        for _ in 0..10 {
            let (write, read) = pair.peers.way(writer);
            read.tell("read 10000")?;
            write.expect("write 77616b65", &Observation::Ok)?;
            answered(read)?;
        }
    }
    ensure!(wakes(pair)? == 0, "a process of 1.0 has woken somebody, or was");
    Ok(())
}

fn answered(reader: &mut Peer) -> Result<()> {
    match reader.answer()? {
        Observation::Message { .. } => Ok(()),
        found => bail!("{reader}: {found:?}, expected a value"),
    }
}

/// Returns how often the stand-in was woken or woke a reader.
fn wakes(pair: &mut Pair<'_>) -> Result<u64> {
    let (_, old) = pair.both();
    match old.ask("wakes")? {
        Observation::Value { number, skipped } => Ok(number + skipped),
        found => bail!("{old}: {found:?}, expected how often it was woken"),
    }
}

/// Waits until the segment shows that the reader of `writer`'s values is parked.
fn parked(segment: &Segment, writer: Side) -> Result<()> {
    let at = if writer == Side::Master { 128 } else { 4352 } + WAITERS;
    let since = Instant::now();
    while segment.bytes()?[at..at + 4] == [0; 4] {
        ensure!(since.elapsed() < WATCHDOG, "the reader of the {} does not park", writer.word());
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
