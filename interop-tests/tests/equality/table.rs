//! `protocol/interface.json`, and the values of each option that a language is asked about.

use std::collections::BTreeMap;
use std::fs;

use interop_tests::toolchain::Workshop;
use serde::Deserialize;
use serde_json::{Value, json};

/// The interface that every language has under the same names. The core's test `interface_json` holds it to the core.
#[derive(Deserialize)]
pub struct Table {
    pub options: Vec<Setting>,
    pub errors: Vec<ErrorKind>,
    pub statistics: Vec<Statistic>,
}

/// How a language spells a name where its own rule does not give it. `None`: the language does not have it.
type Spelling = BTreeMap<String, Option<String>>;

#[derive(Deserialize)]
pub struct Setting {
    pub name: String,
    pub kind: String,
    pub default: Value,
    /// What the value "none" means, if the option accepts it.
    pub none: Option<String>,
    /// The range of a number; times in nanoseconds.
    pub least: Option<u64>,
    pub most: Option<u64>,
    #[serde(default)]
    pub choices: Vec<String>,
    #[serde(default)]
    pub spelling: Spelling,
    /// What zero means in a language where it is not the number zero.
    #[serde(default)]
    pub zero: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub struct ErrorKind {
    pub name: String,
    pub code: i32,
    #[serde(default)]
    pub spelling: Spelling,
}

#[derive(Deserialize)]
pub struct Statistic {
    pub name: String,
    pub kind: String,
    #[serde(default)]
    pub spelling: Spelling,
}

/// An option set to a value, with others that make the value possible.
pub struct Probe<'a> {
    pub option: &'a Setting,
    pub value: Value,
    pub with: Vec<(&'a Setting, Value)>,
    /// Whether every language must accept it, or refuse it with the error −1.
    pub accepted: bool,
}

/// A choice that no option has.
pub const NO_CHOICE: &str = "no such choice";

/// What a language can express.
pub struct Abilities {
    /// The shortest time, in nanoseconds.
    pub tick: u64,
    /// Whether a count can be greater than 32 bits.
    pub wide: bool,
    /// Whether sizes and times can be negative.
    pub signed: bool,
    /// Whether a choice can be one that is not in the list.
    pub open_choices: bool,
}

impl Table {
    pub fn read() -> Table {
        let path = Workshop::find().unwrap().root().join("protocol/interface.json");
        let text = fs::read_to_string(path).expect("protocol/interface.json is there");
        serde_json::from_str(&text).expect("protocol/interface.json has the expected form")
    }

    fn option(&self, name: &str) -> &Setting {
        self.options.iter().find(|option| option.name == name).expect("the table has the option")
    }

    /// Every value that `language` is asked about: the ends of each range, and what lies just outside.
    pub fn probes(&self, language: &str, abilities: &Abilities) -> Vec<Probe<'_>> {
        let mut probes = Vec::new();
        for option in &self.options {
            let mut add = |value: Value, accepted| {
                let with = if option.name == "heartbeat_interval" {
                    let threshold = self.option("stale_threshold");
                    vec![(threshold, json!(threshold.most))]
                } else {
                    Vec::new()
                };
                probes.push(Probe { option, value, with, accepted });
            };
            option.whole_values().into_iter().for_each(|(value, accepted)| add(value, accepted));
            if option.kind == "choice" && abilities.open_choices {
                add(json!(NO_CHOICE), false);
            }
            if option.none.is_some() {
                add(Value::Null, true);
            }
            for (value, accepted) in option.ends(abilities) {
                if value != json!(0) || !option.zero.contains_key(language) {
                    add(value, accepted);
                }
            }
        }
        probes.extend(self.related());
        probes
    }

    /// A heartbeat must fit into the stale threshold: here the default one.
    fn related(&self) -> [Probe<'_>; 2] {
        let option = self.option("heartbeat_interval");
        let threshold = self.option("stale_threshold").default.as_u64().expect("a time");
        [(threshold, true), (threshold + 1_000_000, false)].map(|(value, accepted)| Probe {
            option,
            value: json!(value),
            with: Vec::new(),
            accepted,
        })
    }
}

impl Setting {
    /// Whether there is a default to compare: a name has none, and the environment decides on a domain.
    pub fn has_default(&self) -> bool {
        !["text", "domain"].contains(&&*self.kind)
    }

    /// The ends of the range, and what lies just outside, as far as the language can express it.
    fn ends(&self, abilities: &Abilities) -> Vec<(Value, bool)> {
        let (Some(least), Some(most)) = (self.least, self.most) else { return Vec::new() };
        let step = if self.kind == "time" { abilities.tick } else { 1 };
        let least = least.next_multiple_of(step);
        let mut ends = vec![(json!(least), true)];
        if least >= step {
            ends.push((json!(least - step), false));
        } else if abilities.signed && self.kind != "id" {
            // A group of -1 is "none" in C.
            ends.push((json!(-1), false));
        }
        if most == u64::MAX {
            // Without an upper end, an hour.
            ends.push((json!(3_600_000_000_000_u64), true));
            return ends;
        }
        ends.push((json!(most), true));
        if abilities.wide || most != u64::from(u32::MAX) {
            ends.push((json!(most + step), false));
        }
        ends
    }

    /// Values that need no range: all there are, or examples.
    fn whole_values(&self) -> Vec<(Value, bool)> {
        match (&*self.kind, &*self.name) {
            ("flag", _) => vec![(json!(false), true), (json!(true), true)],
            ("choice", _) => self.choices.iter().map(|choice| (json!(choice), true)).collect(),
            ("mode", _) => {
                let modes = [(0o600, true), (0o777, true), (0o400, false), (0o200, false), (0o1600, false)];
                modes.map(|(mode, accepted)| (json!(mode), accepted)).to_vec()
            }
            // The probe waits that long.
            ("time", "connect_timeout") => vec![(json!(0), true), (json!(1_000_000), true)],
            ("text", _) => {
                let name = |length| json!("n".repeat(length));
                vec![
                    (name(1), true),
                    (name(250), true),
                    (name(251), false),
                    (json!(""), false),
                    (json!("a/b"), false),
                    (json!("a..b"), false),
                ]
            }
            ("domain", _) => vec![
                (json!({"directory": "/dev/shm", "prefix": "equality_"}), true),
                (json!({"directory": "relative", "prefix": "equality_"}), false),
                (json!({"directory": "/dev/shm", "prefix": "a/b"}), false),
                (json!({"directory": "/dev/shm", "prefix": "p".repeat(65)}), false),
            ],
            _ => Vec::new(),
        }
    }
}

/// The name as `language` spells it: by hand, or by the language's rule. `None`: the language does not have it.
pub fn spelt(spelling: &Spelling, language: &str, rule: impl FnOnce() -> String) -> Option<String> {
    match spelling.get(language) {
        Some(by_hand) => by_hand.clone(),
        None => Some(rule()),
    }
}

/// `heartbeat_interval` as `HeartbeatInterval`.
pub fn pascal(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}
