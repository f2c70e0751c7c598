//! What was measured, and the figures that are made of it.

use std::collections::BTreeMap;

use crate::cases::Case;
use crate::placement::Placements;
use crate::timing::{Latency, Observation, median};

/// What the rounds of one case gave.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// One for each round that worked, and in it for each pair of processes.
    pub observations: Vec<Observation>,
    /// Those made in another placement.
    pub set_aside: Vec<Observation>,
    /// Whether none was made in the placement that counts, undisturbed.
    pub elsewhere: bool,
    /// Why the others did not.
    pub failures: Vec<String>,
}

impl Row {
    /// Sets aside what was measured in another placement than the one that counts, unless there is nothing else.
    /// Only for what is held against the limit.
    pub fn keep(&mut self, placements: &Placements) {
        let counts = |observed: &Observation| observed.limit.is_some_and(|limit| placements.counts(limit));
        self.elsewhere = !self.observations.iter().any(counts);
        if !self.elsewhere {
            let (kept, others) = std::mem::take(&mut self.observations).into_iter().partition(counts);
            self.observations = kept;
            self.set_aside.extend(others);
        }
    }

    /// The same row, of those observations only that were made in one of the known placements, whatever counts.
    pub fn placed(&self, placements: &Placements, place: usize) -> Row {
        let all = self.observations.iter().chain(&self.set_aside);
        let there =
            all.filter(|observed| observed.limit.and_then(|limit| placements.place(limit)) == Some(place));
        Row { observations: there.cloned().collect(), ..Row::default() }
    }

    /// The limit at the time, in nanoseconds.
    pub fn limit(&self) -> Option<f64> {
        self.median(|observed| observed.limit)
    }

    /// The median of something over the rounds that worked.
    pub fn median(&self, value: impl Fn(&Observation) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<_> = self.observations.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| median(&mut values))
    }

    /// Nanoseconds per round trip or message.
    pub fn ns(&self) -> Option<f64> {
        self.median(|observed| Some(observed.ns))
    }

    /// The least and the most of them.
    pub fn spread(&self) -> Option<(f64, f64)> {
        let values = self.observations.iter().map(|observed| observed.ns);
        let least = values.clone().min_by(f64::total_cmp)?;
        Some((least, values.max_by(f64::total_cmp)?))
    }

    /// Nanoseconds of processor time that both processes used, per round trip or message.
    pub fn cpu_ns(&self) -> Option<f64> {
        self.median(|observed| {
            (observed.messages > 0).then(|| observed.cpu_ns as f64 / observed.messages as f64)
        })
    }

    /// How often one of them left the processor, per round trip or message.
    pub fn switches(&self) -> Option<f64> {
        self.median(|observed| {
            (observed.messages > 0).then(|| observed.switches as f64 / observed.messages as f64)
        })
    }

    /// The first trips after a rest.
    pub fn first(&self) -> Option<Latency> {
        Latency::of(self.bursts().map(|(first, _)| first).collect())
    }

    /// How many values the percentiles are of.
    pub fn samples(&self) -> u64 {
        let bursts = self.bursts().count() as u64;
        if bursts > 0 { bursts } else { self.messages() }
    }

    /// The messages or round trips of all rounds.
    pub fn messages(&self) -> u64 {
        self.observations.iter().map(|observed| observed.messages).sum()
    }

    fn bursts(&self) -> impl Iterator<Item = (f64, f64)> {
        self.observations.iter().flat_map(|observed| observed.bursts.iter().copied())
    }

    /// Percentiles: of bursts, those of all bursts, each as its time per trip; otherwise, of each the median over the
    /// rounds and pairs, and of the worst the worst.
    pub fn latency(&self) -> Option<Latency> {
        if let Some(latency) = Latency::of(self.bursts().map(|(_, each)| each).collect()) {
            return Some(latency);
        }
        let of = |value: fn(Latency) -> f64| self.median(|observed| observed.latency.map(value));
        let worst = self.observations.iter().filter_map(|observed| observed.latency);
        Some(Latency {
            p50: of(|latency| latency.p50)?,
            p99: of(|latency| latency.p99)?,
            p999: of(|latency| latency.p999)?,
            max: worst.map(|latency| latency.max).max_by(f64::total_cmp)?,
        })
    }

    /// The least and the most time per trip of a round and of a pair: of its mean, or of the median of its bursts.
    pub fn spread_of_means(&self) -> Option<(f64, f64)> {
        let values = self.observations.iter().map(|observed| observed.mean.unwrap_or(observed.ns));
        let least = values.clone().min_by(f64::total_cmp)?;
        Some((least, values.max_by(f64::total_cmp)?))
    }

    /// Messages that did not arrive whole, over all rounds.
    pub fn lost(&self) -> u64 {
        self.observations.iter().map(|observed| observed.lost).sum()
    }

    /// Whether it may be shown as a speed; if not, why.
    pub fn usable(&self) -> Result<(), String> {
        match (self.failure(), self.lost()) {
            (Some(failure), _) => Err(failure.to_owned()),
            (None, 0) => Ok(()),
            (None, lost) => Err(format!("{lost} messages were lost")),
        }
    }

    /// Why there is no figure.
    pub fn failure(&self) -> Option<&str> {
        if self.observations.is_empty() { self.failures.first().map(String::as_str) } else { None }
    }
}

/// What was measured.
pub type Rows = BTreeMap<Case, Row>;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(observations: Vec<Observation>) -> Row {
        Row { observations, ..Row::default() }
    }

    fn burst(bursts: &[(f64, f64)]) -> Observation {
        Observation { bursts: bursts.to_vec(), messages: 10, ..Observation::default() }
    }

    #[test]
    fn percentiles_of_bursts_are_those_of_the_bursts_of_all_rounds() {
        let row = row(vec![burst(&[(5.0, 1.0), (6.0, 2.0)]), burst(&[(7.0, 30.0)])]);
        let (latency, first) = (row.latency().unwrap(), row.first().unwrap());
        assert_eq!((latency.p50, latency.p99, row.samples()), (2.0, 30.0, 3));
        assert_eq!((first.p50, first.max), (6.0, 7.0));
    }

    #[test]
    fn what_both_processes_used_is_per_trip_and_the_middle_of_the_rounds() {
        let used =
            |cpu_ns, switches| Observation { cpu_ns, switches, messages: 100, ..Observation::default() };
        let row = row(vec![used(1000, 50), used(3000, 200), used(90_000, 100)]);
        assert_eq!((row.cpu_ns(), row.switches()), (Some(30.0), Some(1.0)));
        assert_eq!(Row::default().cpu_ns(), None);
    }

    #[test]
    fn a_row_with_a_loss_is_not_usable() {
        let lossy = row(vec![Observation { lost: 2, ..burst(&[(1.0, 1.0)]) }]);
        assert_eq!(lossy.usable(), Err("2 messages were lost".to_owned()));
        assert_eq!(row(vec![burst(&[(1.0, 1.0)])]).usable(), Ok(()));
    }
}
