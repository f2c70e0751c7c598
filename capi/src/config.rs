//! From the structures of C to the settings of the core.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use eshm::{Builder, Disconnect, Domain, Endpoint, Role, WaitStrategy};

use crate::abi::{Config, NO_QUEUE, Options, ROLE_AUTO, ROLE_MASTER, ROLE_SLAVE};
use crate::boundary;
use crate::error::{Failure, Result};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Returns the settings of a 1.x program, and the role that it asks for: `None` is auto.
///
/// # Safety
/// If not NULL, `config` is to a `Config`, whose `shm_name` is as for [`boundary::name`].
pub(crate) unsafe fn of_1x(config: *const Config) -> Result<(Builder, Option<Role>)> {
    // SAFETY: the caller promises that it is NULL or to a `Config`.
    let config = unsafe { boundary::get(config, "config") }?;
    // SAFETY: the caller promises that the name is one.
    let name = unsafe { boundary::name(config.shm_name, "config.shm_name") }?;
    let role = role(config.role, "config.role")?;
    let use_threads = config.use_threads != 0;
    let disconnect = disconnect(config.disconnect_behavior, "config.disconnect_behavior")?;
    // ESHM 1.x replaces the slashes of a name.
    let builder = Endpoint::builder(&name.replace('/', "_"))
        .role(role)
        .stale_threshold(stale_threshold(config.stale_threshold_ms))
        // The zeros of ESHM 1.x are no limits.
        .reconnect_timeout(Some(millis(config.reconnect_wait_ms)).filter(|wait| !wait.is_zero()))
        .reconnect_interval(millis(config.reconnect_retry_interval_ms).clamp(MS, HOUR))
        .reconnect_attempts(Some(config.max_reconnect_attempts).filter(|attempts| *attempts != 0))
        .auto_cleanup(config.auto_cleanup != 0)
        .background(use_threads)
        // An endpoint of 1.x without threads does not watch its peer, and so never gives it up.
        .disconnect(if use_threads { disconnect } else { Disconnect::Never })
        // Every process that could open a segment of 1.x can open this one, and none is refused for its owner.
        .mode_by_umask()
        .any_owner(true)
        // 1.x programs may count on a heartbeat every millisecond.
        .steady_heartbeat(true)
        .give_up(true);
    // Masters, and AUTO, wait only for another process that is just making the segment.
    let builder = if role == Some(Role::Slave) { builder.connect_timeout(Duration::ZERO) } else { builder };
    Ok((builder, role))
}

/// Returns the options of `eshm_open` and `eshm_observe`.
///
/// # Safety
/// If not NULL, `options` is to `Options` of its `struct_size`; its name is as for [`boundary::name`], and its
/// `directory` and `prefix` are NULL or C strings.
pub(crate) unsafe fn of_options(options: *const Options) -> Result<Builder> {
    // SAFETY: every version of the structure begins with its size.
    let size = unsafe { boundary::get(options.cast::<usize>(), "options") }?;
    boundary::check_version("ESHMOptions", size, size_of::<Options>())?;
    // SAFETY: the structure has this size, as was checked.
    let options = unsafe { boundary::get(options, "options") }?;
    // SAFETY: the caller promises that the name is one.
    let name = unsafe { boundary::name(options.name, "options.name") }?;
    let mut builder = Endpoint::builder(&name)
        .role(role(options.role, "options.role")?)
        .wait(wait(options.wait)?)
        .connect_timeout(millis(options.connect_timeout_ms))
        .heartbeat_interval(millis(options.heartbeat_interval_ms))
        .steady_heartbeat(options.steady_heartbeat != 0)
        .stale_threshold(millis(options.stale_threshold_ms))
        .disconnect(disconnect(options.disconnect, "options.disconnect")?)
        .reconnect_timeout(Some(millis(options.reconnect_timeout_ms)).filter(|wait| !wait.is_zero()))
        .reconnect_interval(millis(options.reconnect_interval_ms))
        .reconnect_attempts(Some(options.reconnect_attempts).filter(|attempts| *attempts != 0))
        .give_up(options.give_up != 0)
        .auto_cleanup(options.auto_cleanup != 0)
        .background(options.background != 0)
        .mode(options.mode)
        .any_owner(options.any_owner != 0);
    // SAFETY: the caller promises that both are NULL or C strings.
    if let Some(domain) = unsafe { domain(options.directory, options.prefix) }? {
        builder = builder.domain(domain);
    }
    if options.mode_by_umask != 0 {
        builder = builder.mode_by_umask();
    }
    if options.group != -1 {
        let group = u32::try_from(options.group).map_err(|_| {
            Failure::invalid(format!(
                "options.group is {}; expected the number of a group, or -1",
                options.group
            ))
        })?;
        builder = builder.group(group);
    }
    if options.data_size != 0 {
        builder = builder.data_size(options.data_size);
    }
    Ok(match options.queue_capacity {
        0 => builder,
        NO_QUEUE => builder.queue_capacity(0),
        bytes => builder.queue_capacity(bytes),
    })
}

