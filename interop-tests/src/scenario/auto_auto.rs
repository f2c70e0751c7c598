//! Two endpoints of role auto.

use anyhow::{Result, bail, ensure};

use super::{CommandPair, Side, Stage, open};
use crate::observe::Observation;
use crate::segment::Segment;

/// The number of races. The two take turns at getting the command first.
const ROUNDS: usize = 20;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = stage.command_pair()?;
    for round in 0..ROUNDS {
        let segment = Segment::fresh("auto-auto");
        if round % 2 == 1 {
            abandoned(stage, &segment)?;
        }
        race(&mut pair, &segment, round)?;
    }
    pair.finish()
}

/// Creates a segment whose master was killed.
fn abandoned(stage: &Stage<'_>, segment: &Segment) -> Result<()> {
    let mut master = stage.start(Side::Master, segment, "commands", &[])?;
    master.ask("open")?;
    master.kill()?;
    ensure!(segment.exists(), "the segment of a killed master is gone");
    Ok(())
}

/// Both processes run already, so that both open within microseconds.
fn race(pair: &mut CommandPair, segment: &Segment, round: usize) -> Result<()> {
    let start = open("auto", segment.name(), None);
    let order = if round % 4 < 2 { Side::Master } else { Side::Slave };
    let (first, second) = pair.way(order);
    first.tell(&start)?;
    second.tell(&start)?;
    let roles = [role(first.answer()?)?, role(second.answer()?)?];
    let master = match [roles[0].as_str(), roles[1].as_str()] {
        ["master", "slave"] => order,
        ["slave", "master"] => order.other(),
        _ => bail!("the roles are {roles:?}, expected one master and one slave"),
    };
    for from in [master, master.other()] {
        let (sender, receiver) = pair.way(from);
        sender.expect("send 6175746f 10000", &Observation::Ok)?;
        receiver.receives("recv 10000", b"auto")?;
    }
    let (master, slave) = pair.way(master);
    slave.expect("close", &Observation::Ok)?;
    master.expect("close", &Observation::Ok)?;
    segment.is_gone()
}

fn role(answer: Observation) -> Result<String> {
    match answer {
        Observation::Opened { role, .. } => Ok(role),
        other => bail!("role auto got {other:?}, expected to be opened"),
    }
}
