//! Both ends send and receive at the same time.

use anyhow::Result;

use super::echo::exchanged;
use super::{Stage, options};
use crate::segment::Segment;

/// The number of messages in each direction.
const COUNT: u64 = 10_000;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let segment = Segment::fresh("both-directions");
    let options = options(&[("count", COUNT), ("size", 256)]);
    let (master, slave) = stage.start_both(&segment, "both-directions", &options)?;
    for peer in [slave, master] {
        exchanged(peer, COUNT)?;
    }
    segment.is_gone()
}
