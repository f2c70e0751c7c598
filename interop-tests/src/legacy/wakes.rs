//! Parked readers.

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
/// A reader that parks for 50 ms at a time may just be looking up when the write comes: so many times it may.
const ROUNDS: usize = 50;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = Pair::open(stage, "legacy-wake")?;
    pair.prime()?;
    // Ours takes a peer that it has not yet seen ringing for one that never does.
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

/// A reader is parked, the `writer` writes, and the stand-in sees that it was woken, or that it woke somebody.
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

/// With 1.0 nobody wakes: what is waited for arrives all the same.
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

/// How often the stand-in was woken, or woke somebody.
fn wakes(pair: &mut Pair<'_>) -> Result<u64> {
    let (_, old) = pair.both();
    match old.ask("wakes")? {
        Observation::Value { number, skipped } => Ok(number + skipped),
        found => bail!("{old}: {found:?}, expected how often it was woken"),
    }
}

/// Waits until the reader of what `writer` writes says in the segment that it is parked.
fn parked(segment: &Segment, writer: Side) -> Result<()> {
    let at = if writer == Side::Master { 128 } else { 4352 } + WAITERS;
    let since = Instant::now();
    while segment.bytes()?[at..at + 4] == [0; 4] {
        ensure!(since.elapsed() < WATCHDOG, "the reader of the {} does not park", writer.word());
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
