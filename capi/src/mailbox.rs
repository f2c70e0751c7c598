//! The functions that ESHM 1.x has.

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

use eshm::raw::{Host, Limit};
use eshm::{DEFAULT_DATA_SIZE, Error, Role};

use crate::abi::{Config, ROLE_MASTER, ROLE_SLAVE, Stats, WAKEUP_POLL, WAKEUP_PUSH};
use crate::boundary::{self, Out, Room, call, call_for};
use crate::config::{self, out_of_range};
use crate::error::{self, Failure, NO_DATA, Result};
use crate::handle::{C, ESHMHandle, Handle, answer, longest};

/// How long `eshm_read` waits.
const DEFAULT_TIMEOUT_MS: u32 = 1000;
/// The interval at which a reader looks that is not to be woken.
const POLL: Duration = Duration::from_micros(100);

/// `eshm_init`.
///
/// # Safety
/// `config` is NULL or to an `ESHMConfig`, whose name ends with a NUL or has 256 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_init(config: *const Config) -> *mut ESHMHandle {
    call_for(nothing, || {
        // SAFETY: the caller promises that `config` is NULL or to one, with such a name.
        let (builder, role) = unsafe { config::of_1x(config) }?;
        // A master gets the size that its header names, also where a segment of another size was left.
        let is_master = role == Some(Role::Master);
        let builder = if is_master { builder.data_size(DEFAULT_DATA_SIZE) } else { builder };
        Handle::register(builder.open()?)
    })
}

/// `eshm_init_sized`.
///
/// # Safety
/// As [`eshm_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_init_sized(config: *const Config, data_size: usize) -> *mut ESHMHandle {
    call_for(nothing, || {
        // SAFETY: the caller promises that `config` is NULL or to one, with such a name.
        let (builder, _) = unsafe { config::of_1x(config) }?;
        Handle::register(builder.data_size(data_size).open()?)
    })
}

fn nothing(_: c_int) -> *mut ESHMHandle {
    std::ptr::null_mut()
}

/// `eshm_destroy`. Any pointer is safe here, as every `handle` is.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_destroy(handle: *mut ESHMHandle) -> c_int {
    call(|| match Handle::destroy(handle)? {
        Some(closed) => Ok(closed.removed?),
        None => Ok(()),
    })
}

/// `eshm_write`.
///
/// # Safety
/// `data` is NULL or to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_write(handle: *mut ESHMHandle, data: *const c_void, size: usize) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        boundary::not_null(data, "data")?;
        // SAFETY: the caller promises that `data` is to `size` bytes, which it leaves alone during the call.
        let bytes = unsafe { boundary::bytes(data, size, "data") }?;
        handle.sender().write(&mut C, bytes).map_err(Failure::into_1x)
    })
}

/// `eshm_read`.
///
/// # Safety
/// `buffer` is NULL or to `buffer_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_read(
    handle: *mut ESHMHandle,
    buffer: *mut c_void,
    buffer_size: usize,
) -> c_int {
    call_for(std::convert::identity, || {
        // SAFETY: the caller promises that `buffer` is NULL or to `buffer_size` bytes, its own during the call.
        let size =
            read(handle, DEFAULT_TIMEOUT_MS, || unsafe { Room::needed(buffer, buffer_size, "buffer") })?;
        // A value has 64 MiB at most.
        Ok(size as c_int)
    })
}

/// `eshm_read_ex`.
///
/// # Safety
/// As [`eshm_read`]; `bytes_read` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_read_ex(
    handle: *mut ESHMHandle,
    buffer: *mut c_void,
    buffer_size: usize,
    bytes_read: *mut usize,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        // SAFETY: the caller promises that `bytes_read` is NULL or to a `size_t`.
        let bytes_read = unsafe { Out::new(bytes_read) };
        // SAFETY: the caller promises that `buffer` is NULL or to `buffer_size` bytes, its own during the call.
        let read = read(handle, timeout_ms, || unsafe { Room::needed(buffer, buffer_size, "buffer") });
        // Without a value nothing was read.
        bytes_read.set(*read.as_ref().unwrap_or(&0));
        read.map(drop)
    })
}

