//! Checks that two idle, attached peers wake each other (PROTOCOL.md, section 9).
//!
//! A missing wake-up loses no message, because a parked thread polls every 50 ms. It shows only in the latency. A count
//! of parked threads that was not decremented shows in the segment.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::model::Model;
use super::program::Verb;
use super::run::Play;
use super::state::Seat;
use crate::segment::{Map, Side};

/// A thread that is woken answers within this time in at least one of the attempts. A thread that is not woken never
/// does.
const PROMPT: Duration = Duration::from_millis(30);
const ATTEMPTS: usize = 10;
/// The timeout of a wait that the other side ends, in milliseconds.
const WAIT: u64 = 400;
/// The time limit for the last parked thread to return.
const LEAVING: Duration = Duration::from_secs(2);

impl Play<'_, '_> {
    /// Each side in turn waits for what the other side sends and writes. After that, no thread may be parked.
    pub(super) fn peers_wake_each_other(&mut self) -> Result<()> {
        // While the endpoints may switch segments, the test does not know which segment they use.
        if !self.model.is_settled() {
            return Ok(());
        }
        let map = self.segment.map()?;
        let queued = map.queue_slots > 0;
        for side in [Side::Master, Side::Slave] {
            let from = side.other();
            let message = (Verb::Recv { wait: Some(WAIT) }, Verb::Send { longest: 24, wait: Some(20) });
            let value = (Verb::Read { wait: WAIT }, Verb::Write { longest: 24 });
            let at = if queued { map.parked_receivers(from) } else { map.parked_readers(from) };
            self.wakes(side, message, at)?;
            // Without queues, values and messages share the mailbox: a read returns either.
            if self.model.has_queues_throughout() {
                self.wakes(side, value, map.parked_readers(from))?;
            }
        }
        self.no_thread_is_parked(map, queued)
    }

    fn wakes(&mut self, side: Side, (waits, rings): (Verb, Verb), parked: u64) -> Result<()> {
        for _ in 0..ATTEMPTS {
            self.begin(side, waits)?;
            let begun = Instant::now();
            while self.segment.parked(parked)? == 0 && begun.elapsed() < PROMPT {
                thread::sleep(Duration::from_micros(200));
            }
            self.call(side.other(), rings)?;
            let rung = Instant::now();
            self.finish(side)?;
            if rung.elapsed() < PROMPT {
                return Ok(());
            }
        }
        bail!("{} does not wake the {}, which is parked in {}", rings.name(), side.word(), waits.name())
    }

    fn no_thread_is_parked(&self, map: Map, queued: bool) -> Result<()> {
        let since = Instant::now();
        loop {
            let mut left = None;
            for from in [Side::Master, Side::Slave] {
                let boxes = [("readers", map.parked_readers(from)), ("writers", map.parked_writers(from))];
                let queues =
                    [("receivers", map.parked_receivers(from)), ("senders", map.parked_senders(from))];
                for (who, at) in boxes.into_iter().chain(queues.into_iter().filter(|_| queued)) {
                    let count = self.segment.parked(at).context("a count of parked threads")?;
                    left = left.or((count != 0).then_some((who, count, from)));
                }
            }
            let Some((who, count, from)) = left else { return Ok(()) };
            ensure!(
                since.elapsed() < LEAVING,
                "{count} {who} are counted as parked at what the {} sends",
                from.word()
            );
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Model {
    /// Returns whether both endpoints are certain to use the named segment.
    fn is_settled(&self) -> bool {
        let there = |seat: &Seat| seat.open && seat.sends_to.is_some() && seat.sends_to == self.named;
        self.seats.iter().all(there) && !self.stand_in
    }

    /// Returns whether every segment so far had queues, so that values and messages do not share the mailbox.
    fn has_queues_throughout(&self) -> bool {
        self.segments.iter().all(|sizes| sizes.queue > 0)
    }
}
