//! What an endpoint is opened with, and the range of each setting.

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
pub enum Disconnect {
    /// Calls fail with [`Error::PeerStale`] at once; a slave does not look for another master.
    Immediately,
    /// A slave looks for a master again as long as it is open. Calls without a time-out fail once `reconnect_timeout` or
    /// `reconnect_attempts` is used up.
    OnTimeout,
    /// Calls without a time-out wait for ever, too.
    Never,
}

/// The settings of an endpoint: see the methods of [`Builder`](crate::Builder).
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) role: Role,
    pub(crate) data_size: Option<usize>,
    pub(crate) queue_capacity: Option<usize>,
    pub(crate) wait: WaitStrategy,
    pub(crate) connect_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) stale_threshold: Duration,
    pub(crate) disconnect: Disconnect,
    pub(crate) reconnect_timeout: Duration,
    pub(crate) reconnect_interval: Duration,
    pub(crate) reconnect_attempts: u32,
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
            role: Role::Auto,
            data_size: None,
            queue_capacity: None,
            wait: WaitStrategy::SpinThenPark,
            connect_timeout: Duration::from_secs(5),
            heartbeat_interval: Duration::from_millis(1),
            stale_threshold: Duration::from_millis(100),
            disconnect: Disconnect::OnTimeout,
            reconnect_timeout: Duration::from_secs(5),
            reconnect_interval: Duration::from_millis(100),
            reconnect_attempts: 50,
            give_up: false,
            auto_cleanup: true,
            background: true,
            steady: false,
            mode: Some(0o600),
            group: None,
            any_owner: false,
        }
    }
}

impl Settings {
    /// Whether the search for a master ends when the patience does.
    pub(crate) fn search_ends(&self) -> bool {
        self.give_up || self.disconnect == Disconnect::Immediately
    }

    /// Checks every setting against its range. `segment`: for the error.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`].
    pub(crate) fn check(&self, segment: &str) -> Result<()> {
        let hour = Duration::from_secs(3600);
        let ms = Duration::from_millis(1);
        let durations = [
            ("heartbeat_interval", self.heartbeat_interval, Duration::from_secs(1), "1 ms to 1 s"),
            ("stale_threshold", self.stale_threshold, hour, "1 ms to 1 h"),
            ("reconnect_interval", self.reconnect_interval, hour, "1 ms to 1 h"),
        ];
        for (setting, value, most, expected) in durations {
            if value < ms || value > most {
                return Err(invalid(segment, setting, format!("{value:?}"), expected));
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
        if let Some(size) = self.data_size.filter(|size| !(1..=MAX_DATA_SIZE).contains(size)) {
            return Err(invalid(
                segment,
                "data_size",
                format!("{size} bytes"),
                "1 to 67108864 bytes (64 MiB)",
            ));
        }
        if let Some(capacity) = self.queue_capacity.filter(|capacity| *capacity > MAX_QUEUE_CAPACITY) {
            let expected = "0 (no queues) to 68719476736 bytes (64 GiB)";
            return Err(invalid(segment, "queue_capacity", format!("{capacity} bytes"), expected));
        }
        if let Some(mode) = self.mode.filter(|mode| mode & !0o777 != 0 || mode & 0o600 != 0o600) {
            let expected = "permission bits that let the owner read and write, such as 0600 or 0660";
            return Err(invalid(segment, "mode", format!("{mode:#o}"), expected));
        }
        Ok(())
    }
}

fn invalid(segment: &str, setting: &'static str, found: String, expected: &'static str) -> Error {
    Error::InvalidConfig { segment: segment.to_owned(), setting, found, expected }
}
