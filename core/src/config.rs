//! What a user may choose, with the defaults of ESHM 1.x.

use std::time::Duration;

use crate::domain::Domain;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::name::SegmentName;
use crate::observer::Observer;
pub use crate::role::Role;

/// The default data size of a channel, in bytes.
pub const DEFAULT_DATA_SIZE: usize = 4096;
/// The greatest data size of a channel, in bytes (64 MiB).
pub const MAX_DATA_SIZE: usize = crate::layout::MAX_DATA_SIZE as usize;

/// The default capacity of a queue, in bytes.
pub const DEFAULT_QUEUE_CAPACITY: usize = 256 << 10;
/// The greatest capacity of a queue, in bytes (64 GiB).
pub const MAX_QUEUE_CAPACITY: usize = crate::layout::MAX_QUEUE_CAPACITY as usize;

/// How an endpoint waits for what is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitStrategy {
    /// Looks again and again, without ever leaving its core: for a core of one's own, and the steadiest times.
    Spin,
    /// Looks for some ten microseconds, fewer when that has been in vain, then parks until it is woken.
    SpinThenPark,
    /// Parks at once: for peers that are slow, or share the core.
    Park,
}

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

/// The settings of an endpoint: a builder, made by [`Endpoint::builder`].
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

impl Builder {
    pub(crate) fn new(name: &str) -> Self {
        Builder {
            name: name.to_owned(),
            domain: None,
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

    /// Where the segment's file is: by default where the environment says when the endpoint is opened, see
    /// [`Domain::from_env`].
    pub fn domain(mut self, domain: Domain) -> Self {
        self.domain = Some(domain);
        self
    }

    /// Master, slave, or auto (the default).
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// The greatest value of `write`, in bytes, 1 … 64 MiB. The creator's choice, 4096 by default; an endpoint that
    /// attaches takes what is there, and refuses a segment of another size if it was given one.
    pub fn data_size(mut self, bytes: usize) -> Self {
        self.data_size = Some(bytes);
        self
    }

    /// The greatest message of `send`, and how many bytes of long messages a queue holds, in bytes, up to 64 GiB.
    /// The creator's choice, 256 KiB by default, for each direction; 0 makes a segment without queues, on which
    /// `send` has one message in flight. An endpoint that attaches takes what is there, as for `data_size`.
    pub fn queue_capacity(mut self, bytes: usize) -> Self {
        self.queue_capacity = Some(bytes);
        self
    }

    /// How calls that wait do so: [`WaitStrategy::SpinThenPark`] by default.
    pub fn wait(mut self, strategy: WaitStrategy) -> Self {
        self.wait = strategy;
        self
    }

    /// How long a slave waits for its segment to appear: 5 s by default, zero: not at all.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How often this endpoint shows a sign of life: 1 ms by default, 1 ms … 1 s, and not more than the stale threshold. Without
    /// traffic for 100 ms, every fifth time, if 100 intervals fit into the stale threshold, and into that of the peer. With
    /// a peer of ours whose stale threshold is shorter than four intervals, a quarter of that.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// Whether the heartbeat never slows down, as that of ESHM 1.x: not so by default.
    pub fn steady_heartbeat(mut self, steady: bool) -> Self {
        self.steady = steady;
        self
    }

    /// How long the peer's heartbeat may stand still before the peer counts as frozen or dead: 100 ms by
    /// default, 1 ms … 1 h.
    pub fn stale_threshold(mut self, threshold: Duration) -> Self {
        self.stale_threshold = threshold;
        self
    }

    /// What happens when the peer is stale.
    pub fn disconnect(mut self, behaviour: Disconnect) -> Self {
        self.disconnect = behaviour;
        self
    }

    /// How long calls without a time-out wait for a stale peer: 5 s by default, zero: without limit.
    pub fn reconnect_timeout(mut self, timeout: Duration) -> Self {
        self.reconnect_timeout = timeout;
        self
    }

    /// How often a slave looks for a new master: 100 ms by default, 1 ms … 1 h.
    pub fn reconnect_interval(mut self, interval: Duration) -> Self {
        self.reconnect_interval = interval;
        self
    }

    /// For how many searches for a new master a slave's calls without a time-out wait: 50 by default, zero: without limit.
    pub fn reconnect_attempts(mut self, attempts: u32) -> Self {
        self.reconnect_attempts = attempts;
        self
    }

    /// Whether a slave stops looking for a master when `reconnect_timeout` or `reconnect_attempts` is used up, as in ESHM
    /// 1.x: calls with a time-out fail then, too, and a master that comes later is not found. Default: false.
    pub fn give_up(mut self, give_up: bool) -> Self {
        self.give_up = give_up;
        self
    }

    /// Whether a master's clean close removes the segment's name (the default).
    pub fn auto_cleanup(mut self, cleanup: bool) -> Self {
        self.auto_cleanup = cleanup;
        self
    }

    /// Whether the process's background thread keeps this endpoint's heartbeat (the default). Without it,
    /// reads and writes work, [`Endpoint::update_heartbeat`] is the user's to call, and a slave does not
    /// reconnect by itself.
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// The file permissions of a segment that this endpoint creates: 0600 by default, applied exactly,
    /// whatever the umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Has the umask decide on the permissions of a segment that this endpoint creates: 0666 less what it takes, as most
    /// files are made, and the segments of ESHM 1.x. A take-over leaves them as they are.
    pub fn mode_by_umask(mut self) -> Self {
        self.mode = None;
        self
    }

    /// The group, by its number, that a segment which this endpoint creates is given: that of the process by default. A user
    /// may give it to groups that he is a member of, root to any. It takes effect with a `mode` such as 0660.
    pub fn group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// Whether a segment that belongs to neither this user nor root is accepted: not by default, since
    /// its owner could have planted it.
    pub fn any_owner(mut self, accept: bool) -> Self {
        self.any_owner = accept;
        self
    }

    /// Opens the endpoint.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidDomain`], [`Error::InvalidConfig`]; [`Error::Create`] when the segment cannot be made;
    /// [`Error::NotFound`] when a slave finds none in time; [`Error::Attach`], [`Error::Foreign`] when what
    /// it finds is not usable; [`Error::SeatTaken`] when a live process has this role already.
    pub fn open(self) -> Result<Endpoint> {
        let name = self.segment_name()?;
        self.check()?;
        Endpoint::open(name, self)
    }

    /// Looks at the segment without taking part: see [`Observer`]. Of the settings, `domain` and `any_owner` count, and
    /// `data_size` for a segment of ESHM 1.x whose data size is no multiple of 64. Never waits.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidDomain`]; [`Error::NotFound`] when there is no finished segment; [`Error::Attach`],
    /// [`Error::Foreign`] when what there is cannot be read or understood.
    pub fn observe(self) -> Result<Observer> {
        Observer::new(self.segment_name()?, &self)
    }

    fn segment_name(&self) -> Result<SegmentName> {
        SegmentName::new(&self.name, self.domain.clone().map_or_else(Domain::from_env, Ok)?)
    }

    /// Whether the search for a master ends when the patience does.
    pub(crate) fn search_ends(&self) -> bool {
        self.give_up || self.disconnect == Disconnect::Immediately
    }

    fn check(&self) -> Result<()> {
        let hour = Duration::from_secs(3600);
        let ms = Duration::from_millis(1);
        let durations = [
            ("heartbeat_interval", self.heartbeat_interval, Duration::from_secs(1), "1 ms to 1 s"),
            ("stale_threshold", self.stale_threshold, hour, "1 ms to 1 h"),
            ("reconnect_interval", self.reconnect_interval, hour, "1 ms to 1 h"),
        ];
        for (setting, value, most, expected) in durations {
            if value < ms || value > most {
                return Err(self.invalid(setting, format!("{value:?}"), expected));
            }
        }
        if self.heartbeat_interval > self.stale_threshold {
            let expected = "at most the stale_threshold, since a peer with the same one would take this endpoint for frozen";
            return Err(self.invalid(
                "heartbeat_interval",
                format!("{:?}", self.heartbeat_interval),
                expected,
            ));
        }
        if let Some(size) = self.data_size.filter(|size| !(1..=MAX_DATA_SIZE).contains(size)) {
            return Err(self.invalid("data_size", format!("{size} bytes"), "1 to 67108864 bytes (64 MiB)"));
        }
        if let Some(capacity) = self.queue_capacity.filter(|capacity| *capacity > MAX_QUEUE_CAPACITY) {
            let expected = "0 (no queues) to 68719476736 bytes (64 GiB)";
            return Err(self.invalid("queue_capacity", format!("{capacity} bytes"), expected));
        }
        if let Some(mode) = self.mode.filter(|mode| mode & !0o777 != 0 || mode & 0o600 != 0o600) {
            let expected = "permission bits that let the owner read and write, such as 0600 or 0660";
            return Err(self.invalid("mode", format!("{mode:#o}"), expected));
        }
        Ok(())
    }

    fn invalid(&self, setting: &'static str, found: String, expected: &'static str) -> Error {
        Error::InvalidConfig { segment: self.name.clone(), setting, found, expected }
    }
}
