//! Where the two processors are, as far as a guest can tell.
//!
//! A hypervisor moves virtual processors about: now they are two cores far apart, now two threads of one core, and a
//! cache line takes a sixth of the time. Figures of one placement say nothing about another. So the raw limit is
//! measured before and after everything else, and what was not measured in the placement of the run is set aside.

use std::time::Duration;

/// Limits that differ by less belong to one placement.
const LIKE: f64 = 1.25;
/// What part of the measurements makes a placement, and not an accident.
const ENOUGH: f64 = 0.1;
/// How long to wait before looking again whether the processors are back.
pub const PAUSE: Duration = Duration::from_millis(200);

/// The limits seen so far.
#[derive(Clone, Debug, Default)]
pub struct Placements {
    limits: Vec<f64>,
}

/// Whether two limits were measured in one placement.
pub fn alike(a: f64, b: f64) -> bool {
    a.max(b) <= LIKE * a.min(b)
}

impl Placements {
    /// Takes note of a limit, in nanoseconds, as it is when nothing else disturbs it.
    pub fn saw(&mut self, limit: f64) {
        self.limits.push(limit);
    }

    /// The limits of the placements that were seen often, from near to far.
    pub fn known(&self) -> Vec<f64> {
        let often = self.shares().into_iter().filter(|&(_, share)| share >= ENOUGH);
        often.map(|(limit, _)| limit).collect()
    }

    /// Which of [`Placements::known`] a limit belongs to.
    pub fn place(&self, limit: f64) -> Option<usize> {
        let distance = |known: f64| (limit / known).ln().abs();
        let known = self.known().into_iter().enumerate().filter(|&(_, known)| alike(limit, known));
        known.min_by(|(_, a), (_, b)| distance(*a).total_cmp(&distance(*b))).map(|(index, _)| index)
    }

    /// The limit of the placement that counts: that of processors that are farthest apart. Two threads of one core
    /// are not two cores.
    pub fn reference(&self) -> Option<f64> {
        self.known().pop()
    }

    /// Whether a limit is of the placement that counts, as far as is known.
    pub fn counts(&self, limit: f64) -> bool {
        self.reference().is_none_or(|reference| alike(limit, reference))
    }

    /// The placements, from near to far: the limit of each, and its share of the measurements.
    pub fn shares(&self) -> Vec<(f64, f64)> {
        let share = |group: &Vec<f64>| group.len() as f64 / self.limits.len() as f64;
        self.groups().iter().map(|group| (middle(group), share(group))).collect()
    }

    /// Each group's limits ascend, and are like its first.
    fn groups(&self) -> Vec<Vec<f64>> {
        let mut limits = self.limits.clone();
        limits.sort_by(f64::total_cmp);
        let mut groups: Vec<Vec<f64>> = Vec::new();
        for limit in limits {
            match groups.last_mut() {
                Some(group) if alike(group[0], limit) => group.push(limit),
                _ => groups.push(vec![limit]),
            }
        }
        groups
    }
}

fn middle(group: &[f64]) -> f64 {
    group[group.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(limits: &[f64]) -> Placements {
        Placements { limits: limits.to_vec() }
    }

    #[test]
    fn the_farthest_placement_that_was_seen_often_counts() {
        let placements = seen(&[54.0, 320.0, 53.0, 325.0, 55.0, 318.0, 54.0, 55.0, 54.0, 53.0, 900.0]);
        assert_eq!(placements.reference(), Some(320.0));
        assert!(placements.counts(330.0) && !placements.counts(75.0));
        assert_eq!(placements.shares().len(), 3);
    }

    #[test]
    fn while_nothing_is_known_everything_counts() {
        assert!(seen(&[]).counts(300.0));
    }
}
