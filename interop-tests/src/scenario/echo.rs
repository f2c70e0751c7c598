//! Ten thousand messages out and back.

use anyhow::{Result, ensure};

use super::{Stage, options};
use crate::observe::Observation;
use crate::peer::{Line, Peer, Said};
use crate::segment::Segment;

/// The number of messages.
const COUNT: u64 = 10_000;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let segment = Segment::fresh("echo");
    let (master, slave) = stage.start_both(&segment, "echo", &options(&[("count", COUNT), ("size", 256)]))?;
    for peer in [slave, master] {
        exchanged(peer, COUNT)?;
    }
    segment.is_gone()
}

/// Checks that the peers compared `count` messages. They compare the content themselves.
pub(super) fn exchanged(peer: Peer, count: u64) -> Result<()> {
    let label = peer.to_string();
    let expected = Said::Observed(Observation::Done { sent: count, received: count });
    let lines = peer.finish()?;
    let done = lines.iter().any(|Line { said, .. }| *said == expected);
    ensure!(done, "{label} ended without saying {expected:?}");
    Ok(())
}
