//! What the strategy [`Adaptive`](crate::WaitStrategy::Adaptive) does between the first polls and a park.
//!
//! It offers the processor to others (`sched_yield`), polls, and repeats this as long as it pays:
//!
//! - Peer on the same processor: the first yield runs the peer, which answers. Two switches make a round trip, and
//!   nobody is parked or woken.
//! - Peer on another processor: a yield returns at once, and polling goes on.
//! - Others want the processor: a sleeper that wakes up goes before a thread that yields, which can wait for
//!   milliseconds. The endpoint then parks instead.
//!
//! No byte of the segment is needed for this: each half learns from its own waits. docs/waiting.md has the measurements,
//! and the ideas that were tried and not taken.

use std::time::{Duration, Instant};

/// A yield that took no longer than this found nobody else who wanted the processor. It is a system call without a
/// switch of threads, 0.3 to 0.9 µs where this was measured; with a switch it was 1.9 µs and more.
const IDLE_YIELD: Duration = Duration::from_nanos(1250);
/// The number of polls after such a yield, of cost 1.
const POLLS_PER_YIELD: u32 = 200;
/// How long a spin between idle yields lasts if such spins pay: as long as a park and a wake-up on the same processor.
const SPIN: Duration = Duration::from_micros(20);
/// How long it lasts after a wake-up of the peer: as long as that takes on another processor that was idle.
const LONG_SPIN: Duration = Duration::from_micros(100);
/// How much longer a spin lasts per KiB that this end sent or received since its last wait. The peer reads and writes such
/// bytes before it answers. Twice the time that two processors need where this was measured.
const TRANSFER_NANOS_PER_KIB: u64 = 100;
/// The maximum of that. A wake-up takes a tenth of it, so that a longer spin would gain little.
const MOST_TRANSFER: Duration = Duration::from_micros(500);
/// The number of yields that others used without sending anything, before a park.
const BUSY_YIELDS: u32 = 4;
/// A yield that took longer than this was lost to a thread that computes, or to sleepers that woke up.
const LOST_YIELD: Duration = Duration::from_micros(500);
/// A yield is no more lost than this: a time slice. A longer one was a stop of the process or a quota of its group.
const MOST_LOST: Duration = Duration::from_millis(4);
/// After a lost yield, no yields for 16 times the time that it took, then for 64 times, up to 1024 times.
const FIRST_REST: u32 = 16;
const MOST_RESTS: u32 = 3;
/// How long no yield must be lost before the rest gets shorter again: this, times the factor of the rest.
const PROBATION: Duration = Duration::from_millis(25);

/// What an endpoint has done so far, in numbers that grow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Activity {
    /// Messages and values that it sent.
    pub(crate) sent: u64,
    /// Wake-ups of its peer.
    pub(crate) wakeups: u64,
    /// Bytes of the messages that it sent and received.
    pub(crate) bytes: u64,
}

/// The clock and the scheduler. Tests have one of their own.
pub(super) trait Processor {
    fn now(&self) -> Instant;
    /// Offers the processor to other threads.
    fn yield_now(&self);
}

/// That of the system.
pub(super) struct System;

impl Processor for System {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn yield_now(&self) {
        std::thread::yield_now();
    }
}

/// The state of the strategy: what one half of an endpoint has learnt from its waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Adaptive {
    /// Whether spins on an idle processor pay.
    idle: Score,
    /// Whether long spins pay, after a wake-up of the peer.
    long: Score,
    /// The activity when the last wait began.
    before: Activity,
    /// Set after a long spin that found something, until it is known whether it paid.
    on_trial: bool,
    rest: Rest,
}

/// How a spin ended.
pub(super) struct Outcome<T> {
    pub(super) found: Option<T>,
    /// Set if it was found while nobody else wanted the processor: more polls before the first yield would have found it.
    pub(super) polls_would_have_paid: bool,
}

