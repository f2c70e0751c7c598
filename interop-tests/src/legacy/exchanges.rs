//! Values are exchanged one at a time.

use anyhow::Result;

use super::{Pair, exchange, prime, until};
use crate::observe::Observation;
use crate::payload::payload;
use crate::scenario::{Stage, word};

/// The data size of every segment of ESHM 1.x here.
const N: usize = 4096;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = Pair::open(stage, "legacy-exchange")?;
    swallowed(&mut pair)?;
    let (ours, old) = pair.both();
    prime(ours, old)?;
    let long = payload(7, 0, 2 * N + 16);
    let content = |length: usize| long.iter().copied().cycle().take(length).collect::<Vec<u8>>();
    for length in [0, 1, 7, 8, N - 1, N] {
        exchange(ours, old, &content(length))?;
        exchange(old, ours, &content(length))?;
    }
    let refused = format!("write {}", word(&content(N + 1)));
    ours.refuses(&refused, -13)?;
    old.refuses(&refused, -13)?;
    ours.expect("try-read", &Observation::Nothing)?;
    old.expect("try-read", &Observation::Nothing)?;
    pair.exchange(b"after that")?;
    pair.close()
}

/// The first value: a reader of 1.x ignores it as old, a reader of ours delivers it.
fn swallowed(pair: &mut Pair<'_>) -> Result<()> {
    let (ours, old) = pair.both();
    ours.expect("write 6669727374", &Observation::Ok)?;
    old.expect("try-read", &Observation::Nothing)?;
    exchange(old, ours, b"first")?;
    // On a busy machine its heartbeat may just stand still.
    until(
        ours,
        "state",
        |state| matches!(state, Observation::State { data_size: N, peer, .. } if peer == "alive"),
    )
}
