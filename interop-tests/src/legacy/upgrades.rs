//! Two processes of 1.x are replaced by ours one after the other, first the end that is ours in the pairing.

use anyhow::Result;

use super::{exchange, is_old, prime};
use crate::language::Pairing;
use crate::observe::Observation;
use crate::peer::Peer;
use crate::scenario::{CommandPair, Side, Stage, open, word};
use crate::segment::Segment;

/// The number of messages in each direction after both are ours.
const COUNT: u16 = 1000;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let segment = Segment::fresh("legacy-upgrade");
    let Pairing { master, slave } = stage.pairing;
    let (old, ours, first) =
        if is_old(master) { (master, slave, Side::Slave) } else { (slave, master, Side::Master) };
    let old_stage = Stage { pairing: Pairing { master: old, slave: old }, peers: stage.peers };
    let new_stage = Stage { pairing: Pairing { master: ours, slave: ours }, peers: stage.peers };

    let mut pair = old_stage.command_pair()?;
    open_side(&mut pair, Side::Master, &segment)?;
    open_side(&mut pair, Side::Slave, &segment)?;
    meet(&mut pair)?;
    for from in [Side::Master, Side::Slave] {
        let (writer, reader) = pair.way(from);
        prime(writer, reader)?;
        exchange(writer, reader, b"both old")?;
    }

    replace(&mut pair, first, &new_stage, &segment)?;
    let (new, remaining) = pair.way(first);
    prime(new, remaining)?;
    exchange(new, remaining, b"one new")?;
    exchange(remaining, new, b"one old")?;

    replace(&mut pair, first.other(), &new_stage, &segment)?;
    for from in [Side::Master, Side::Slave] {
        let (sender, receiver) = pair.way(from);
        messages(sender, receiver)?;
    }
    pair.close(&segment)?;
    pair.finish()
}

/// Closes a side's endpoint, ends its process, and starts one of `stage`.
fn replace(pair: &mut CommandPair, side: Side, stage: &Stage<'_>, segment: &Segment) -> Result<()> {
    let heir = stage.start(side, segment, "commands", &[])?;
    let (peer, _) = pair.way(side);
    peer.expect("close", &Observation::Ok)?;
    std::mem::replace(peer, heir).finish()?;
    open_side(pair, side, segment)?;
    meet(pair)
}

fn open_side(pair: &mut CommandPair, side: Side, segment: &Segment) -> Result<()> {
    let (peer, _) = pair.way(side);
    let opened = Observation::Opened { role: side.word().to_owned(), data_size: 4096 };
    peer.expect(&open(side.word(), segment.name(), None), &opened)
}

fn meet(pair: &mut CommandPair) -> Result<()> {
    pair.master.expect("wait-peer 10000", &Observation::Ok)?;
    pair.slave.expect("wait-peer 10000", &Observation::Ok)
}

/// Checks that every message arrives once and in order, and no value of the old processes arrives.
fn messages(sender: &mut Peer, receiver: &mut Peer) -> Result<()> {
    for number in 0..COUNT {
        sender.expect(&format!("send {}", word(&number.to_le_bytes())), &Observation::Ok)?;
        receiver.receives("recv 10000", &number.to_le_bytes())?;
    }
    receiver.expect("try-recv", &Observation::Nothing)
}
