//! A peer that is stopped (SIGSTOP) and continued counts as slow, not as dead.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::stream::{Life, Streamer};
use super::{Side, Stage};
use crate::segment::Segment;

/// The number of stops of each side.
const STOPS: usize = 3;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let segment = Segment::fresh("stop-continue");
    let mut master = Streamer::start(stage, Side::Master, &segment, 1)?;
    let mut slave = Streamer::start(stage, Side::Slave, &segment, 2)?;
    for _ in 0..STOPS {
        stop_and_continue(&mut slave, &mut master)?;
        stop_and_continue(&mut master, &mut slave)?;
    }
    master.stop()?;
    slave.stop()?;
    let (slave, master) = (slave.finish()?, master.finish()?);
    all_arrived(&master, &slave)?;
    all_arrived(&slave, &master)?;
    segment.is_gone()
}

fn stop_and_continue(stopped: &mut Streamer, other: &mut Streamer) -> Result<()> {
    let traffic = |life: &Life| life.received.len() + 20;
    let (a, b) = (traffic(&stopped.life), traffic(&other.life));
    stopped.until("traffic", |life| life.received.len() >= a)?;
    other.until("traffic", |life| life.received.len() >= b)?;
    other.until("that the peer shows as alive", |life| life.peer_state == "alive")?;
    stopped.signal(Signal::SIGSTOP)?;
    other.until("that the stopped peer shows as frozen", |life| life.peer_state == "frozen")?;
    stopped.signal(Signal::SIGCONT)?;
    other.until("that the continued peer shows as alive", |life| life.peer_state == "alive")?;
    let (a, b) = (traffic(&stopped.life), traffic(&other.life));
    stopped.until("traffic after it was continued", |life| life.received.len() >= a)?;
    other.until("traffic after the other was continued", |life| life.received.len() >= b)
}

fn all_arrived(from: &Life, to: &Life) -> Result<()> {
    for (index, message) in to.received.iter().enumerate() {
        let (number, seed) = (message.number, message.seed);
        ensure!(seed == from.seed, "a message of series {seed} was received, expected {}", from.seed);
        ensure!(number == index as u64, "series {seed}: {number} was received, expected {index}");
    }
    ensure!(to.received.len() as u64 == from.sent, "{} received of {} sent", to.received.len(), from.sent);
    Ok(())
}
