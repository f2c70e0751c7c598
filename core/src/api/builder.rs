//! What a user may choose, with the defaults of ESHM 1.x.

use std::time::Duration;

use crate::error::Result;
use crate::peer::settings::{Disconnect, Settings};
use crate::role::Role;
use crate::segment::domain::Domain;
use crate::segment::name::SegmentName;
use crate::wait::WaitStrategy;

/// The settings of an endpoint: a builder, made by [`Endpoint::builder`](crate::Endpoint::builder).
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

    /// Where the segment's file is: by default where the environment says when the endpoint is opened, see
    /// [`Domain::from_env`].
    pub fn domain(mut self, domain: Domain) -> Self {
        self.domain = Some(domain);
        self
    }

    /// Master or slave. `None`, the default: slave where a live master is, master otherwise.
    pub fn role(mut self, role: impl Into<Option<Role>>) -> Self {
        self.settings.role = role.into();
        self
    }

    /// The greatest value of `write`, in bytes, 1 … 64 MiB. The creator's choice, 4096 by default; an endpoint that
    /// attaches takes what is there, and refuses a segment of another size if it was given one.
    pub fn data_size(mut self, bytes: usize) -> Self {
        self.settings.data_size = Some(bytes);
        self
    }

    /// The greatest message of `send`, and how many bytes of long messages a queue holds, in bytes, up to 64 GiB.
    /// The creator's choice, 256 KiB by default, for each direction; 0 makes a segment without queues, on which
    /// `send` has one message in flight. An endpoint that attaches takes what is there, as for `data_size`.
    pub fn queue_capacity(mut self, bytes: usize) -> Self {
        self.settings.queue_capacity = Some(bytes);
        self
    }

    /// How calls that wait do so: [`WaitStrategy::SpinThenPark`] by default.
    pub fn wait(mut self, strategy: WaitStrategy) -> Self {
        self.settings.wait = strategy;
        self
    }

    /// How long a slave waits for its segment to appear: 5 s by default, zero: not at all.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How often this endpoint shows a sign of life: 1 ms by default, 1 ms … 1 s, and not more than the stale threshold. Without
    /// traffic for 100 ms, every fifth time, if 100 intervals fit into the stale threshold, and into that of the peer. With
    /// a peer of ours whose stale threshold is shorter than four intervals, a quarter of that.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.settings.heartbeat_interval = interval;
        self
    }

    /// Whether the heartbeat never slows down, as that of ESHM 1.x: not so by default.
    pub fn steady_heartbeat(mut self, steady: bool) -> Self {
        self.settings.steady = steady;
        self
    }

    /// How long the peer's heartbeat may stand still before the peer counts as frozen or dead: 100 ms by
    /// default, 1 ms … 1 h.
    pub fn stale_threshold(mut self, threshold: Duration) -> Self {
        self.settings.stale_threshold = threshold;
        self
    }

    /// What happens when the peer is stale.
    pub fn disconnect(mut self, behaviour: Disconnect) -> Self {
        self.settings.disconnect = behaviour;
        self
    }

    /// How long calls without a time-out wait for a stale peer: 5 s by default, more than zero; `None`: no limit.
    ///
    /// ```
    /// let builder = eshm::Endpoint::builder("doc-limit").reconnect_timeout(None).reconnect_attempts(None);
    /// assert_eq!(builder.reconnect_timeout(std::time::Duration::ZERO).open().unwrap_err().code(), -1);
    /// ```
    pub fn reconnect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.reconnect_timeout = timeout.into();
        self
    }

    /// How often a slave looks for a new master: 100 ms by default, 1 ms … 1 h.
    pub fn reconnect_interval(mut self, interval: Duration) -> Self {
        self.settings.reconnect_interval = interval;
        self
    }

    /// For how many searches for a new master a slave's calls without a time-out wait: 50 by default, 1 or more; `None`: no
    /// limit.
    pub fn reconnect_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.settings.reconnect_attempts = attempts.into();
        self
    }

    /// Whether a slave stops looking for a master when `reconnect_timeout` or `reconnect_attempts` is used up, as in ESHM
    /// 1.x: calls with a time-out fail then, too, and a master that comes later is not found. Default: false.
    pub fn give_up(mut self, give_up: bool) -> Self {
        self.settings.give_up = give_up;
        self
    }

    /// Whether a master's clean close removes the segment's name (the default).
    pub fn auto_cleanup(mut self, cleanup: bool) -> Self {
        self.settings.auto_cleanup = cleanup;
        self
    }

    /// Whether the process's background thread keeps this endpoint's heartbeat (the default). Without it,
    /// reads and writes work, [`Endpoint::update_heartbeat`](crate::Endpoint::update_heartbeat) is the user's to call, and a slave does not
    /// reconnect by itself.
    pub fn background(mut self, background: bool) -> Self {
        self.settings.background = background;
        self
    }

    /// The file permissions of a segment that this endpoint creates: 0600 by default, applied exactly,
    /// whatever the umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.settings.mode = Some(mode);
        self
    }

    /// Has the umask decide on the permissions of a segment that this endpoint creates: 0666 less what it takes, as most
    /// files are made, and the segments of ESHM 1.x. A take-over leaves them as they are.
    pub fn mode_by_umask(mut self) -> Self {
        self.settings.mode = None;
        self
    }

    /// The group, by its number, that a segment which this endpoint creates is given: that of the process by default. A user
    /// may give it to groups that he is a member of, root to any. It takes effect with a `mode` such as 0660.
    pub fn group(mut self, gid: u32) -> Self {
        self.settings.group = Some(gid);
        self
    }

    /// Whether a segment that belongs to neither this user nor root is accepted: not by default, since
    /// its owner could have planted it.
    pub fn any_owner(mut self, accept: bool) -> Self {
        self.settings.any_owner = accept;
        self
    }

    pub(super) fn segment_name(&self) -> Result<SegmentName> {
        SegmentName::new(&self.name, self.domain.clone().map_or_else(Domain::from_env, Ok)?)
    }
}