impl Adaptive {
    /// Yields and polls until `poll` returns something, until it is time to park, or until the time that is `left` is over.
    pub(super) fn spin<T, E>(
        &mut self,
        processor: &impl Processor,
        cost: u32,
        activity: Activity,
        left: Duration,
        mut poll: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Outcome<T>, E> {
        let transfer = self.transfer_time(activity);
        let woke = self.note(activity);
        let mut yielded = processor.now();
        if left.is_zero() || self.rest.lasts(yielded) {
            return Ok(Outcome { found: None, polls_would_have_paid: false });
        }
        let start = yielded;
        let limit = Limit::of(self, woke);
        let (mut idle, mut busy) = (Duration::ZERO, 0);
        loop {
            let began = yielded;
            processor.yield_now();
            yielded = processor.now();
            let took = yielded.saturating_duration_since(began);
            let mut found = poll()?;
            if took > LOST_YIELD + transfer {
                self.rest.begin(yielded, took);
                return Ok(Outcome { found, polls_would_have_paid: false });
            }
            if took > IDLE_YIELD {
                busy += 1;
                let late = yielded.saturating_duration_since(start) >= left;
                if found.is_some() || busy == BUSY_YIELDS || late {
                    return Ok(Outcome { found, polls_would_have_paid: false });
                }
                continue;
            }
            for _ in 0..POLLS_PER_YIELD / cost {
                if found.is_none() {
                    found = poll()?;
                }
            }
            if found.is_some() {
                self.judge(limit, true);
                return Ok(Outcome { found, polls_would_have_paid: true });
            }
            yielded = processor.now();
            idle += yielded.saturating_duration_since(began);
            let late = yielded.saturating_duration_since(start) >= left;
            if idle >= limit.time(transfer) || late {
                self.judge(limit, false);
                return Ok(Outcome { found: None, polls_would_have_paid: false });
            }
        }
    }

    /// Returns how long the peer may take for the bytes that were sent and received since the last wait.
    fn transfer_time(&self, activity: Activity) -> Duration {
        let bytes = activity.bytes.wrapping_sub(self.before.bytes);
        Duration::from_nanos((bytes >> 10).saturating_mul(TRANSFER_NANOS_PER_KIB)).min(MOST_TRANSFER)
    }

    /// Returns whether the endpoint has woken its peer since the last wait, and ends the trial of a long spin.
    fn note(&mut self, activity: Activity) -> bool {
        let sent = activity.sent.wrapping_sub(self.before.sent);
        let wakeups = activity.wakeups.wrapping_sub(self.before.wakeups);
        self.before = activity;
        if std::mem::take(&mut self.on_trial) {
            // The purpose of a long spin is that the peer is not parked any more, so that it need not be woken.
            self.long.record(sent > wakeups);
        }
        wakeups > 0
    }

    fn judge(&mut self, limit: Limit, found: bool) {
        match limit {
            Limit::OneYield => {}
            Limit::Spin => self.idle.record(found),
            Limit::LongSpin if found => self.on_trial = true,
            Limit::LongSpin => self.long.record(false),
        }
    }
}

/// How long a spin between idle yields lasts.
#[derive(Clone, Copy)]
enum Limit {
    OneYield,
    Spin,
    LongSpin,
}

impl Limit {
    fn of(learnt: &mut Adaptive, woke: bool) -> Limit {
        if woke && learnt.long.pays() {
            Limit::LongSpin
        } else if learnt.idle.pays() {
            Limit::Spin
        } else {
            Limit::OneYield
        }
    }

    fn time(self, transfer: Duration) -> Duration {
        match self {
            Limit::OneYield => Duration::ZERO,
            Limit::Spin => SPIN + transfer,
            Limit::LongSpin => LONG_SPIN + transfer,
        }
    }
}

/// Whether something has paid recently, from -8 to 8.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    value: i8,
    /// How often the answer was no since the last trial.
    refused: u8,
}

impl Score {
    const LIMIT: i8 = 8;
    /// What does not pay is tried again once in so many times.
    const TRIAL: u8 = 32;

    fn pays(&mut self) -> bool {
        if self.value >= 0 {
            return true;
        }
        self.refused = (self.refused + 1) % Self::TRIAL;
        self.refused == 0
    }

    fn record(&mut self, paid: bool) {
        let step = if paid { 1 } else { -1 };
        self.value = (self.value + step).clamp(-Self::LIMIT, Self::LIMIT);
    }
}

/// A time without yields.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    /// When it ends or has ended.
    end: Option<Instant>,
    /// How many of them followed each other, at most [`MOST_RESTS`].
    repeats: u32,
}

impl Rest {
    /// Begins after a yield that took so long, and was lost.
    fn begin(&mut self, now: Instant, took: Duration) {
        self.end = Some(now + took.min(MOST_LOST) * self.factor());
        self.repeats = (self.repeats + 1).min(MOST_RESTS);
    }

    /// Returns whether the rest still lasts.
    fn lasts(&mut self, now: Instant) -> bool {
        let Some(end) = self.end else { return false };
        if now < end {
            return true;
        }
        if now.saturating_duration_since(end) > PROBATION * self.factor() / FIRST_REST {
            self.repeats = self.repeats.saturating_sub(1);
            self.end = (self.repeats > 0).then_some(now);
        }
        false
    }

    /// 16, 64, 256 or 1024.
    fn factor(&self) -> u32 {
        FIRST_REST << (2 * self.repeats)
    }
}

#[cfg(test)]
mod tests;
