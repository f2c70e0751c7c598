//! `send` and `recv`, where the other end knows only values.

use anyhow::Result;

use super::{Pair, prime};
use crate::observe::Observation;
use crate::scenario::{Stage, word};

/// How many messages each way.
const COUNT: u8 = 100;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = Pair::open(stage, "legacy-send")?;
    nobody_reads(&mut pair)?;
    acknowledged(&mut pair)?;
    received(&mut pair)?;
    pair.close()
}

/// Nothing hangs: the first one is put before the reader, the next one waits in vain, and after that the first one
/// counts as lost.
fn nobody_reads(pair: &mut Pair<'_>) -> Result<()> {
    let (ours, _) = pair.both();
    for _ in 0..2 {
        ours.expect("send 6f6e65 200", &Observation::Ok)?;
        ours.refuses("try-send 74776f", -12)?;
        ours.refuses("send 74776f 200", -10)?;
    }
    Ok(())
}

/// Each message is read before the next one is put there; one that is not stays.
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

/// Every value of a writer that waits for the answer.
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