/// Reads the latest value into the buffer, and returns its size.
fn read(handle: *mut ESHMHandle, timeout_ms: u32, room: impl FnOnce() -> Result<Room>) -> Result<usize> {
    let (handle, room) = (Handle::find(handle)?, room()?);
    // In ESHM 1.x a wait without limit does not end when the peer leaves.
    let limit = if timeout_ms == 0 { Limit::Now } else { Limit::For(longest(timeout_ms)) };
    let read = if handle.wakeup_mode()? == WAKEUP_POLL {
        handle.receiver().read(&mut Polling, limit, |_, value| room.take(value).map(|()| value.len()))
    } else {
        handle.receiver().read(&mut C, limit, |_, value| room.take(value).map(|()| value.len()))
    };
    let none = || Failure::Own(NO_DATA, "there is no value that was not read before".into());
    read.map_err(Failure::into_1x)?.ok_or_else(none)
}

/// A reader that is not to be woken.
struct Polling;

impl Host for Polling {
    type Error = Failure;

    fn slice(&self) -> Duration {
        Duration::ZERO
    }

    fn between(&mut self) -> Result<()> {
        std::thread::sleep(POLL);
        Ok(())
    }
}

/// `eshm_check_remote_alive`.
///
/// # Safety
/// `is_alive` is NULL or to a `bool`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_check_remote_alive(handle: *mut ESHMHandle, is_alive: *mut bool) -> c_int {
    // SAFETY: the caller promises that `is_alive` is NULL or to a `bool`.
    let is_alive = || unsafe { Out::needed(is_alive, "is_alive") };
    answer(handle, is_alive, |handle| match handle.inspector().wait_for_peer(Duration::ZERO) {
        Ok(()) => Ok(true),
        Err(Error::Timeout { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    })
}

/// `eshm_get_stats`.
///
/// # Safety
/// `stats` is NULL or to an `ESHMStats`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_get_stats(handle: *mut ESHMHandle, stats: *mut Stats) -> c_int {
    // SAFETY: the caller promises that `stats` is NULL or to an `ESHMStats`.
    let stats = || unsafe { Out::needed(stats, "stats") };
    answer(handle, stats, |handle| Ok(handle.inspector().stats()?.into()))
}

impl From<eshm::Stats> for Stats {
    fn from(stats: eshm::Stats) -> Self {
        same_fields!(stats => Stats: master_heartbeat slave_heartbeat master_pid slave_pid master_alive slave_alive
            master_heartbeat_delta slave_heartbeat_delta m2s_write_count m2s_read_count s2m_write_count s2m_read_count;
            stale_threshold: u32::try_from(stats.stale_threshold.as_millis()).unwrap_or(u32::MAX))
    }
}

/// `eshm_get_role`.
///
/// # Safety
/// `role` is NULL or to an `enum ESHMRole`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_get_role(handle: *mut ESHMHandle, role: *mut u32) -> c_int {
    // SAFETY: the caller promises that `role` is NULL or to an `enum ESHMRole`.
    let role = || unsafe { Out::needed(role, "role") };
    answer(handle, role, |handle| {
        Ok(if handle.inspector().role() == Role::Slave { ROLE_SLAVE } else { ROLE_MASTER })
    })
}

/// `eshm_update_heartbeat`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_update_heartbeat(handle: *mut ESHMHandle) -> c_int {
    call(|| Ok(Handle::find(handle)?.inspector().update_heartbeat()?))
}

/// `eshm_set_wakeup_mode`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_set_wakeup_mode(handle: *mut ESHMHandle, mode: u32) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        if ![WAKEUP_PUSH, WAKEUP_POLL].contains(&mode) {
            return Err(out_of_range("mode", mode, "ESHM_WAKEUP_PUSH (0) or ESHM_WAKEUP_POLL (1)"));
        }
        handle.set_wakeup_mode(mode)?;
        Ok(())
    })
}

/// `eshm_get_wakeup_mode`.
///
/// # Safety
/// `mode` is NULL or to an `enum ESHMWakeupMode`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_get_wakeup_mode(handle: *mut ESHMHandle, mode: *mut u32) -> c_int {
    // SAFETY: the caller promises that `mode` is NULL or to an `enum ESHMWakeupMode`.
    let mode = || unsafe { Out::needed(mode, "mode") };
    answer(handle, mode, Handle::wakeup_mode)
}

/// `eshm_error_string`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_error_string(error: c_int) -> *const c_char {
    error::describe(error).as_ptr()
}
