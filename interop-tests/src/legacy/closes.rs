//! Either end closes and is opened again.

use anyhow::{Result, ensure};

use super::{Pair, until};
use crate::observe::Observation;
use crate::scenario::{Side, Stage};

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = Pair::open(stage, "legacy-close")?;
    pair.prime()?;
    for round in 0..2_u8 {
        for leaver in [Side::Slave, Side::Master] {
            pair.exchange(&[round, 1])?;
            leave(&mut pair, leaver)?;
            pair.open_side(leaver)?;
            pair.meet()?;
            pair.prime()?;
            pair.exchange(&[round, 2])?;
        }
    }
    pair.close()
}

fn leave(pair: &mut Pair<'_>, leaver: Side) -> Result<()> {
    let ours_stays = leaver == pair.old;
    let (leaving, staying) = pair.peers.way(leaver);
    leaving.expect("close", &Observation::Ok)?;
    if ours_stays {
        until(
            staying,
            "state",
            |state| matches!(state, Observation::State { peer, .. } if peer == "closed"),
        )?;
    } else if leaver == Side::Master {
        until(staying, "write 3f", |answer| matches!(answer, Observation::Error { code: -10, .. }))?;
    }
    ensure!(
        pair.segment.exists() == (leaver == Side::Slave),
        "after the {}'s close the segment's file {}",
        leaver.word(),
        if leaver == Side::Slave { "is gone" } else { "is left" }
    );
    Ok(())
}
