//! The placement of the two virtual processors, as far as a guest can find out.
//!
//! A hypervisor moves virtual processors: they may be two distant cores, or two threads of one core, where a cache line
//! takes a sixth of the time. Figures of two placements cannot be compared. So the raw limit is measured before and
//! after each measurement, and measurements in another placement than that of the run are discarded.

use std::time::Duration;

/// Limits whose ratio is less belong to one placement.
const LIKE: f64 = 1.25;
/// The least share of the measurements that makes a placement.
const ENOUGH: f64 = 0.1;
/// The wait before the next check whether the processors are back.
pub const PAUSE: Duration = Duration::from_millis(200);

/// The limits that were measured so far.
#[derive(Clone, Debug, Default)]
pub struct Placements {
    limits: Vec<f64>,
}

/// Returns whether two limits were measured in one placement.
pub fn alike(a: f64, b: f64) -> bool {
    a.max(b) <= LIKE * a.min(b)
}

impl Placements {
    /// Records an undisturbed limit in nanoseconds.
    pub fn saw(&mut self, limit: f64) {
        self.limits.push(limit);
    }

    /// Returns the limits of the frequent placements, from near to far.
    pub fn known(&self) -> Vec<f64> {
        let often = self.shares().into_iter().filter(|&(_, share)| share >= ENOUGH);
        often.map(|(limit, _)| limit).collect()
    }

    /// Returns the index in [`Placements::known`] of the placement of a limit.
    pub fn place(&self, limit: f64) -> Option<usize> {
        let distance = |known: f64| (limit / known).ln().abs();
        let known = self.known().into_iter().enumerate().filter(|&(_, known)| alike(limit, known));
        known.min_by(|(_, a), (_, b)| distance(*a).total_cmp(&distance(*b))).map(|(index, _)| index)
    }

    /// Returns the limit of the reference placement: that of the most distant processors, since two threads of one core
    /// are not two cores.
    pub fn reference(&self) -> Option<f64> {
        self.known().pop()
    }

    /// Returns whether a limit may belong to the reference placement.
    pub fn counts(&self, limit: f64) -> bool {
        self.reference().is_none_or(|reference| alike(limit, reference))
    }

    /// Returns the placements, from near to far: the limit of each, and its share of the measurements.
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
