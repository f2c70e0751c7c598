//! One side is killed ten times under traffic, and restarted. "Restarts" in the README derives what must hold.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::stream::{Life, Streamer};
use super::{Side, Stage, open, word};
use crate::observe::Observation;
use crate::payload::payload;
use crate::segment::Segment;

/// The number of kills.
const KILLS: u64 = 10;
/// The series of the side that is not killed. Those of the other side, one per process, follow it.
const SURVIVOR: u64 = 1;
const FIRST_LIFE: u64 = 100;
/// Both directions must work again this long after the READY of a restarted side: the stale threshold and two
/// reconnect intervals. Scheduling needs no allowance, because the processes take turns of a millisecond.
const SERVICE: Duration = Duration::from_millis(100 + 2 * 100);

pub(super) fn master(stage: &Stage<'_>) -> Result<()> {
    at_rest(stage, Side::Master)?;
    under_traffic(stage, Side::Master)
}

pub(super) fn slave(stage: &Stage<'_>) -> Result<()> {
    at_rest(stage, Side::Slave)?;
    under_traffic(stage, Side::Slave)
}

/// A side that is killed between two calls holds no message, so each message arrives exactly once in each direction.
fn at_rest(stage: &Stage<'_>, victim: Side) -> Result<()> {
    let segment = Segment::fresh("restart");
    let mut pair = stage.command_pair()?;
    pair.open(&segment, None)?;
    for round in 0..3 {
        let (survivor, restarted) = pair.way(victim.other());
        // Different lengths, so that the queue has some in its slots and some in its arena.
        let message = |number: u64| payload(round, number, 300);
        let send = |number: u64| format!("send {}", word(&message(number)));
        for number in 0..5 {
            survivor.expect(&send(number), &Observation::Ok)?;
            restarted.expect(&send(number), &Observation::Ok)?;
        }
        restarted.receives("recv 10000", &message(0))?;
        survivor.receives("recv 10000", &message(0))?;
        let heir = stage.start(victim, &segment, "commands", &[])?;
        std::mem::replace(restarted, heir).kill()?;
        restarted.ask(&open(victim.word(), segment.name(), None))?;
        survivor.expect("wait-peer 10000", &Observation::Ok)?;
        for number in 5..8 {
            survivor.expect(&send(number), &Observation::Ok)?;
            restarted.expect(&send(number), &Observation::Ok)?;
        }
        for number in 1..8 {
            restarted.receives("recv 10000", &message(number))?;
            survivor.receives("recv 10000", &message(number))?;
        }
        restarted.expect("try-recv", &Observation::Nothing)?;
        survivor.expect("try-recv", &Observation::Nothing)?;
    }
    pair.close(&segment)?;
    pair.finish()
}

fn under_traffic(stage: &Stage<'_>, victim: Side) -> Result<()> {
    let segment = Segment::fresh("restart");
    // Starts the master first, so that neither waits for the other.
    let mut first = Streamer::start(stage, Side::Master, &segment, series(victim, Side::Master))?;
    let mut second = Streamer::start(stage, Side::Slave, &segment, series(victim, Side::Slave))?;
    if victim == Side::Master {
        std::mem::swap(&mut first, &mut second);
    }
    let (mut survivor, mut restarted) = (first, second);
    let mut lives = Vec::new();
    for round in 0..KILLS {
        // The number of messages decides on the moment of the kill, so it differs each time.
        let enough = 20 + (round * 37) as usize % 181;
        restarted.until("traffic", |life| life.received.len() >= enough)?;
        survivor.until("traffic", |life| life.received_of(FIRST_LIFE + round) >= enough)?;
        lives.push(restarted.kill()?);
        restarted = Streamer::start(stage, victim, &segment, FIRST_LIFE + round + 1)?;
        check_recovery(&mut survivor, &mut restarted).with_context(|| format!("restart {}", round + 1))?;
    }
    survivor.stop()?;
    restarted.stop()?;
    lives.push(restarted.finish()?);
    let survivor = survivor.finish()?;
    check_restarted(&lives, &survivor)?;
    check_survivor(&lives, &survivor)?;
    segment.is_gone()
}

fn series(victim: Side, side: Side) -> u64 {
    if side == victim { FIRST_LIFE } else { SURVIVOR }
}

/// Checks that both directions work again in time.
fn check_recovery(survivor: &mut Streamer, restarted: &mut Streamer) -> Result<()> {
    restarted.until("a message after the restart", |life| !life.received.is_empty())?;
    let seed = restarted.life.seed;
    survivor.until("a message from the restarted side", |life| life.received_of(seed) > 0)?;
    let heard =
        survivor.life.received.iter().find(|message| message.seed == seed).context("one was received")?;
    let service = restarted.life.received[0].at.max(heard.at).duration_since(restarted.life.ready);
    ensure!(service <= SERVICE, "service is back {service:?} after READY, expected within {SERVICE:?}");
    Ok(())
}

/// Checks the messages of the side that was killed. Those of each process arrive in order, each once, and none that
/// `send` accepted is missing. At most one more arrives per process: it was killed before it reported that one. Each
/// process is a new generation, at the latest with its first message, because a message that a killed process left
/// unread may be reported with the generation of its successor.
fn check_restarted(lives: &[Life], survivor: &Life) -> Result<()> {
    let mut received = survivor.received.iter().copied().peekable();
    let mut generation = 0;
    for (index, life) in lives.iter().enumerate() {
        let mut count = 0;
        let before = generation;
        let seed = life.seed;
        if let Some(first) = received.peek() {
            generation = first.generation;
            ensure!(
                generation > before,
                "series {seed}: generation {generation}, expected more than {before}"
            );
        }
        while let Some(message) = received.next_if(|message| message.seed == life.seed) {
            let number = message.number;
            ensure!(number == count, "series {seed}: {number} was received, expected {count}");
            count += 1;
        }
        let untold = if index + 1 == lives.len() { 0 } else { 1 };
        let sent = life.sent;
        ensure!(
            (sent..=sent + untold).contains(&count),
            "series {seed}: {count} received, expected {sent} as sent"
        );
    }
    match received.next() {
        None => Ok(()),
        Some(message) => anyhow::bail!("{message:?} was received out of its series"),
    }
}

/// Checks the messages of the survivor: each arrives once and in order. Only a message that a killed process had taken
/// from the segment and not yet reported may be missing.
fn check_survivor(lives: &[Life], survivor: &Life) -> Result<()> {
    let mut expected = 0;
    for (index, life) in lives.iter().enumerate() {
        for (position, message) in life.received.iter().enumerate() {
            let (seed, number) = (message.seed, message.number);
            ensure!(seed == SURVIVOR, "a message of series {seed} was received, expected {SURVIVOR}");
            let in_hand = u64::from(index > 0 && position == 0);
            let fits = (expected..=expected + in_hand).contains(&number);
            ensure!(fits, "life {index}: message {number} was received, expected {expected}");
            expected = number + 1;
        }
    }
    let sent = survivor.sent;
    ensure!(expected == sent, "{expected} messages of the survivor are accounted for, expected {sent}");
    Ok(())
}
