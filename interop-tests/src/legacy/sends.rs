//! `send` and `recv` with a peer that has only values.

use anyhow::Result;

use super::{Pair, prime};
use crate::observe::Observation;
use crate::scenario::{Stage, word};

/// The number of messages in each direction.
const COUNT: u8 = 100;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = Pair::open(stage, "legacy-send")?;
    the_reader_never_reads(&mut pair)?;
    acknowledged(&mut pair)?;
    received(&mut pair)?;
    pair.close()
}

/// Checks that nothing hangs if the reader never reads: the first message is sent, the next one times out, and then the
/// first one counts as lost.
fn the_reader_never_reads(pair: &mut Pair<'_>) -> Result<()> {
    let (ours, _) = pair.both();
    for _ in 0..2 {
        ours.expect("send 6f6e65 200", &Observation::Ok)?;
        ours.refuses("try-send 74776f", -12)?;
        ours.refuses("send 74776f 200", -10)?;
    }
    Ok(())
}

/// Checks that each message is read before the next one replaces it. An unread one stays.
fn acknowledged(pair: &mut Pair<'_>) -> Result<()> {
    let (ours, old) = pair.both();
    prime(ours, old)?;
    for number in 0..COUNT {
        ours.expect(&format!("send {} 10000", word(&[number])), &Observation::Ok)?;
        if number % 10 == 0 {
            ours.refuses("try-send ff", -12)?;
        }
        old.receives("read 10000", &[number])?;
    }
    old.expect("try-read", &Observation::Nothing)
}

/// Checks that every value of a writer that waits for the acknowledgement arrives.
fn received(pair: &mut Pair<'_>) -> Result<()> {
    let (ours, old) = pair.both();
    for number in 0..COUNT {
        old.expect(&format!("write {}", word(&[number])), &Observation::Ok)?;
        ours.receives("recv 10000", &[number])?;
        ours.expect("try-recv", &Observation::Nothing)?;
        ours.expect(&format!("send {} 10000", word(&[number])), &Observation::Ok)?;
        old.receives("read 10000", &[number])?;
    }
    Ok(())
}
