//! The settings of an endpoint or an observer, with the defaults of ESHM 1.x.

use std::time::Duration;

use crate::error::Result;
use crate::peer::settings::{Disconnect, Settings};
use crate::role::Role;
use crate::segment::domain::Domain;
use crate::segment::name::SegmentName;
use crate::wait::WaitStrategy;

/// The settings of an endpoint or an observer. Made by [`Endpoint::builder`](crate::Endpoint::builder).
///
/// A method stores its value and checks nothing. [`Builder::open`] checks all values and returns
/// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for one that is out of range.
///
/// ```
/// use std::time::Duration;
/// let master = eshm::Endpoint::builder("doc-config")
///     .role(eshm::Role::Master)
///     .data_size(64 << 10)
///     .stale_threshold(Duration::from_millis(250))
///     .open()?;
/// assert_eq!(master.data_size(), 64 << 10);
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct Builder {
    pub(crate) name: String,
    /// `None`: that of the environment when it is opened.
    pub(crate) domain: Option<Domain>,
    pub(crate) settings: Settings,
}

impl Builder {
    pub(crate) fn new(name: &str) -> Self {
        Builder { name: name.to_owned(), domain: None, settings: Settings::default() }
    }

    /// Sets the domain: the directory of the segment's file and the prefix of its name. Default: the domain that the
    /// environment chooses when the endpoint is opened, see [`Domain::from_env`].
    pub fn domain(mut self, domain: Domain) -> Self {
        self.domain = Some(domain);
        self
    }

    /// Sets the role. `None`, the default: slave if the segment has a live master, master otherwise.
    pub fn role(mut self, role: impl Into<Option<Role>>) -> Self {
        self.settings.role = role.into();
        self
    }

    /// Sets the greatest value of `write`, in bytes: 1 … 64 MiB. Default: 4096 for the endpoint that creates the segment.
    /// An endpoint that attaches takes the segment's size; if a size is set and differs, a slave fails with
    /// [`Error::Foreign`](crate::Error::Foreign), and a master replaces the segment.
    pub fn data_size(mut self, bytes: usize) -> Self {
        self.settings.data_size = Some(bytes);
        self
    }

    /// Sets the capacity of each direction's queue, in bytes: 0 … 64 GiB. Default: 256 KiB for the endpoint that creates the
    /// segment. It limits the longest message of `send` and the sum of the long messages that a queue holds. 0 creates a
    /// segment without queues, on which `send` has one message in flight. An endpoint that attaches treats it as `data_size`.
    pub fn queue_capacity(mut self, bytes: usize) -> Self {
        self.settings.queue_capacity = Some(bytes);
        self
    }

    /// Sets how calls wait. Default: [`WaitStrategy::Adaptive`].
    pub fn wait(mut self, strategy: WaitStrategy) -> Self {
        self.settings.wait = strategy;
        self
    }

    /// Sets how long a slave waits for its segment to appear, and any role for another process that is creating it.
    /// Default: 5 s. Zero: does not wait.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// Sets the time between two heartbeats: 1 ms … 1 s, at most the stale threshold. Default: 1 ms.
    ///
    /// After 100 ms without traffic the interval is five times as long, if 100 intervals fit into the stale thresholds of both
    /// endpoints: see [`Builder::steady_heartbeat`]. If the peer's stale threshold is shorter than four intervals, the
    /// interval is a quarter of that threshold.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.settings.heartbeat_interval = interval;
        self
    }

    /// Keeps the full heartbeat rate, as ESHM 1.x does. Default: false.
    pub fn steady_heartbeat(mut self, steady: bool) -> Self {
        self.settings.steady = steady;
        self
    }

    /// Sets how long the peer's heartbeat may stand still before the peer counts as frozen or dead: 1 ms … 1 h.
    /// Default: 100 ms.
    pub fn stale_threshold(mut self, threshold: Duration) -> Self {
        self.settings.stale_threshold = threshold;
        self
    }

    /// Sets what calls without a timeout do when the peer is stale. Default: [`Disconnect::OnTimeout`].
    pub fn disconnect(mut self, behaviour: Disconnect) -> Self {
        self.settings.disconnect = behaviour;
        self
    }

    /// Sets how long calls without a timeout wait for a stale peer: more than zero. `None`: no limit. Default: 5 s.
    ///
    /// ```
    /// let builder = eshm::Endpoint::builder("doc-limit").reconnect_timeout(None).reconnect_attempts(None);
    /// assert_eq!(builder.reconnect_timeout(std::time::Duration::ZERO).open().unwrap_err().code(), -1);
    /// ```
    pub fn reconnect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.reconnect_timeout = timeout.into();
        self
    }

    /// Sets the time between two searches of a slave for a new master: 1 ms … 1 h. Default: 100 ms.
    pub fn reconnect_interval(mut self, interval: Duration) -> Self {
        self.settings.reconnect_interval = interval;
        self
    }

    /// Sets after how many searches for a new master a slave's calls without a timeout fail: 1 or more. `None`: no limit.
    /// Default: 50.
    pub fn reconnect_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.settings.reconnect_attempts = attempts.into();
        self
    }

    /// Makes a slave stop its search for a master when `reconnect_timeout` or `reconnect_attempts` is used up, as in ESHM
    /// 1.x. Calls with a timeout fail then, too, and a master that comes later is not found. Default: false.
    pub fn give_up(mut self, give_up: bool) -> Self {
        self.settings.give_up = give_up;
        self
    }

    /// Sets whether a master's close removes the segment's name. Default: true.
    pub fn auto_cleanup(mut self, cleanup: bool) -> Self {
        self.settings.auto_cleanup = cleanup;
        self
    }

    /// Sets whether the background thread of the process keeps this endpoint's heartbeat. Default: true. Without it reads and
    /// writes work, but the user must call [`Endpoint::update_heartbeat`](crate::Endpoint::update_heartbeat), and a slave does
    /// not reconnect by itself.
    pub fn background(mut self, background: bool) -> Self {
        self.settings.background = background;
        self
    }

    /// Sets the permissions of a segment that this endpoint creates, whatever the umask is. The owner must be able to read
    /// and write. Default: 0600.
    pub fn mode(mut self, mode: u32) -> Self {
        self.settings.mode = Some(mode);
        self
    }

    /// Lets the umask decide on the permissions of a segment that this endpoint creates: 0666 without the bits of the umask,
    /// as ESHM 1.x does. A master that takes a segment over leaves its permissions as they are.
    pub fn mode_by_umask(mut self) -> Self {
        self.settings.mode = None;
        self
    }

    /// Sets the group, by its number, of a segment that this endpoint creates. Default: the group of the process. A user may
    /// choose a group that the user belongs to; root may choose any. A `mode` such as 0660 makes it effective.
    pub fn group(mut self, gid: u32) -> Self {
        self.settings.group = Some(gid);
        self
    }

    /// Accepts a segment that belongs to neither this user nor root. Default: false, because its owner could have planted
    /// it.
    pub fn any_owner(mut self, accept: bool) -> Self {
        self.settings.any_owner = accept;
        self
    }

    pub(super) fn segment_name(&self) -> Result<SegmentName> {
        SegmentName::new(&self.name, self.domain.clone().map_or_else(Domain::from_env, Ok)?)
    }
}
