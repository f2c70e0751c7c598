//! A close, as the other side observes it.

use anyhow::{Result, bail, ensure};

use super::{CommandPair, Side, Stage, open};
use crate::observe::Observation;
use crate::segment::Segment;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = stage.command_pair()?;
    for leaver in [Side::Slave, Side::Master] {
        with_something_unread(&mut pair, leaver)?;
        while_waited_for(&mut pair, leaver)?;
    }
    slave_comes_back(&mut pair)?;
    pair.finish()
}

/// Messages that were sent before the close arrive before the close does.
fn with_something_unread(pair: &mut CommandPair, leaver: Side) -> Result<()> {
    let segment = Segment::fresh("clean-close");
    pair.open(&segment, None)?;
    let (leaving, staying) = pair.way(leaver);
    leaving.expect("send 6c617374", &Observation::Ok)?;
    leaving.expect("close", &Observation::Ok)?;
    staying.receives("recv", b"last")?;
    staying.refuses("recv", -16)?;
    if leaver == Side::Master {
        // The next master may create another segment, and the message would not be in it.
        staying.refuses("send 6e6f", -16)?;
    }
    closed(staying, leaver, &segment)
}

/// A close ends the wait of a receiver that waits without limit.
fn while_waited_for(pair: &mut CommandPair, leaver: Side) -> Result<()> {
    let segment = Segment::fresh("clean-close");
    pair.open(&segment, None)?;
    let (leaving, staying) = pair.way(leaver);
    staying.tell("recv")?;
    leaving.expect("close", &Observation::Ok)?;
    match staying.answer()? {
        Observation::Error { code: -16, message } => {
            let who = format!("the {} closed", leaver.word());
            ensure!(message.contains(&who), "{message:?} does not say {who:?}");
        }
        found => bail!("{staying}: recv ended with {found:?}, expected error -16"),
    }
    closed(staying, leaver, &segment)
}

/// The other side reports the close. After its own close the segment is gone.
fn closed(staying: &mut crate::peer::Peer, leaver: Side, segment: &Segment) -> Result<()> {
    match staying.ask("state")? {
        Observation::State { peer, .. } if peer == "closed" => {}
        found => bail!("{staying}: {found:?}, expected that the peer is closed"),
    }
    let kept = segment.exists();
    ensure!(
        kept == (leaver == Side::Slave),
        "after a {}'s close: the segment's file exists: {kept}",
        leaver.word()
    );
    staying.expect("close", &Observation::Ok)?;
    segment.is_gone()
}

/// A slave may close and open again with the same master. Messages sent meanwhile wait for it.
fn slave_comes_back(pair: &mut CommandPair) -> Result<()> {
    let segment = Segment::fresh("clean-close");
    pair.open(&segment, None)?;
    let before = generation(pair)?;
    pair.slave.expect("close", &Observation::Ok)?;
    pair.master.expect("send 7761697473", &Observation::Ok)?;
    pair.slave.ask(&open("slave", segment.name(), None))?;
    pair.master.expect("wait-peer 10000", &Observation::Ok)?;
    pair.slave.receives("recv 10000", b"waits")?;
    for from in [Side::Master, Side::Slave] {
        let (sender, receiver) = pair.way(from);
        sender.expect("send 6261636b", &Observation::Ok)?;
        receiver.receives("recv 10000", b"back")?;
    }
    let after = generation(pair)?;
    ensure!(after > before, "the slave's generation was {before} and is {after}, expected it to grow");
    pair.close(&segment)
}

/// Returns the generation of the slave as its master reports it.
fn generation(pair: &mut CommandPair) -> Result<u64> {
    match pair.master.ask("state")? {
        Observation::State { peer, generation, .. } if peer == "alive" => Ok(generation),
        found => bail!("{}: {found:?}, expected that the peer is alive", pair.master),
    }
}