/// Returns the domain that the program chooses. `None`: it leaves it to the environment.
///
/// # Safety
/// If not NULL, `directory` and `prefix` are C strings.
pub(crate) unsafe fn domain(directory: *const c_char, prefix: *const c_char) -> Result<Option<Domain>> {
    if directory.is_null() && prefix.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller promises that it is NULL or a C string.
    let directory = unsafe { boundary::text(directory) };
    let directory = directory.map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)));
    // SAFETY: the caller promises that it is NULL or a C string.
    let prefix = unsafe { boundary::text(prefix) }.map(str::from_utf8).transpose().map_err(|error| {
        let at = error.valid_up_to();
        Failure::invalid(format!("the prefix is not UTF-8 at byte {at}, expected UTF-8"))
    })?;
    Ok(Some(Domain::from_parts(directory, prefix.map(str::to_owned))?))
}

fn role(role: u32, field: &'static str) -> Result<Option<Role>> {
    match role {
        ROLE_MASTER => Ok(Some(Role::Master)),
        ROLE_SLAVE => Ok(Some(Role::Slave)),
        ROLE_AUTO => Ok(None),
        _ => Err(out_of_range(field, role, "ESHM_ROLE_MASTER (0), _SLAVE (1) or _AUTO (2)")),
    }
}

fn disconnect(behaviour: u32, field: &'static str) -> Result<Disconnect> {
    match behaviour {
        0 => Ok(Disconnect::Immediately),
        1 => Ok(Disconnect::OnTimeout),
        2 => Ok(Disconnect::Never),
        _ => {
            let expected = "ESHM_DISCONNECT_IMMEDIATELY (0), _ON_TIMEOUT (1) or _NEVER (2)";
            Err(out_of_range(field, behaviour, expected))
        }
    }
}

fn wait(strategy: u32) -> Result<WaitStrategy> {
    match strategy {
        0 => Ok(WaitStrategy::Adaptive),
        1 => Ok(WaitStrategy::Spin),
        2 => Ok(WaitStrategy::SpinThenPark),
        3 => Ok(WaitStrategy::Park),
        _ => {
            let expected = "ESHM_WAIT_ADAPTIVE (0), _SPIN (1), _SPIN_THEN_PARK (2) or _PARK (3)";
            Err(out_of_range("options.wait", strategy, expected))
        }
    }
}

pub(crate) fn out_of_range(name: &'static str, found: u32, expected: &'static str) -> Failure {
    Failure::invalid(format!("{name} is {}, expected {expected}", found as i32))
}

/// 0 is no limit in ESHM 1.x: the longest threshold that the core accepts comes close.
fn stale_threshold(ms: u32) -> Duration {
    if ms == 0 { HOUR } else { millis(ms).min(HOUR) }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
