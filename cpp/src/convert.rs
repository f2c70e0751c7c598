//! Values of the facade to values of the core, and back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::ffi;

/// `eshm::forever` of the facade.
const FOREVER: i64 = i64::MAX;

/// What a limit of `eshm::Options` that is set must be.
const LIMIT: &str =
    "more than 0, or std::nullopt for no limit (Disconnect::immediately never waits for a peer)";

/// How long a call may wait.
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// So long at most.
    For(Duration),
    /// As long as it may help.
    Forever,
}

impl Wait {
    /// The same for a call of the core that has no form without a limit: 292 years.
    pub(crate) fn longest(self) -> Duration {
        match self {
            Wait::No => Duration::ZERO,
            Wait::For(time) => time,
            Wait::Forever => Duration::from_nanos(FOREVER.unsigned_abs()),
        }
    }
}

impl From<i64> for Wait {
    fn from(ns: i64) -> Self {
        match u64::try_from(ns) {
            _ if ns == FOREVER => Wait::Forever,
            Ok(ns) if ns > 0 => Wait::For(Duration::from_nanos(ns)),
            _ => Wait::No,
        }
    }
}

/// Returns the kind of an error as `eshm::Errc`: the core's number, or, where kinds share one, a value of its own.
pub(crate) fn code(error: &eshm::Error) -> i32 {
    match error {
        eshm::Error::NotFound { .. } => ffi::Errc::NotFound.repr,
        eshm::Error::Foreign { .. } => ffi::Errc::Foreign.repr,
        eshm::Error::Reconnecting { .. } => ffi::Errc::Reconnecting.repr,
        error => error.code(),
    }
}

/// The domain that the facade's describes.
pub(crate) fn domain(place: &ffi::Place<'_>) -> eshm::Result<eshm::Domain> {
    let directory = place.has_directory.then(|| PathBuf::from(OsStr::from_bytes(place.directory)));
    let prefix = place.has_prefix.then(|| str::from_utf8(place.prefix)).transpose();
    let prefix = prefix.map_err(|_| eshm::Error::InvalidDomain {
        what: "the prefix",
        found: format!("{:?}", String::from_utf8_lossy(place.prefix)),
        expected: "UTF-8",
    })?;
    eshm::Domain::from_parts(directory, prefix.map(str::to_owned))
}

pub(crate) fn name<'a>(name: &'a [u8], domain: &eshm::Domain) -> eshm::Result<&'a str> {
    str::from_utf8(name).map_err(|_| eshm::Error::InvalidName {
        name: String::from_utf8_lossy(name).chars().take(64).collect(),
        reason: "is not UTF-8",
        limit: domain.max_name(),
    })
}

