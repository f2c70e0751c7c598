//! A writer that is faster than its reader, first in one direction and then in the other.

use anyhow::{Result, ensure};

use crate::observe::Observation;
use crate::peer::{Peer, Said};
use crate::scenario::{Side, Stage, options};
use crate::segment::Segment;

/// The number of values in each direction.
const COUNT: u64 = 20_000;
/// A reader of 1.x that starts after the last value ignores that value as old. Then there is nothing to check.
const ATTEMPTS: usize = 10;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let segment = Segment::fresh("legacy-latest-value");
        let options = options(&[("count", COUNT), ("size", 4096), ("timeout-ms", 3000)]);
        let (master, slave) = stage.start_both(&segment, "latest-value", &options)?;
        let (ours, old) = match super::is_old(stage.pairing.master) {
            true => (slave, master),
            false => (master, slave),
        };
        // Both at once would deadlock: each waits for the other.
        let read_by_old = match super::is_old(stage.pairing.master) {
            true => {
                judge_ours(ours)?;
                judge_old(old)?
            }
            false => {
                let read = judge_old(old)?;
                judge_ours(ours)?;
                read
            }
        };
        segment.is_gone()?;
        if read_by_old > 0 {
            return Ok(());
        }
    }
    anyhow::bail!("the {} delivered nothing in {ATTEMPTS} attempts", old_side(stage).word())
}

fn old_side(stage: &Stage<'_>) -> Side {
    if super::is_old(stage.pairing.master) { Side::Master } else { Side::Slave }
}

/// What our reader tells: each value newer than the last, every gap accounted for (but for what came before the
/// first, of which an old writer's count may be one short), the last one there. Whole, by the peer's own check.
fn judge_ours(peer: Peer) -> Result<()> {
    let label = peer.to_string();
    let mut next = 0;
    for line in peer.finish()? {
        let Said::Observed(Observation::Value { number, skipped }) = line.said else { continue };
        ensure!(number >= next, "{label} read value {number} after value {}", next - 1);
        let gap = number - next;
        let exact = skipped == gap || next == 0 && skipped.abs_diff(gap) <= 1;
        ensure!(exact, "{label}: value {number} tells of {skipped} skipped, expected {gap}");
        next = number + 1;
    }
    ensure!(next == COUNT, "{label} read up to value {next}, expected {COUNT}");
    Ok(())
}

/// What an old reader tells: none older than the one before (the same may come twice), and the last one, if any.
/// Returns how many there were.
fn judge_old(peer: Peer) -> Result<usize> {
    let label = peer.to_string();
    let (mut reads, mut last) = (0, 0);
    for line in peer.finish()? {
        let Said::Observed(Observation::Value { number, .. }) = line.said else { continue };
        ensure!(number >= last, "{label} read value {number} after value {last}");
        (reads, last) = (reads + 1, number);
    }
    ensure!(reads == 0 || last + 1 == COUNT, "{label} read up to value {last}, expected {}", COUNT - 1);
    Ok(reads)
}
