//! Values and errors of the core as those of the facade, and back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use eshm::raw::Limit;
use eshm::{Builder, Disconnect, Error, Result, Role, WaitStrategy};

use crate::ffi::{Code, Errc, Outcome, Place, Settings};

/// `eshm::forever` of the facade.
const FOREVER: i64 = i64::MAX;
/// `eshm::Errc::invalid` of the facade.
pub(crate) const INVALID: i32 = -1;

impl Outcome {
    /// Keeps an error. Returns its `eshm::Errc`: the core's number, or, where kinds share one, a value of its own.
    #[cold]
    pub(crate) fn keep(&mut self, error: &Error) -> i32 {
        self.text = error.to_string();
        self.code = match error {
            Error::NotFound { .. } => Errc::not_found.repr,
            Error::Foreign { .. } => Errc::foreign.repr,
            Error::Reconnecting { .. } => Errc::reconnecting.repr,
            error => error.code(),
        };
        self.code
    }

    #[inline]
    pub(crate) fn code_of(&mut self, result: Result<()>) -> i32 {
        match result {
            Ok(()) => Code::ok.repr,
            Err(error) => self.keep(&error),
        }
    }

    /// Returns the value, or keeps the error.
    pub(crate) fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.keep(&error)).ok()
    }
}

/// Returns the limit that a wait of the facade is, in nanoseconds.
#[inline]
pub(crate) fn limit(wait: i64) -> Limit {
    if wait == FOREVER {
        Limit::Forever
    } else if wait > 0 {
        Limit::For(Duration::from_nanos(wait.unsigned_abs()))
    } else {
        Limit::Now
    }
}

/// Returns the limit as a time, for a call of the core that needs one: at most 292 years.
pub(crate) fn longest(limit: Limit) -> Duration {
    match limit {
        Limit::Now | Limit::Poll => Duration::ZERO,
        Limit::For(time) => time,
        Limit::Forever => Duration::from_nanos(FOREVER.unsigned_abs()),
    }
}

pub(crate) fn domain(place: &Place<'_>) -> Result<eshm::Domain> {
    let directory = place.has_directory.then(|| PathBuf::from(OsStr::from_bytes(place.directory)));
    let prefix = place.has_prefix.then(|| str::from_utf8(place.prefix)).transpose();
    let prefix = prefix.map_err(|_| Error::InvalidDomain {
        what: "the prefix",
        found: format!("{:?}", String::from_utf8_lossy(place.prefix)),
        expected: "UTF-8",
    })?;
    eshm::Domain::from_parts(directory, prefix.map(str::to_owned))
}

pub(crate) fn name<'a>(name: &'a [u8], domain: &eshm::Domain) -> Result<&'a str> {
    str::from_utf8(name).map_err(|_| Error::InvalidName {
        name: String::from_utf8_lossy(name).chars().take(64).collect(),
        reason: "is not UTF-8",
        limit: domain.max_name(),
    })
}

/// Returns the builder with these settings. The core checks their ranges; this checks what its types cannot hold.
pub(crate) fn builder(name: &[u8], settings: &Settings<'_>) -> Result<Builder> {
    let domain = domain(&settings.place)?;
    let segment = self::name(name, &domain)?;
    let check = Check { segment };
    let mut builder = eshm::Endpoint::builder(segment)
        .domain(domain)
        .role(check.choice(
            "role",
            settings.role.repr,
            [Some(Role::Master), Some(Role::Slave), None],
            "master, slave or automatic",
        )?)
        .wait(check.choice(
            "wait",
            settings.wait.repr,
            [WaitStrategy::Adaptive, WaitStrategy::Spin, WaitStrategy::SpinThenPark, WaitStrategy::Park],
            "adaptive, spin, spin_then_park or park",
        )?)
        .disconnect(check.choice(
            "disconnect",
            settings.disconnect.repr,
            [Disconnect::Immediately, Disconnect::OnTimeout, Disconnect::Never],
            "immediately, on_timeout or never",
        )?)
        .connect_timeout(check.time("connect_timeout", settings.connect_timeout)?)
        .heartbeat_interval(check.time("heartbeat_interval", settings.heartbeat_interval)?)
        .steady_heartbeat(settings.steady_heartbeat)
        .stale_threshold(check.time("stale_threshold", settings.stale_threshold)?)
        .reconnect_timeout(check.limit(
            "reconnect_timeout",
            settings.has_reconnect_timeout,
            check.time("reconnect_timeout", settings.reconnect_timeout)?,
        )?)
        .reconnect_interval(check.time("reconnect_interval", settings.reconnect_interval)?)
        .reconnect_attempts(check.limit(
            "reconnect_attempts",
            settings.has_reconnect_attempts,
            settings.reconnect_attempts,
        )?)
        .give_up(settings.give_up)
        .auto_cleanup(settings.auto_cleanup)
        .background(settings.background)
        .any_owner(settings.any_owner);
    builder = if settings.mode_by_umask { builder.mode_by_umask() } else { builder.mode(settings.mode) };
    if settings.has_data_size {
        builder = builder.data_size(settings.data_size);
    }
    if settings.has_queue_capacity {
        builder = builder.queue_capacity(settings.queue_capacity);
    }
    if settings.has_group {
        builder = builder.group(settings.group);
    }
    Ok(builder)
}

/// Checks settings of this segment.
struct Check<'a> {
    segment: &'a str,
}

impl Check<'_> {
    /// Returns the value of an enum of the facade, which has them in the same order.
    fn choice<T: Copy, const N: usize>(
        &self,
        setting: &'static str,
        repr: u8,
        values: [T; N],
        expected: &'static str,
    ) -> Result<T> {
        let value = values.get(usize::from(repr)).copied();
        value.ok_or_else(|| self.invalid(setting, repr.to_string(), expected))
    }

    fn time(&self, setting: &'static str, ns: i64) -> Result<Duration> {
        let time = u64::try_from(ns).map(Duration::from_nanos);
        time.map_err(|_| self.invalid(setting, format!("{ns} ns"), "a time that is not negative"))
    }

    /// Returns a limit; `None` is no limit. Refuses a zero as the core does, in the facade's words.
    fn limit<T: Default + PartialEq>(
        &self,
        setting: &'static str,
        is_set: bool,
        value: T,
    ) -> Result<Option<T>> {
        let expected =
            "more than 0, or std::nullopt for no limit (Disconnect::immediately never waits for a peer)";
        match is_set && value == T::default() {
            true => Err(self.invalid(setting, "0".to_owned(), expected)),
            false => Ok(is_set.then_some(value)),
        }
    }

    fn invalid(&self, setting: &'static str, found: String, expected: &'static str) -> Error {
        Error::InvalidConfig { segment: self.segment.into(), setting, found, expected }
    }
}

/// Makes `encoded` the text followed by its terminator.
pub(crate) fn encode(text: &[u8], encoded: &mut Vec<u8>, outcome: &mut Outcome) {
    let utf8 = str::from_utf8(text)
        .map_err(|error| Error::InvalidText { reason: "is not UTF-8", at: error.valid_up_to() });
    *encoded = outcome.take(utf8.and_then(eshm::text::encode)).unwrap_or_default();
}

/// Returns the length of the text at the start of `bytes`, without the NULs at its end.
pub(crate) fn decode(bytes: &[u8], outcome: &mut Outcome) -> usize {
    outcome.take(eshm::text::decode(bytes)).map_or(0, str::len)
}
