//! The two ends of a measurement, for every contestant: one drives, one echoes; or one streams, one counts.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::contestants::ready;
use crate::payload::{self, REPLY, STOP};
use crate::timing::{self, Observation, Usage};

/// One end of a contestant's connection.
pub trait Duplex {
    /// Sends a message of `size` bytes, which `fill` writes: in place where the contestant lends memory, into a
    /// buffer that is then copied where it does not.
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()>;

    /// Waits for the next message, of `size` bytes, and shows it to `look`.
    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T>;

    /// Waits for at least one message, and shows those that are there to `each`, or fewer.
    fn recv_some(&mut self, size: usize, each: impl FnMut(&[u8])) -> Result<()> {
        self.recv(size, each)
    }

    /// Sends what it has gathered.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// How many system calls it made to wake its peer.
    fn wakeups(&self) -> u64 {
        0
    }
}

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Bytes per message, at least 8.
    pub size: usize,
    /// Whether the whole payload is written and read, or its first word only.
    pub touched: bool,
    /// How many messages are checked for content before the timing.
    pub verify: u64,
    /// How long the timing takes.
    pub budget: Duration,
    /// How many round trips follow a rest of what length; without it, all follow each other.
    pub burst: Option<(u32, Duration)>,
    /// Whether the runner says when the timing starts.
    pub gate: bool,
    /// How long both ends rest between the check and the timing.
    pub settle: Duration,
    /// The numbers of the messages begin again at 0 after so many, where making each one would be timed.
    pub period: u64,
}

impl Job {
    /// Sends message `seq`.
    #[inline(always)]
    pub fn send(&self, link: &mut impl Duplex, seq: u64) -> Result<()> {
        link.send(self.size, |bytes| payload::write(bytes, seq, self.touched))
    }

    #[inline(always)]
    fn recv(&self, link: &mut impl Duplex) -> Result<Option<u64>> {
        link.recv(self.size, |bytes| payload::read(bytes, self.touched))
    }

    fn send_ramp(&self, link: &mut impl Duplex, seq: u64) -> Result<()> {
        link.send(self.size, |bytes| payload::write_ramp(bytes, seq))
    }

    /// Has both directions checked for content, and tells either side that the other is there.
    pub fn ask(&self, link: &mut impl Duplex) -> Result<()> {
        for seq in 0..self.verify {
            self.send_ramp(link, seq)?;
            link.flush()?;
            self.expect_ramp(link, seq + REPLY)?;
        }
        thread::sleep(self.settle);
        if self.gate {
            pass_gate()?;
        }
        Ok(())
    }

    /// The other side of [`Job::ask`].
    fn answer(&self, link: &mut impl Duplex) -> Result<()> {
        for seq in 0..self.verify {
            self.expect_ramp(link, seq)?;
            self.send_ramp(link, seq + REPLY)?;
            link.flush()?;
        }
        Ok(())
    }

    fn expect_ramp(&self, link: &mut impl Duplex, seq: u64) -> Result<()> {
        let right = link.recv(self.size, |bytes| bytes.len() == self.size && payload::is_ramp(bytes, seq))?;
        ensure!(right, "message {seq} of the check does not have the content that was sent");
        Ok(())
    }
}

/// Makes round trips with [`echo`] on the other end.
pub fn drive(link: &mut impl Duplex, job: &Job) -> Result<Observation> {
    job.ask(link)?;
    let (before, usage) = (link.wakeups(), Usage::now()?);
    let trip = |seq| {
        job.send(link, seq)?;
        Ok(job.recv(link)? == Some(seq))
    };
    let observed = match job.burst {
        None => timing::round_trips(job.budget, trip),
        Some((trips, rest)) => timing::bursts(job.budget, trips, rest, trip),
    }?;
    let mut observed = observed.used_since(usage)?;
    observed.wakeups = link.wakeups() - before;
    job.send(link, STOP)?;
    Ok(observed)
}

/// Answers each message with its number.
pub fn echo(link: &mut impl Duplex, job: &Job) -> Result<Observation> {
    job.answer(link)?;
    let mut received = job.recv(link)?;
    // The timing begins with the first message: the driver may have rested before it.
    let (before, usage) = (link.wakeups(), Usage::now()?);
    let mut arrivals = Arrivals::new(job.period);
    while let Some(seq) = arrivals.next(received) {
        job.send(link, seq)?;
        received = job.recv(link)?;
    }
    // The driver counts the trips.
    let wakeups = link.wakeups() - before;
    Observation { lost: arrivals.lost, wakeups, ..Observation::default() }.used_since(usage)
}

