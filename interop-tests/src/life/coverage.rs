//! Counts how often each call followed each event, to show combinations that were never tested.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts of calls by the event before them, for both sides together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    counts: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

/// The rows (calls) and columns (events) of the table.
const VERBS: [&str; 19] = [
    "write",
    "try-read",
    "read",
    "send",
    "try-send",
    "send-many",
    "loan",
    "loan-send",
    "loan-drop",
    "recv",
    "try-recv",
    "recv-many",
    "cancel-recv",
    "cancel-send",
    "hold",
    "held",
    "release",
    "wait-peer",
    "state",
];
const EVENTS: [&str; 11] = [
    "open",
    "close",
    "kill",
    "stop",
    "continue",
    "exit-busy",
    "fork",
    "observe",
    "intrude",
    "unlink",
    "begin",
];

impl Coverage {
    /// Counts a call that followed this event.
    pub fn count(&mut self, event: &'static str, verb: &'static str) {
        *self.counts.entry(event).or_default().entry(verb).or_default() += 1;
    }

    /// Adds the counts of another table.
    pub fn add(&mut self, other: &Coverage) {
        for (event, verbs) in &other.counts {
            for (verb, count) in verbs {
                *self.counts.entry(event).or_default().entry(verb).or_default() += count;
            }
        }
    }

    fn at(&self, event: &str, verb: &str) -> u64 {
        self.counts.get(event).and_then(|verbs| verbs.get(verb)).copied().unwrap_or_default()
    }

    /// Returns a table with a row per verb and a column per event, and a line that names the pairs with count 0.
    pub fn table(&self) -> String {
        let mut text = format!("{:12}", "call after");
        EVENTS.iter().for_each(|event| text += &format!("{event:>10}"));
        let mut blind = Vec::new();
        for verb in VERBS {
            text += &format!("\n{verb:12}");
            for event in EVENTS {
                let count = self.at(event, verb);
                text += &format!("{count:>10}");
                if count == 0 {
                    blind.push(format!("{verb} after {event}"));
                }
            }
        }
        match blind.len() {
            0 => text + "\nevery call followed every event",
            count => {
                blind.truncate(6);
                text + &format!("\n{count} pairs never happened, such as {}", blind.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_and_blind_spots_are_named() {
        let mut one = Coverage::default();
        one.count("kill", "recv");
        let mut all = one.clone();
        all.add(&one);
        assert_eq!((all.at("kill", "recv"), all.at("kill", "send")), (2, 0));
        let table = all.table();
        assert!(table.contains("208 pairs never happened, such as write after open"), "{table}");
    }
}
