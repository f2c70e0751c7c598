//! The settings of an endpoint as a table: the one place where their names, defaults and ranges are decided.

use std::time::Duration;

use crate::segment::layout::{MAX_DATA_SIZE, MAX_QUEUE_CAPACITY};

/// What the values of a setting or a statistic are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A [`Domain`](crate::Domain): a directory and a prefix.
    Domain,
    /// True or false.
    Flag,
    /// A number of bytes.
    Bytes,
    /// A number of events or things.
    Count,
    /// A length of time: a duration in the type that the language has for one.
    Time,
    /// The bits of a file's permissions.
    Mode,
    /// A number that the system gave to a group or a process.
    Id,
    /// One of these names.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// Returns the unit of a number of this kind, for texts: `"bytes"`, `"ns"` or nothing.
    pub const fn unit(self) -> &'static str {
        match self {
            Kind::Bytes => "bytes",
            Kind::Time => "ns",
            _ => "",
        }
    }
}

/// The value of a setting or a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// None: the setting's `none` says what that means.
    None,
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of every kind that is a number.
    Number(i128),
    /// Of [`Kind::Time`].
    Time(Duration),
    /// Of [`Kind::Choice`].
    Choice(&'static str),
}

impl Value {
    pub(crate) const fn flag(self) -> bool {
        match self {
            Value::Flag(flag) => flag,
            _ => panic!("this setting is no flag"),
        }
    }

    pub(crate) const fn number(self) -> i128 {
        match self {
            Value::Number(number) => number,
            _ => panic!("this setting is no number"),
        }
    }

    pub(crate) const fn time(self) -> Duration {
        match self {
            Value::Time(time) => time,
            _ => panic!("this setting is no time"),
        }
    }
}

/// The values that a setting accepts; times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least value.
    pub least: u64,
    /// The greatest value; [`u64::MAX`]: every greater one, too.
    pub most: u64,
    /// The range in words, as errors have it.
    pub text: &'static str,
}

impl Range {
    /// Tests whether the value is within the range; a time is given in nanoseconds.
    pub fn contains(&self, value: u128) -> bool {
        value >= self.least.into() && (self.most == u64::MAX || value <= self.most.into())
    }
}

/// A setting of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The canonical name. Each language spells it as its names are spelt.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The value of an endpoint that does not set it. `None` for a setting that must be given.
    pub default: Option<Value>,
    /// What the value "none" means, for a setting that accepts it.
    pub none: Option<&'static str>,
    /// The values that [`Builder::open`](crate::Builder::open) accepts. `None` where every value of the kind is accepted, or
    /// where a rule that is no range decides.
    pub range: Option<Range>,
    /// What it does, in one line.
    pub doc: &'static str,
}

const MS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000 * MS;

const fn setting(name: &'static str, kind: Kind, default: Value, doc: &'static str) -> Setting {
    Setting { name, kind, default: Some(default), none: None, range: None, doc }
}

const fn time(name: &'static str, default_ms: u64, doc: &'static str) -> Setting {
    setting(name, Kind::Time, Value::Time(Duration::from_millis(default_ms)), doc)
}

impl Setting {
    const fn none(mut self, meaning: &'static str) -> Self {
        self.none = Some(meaning);
        self
    }

    const fn range(mut self, least: u64, most: u64, text: &'static str) -> Self {
        self.range = Some(Range { least, most, text });
        self
    }

    /// Returns the default, of a setting that has one.
    pub(crate) const fn value(&self) -> Value {
        match self.default {
            Some(value) => value,
            None => panic!("this setting has no default"),
        }
    }
}

pub(crate) const NAME: Setting = Setting {
    name: "name",
    kind: Kind::Text,
    default: None,
    none: None,
    range: None,
    doc: "The segment's name: UTF-8 without '/', \"..\" and NUL, at most 255 bytes with the domain's prefix.",
};
pub(crate) const DOMAIN: Setting =
    setting("domain", Kind::Domain, Value::None, "Where the segment's file is: a directory and a prefix.")
        .none("the domain of the environment");
pub(crate) const ROLE: Setting = setting(
    "role",
    Kind::Choice(&["master", "slave", "auto"]),
    Value::Choice("auto"),
    "Master, slave, or auto: slave where a live master is, master otherwise.",
);
pub(crate) const DATA_SIZE: Setting = setting(
    "data_size",
    Kind::Bytes,
    Value::None,
    "The greatest value of write. The segment's creator decides.",
)
.none("that of the segment, or 4096")
.range(1, MAX_DATA_SIZE as u64, "1 to 67108864 bytes (64 MiB)");
pub(crate) const QUEUE_CAPACITY: Setting = setting(
    "queue_capacity",
    Kind::Bytes,
    Value::None,
    "The greatest message of send, and the bytes of long messages that a queue holds. 0: no queues.",
)
.none("that of the segment, or 262144")
.range(0, MAX_QUEUE_CAPACITY, "0 (no queues) to 68719476736 bytes (64 GiB)");
pub(crate) const WAIT: Setting = setting(
    "wait",
    Kind::Choice(&["adaptive", "spin", "spin_then_park", "park"]),
    Value::Choice("adaptive"),
    "How calls wait for what is not there yet.",
);
pub(crate) const CONNECT_TIMEOUT: Setting =
    time("connect_timeout", 5000, "How long a slave waits for its segment to appear.");