/// Tells the runner that this pair is ready, and waits until all others are too.
fn pass_gate() -> Result<()> {
    ready();
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Streams numbered messages into [`sink`] at full speed.
pub fn source(link: &mut impl Duplex, job: &Job) -> Result<Observation> {
    job.ask(link)?;
    // The clock is looked at so rarely that it does not count.
    let stride = ((64 << 10) / job.size as u64).max(1);
    let (started, usage) = (Instant::now(), Usage::now()?);
    let mut seq = 0;
    while started.elapsed() < job.budget {
        for seq in seq..seq + stride {
            job.send(link, seq)?;
        }
        seq += stride;
    }
    job.send(link, STOP)?;
    link.flush()?;
    Observation { wakeups: link.wakeups(), ..Observation::default() }.used_since(usage)
}

/// Counts what arrives, and what does not.
pub fn sink(link: &mut impl Duplex, job: &Job) -> Result<Observation> {
    job.answer(link)?;
    let usage = Usage::now()?;
    let (mut arrivals, mut over) = (Arrivals::new(job.period), false);
    let mut recv_some = |arrivals: &mut Arrivals| {
        link.recv_some(job.size, |bytes| over |= arrivals.next(payload::read(bytes, job.touched)).is_none())?;
        anyhow::Ok(over)
    };
    // What came before the clock was started is not counted.
    recv_some(&mut arrivals)?;
    let (started, before) = (Instant::now(), arrivals.count);
    while !recv_some(&mut arrivals)? {}
    let elapsed = started.elapsed();
    ensure!(arrivals.count > before, "only {before} messages arrived");
    let observed = Observation {
        ns: elapsed.as_nanos() as f64 / (arrivals.count - before) as f64,
        messages: arrivals.count,
        lost: arrivals.lost,
        ..Observation::default()
    };
    observed.used_since(usage)
}

/// The numbers that arrive, which shall be 0, 1, 2 … `period` - 1, 0, 1 …
struct Arrivals {
    period: u64,
    count: u64,
    expected: u64,
    lost: u64,
}

impl Arrivals {
    fn new(period: u64) -> Self {
        Arrivals { period, count: 0, expected: 0, lost: 0 }
    }

    /// The number to be answered; `None` at the end of the run.
    #[inline(always)]
    fn next(&mut self, seq: Option<u64>) -> Option<u64> {
        if seq == Some(self.expected) {
            self.expect(self.expected + 1);
            self.count += 1;
            return seq;
        }
        self.unexpected(seq)
    }

    #[cold]
    fn unexpected(&mut self, seq: Option<u64>) -> Option<u64> {
        match seq {
            Some(STOP) => return None,
            Some(seq) if seq > self.expected => {
                self.lost += seq - self.expected;
                self.expect(seq + 1);
                self.count += 1;
            }
            // Damaged, or seen before.
            Some(_) | None => {
                self.lost += 1;
                if seq.is_none() {
                    // The answer has the number that it should have had.
                    let damaged = self.expected;
                    self.expect(damaged + 1);
                    return Some(damaged);
                }
            }
        }
        seq
    }

    #[inline(always)]
    fn expect(&mut self, seq: u64) {
        self.expected = if seq == self.period { 0 } else { seq };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_repeats_and_damage_count_as_lost() {
        let mut arrivals = Arrivals::new(STOP);
        for seq in [Some(0), Some(3), Some(3), None, Some(5)] {
            assert!(arrivals.next(seq).is_some());
        }
        assert_eq!(arrivals.next(Some(STOP)), None);
        assert_eq!((arrivals.count, arrivals.lost, arrivals.expected), (3, 4, 6));
    }

    #[test]
    fn numbers_that_begin_again_are_not_lost() {
        let mut arrivals = Arrivals::new(3);
        for seq in [0, 1, 2, 0, 1, 2, 0] {
            assert_eq!(arrivals.next(Some(seq)), Some(seq));
        }
        assert_eq!((arrivals.count, arrivals.lost), (7, 0));
        arrivals.next(Some(2));
        assert_eq!((arrivals.lost, arrivals.expected), (1, 0));
    }
}
