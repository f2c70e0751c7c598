//! Either end is killed.

use anyhow::{Context, Result};

use super::{Pair, until};
use crate::observe::Observation;
use crate::scenario::{Side, Stage};

/// The number of kills of each end.
const ROUNDS: usize = 3;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = Pair::open(stage, "legacy-restart")?;
    pair.prime()?;
    pair.exchange(b"before")?;
    for round in 0..ROUNDS {
        for victim in [Side::Slave, Side::Master] {
            let word = victim.word();
            restart(&mut pair, victim, round % 2 == 0)
                .with_context(|| format!("the {word} is killed, round {round}"))?;
        }
    }
    pair.close()
}

/// The next process starts before or after the survivor has noticed the kill.
fn restart(pair: &mut Pair<'_>, victim: Side, noticed: bool) -> Result<()> {
    pair.kill(victim)?;
    if noticed {
        notice(pair, victim)?;
    }
    pair.open_side(victim)?;
    pair.meet()?;
    pair.prime()?;
    pair.exchange(b"and after")
}

/// Waits until the survivor has noticed: ours says so, and so does an old slave when it writes. An old master does
/// not care.
fn notice(pair: &mut Pair<'_>, victim: Side) -> Result<()> {
    let survivor_is_old = victim != pair.old;
    let (survivor, _) = pair.peers.way(victim.other());
    match (survivor_is_old, victim) {
        (false, _) => until(
            survivor,
            "state",
            |state| matches!(state, Observation::State { peer, .. } if peer == "dead" || peer == "frozen"),
        ),
        (true, Side::Master) => {
            until(survivor, "write 3f", |answer| matches!(answer, Observation::Error { code: -10, .. }))
        }
        (true, Side::Slave) => Ok(()),
    }
}