/// The builder that `settings` describe, unless the facade holds a value that the core's types cannot.
pub(crate) fn builder(name: &[u8], settings: &ffi::Settings<'_>) -> eshm::Result<eshm::Builder> {
    let domain = domain(&settings.place)?;
    let name = self::name(name, &domain)?;
    let invalid = |setting, found: String, expected| eshm::Error::InvalidConfig {
        segment: name.to_owned(),
        setting,
        found,
        expected,
    };
    let time = |setting, ns: i64| {
        u64::try_from(ns)
            .map(Duration::from_nanos)
            .map_err(|_| invalid(setting, format!("{ns} ns"), "a time that is not negative"))
    };
    let role = match settings.role {
        ffi::Role::Master => eshm::Role::Master,
        ffi::Role::Slave => eshm::Role::Slave,
        ffi::Role::Automatic => eshm::Role::Auto,
        other => return Err(invalid("role", other.repr.to_string(), "master, slave or automatic")),
    };
    let disconnect = match settings.disconnect {
        ffi::Disconnect::Immediately => eshm::Disconnect::Immediately,
        ffi::Disconnect::OnTimeout => eshm::Disconnect::OnTimeout,
        ffi::Disconnect::Never => eshm::Disconnect::Never,
        other => {
            return Err(invalid("disconnect", other.repr.to_string(), "immediately, on_timeout or never"));
        }
    };
    let wait = match settings.wait {
        ffi::WaitStrategy::Spin => eshm::WaitStrategy::Spin,
        ffi::WaitStrategy::SpinThenPark => eshm::WaitStrategy::SpinThenPark,
        ffi::WaitStrategy::Park => eshm::WaitStrategy::Park,
        other => return Err(invalid("wait", other.repr.to_string(), "spin, spin_then_park or park")),
    };
    // The core's zero means "no limit", which is `nullopt` in the facade: a zero of the facade would become its opposite.
    let limit = |setting, is_set, is_zero| match (is_set, is_zero) {
        (true, true) => Err(invalid(setting, "0".to_owned(), LIMIT)),
        _ => Ok(()),
    };
    let reconnect_timeout = time("reconnect_timeout", settings.reconnect_timeout)?;
    limit("reconnect_timeout", settings.has_reconnect_timeout, reconnect_timeout.is_zero())?;
    let reconnect_attempts = settings.reconnect_attempts;
    limit("reconnect_attempts", settings.has_reconnect_attempts, reconnect_attempts == 0)?;
    let mut builder = eshm::Endpoint::builder(name)
        .role(role)
        .wait(wait)
        .connect_timeout(time("connect_timeout", settings.connect_timeout)?)
        .heartbeat_interval(time("heartbeat_interval", settings.heartbeat_interval)?)
        .steady_heartbeat(settings.steady_heartbeat)
        .stale_threshold(time("stale_threshold", settings.stale_threshold)?)
        .disconnect(disconnect)
        .reconnect_timeout(reconnect_timeout)
        .reconnect_interval(time("reconnect_interval", settings.reconnect_interval)?)
        .reconnect_attempts(reconnect_attempts)
        .give_up(settings.give_up)
        .auto_cleanup(settings.auto_cleanup)
        .background(settings.background)
        .any_owner(settings.any_owner)
        .domain(domain);
    builder = if settings.mode_by_umask { builder.mode_by_umask() } else { builder.mode(settings.mode) };
    if settings.has_data_size {
        builder = builder.data_size(settings.data_size);
    }
    if settings.has_group {
        builder = builder.group(settings.group);
    }
    if settings.has_queue_capacity {
        builder = builder.queue_capacity(settings.queue_capacity);
    }
    Ok(builder)
}

impl From<eshm::Role> for ffi::Role {
    fn from(role: eshm::Role) -> Self {
        match role {
            eshm::Role::Master => ffi::Role::Master,
            eshm::Role::Slave => ffi::Role::Slave,
            eshm::Role::Auto => ffi::Role::Automatic,
        }
    }
}

impl From<eshm::PeerState> for ffi::PeerState {
    fn from(state: eshm::PeerState) -> Self {
        match state {
            eshm::PeerState::Absent => ffi::PeerState::Absent,
            eshm::PeerState::Alive => ffi::PeerState::Alive,
            eshm::PeerState::Frozen => ffi::PeerState::Frozen,
            eshm::PeerState::Dead => ffi::PeerState::Dead,
            eshm::PeerState::Closed => ffi::PeerState::Closed,
        }
    }
}

impl From<eshm::Stats> for ffi::Counters {
    fn from(stats: eshm::Stats) -> Self {
        ffi::Counters {
            master_heartbeat: stats.master_heartbeat,
            slave_heartbeat: stats.slave_heartbeat,
            master_pid: stats.master_pid,
            slave_pid: stats.slave_pid,
            master_alive: stats.master_alive,
            slave_alive: stats.slave_alive,
            stale_threshold: stats.stale_threshold,
            master_heartbeat_delta: stats.master_heartbeat_delta,
            slave_heartbeat_delta: stats.slave_heartbeat_delta,
            m2s_write_count: stats.m2s_write_count,
            m2s_read_count: stats.m2s_read_count,
            s2m_write_count: stats.s2m_write_count,
            s2m_read_count: stats.s2m_read_count,
            skipped: stats.skipped,
            timeouts: stats.timeouts,
            reconnects: stats.reconnects,
            wakeups: stats.wakeups,
            stalls: stats.stalls,
            messages_sent: stats.messages_sent,
            messages_received: stats.messages_received,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            m2s_queue_depth: stats.m2s_queue_depth,
            s2m_queue_depth: stats.s2m_queue_depth,
            m2s_queue_high_water: stats.m2s_queue_high_water,
            s2m_queue_high_water: stats.s2m_queue_high_water,
            room_waits: stats.room_waits,
            room_wait_time: i64::try_from(stats.room_wait_time.as_nanos()).unwrap_or(i64::MAX),
            unreceived: stats.unreceived,
        }
    }
}