pub(crate) const HEARTBEAT_INTERVAL: Setting = time(
    "heartbeat_interval",
    1,
    "How often the endpoint shows a sign of life. At most the stale threshold.",
)
.range(MS, 1000 * MS, "1 ms to 1 s");
pub(crate) const STEADY_HEARTBEAT: Setting = setting(
    "steady_heartbeat",
    Kind::Flag,
    Value::Flag(false),
    "Keeps the full heartbeat rate, as ESHM 1.x does.",
);
pub(crate) const STALE_THRESHOLD: Setting = time(
    "stale_threshold",
    100,
    "How long the peer's heartbeat may stand still before the peer counts as frozen or dead.",
)
.range(MS, HOUR, "1 ms to 1 h");
pub(crate) const DISCONNECT: Setting = setting(
    "disconnect",
    Kind::Choice(&["immediately", "on_timeout", "never"]),
    Value::Choice("on_timeout"),
    "What calls without a limit do when the peer is stale.",
);
pub(crate) const RECONNECT_TIMEOUT: Setting =
    time("reconnect_timeout", 5000, "How long calls without a limit wait for a stale peer.")
        .none("no limit")
        .range(1, u64::MAX, "more than 0, or none: no limit");
pub(crate) const RECONNECT_INTERVAL: Setting = time(
    "reconnect_interval",
    100,
    "How often a slave looks for a new master.",
)
.range(MS, HOUR, "1 ms to 1 h");
pub(crate) const RECONNECT_ATTEMPTS: Setting = setting(
    "reconnect_attempts",
    Kind::Count,
    Value::Number(50),
    "For how many searches for a new master a slave's calls without a limit wait.",
)
.none("no limit")
.range(1, u32::MAX as u64, "1 to 4294967295, or none: no limit");
pub(crate) const GIVE_UP: Setting = setting(
    "give_up",
    Kind::Flag,
    Value::Flag(false),
    "A slave stops looking for a master when the reconnect timeout or the attempts are used up.",
);
pub(crate) const AUTO_CLEANUP: Setting =
    setting("auto_cleanup", Kind::Flag, Value::Flag(true), "A master's close removes the segment's name.");
pub(crate) const BACKGROUND: Setting = setting(
    "background",
    Kind::Flag,
    Value::Flag(true),
    "The background thread of the process keeps the heartbeat.",
);
pub(crate) const MODE: Setting = setting(
    "mode",
    Kind::Mode,
    Value::Number(0o600),
    "The permissions of a segment that the endpoint creates; the owner can read and write.",
);
pub(crate) const MODE_BY_UMASK: Setting = setting(
    "mode_by_umask",
    Kind::Flag,
    Value::Flag(false),
    "The umask decides on the permissions of a segment that the endpoint creates.",
);
pub(crate) const GROUP: Setting = setting(
    "group",
    Kind::Id,
    Value::None,
    "The group of a segment that the endpoint creates, by its number.",
)
.none("the group of the process")
// The greatest number of 32 bits is no group: the system takes it for "unchanged".
.range(0, u32::MAX as u64 - 1, "the number of a group, 0 to 4294967294");
pub(crate) const ANY_OWNER: Setting = setting(
    "any_owner",
    Kind::Flag,
    Value::Flag(false),
    "Accepts a segment that belongs to neither this user nor root.",
);

/// The settings of an endpoint, in the order in which documents and bindings show them.
///
/// [`Builder`](crate::Builder) takes its defaults and ranges from here. Its methods take `None` for "none".
///
/// ```
/// let interval = eshm::raw::SETTINGS.iter().find(|setting| setting.name == "heartbeat_interval").unwrap();
/// assert_eq!(interval.range.unwrap().text, "1 ms to 1 s");
/// ```
pub const SETTINGS: &[Setting] = &[
    NAME,
    DOMAIN,
    ROLE,
    DATA_SIZE,
    QUEUE_CAPACITY,
    WAIT,
    CONNECT_TIMEOUT,
    HEARTBEAT_INTERVAL,
    STEADY_HEARTBEAT,
    STALE_THRESHOLD,
    DISCONNECT,
    RECONNECT_TIMEOUT,
    RECONNECT_INTERVAL,
    RECONNECT_ATTEMPTS,
    GIVE_UP,
    AUTO_CLEANUP,
    BACKGROUND,
    MODE,
    MODE_BY_UMASK,
    GROUP,
    ANY_OWNER,
];
