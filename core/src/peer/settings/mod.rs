//! What an endpoint is opened with, and the range of each setting.

pub(crate) mod table;

use std::time::Duration;

use crate::error::{Error, Result};
use crate::role::Role;
use crate::segment::layout;
use crate::wait::WaitStrategy;

/// The default data size of a channel, in bytes.
pub const DEFAULT_DATA_SIZE: usize = 4096;
/// The greatest data size of a channel, in bytes (64 MiB).
pub const MAX_DATA_SIZE: usize = layout::MAX_DATA_SIZE as usize;

/// The default capacity of a queue, in bytes.
pub const DEFAULT_QUEUE_CAPACITY: usize = 256 << 10;
/// The greatest capacity of a queue, in bytes (64 GiB).
pub const MAX_QUEUE_CAPACITY: usize = layout::MAX_QUEUE_CAPACITY as usize;

/// What an endpoint does when its peer's heartbeat has stood still for the stale threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Disconnect {
    /// Calls fail with [`Error::PeerStale`] at once. A slave does not search for another master.
    Immediately,
    /// A slave searches for a master as long as it is open. Calls without a timeout fail once `reconnect_timeout` or
    /// `reconnect_attempts` is used up.
    OnTimeout,
    /// Calls without a timeout wait without limit, and a slave searches for a master as long as it is open.
    Never,
}

/// The settings of an endpoint: see the methods of [`Builder`](crate::Builder).
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `None`: slave where a live master is, master otherwise.
    pub(crate) role: Option<Role>,
    pub(crate) data_size: Option<usize>,
    pub(crate) queue_capacity: Option<usize>,
    pub(crate) wait: WaitStrategy,
    pub(crate) connect_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) stale_threshold: Duration,
    pub(crate) disconnect: Disconnect,
    /// `None`: no limit.
    pub(crate) reconnect_timeout: Option<Duration>,
    pub(crate) reconnect_interval: Duration,
    /// `None`: no limit.
    pub(crate) reconnect_attempts: Option<u32>,
    pub(crate) give_up: bool,
    pub(crate) auto_cleanup: bool,
    pub(crate) background: bool,
    pub(crate) steady: bool,
    /// `None`: 0666, less what the umask takes.
    pub(crate) mode: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) any_owner: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            role: None,
            data_size: None,
            queue_capacity: None,
            wait: WaitStrategy::Adaptive,
            connect_timeout: table::CONNECT_TIMEOUT.value().time(),
            heartbeat_interval: table::HEARTBEAT_INTERVAL.value().time(),
            stale_threshold: table::STALE_THRESHOLD.value().time(),
            disconnect: Disconnect::OnTimeout,
            reconnect_timeout: Some(table::RECONNECT_TIMEOUT.value().time()),
            reconnect_interval: table::RECONNECT_INTERVAL.value().time(),
            reconnect_attempts: Some(table::RECONNECT_ATTEMPTS.value().number() as u32),
            give_up: table::GIVE_UP.value().flag(),
            auto_cleanup: table::AUTO_CLEANUP.value().flag(),
            background: table::BACKGROUND.value().flag(),
            steady: table::STEADY_HEARTBEAT.value().flag(),
            mode: Some(table::MODE.value().number() as u32),
            group: None,
            any_owner: table::ANY_OWNER.value().flag(),
        }
    }
}

impl Settings {
    /// Returns whether a slave ends its search for a master when the limits of the reconnect are used up.
    pub(crate) fn search_ends(&self) -> bool {
        self.give_up || self.disconnect == Disconnect::Immediately
    }

    /// Checks every setting against its range. `segment`: for the error.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`].
    pub(crate) fn check(&self, segment: &str) -> Result<()> {
        let limit = |time: Option<Duration>| {
            (time.map(|time| time.as_nanos()), format!("{:?}", time.unwrap_or_default()))
        };
        let time = |time: Duration| limit(Some(time));
        let count = |count: Option<u32>| (count.map(u128::from), count.unwrap_or_default().to_string());
        let bytes = |bytes: Option<usize>| {
            (bytes.map(|bytes| bytes as u128), format!("{} bytes", bytes.unwrap_or_default()))
        };
        let checked = [
            (table::HEARTBEAT_INTERVAL, time(self.heartbeat_interval)),
            (table::STALE_THRESHOLD, time(self.stale_threshold)),
            (table::RECONNECT_TIMEOUT, limit(self.reconnect_timeout)),
            (table::RECONNECT_INTERVAL, time(self.reconnect_interval)),
            (table::RECONNECT_ATTEMPTS, count(self.reconnect_attempts)),
            (table::GROUP, count(self.group)),
            (table::DATA_SIZE, bytes(self.data_size)),
            (table::QUEUE_CAPACITY, bytes(self.queue_capacity)),
        ];
        for (setting, (value, found)) in checked {
            let outside = |range: &table::Range| value.is_some_and(|value| !range.contains(value));
            if let Some(range) = setting.range.filter(outside) {
                return Err(invalid(segment, setting.name, found, range.text));
            }
        }
        if self.heartbeat_interval > self.stale_threshold {
            let expected = "at most the stale_threshold, since a peer with the same one would take this endpoint for frozen";
            return Err(invalid(
                segment,
                "heartbeat_interval",
                format!("{:?}", self.heartbeat_interval),
                expected,
            ));
        }
        if let Some(mode) = self.mode.filter(|mode| mode & !0o777 != 0 || mode & 0o600 != 0o600) {
            let expected = "permission bits that let the owner read and write, such as 0600 or 0660";
            return Err(invalid(segment, "mode", format!("{mode:#o}"), expected));
        }
        Ok(())
    }
}

fn invalid(segment: &str, setting: &'static str, found: String, expected: &'static str) -> Error {
    Error::InvalidConfig { segment: segment.into(), setting, found, expected }
}
