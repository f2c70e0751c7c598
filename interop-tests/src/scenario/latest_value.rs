//! A writer that is a hundred times faster than its reader, in one direction and then in the other.

use anyhow::{Result, ensure};

use super::{Stage, options};
use crate::observe::Observation;
use crate::peer::{Peer, Said};
use crate::segment::Segment;

/// The number of values in each direction.
const COUNT: u64 = 20_000;
/// The least number of values that are written between two reads.
const PACE: u64 = 100;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let segment = Segment::fresh("latest-value");
    let options = options(&[("count", COUNT), ("size", 256)]);
    let (master, slave) = stage.start_both(&segment, "latest-value", &options)?;
    for peer in [slave, master] {
        judge(peer)?;
    }
    segment.is_gone()
}

/// Checks the values that one side read: each is newer than the one before, `skipped` counts each gap, and the last
/// value arrived. The peer itself checks that they are complete.
fn judge(peer: Peer) -> Result<()> {
    let label = peer.to_string();
    let (mut reads, mut skips, mut written, mut next) = (0, 0, 0, 0);
    for line in peer.finish()? {
        match line.said {
            Said::Observed(Observation::Written { count }) => written = count,
            Said::Observed(Observation::Value { number, skipped }) => {
                ensure!(number >= next, "{label} read value {number} after value {}", next - 1);
                let gap = number - next;
                ensure!(skipped == gap, "{label}: value {number} tells of {skipped} skipped, expected {gap}");
                let hurry = reads > 0 && gap + 1 < PACE && number + 1 < COUNT;
                ensure!(!hurry, "{label} read value {number} only {gap} values after the last one");
                (reads, skips, next) = (reads + 1, skips + skipped, number + 1);
            }
            _ => {}
        }
    }
    ensure!(written == COUNT, "{label} wrote {written} values, expected {COUNT}");
    ensure!(next == COUNT, "{label} read up to value {next}, expected {COUNT}");
    ensure!(reads + skips == COUNT, "{label}: {reads} read + {skips} skipped, expected {COUNT} written");
    Ok(())
}
