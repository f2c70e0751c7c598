//! Accounts for the messages of one direction, from the journals of both sides: see `README.md`, "Ledgers".

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The journal of one side, written by all its processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// The greatest number that a process was about to send.
    pub intended: u64,
    /// The greatest number that was acknowledged or marked as doubtful.
    pub sent: u64,
    /// The greatest received number.
    pub received: u64,
    /// The number of processes that wrote it.
    pub lives: u64,
    doubtful: Vec<RangeInclusive<u64>>,
    missing: Vec<RangeInclusive<u64>>,
    /// Repeated messages that were recognised. A kill between receipt and release causes them.
    pub again: u64,
    /// Duplicated messages that no kill explains.
    pub duplicates: u64,
}

/// The account of the messages of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Numbers that arrived.
    pub delivered: u64,
    /// Acknowledged numbers that did not arrive.
    pub lost: u64,
    /// Numbers that arrived more than once and that no kill explains.
    pub duplicates: u64,
    /// Doubtful numbers: their sender was killed before it knew whether they were sent.
    pub doubtful: u64,
    /// Doubtful numbers that arrived.
    pub doubtful_delivered: u64,
    /// Numbers that arrived again after a kill and were recognised.
    pub again: u64,
}

impl Journal {
    /// Reads a journal. A missing file is an empty journal.
    ///
    /// # Errors
    /// If the file cannot be read or is not a journal.
    pub fn read(path: &Path) -> Result<Journal> {
        if !path.exists() {
            return Ok(Journal::default());
        }
        let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
            .collect();
        // The file ends after the last word that was written.
        words.resize(words.len().max(8), 0);
        let mut journal = Journal::default();
        let (head, records) = words.split_at(8);
        (journal.intended, journal.sent, journal.received, journal.lives) =
            (head[0], head[1], head[2], head[4]);
        for record in records.chunks_exact(4) {
            let numbers = record[1]..=record[2];
            match record[0] {
                1 => journal.doubtful.push(numbers),
                2 => journal.missing.push(numbers),
                3 => journal.again += 1,
                4 => journal.duplicates += 1,
                kind => anyhow::bail!("{}: a record of kind {kind}", path.display()),
            }
        }
        Ok(journal)
    }

    /// Accounts for the messages of the side that kept `self` to the side that kept `receiver`. Of each range that is
    /// `excused`, any number of the last may be missing, and no other.
    ///
    /// # Errors
    /// If more was received than sent.
    pub fn account(&self, receiver: &Journal, excused: &[RangeInclusive<u64>]) -> Result<Account> {
        let (received, intended) = (receiver.received, self.intended);
        ensure!(received <= intended, "message {received} was received, but only {intended} were ever sent");
        // Numbers that never arrived are missing as well.
        let rest = std::iter::once(received + 1..=self.sent).filter(|rest| !rest.is_empty());
        let missing = union(receiver.missing.iter().cloned().chain(rest));
        let doubtful = union(self.doubtful.iter().cloned());
        let in_doubt = common(&missing, &doubtful);
        let ends = excused.iter().flat_map(|range| missing.iter().filter_map(|gap| end_of(range, gap)));
        let explained = union(doubtful.iter().cloned().chain(ends));
        Ok(Account {
            delivered: received - (count(&missing) - self.sent.saturating_sub(received)),
            lost: count(&missing) - common(&missing, &explained),
            duplicates: receiver.duplicates,
            doubtful: count(&doubtful),
            doubtful_delivered: count(&doubtful) - in_doubt,
            again: receiver.again,
        })
    }
}

impl Account {
    /// Returns the sum of both directions.
    #[must_use]
    pub fn and(self, other: Account) -> Account {
        Account {
            delivered: self.delivered + other.delivered,
            lost: self.lost + other.lost,
            duplicates: self.duplicates + other.duplicates,
            doubtful: self.doubtful + other.doubtful,
            doubtful_delivered: self.doubtful_delivered + other.doubtful_delivered,
            again: self.again + other.again,
        }
    }

