//! Event descriptors, and wait sets.

use std::ffi::c_int;
use std::io::{PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::process;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use eshm::{Interest, WaitSet, raw};
use sharded_slab::Entry;

use crate::abi::TIMEOUT_INFINITE;
use crate::boundary::{self, Out, call, call_for};
use crate::error::{FORKED, Failure, NO_DATA, NOT_INITIALIZED, Result, TIMEOUT};
use crate::handle::{ESHMHandle, Handle, answer};
use crate::registry::{Places, Registry};

static REGISTRY: LazyLock<Registry<Set>> =
    LazyLock::new(|| Registry::new(0x5741_4954_3CA5_E169_u64 as usize));

/// The token of the pipe that ends the waits of other threads.
const END: u64 = u64::MAX;

/// Opaque, as in the header.
#[repr(C)]
pub struct ESHMWaitSet {
    _opaque: [u8; 0],
}

/// A wait set, as the threads of a C program share it.
struct Set {
    set: WaitSet,
    /// The end of a pipe whose other end is in the set. A byte ends the waits, when the set is freed.
    running: Mutex<Option<PipeWriter>>,
    /// The process that made it. A child shares the kernel's side of the set.
    owner: u32,
}

impl Set {
    fn new() -> Result<Set> {
        let set = WaitSet::new().map_err(refused)?;
        let (ended, running) = std::io::pipe().map_err(refused)?;
        set.add_fd(ended, END).map_err(refused)?;
        Ok(Set { set, running: Mutex::new(Some(running)), owner: process::id() })
    }

    /// Returns the set of a handle.
    fn find(set: *mut ESHMWaitSet) -> Result<Entry<'static, Set, Places>> {
        let found = REGISTRY.find(set).ok_or_else(|| unknown(set))?;
        if found.owner != process::id() {
            let text = "the wait set belongs to the parent of this process; make a new one";
            return Err(Failure::Own(FORKED, text.into()));
        }
        Ok(found)
    }

    /// Waits, and hands each token over.
    fn wait(&self, most: usize, timeout_ms: u32, mut each: impl FnMut(u64)) -> Result<usize> {
        let timeout = (timeout_ms != TIMEOUT_INFINITE).then(|| Duration::from_millis(timeout_ms.into()));
        let mut count = 0;
        for token in self.set.wait_for_some(most, timeout).map_err(refused)? {
            if token == END {
                return Err(freed());
            }
            each(token);
            count += 1;
        }
        match (count, timeout_ms) {
            (0, 0) => Err(Failure::Own(NO_DATA, "nothing in the wait set is ready".into())),
            (0, _) => Err(Failure::Own(TIMEOUT, "nothing in the wait set became ready in time".into())),
            _ => Ok(count),
        }
    }
}

/// `eshm_fd`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_fd(handle: *mut ESHMHandle, interest: u32) -> c_int {
    call_for(|code| code, || Handle::find(handle)?.event_descriptor(wanted(interest)?))
}

/// `eshm_peer_state`.
///
/// # Safety
/// `state` is NULL or to an `ESHMPeerState`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_peer_state(handle: *mut ESHMHandle, state: *mut u32) -> c_int {
    // SAFETY: the caller promises that `state` is NULL or to an `ESHMPeerState`.
    let state = || unsafe { Out::needed(state, "state") };
    answer(handle, state, |handle| Ok(handle.notice_peer()? as u32))
}

/// `eshm_wait_set_new`.
///
/// # Safety
/// `set` is NULL or to an `ESHMWaitSet*`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_wait_set_new(set: *mut *mut ESHMWaitSet) -> c_int {
    call(|| {
        // SAFETY: the caller promises that `set` is NULL or to an `ESHMWaitSet*`.
        let set = unsafe { Out::needed(set, "set") }?;
        set.set(std::ptr::null_mut());
        set.set(REGISTRY.insert(Set::new()?)?);
        Ok(())
    })
}

