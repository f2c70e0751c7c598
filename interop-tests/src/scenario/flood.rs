//! A million messages of every size that the queue carries.

use anyhow::Result;

use super::echo::exchanged;
use super::{Stage, options};
use crate::segment::Segment;

/// The number of messages in each direction.
const COUNT: u64 = 500_000;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let segment = Segment::fresh("flood");
    let (master, slave) = stage.start_both(&segment, "flood", &options(&[("count", COUNT)]))?;
    for peer in [slave, master] {
        exchanged(peer, COUNT)?;
    }
    segment.is_gone()
}
