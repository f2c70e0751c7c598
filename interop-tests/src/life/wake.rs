//! Whether the peers wake each other, when both are there and nothing is under way. (PROTOCOL.md, section 9.)
//!
//! A forgotten wake-up loses nothing: whoever waits looks up every 50 ms. So it is the time that tells, and, of a count of
//! parked threads that somebody left raised, the segment.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::model::{Model, Seat};
use super::program::Verb;
use super::run::Play;
use crate::segment::{Map, Side};

/// In less than this whoever is woken has answered, at least once in some attempts; and nobody who is not.
const PROMPT: Duration = Duration::from_millis(30);
const ATTEMPTS: usize = 10;
/// How long a wait is that shall be ended by the other side, in milliseconds.
const WAIT: u64 = 400;
/// How long the last thread may take to leave its place.
const LEAVING: Duration = Duration::from_secs(2);

impl Play<'_, '_> {
    /// Each side, in turn, waits for what the other one sends, and writes; then nobody is parked any more.
    pub(super) fn wakes_whom_it_shall(&mut self) -> Result<()> {
        // Where they move, or may, nobody outside knows which segment is theirs.
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
            // Without queues, a value and a message share one place: a read finds either.
            if self.model.has_queues_throughout() {
                self.wakes(side, value, map.parked_readers(from))?;
            }
        }
        self.nobody_is_parked(map, queued)
    }

    fn wakes(&mut self, side: Side, (waits, rings): (Verb, Verb), parked: u64) -> Result<()> {
        for _ in 0..ATTEMPTS {
            self.begin(side, waits)?;
            let begun = Instant::now();
            while self.segment.word(parked)? == 0 && begun.elapsed() < PROMPT {
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

    fn nobody_is_parked(&self, map: Map, queued: bool) -> Result<()> {
        let since = Instant::now();
        loop {
            let mut left = None;
            for from in [Side::Master, Side::Slave] {
                let boxes = [("readers", map.parked_readers(from)), ("writers", map.parked_writers(from))];
                let queues =
                    [("receivers", map.parked_receivers(from)), ("senders", map.parked_senders(from))];
                for (who, at) in boxes.into_iter().chain(queues.into_iter().filter(|_| queued)) {
                    let count = self.segment.word(at).context("a count of parked threads")?;
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
    /// Whether both are known to be in the segment that has the name.
    fn is_settled(&self) -> bool {
        let there = |seat: &Seat| seat.open && seat.sends_to.is_some() && seat.sends_to == self.named;
        self.seats.iter().all(there) && !self.stand_in
    }

    /// Whether values have a place of their own in each segment that there was.
    fn has_queues_throughout(&self) -> bool {
        self.segments.iter().all(|sizes| sizes.queue > 0)
    }
}