/// `eshm_wait_set_add`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_wait_set_add(
    set: *mut ESHMWaitSet,
    handle: *mut ESHMHandle,
    interest: u32,
    token: u64,
) -> c_int {
    call(|| {
        let (set, handle) = (Set::find(set)?, Handle::find(handle)?);
        let events = handle.inspector().events(wanted(interest)?)?;
        set.set.add(&events, allowed(token)?).map_err(refused)
    })
}

/// `eshm_wait_set_add_fd`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_wait_set_add_fd(set: *mut ESHMWaitSet, fd: c_int, token: u64) -> c_int {
    call(|| {
        let set = Set::find(set)?;
        let fd = boundary::descriptor(fd)?;
        set.set.add_fd(fd, allowed(token)?).map_err(refused)
    })
}

/// `eshm_wait_set_remove`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_wait_set_remove(set: *mut ESHMWaitSet, token: u64) -> c_int {
    call(|| Set::find(set)?.set.remove(allowed(token)?).map_err(refused))
}

/// `eshm_wait_set_wait`.
///
/// # Safety
/// If `most` is not 0, `tokens` is NULL or to `most` numbers; `count` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_wait_set_wait(
    set: *mut ESHMWaitSet,
    tokens: *mut u64,
    most: usize,
    count: *mut usize,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        // SAFETY: the caller promises that `count` is NULL or to a `size_t`.
        let count = unsafe { Out::needed(count, "count") }?;
        count.set(0);
        let set = Set::find(set)?;
        if most == 0 {
            return Err(Failure::invalid("most is 0, expected room for a token"));
        }
        boundary::not_null(tokens, "tokens")?;
        let mut next = tokens;
        let found = set.wait(most, timeout_ms, |token| {
            // SAFETY: the caller promises that `tokens` is to `most` numbers; no more than that come here.
            unsafe { Out::new(next) }.set(token);
            next = next.wrapping_add(1);
        })?;
        count.set(found);
        Ok(())
    })
}

/// `eshm_wait_set_fd`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_wait_set_fd(set: *mut ESHMWaitSet) -> c_int {
    call_for(|code| code, || Ok(Set::find(set)?.set.as_fd().as_raw_fd()))
}

/// `eshm_wait_set_free`. Any pointer is safe here.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_wait_set_free(set: *mut ESHMWaitSet) -> c_int {
    call(|| {
        let found = REGISTRY.find(set).ok_or_else(|| unknown(set))?;
        REGISTRY.remove(set);
        if found.owner == process::id() {
            // The other end of the pipe becomes ready, for every thread that waits. By a byte, because a forked child may
            // keep this end open. It fits: nobody has written one before.
            let running = found.running.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _ = running.map(|mut pipe| pipe.write(&[1]));
        }
        Ok(())
    })
}

fn wanted(interest: u32) -> Result<Interest> {
    Interest::from_bits(interest).filter(|_| interest != 0).ok_or_else(|| {
        let expected = "some of ESHM_INTEREST_READABLE, _VALUE, _WRITABLE and _PEER";
        Failure::invalid(format!("interest is {interest:#x}, expected {expected}"))
    })
}

fn allowed(token: u64) -> Result<u64> {
    if token == END {
        return Err(Failure::invalid("token is UINT64_MAX, expected another number"));
    }
    Ok(token)
}

/// Converts an error of a wait set.
fn refused(error: std::io::Error) -> Failure {
    let (code, text) = raw::wait_set_error(&error);
    Failure::Own(code, text.into())
}

#[cold]
fn unknown(set: *mut ESHMWaitSet) -> Failure {
    if set.is_null() { Failure::invalid("set is NULL, expected one of eshm_wait_set_new") } else { freed() }
}

#[cold]
fn freed() -> Failure {
    let text = "the wait set is not one that eshm_wait_set_new returned, or it was freed; make a new one";
    Failure::Own(NOT_INITIALIZED, text.into())
}