    /// Checks that at least one message was delivered, no acknowledged one was lost, and none was duplicated.
    ///
    /// # Errors
    /// Otherwise.
    pub fn holds(&self) -> Result<()> {
        ensure!(self.delivered > 0, "no message was delivered");
        ensure!(self.lost == 0, "{} acknowledged messages are lost", self.lost);
        ensure!(self.duplicates == 0, "{} messages came twice", self.duplicates);
        Ok(())
    }
}

/// Sorts and merges ranges. A kill may have made a process record a range twice.
fn union(ranges: impl Iterator<Item = RangeInclusive<u64>>) -> Vec<RangeInclusive<u64>> {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_by_key(|range| *range.start());
    let mut union: Vec<RangeInclusive<u64>> = Vec::new();
    for range in ranges {
        match union.last_mut() {
            Some(last) if *range.start() <= *last.end() => {
                *last = *last.start()..=(*last.end()).max(*range.end());
            }
            _ => union.push(range),
        }
    }
    union
}

fn count(ranges: &[RangeInclusive<u64>]) -> u64 {
    ranges.iter().map(|range| range.end() - range.start() + 1).sum()
}

/// Returns the part of a gap that is the end of a range.
fn end_of(range: &RangeInclusive<u64>, gap: &RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
    let start = *gap.start().max(range.start());
    (start <= *range.end() && gap.end() >= range.end()).then(|| start..=*range.end())
}

/// Returns how many numbers are in both.
fn common(one: &[RangeInclusive<u64>], other: &[RangeInclusive<u64>]) -> u64 {
    let overlap = |a: &RangeInclusive<u64>, b: &RangeInclusive<u64>| {
        (*a.end().min(b.end()) + 1).saturating_sub(*a.start().max(b.start()))
    };
    one.iter().map(|a| other.iter().map(|b| overlap(a, b)).sum::<u64>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(sent: u64, doubtful: &[RangeInclusive<u64>]) -> Journal {
        Journal { intended: sent, sent, doubtful: doubtful.to_vec(), ..Journal::default() }
    }

    fn receiver(received: u64, missing: &[RangeInclusive<u64>]) -> Journal {
        Journal { received, missing: missing.to_vec(), ..Journal::default() }
    }

    #[test]
    fn what_arrived_is_delivered_and_what_was_in_doubt_is_excused() {
        let account =
            sender(100, &[50..=52, 50..=52, 100..=100]).account(&receiver(99, &[51..=52]), &[]).unwrap();
        let expected = Account { delivered: 97, doubtful: 4, doubtful_delivered: 1, ..Account::default() };
        assert_eq!(account, expected);
        account.holds().unwrap();
    }

    #[test]
    fn a_gap_in_the_middle_and_at_the_end_is_a_loss() {
        let account = sender(100, &[50..=50]).account(&receiver(98, &[49..=50, 70..=70]), &[]).unwrap();
        assert_eq!((account.lost, account.delivered), (4, 95));
        account.holds().unwrap_err();
        let twice = Journal { duplicates: 1, ..receiver(100, &[]) };
        sender(100, &[]).account(&twice, &[]).unwrap().holds().unwrap_err();
    }

    #[test]
    fn only_the_end_of_an_excused_range_may_be_missing() {
        let sent = sender(100, &[]);
        let end = sent.account(&receiver(100, &[58..=60]), &[50..=60]).unwrap();
        assert_eq!((end.lost, end.delivered), (0, 97));
        let hole = sent.account(&receiver(100, &[52..=53, 58..=60]), &[50..=60]).unwrap();
        assert_eq!(hole.lost, 2);
        let beyond = sent.account(&receiver(100, &[58..=62]), &[50..=60]).unwrap();
        assert_eq!(beyond.lost, 2);
    }

    #[test]
    fn a_number_that_was_never_sent_is_an_error() {
        sender(10, &[]).account(&receiver(11, &[]), &[]).unwrap_err();
    }
}
