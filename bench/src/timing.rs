//! How a run is timed: the median of batches for the figure, a histogram of single trips for the tail; of bursts after a
//! rest, every one.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// A batch is long enough that the two looks at the clock do not count, and short enough that most batches are not
/// interrupted.
const BATCH: Duration = Duration::from_micros(50);

/// What a process of a measurement observed, printed as one JSON object. The other languages print the same fields.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Observation {
    /// Nanoseconds per round trip, or per message of a stream.
    pub ns: f64,
    /// The same, of the batches that nothing disturbed.
    pub floor: Option<f64>,
    /// How many messages arrived in the timed run.
    pub messages: u64,
    /// How many did not, or arrived damaged.
    pub lost: u64,
    /// Percentiles of single trips, in nanoseconds, the look at the clock included.
    pub latency: Option<Latency>,
    /// Nanoseconds from the first trip to the last, per trip: what disturbed some of them is in it.
    pub mean: Option<f64>,
    /// Each burst after a rest: the nanoseconds of its first trip, and of all per trip.
    pub bursts: Vec<(f64, f64)>,
    /// Nanoseconds of processor time that the process used in the timed run, of all threads, system calls included.
    pub cpu_ns: u64,
    /// How often it left the processor meanwhile.
    pub switches: u64,
    /// System calls made to wake the peer.
    pub wakeups: u64,
    /// The share of a core that the process used.
    pub cpu: Option<f64>,
    /// The raw limit before and after, in nanoseconds, if they agree: the runner's to say.
    pub limit: Option<f64>,
}

/// Percentiles, in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The worst.
    pub max: f64,
}

impl Latency {
    /// Of single values: the least one that so large a share of them does not exceed.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let at = |share: f64| values[((share * count as f64).ceil() as usize).clamp(1, count) - 1];
        (count > 0).then(|| Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) })
    }
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Nanoseconds of processor time.
    pub cpu_ns: u64,
    switches: u64,
}

impl Usage {
    /// Asks the kernel.
    pub fn now() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        Ok(Usage { cpu_ns: micros.unsigned_abs() * 1000, switches: switches.unsigned_abs() })
    }
}

impl Observation {
    /// The same with what was used since `before`.
    pub fn used_since(self, before: Usage) -> Result<Self> {
        let now = Usage::now()?;
        Ok(Observation {
            cpu_ns: now.cpu_ns.saturating_sub(before.cpu_ns),
            switches: now.switches.saturating_sub(before.switches),
            ..self
        })
    }
}

/// So many bursts are made at least, however long they take.
const FEWEST_BURSTS: usize = 5;

/// Makes bursts of `trips` round trips, each after a rest, for as long as `budget`.
pub fn bursts(
    budget: Duration,
    trips: u32,
    rest: Duration,
    mut trip: impl FnMut(u64) -> Result<bool>,
) -> Result<Observation> {
    let mut run = Run { seq: 0, lost: 0, trip: &mut trip };
    let mut bursts = Vec::new();
    let started = Instant::now();
    while bursts.len() < FEWEST_BURSTS || started.elapsed() < budget {
        std::thread::sleep(rest);
        let begun = Instant::now();
        run.step()?;
        let first = begun.elapsed();
        for _ in 1..trips {
            run.step()?;
        }
        let all = begun.elapsed();
        bursts.push((first.as_nanos() as f64, all.as_nanos() as f64 / f64::from(trips)));
    }
    let mut each: Vec<_> = bursts.iter().map(|&(_, each)| each).collect();
    let ns = median(&mut each);
    Ok(Observation { ns, messages: run.seq, lost: run.lost, bursts, ..Observation::default() })
}

/// Makes round trips for as long as `budget`. `trip` is handed a number and tells whether the answer was right.
pub fn round_trips(budget: Duration, mut trip: impl FnMut(u64) -> Result<bool>) -> Result<Observation> {
    let mut run = Run { seq: 0, lost: 0, trip: &mut trip };
    let size = run.calibrate(budget / 10)?;
    let mut batches = Vec::with_capacity(1 << 16);
    let (started, before) = (Instant::now(), run.seq);
    while started.elapsed() < budget * 6 / 10 || batches.is_empty() {
        batches.push(run.batch(size)?.as_nanos() as f64 / size as f64);
    }
    let latency = run.histogram(budget * 3 / 10)?;
    let mean = started.elapsed().as_nanos() as f64 / (run.seq - before) as f64;
    Ok(Observation {
        mean: Some(mean),
        ns: median(&mut batches),
        // Sorted by `median`.
        floor: batches.get(batches.len() / 20).copied(),
        messages: run.seq,
        lost: run.lost,
        latency: Some(latency),
        ..Observation::default()
    })
}

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

struct Run<'a, F> {
    seq: u64,
    lost: u64,
    trip: &'a mut F,
}

impl<F: FnMut(u64) -> Result<bool>> Run<'_, F> {
    /// Warms up, and finds how many trips make a batch.
    fn calibrate(&mut self, budget: Duration) -> Result<u64> {
        let started = Instant::now();
        let mut size = 1;
        loop {
            let took = self.batch(size)?;
            if took < BATCH {
                size *= 2;
            } else if started.elapsed() >= budget {
                return Ok(size);
            }
        }
    }

    #[inline(always)]
    fn batch(&mut self, size: u64) -> Result<Duration> {
        let started = Instant::now();
        for _ in 0..size {
            self.step()?;
        }
        Ok(started.elapsed())
    }

    #[inline(always)]
    fn step(&mut self) -> Result<()> {
        self.lost += u64::from(!(self.trip)(self.seq)?);
        self.seq += 1;
        Ok(())
    }

    fn histogram(&mut self, budget: Duration) -> Result<Latency> {
        let mut histogram = Histogram::<u64>::new(3)?;
        let started = Instant::now();
        let mut before = started;
        loop {
            self.step()?;
            let now = Instant::now();
            histogram.record((now - before).as_nanos() as u64)?;
            before = now;
            if now - started >= budget {
                break;
            }
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64;
        Ok(Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: histogram.max() as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trip_has_its_number_and_wrong_answers_are_counted() {
        let mut expected = 0;
        let observed = round_trips(Duration::from_millis(5), |seq| {
            assert_eq!(seq, expected);
            expected += 1;
            Ok(seq % 2 == 0)
        })
        .unwrap();
        assert_eq!(observed.messages, expected);
        assert_eq!(observed.lost, expected / 2);
    }

    #[test]
    fn every_burst_has_its_trips_and_wrong_answers_are_counted() {
        let observed = bursts(Duration::ZERO, 3, Duration::ZERO, |seq| Ok(seq != 4)).unwrap();
        assert_eq!(observed.bursts.len(), FEWEST_BURSTS);
        assert_eq!((observed.messages, observed.lost), (3 * FEWEST_BURSTS as u64, 1));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let latency = Latency::of((1..=200).rev().map(f64::from).collect()).unwrap();
        assert_eq!((latency.p50, latency.p99, latency.p999, latency.max), (100.0, 198.0, 200.0, 200.0));
        let one = Latency::of(vec![7.0]).unwrap();
        assert_eq!((one.p50, one.p99), (7.0, 7.0));
        assert!(Latency::of(Vec::new()).is_none());
    }

    #[test]
    fn a_process_that_works_uses_processor_time() {
        let before = Usage::now().unwrap();
        let used = || Observation::default().used_since(before).unwrap().cpu_ns;
        while used() == 0 {
            std::hint::black_box(0);
        }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
