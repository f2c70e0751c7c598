//! From the structures of C to the settings of the core.

use std::ffi::{OsStr, c_char};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use eshm::{Builder, Disconnect, Domain, Endpoint, Role, WaitStrategy};

use crate::abi::{Config, ConfigEx, NO_QUEUE, ROLE_AUTO, ROLE_MASTER, ROLE_SLAVE};
use crate::boundary;
use crate::error::{Failure, Result};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The settings of a 1.x program.
///
/// # Safety
/// `config.shm_name` is as for [`boundary::name`].
pub(crate) unsafe fn builder(config: &Config) -> Result<Builder> {
    // SAFETY: as promised.
    let name = unsafe { boundary::name(config.shm_name) }?;
    // ESHM 1.x does so.
    named(&name.replace('/', "_"), config)
}

/// The settings of a 1.x program, for the segment `name`.
fn named(name: &str, config: &Config) -> Result<Builder> {
    let role = role(config.role)?;
    let use_threads = config.use_threads != 0;
    let disconnect = disconnect(config.disconnect_behavior)?;
    let builder = Endpoint::builder(name)
        .role(role)
        .stale_threshold(stale_threshold(config.stale_threshold_ms))
        // The zeros of ESHM 1.x are no limits.
        .reconnect_timeout(Some(millis(config.reconnect_wait_ms)).filter(|wait| !wait.is_zero()))
        .reconnect_interval(millis(config.reconnect_retry_interval_ms).clamp(MS, HOUR))
        .reconnect_attempts(Some(config.max_reconnect_attempts).filter(|attempts| *attempts != 0))
        .auto_cleanup(config.auto_cleanup != 0)
        .background(use_threads)
        // An endpoint without threads does not watch its peer in 1.x, and so never gives it up.
        .disconnect(if use_threads { disconnect } else { Disconnect::Never })
        // Who could open a segment of 1.x can open this one, and none is refused for its owner.
        .mode_by_umask()
        .any_owner(true)
        // 1.x programs may count on a heartbeat every millisecond.
        .steady_heartbeat(true)
        .give_up(true);
    // Masters, and AUTO, wait only for another process that is just making the segment.
    Ok(if role == Role::Slave { builder.connect_timeout(Duration::ZERO) } else { builder })
}

/// The settings of a program that knows this version.
///
/// # Safety
/// If not NULL, `config` is to a `ConfigEx` of its `struct_size`; its name is as for [`boundary::name`], and its `directory`
/// and `prefix` are NULL or C strings.
pub(crate) unsafe fn builder_ex(config: *const ConfigEx) -> Result<Builder> {
    // SAFETY: every version of the structure begins with its size.
    let size = unsafe { boundary::get(config.cast::<usize>(), "config") }?;
    check_version("ESHMConfigEx", size, size_of::<ConfigEx>())?;
    // SAFETY: the structure has this size, as was checked.
    let config = unsafe { boundary::get(config, "config") }?;
    // SAFETY: as promised.
    let name = unsafe { boundary::name(config.base.shm_name) }?;
    let mut builder = named(&name, &config.base)?
        .connect_timeout(millis(config.connect_timeout_ms))
        .heartbeat_interval(millis(config.heartbeat_interval_ms))
        .wait(wait_strategy(config.wait_strategy)?)
        .mode(config.mode)
        .any_owner(config.any_owner != 0)
        .steady_heartbeat(false)
        .give_up(config.give_up != 0);
    // SAFETY: as promised.
    if let Some(domain) = unsafe { domain(config.directory, config.prefix) }? {
        builder = builder.domain(domain);
    }
    if config.group != -1 {
        let group = u32::try_from(config.group).map_err(|_| {
            Failure::invalid(format!("group is {}; expected the number of a group, or -1", config.group))
        })?;
        builder = builder.group(group);
    }
    if config.data_size != 0 {
        builder = builder.data_size(config.data_size);
    }
    builder = match config.queue_capacity {
        0 => builder,
        NO_QUEUE => builder.queue_capacity(0),
        bytes => builder.queue_capacity(bytes),
    };
    Ok(builder)
}

/// The domain that the program chooses, if it does.
///
/// # Safety
/// If not NULL, `directory` and `prefix` are C strings.
pub(crate) unsafe fn domain(directory: *const c_char, prefix: *const c_char) -> Result<Option<Domain>> {
    if directory.is_null() && prefix.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised, also below.
    let directory = unsafe { boundary::text(directory) };
    let directory = directory.map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)));
    // SAFETY: as above.
    let prefix = unsafe { boundary::text(prefix) }.map(str::from_utf8).transpose().map_err(|error| {
        let at = error.valid_up_to();
        Failure::invalid(format!("the prefix is not UTF-8 at byte {at}, expected UTF-8"))
    })?;
    Ok(Some(Domain::from_parts(directory, prefix.map(str::to_owned))?))
}

/// That a structure is of this version. A later one will be longer, and have fields that must not be ignored.
pub(crate) fn check_version(structure: &'static str, found: usize, known: usize) -> Result<()> {
    const { assert!(offset_of!(ConfigEx, struct_size) == 0) };
    if found == known {
        return Ok(());
    }
    let why =
        if found > known { "of a later eshm.h: install the libeshm that belongs to it" } else { "not set" };
    Err(Failure::invalid(format!("{structure}.struct_size is {found}, expected {known}; it is {why}")))
}

fn role(role: u32) -> Result<Role> {
    match role {
        ROLE_MASTER => Ok(Role::Master),
        ROLE_SLAVE => Ok(Role::Slave),
        ROLE_AUTO => Ok(Role::Auto),
        _ => Err(out_of_range("config.role", role, "ESHM_ROLE_MASTER (0), _SLAVE (1) or _AUTO (2)")),
    }
}

fn disconnect(behaviour: u32) -> Result<Disconnect> {
    match behaviour {
        0 => Ok(Disconnect::Immediately),
        1 => Ok(Disconnect::OnTimeout),
        2 => Ok(Disconnect::Never),
        _ => {
            let expected = "ESHM_DISCONNECT_IMMEDIATELY (0), _ON_TIMEOUT (1) or _NEVER (2)";
            Err(out_of_range("config.disconnect_behavior", behaviour, expected))
        }
    }
}

fn wait_strategy(strategy: u32) -> Result<WaitStrategy> {
    match strategy {
        0 => Ok(WaitStrategy::SpinThenPark),
        1 => Ok(WaitStrategy::Spin),
        2 => Ok(WaitStrategy::Park),
        _ => {
            let expected = "ESHM_WAIT_SPIN_THEN_PARK (0), _SPIN (1) or _PARK (2)";
            Err(out_of_range("config.wait_strategy", strategy, expected))
        }
    }
}

pub(crate) fn out_of_range(name: &'static str, found: u32, expected: &'static str) -> Failure {
    Failure::invalid(format!("{name} is {}, expected {expected}", found as i32))
}

/// 0 is no limit in ESHM 1.x; the longest that there is comes close.
fn stale_threshold(ms: u32) -> Duration {
    if ms == 0 { HOUR } else { millis(ms).min(HOUR) }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
