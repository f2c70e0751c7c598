//! How an endpoint is opened, errors in words, and what is known of the peer.

use std::ffi::{c_char, c_int};

use eshm::{MonitorPolicy, MonitorSettings, PeerState};

use crate::abi::{Info, Options};
use crate::boundary::{self, Out, Structure, call};
use crate::config;
use crate::error::{self, Failure};
use crate::handle::{ESHMHandle, Handle, answer, longest};

/// `eshm_open`.
///
/// # Safety
/// `options` is NULL or to `ESHMOptions` of their `struct_size`, whose name ends with a NUL or has 256 bytes;
/// `handle` is NULL or to an `ESHMHandle*`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_open(options: *const Options, handle: *mut *mut ESHMHandle) -> c_int {
    call(|| {
        // SAFETY: the caller promises that `handle` is NULL or to an `ESHMHandle*`.
        let handle = unsafe { Out::needed(handle, "handle") }?;
        handle.set(std::ptr::null_mut());
        // SAFETY: the caller promises the same of `options`.
        let builder = unsafe { config::of_options(options) }?;
        handle.set(Handle::register(builder.open()?)?);
        Ok(())
    })
}

/// `eshm_last_error`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_last_error() -> *const c_char {
    error::last_text()
}

/// `eshm_last_error_code`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_last_error_code() -> c_int {
    error::last_code()
}

/// `eshm_version`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_version() -> *const c_char {
    const { concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast() }
}

/// `eshm_configure_monitor`.
///
/// # Safety
/// `cpus` is to `cpu_count` numbers, or NULL for none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_configure_monitor(
    policy: u32,
    priority: c_int,
    cpus: *const u32,
    cpu_count: usize,
) -> c_int {
    call(|| {
        let level = u8::try_from(priority).ok();
        let policy = match (policy, level) {
            (0, Some(0)) => MonitorPolicy::Normal,
            (1, Some(level)) => MonitorPolicy::Fifo(level),
            (2, Some(level)) => MonitorPolicy::RoundRobin(level),
            _ => {
                let expected =
                    "ESHM_MONITOR_NORMAL (0) with 0, or _FIFO (1) or _ROUND_ROBIN (2) with 1 to 99";
                let text = format!("policy is {policy} with a priority of {priority}, expected {expected}");
                return Err(Failure::invalid(text));
            }
        };
        // SAFETY: the caller promises that `cpus` is NULL or to `cpu_count` numbers of four bytes, which do not
        // change.
        let bytes = unsafe { boundary::bytes(cpus.cast(), cpu_count.saturating_mul(4), "cpus") }?;
        let cpus =
            bytes.chunks_exact(4).map(|one| u32::from_ne_bytes([one[0], one[1], one[2], one[3]])).collect();
        eshm::configure_monitor(MonitorSettings { policy, cpus }).map_err(|error| {
            Failure::invalid(format!("the background thread cannot be scheduled so: {error}"))
        })
    })
}

/// `eshm_wait_for_peer`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_wait_for_peer(handle: *mut ESHMHandle, timeout_ms: u32) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        Ok(handle.inspector().wait_for_peer(longest(timeout_ms))?)
    })
}

/// `eshm_get_info`.
///
/// # Safety
/// `info` is NULL or to an `ESHMInfo` of its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_get_info(handle: *mut ESHMHandle, info: *mut Info) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        // SAFETY: the caller promises that `info` is NULL or to an `ESHMInfo`, which begins with its size.
        let info = unsafe { Structure::new(info, "info", "ESHMInfo") }?;
        let inspector = handle.inspector();
        let stats = inspector.stats()?;
        info.set(same_fields!(stats => Info: skipped reconnects wakeups timeouts stalls messages_sent
            messages_received bytes_sent bytes_received m2s_queue_depth s2m_queue_depth m2s_queue_high_water
            s2m_queue_high_water room_waits unreceived;
            struct_size: info.size,
            peer_state: inspector.peer_state() as u32,
            peer_is_legacy: inspector.peer_is_legacy(),
            generation: inspector.generation(),
            data_size: inspector.data_size(),
            max_message: inspector.max_message(),
            room_wait_time_ns: u64::try_from(stats.room_wait_time.as_nanos()).unwrap_or(u64::MAX)
        ));
        Ok(())
    })
}

/// `eshm_unreceived`.
///
/// # Safety
/// `count` is NULL or to a `uint64_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_unreceived(handle: *mut ESHMHandle, count: *mut u64) -> c_int {
    // SAFETY: the caller promises that `count` is NULL or to a `uint64_t`.
    let count = || unsafe { Out::needed(count, "count") };
    answer(handle, count, |handle| {
        handle.check_process()?;
        Ok(handle.inspector().unreceived())
    })
}

/// `eshm_close`.
///
/// # Safety
/// `unreceived` is NULL or to a `uint64_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_close(handle: *mut ESHMHandle, unreceived: *mut u64) -> c_int {
    call(|| {
        let (count, removed) =
            Handle::destroy(handle)?.map_or((0, Ok(())), |closed| (closed.unreceived, closed.removed));
        // SAFETY: the caller promises that `unreceived` is NULL or to a `uint64_t`.
        unsafe { Out::new(unreceived) }.set(count);
        Ok(removed?)
    })
}

// `ESHMPeerState` has the core's numbers.
const _: () = assert!(PeerState::Absent as u32 == 0 && PeerState::Closed as u32 == 4);
