//! Messages that are not lost, and loans: what ESHM 1.x has not.

use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use eshm::{Error, PeerState, Wait};

use crate::abi::TIMEOUT_INFINITE;
use crate::boundary::{self, Room, call};
use crate::error::{Failure, NO_DATA, Result};
use crate::handle::{ESHMHandle, Handle, Held, PART, Receiving, Sending, limit};
use crate::mailbox::too_small;

/// `eshm_send`.
///
/// # Safety
/// As [`eshm_send_ex`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_send(handle: *mut ESHMHandle, data: *const c_void, size: usize) -> c_int {
    // SAFETY: as promised.
    unsafe { eshm_send_ex(handle, data, size, TIMEOUT_INFINITE) }
}

/// `eshm_send_ex`.
///
/// # Safety
/// If `size` is not 0, `data` is NULL or to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_send_ex(
    handle: *mut ESHMHandle,
    data: *const c_void,
    size: usize,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        // SAFETY: as promised.
        let bytes = unsafe { boundary::bytes(data, size, "data") }?;
        send(&handle, bytes, timeout_ms)
    })
}

/// Sends within a time, or says why not.
fn send(handle: &Handle, bytes: &[u8], timeout_ms: u32) -> Result<()> {
    in_time(handle, timeout_ms, |sending, wait| match wait {
        None => sending.sender.try_send(bytes).map(Some),
        Some(wait) => Ok(sending.sender.send_part(bytes, wait, PART)?.then_some(())),
    })
}

/// Does something that needs room, within a time, or says why not.
pub(crate) fn in_time<T>(
    handle: &Handle,
    timeout_ms: u32,
    mut attempt: impl FnMut(&mut Sending, Option<&Wait>) -> eshm::Result<Option<T>>,
) -> Result<T> {
    let mut obstacle = None;
    let done = handle.send(timeout_ms, |sending, wait| {
        sending.check_free()?;
        match attempt(sending, wait) {
            // Worth waiting for, if the call is to wait.
            Err(error) if wait.is_none() && error.is_transient() => {
                obstacle = Some(error);
                Ok(None)
            }
            done => Ok(done?),
        }
    })?;
    match (done, obstacle) {
        (Some(done), _) => Ok(done),
        (None, Some(obstacle)) => Err(obstacle.into()),
        (None, None) => unreachable!("a call that was not to wait sends, or meets an obstacle"),
    }
}

impl Sending {
    /// That no room is lent: sending something else would end the loan under the program's hands.
    pub(crate) fn check_free(&self) -> Result<()> {
        if self.loaned {
            return Err(Failure::invalid(
                "room is lent by eshm_loan: call eshm_loan_send or eshm_loan_drop first",
            ));
        }
        Ok(())
    }

    /// A part of the wait for room, which began at `started`; `Ok(None)`: not yet.
    fn loan_part(&mut self, size: usize, started: Instant, timeout_ms: u32) -> eshm::Result<Option<*mut u8>> {
        let sender = &mut self.sender;
        let left = match limit(timeout_ms) {
            // Without a limit it ends when the peer has closed, which a part of it would not.
            None if sender.peer_is_legacy() || sender.peer_state() == PeerState::Closed => {
                return sender.loan(size).map(|loan| Some(loan.into_raw().0));
            }
            None => Duration::MAX,
            Some(limit) => limit.saturating_sub(started.elapsed()),
        };
        // Each wait for an ESHM 1.x reader that is over gives up what that has not acknowledged: one wait, then.
        let part = if sender.peer_is_legacy() { left } else { left.min(PART) };
        match sender.loan_timeout(size, part) {
            Err(Error::Timeout { .. }) if part < left => Ok(None),
            loan => loan.map(|loan| Some(loan.into_raw().0)),
        }
    }

    /// Ends the loan, or says that there is none.
    fn end_loan(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.loaned) {
            return Err(Failure::invalid("no room is lent: call eshm_loan first"));
        }
        Ok(())
    }
}

/// `eshm_recv`.
///
/// # Safety
/// If `capacity` is not 0, `buffer` is NULL or to `capacity` bytes; `size` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_recv(
    handle: *mut ESHMHandle,
    buffer: *mut c_void,
    capacity: usize,
    size: *mut usize,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        // SAFETY: as promised.
        unsafe { boundary::put(size, 0) };
        let handle = Handle::find(handle)?;
        // SAFETY: as promised.
        let room = unsafe { Room::new(buffer, capacity, "buffer") }?;
        let received = received(&handle, timeout_ms, |receiving, wait| receiving.copy_next(room, wait))?;
        // SAFETY: as promised.
        unsafe { boundary::put(size, received.size()) };
        received.fits(room).map(drop)
    })
}

/// `eshm_recv_borrow`.
///
/// # Safety
/// `data` is NULL or to a pointer, `size` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_recv_borrow(
    handle: *mut ESHMHandle,
    data: *mut *const c_void,
    size: *mut usize,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        boundary::not_null(data, "data")?;
        boundary::not_null(size, "size")?;
        let (start, length) = received(&handle, timeout_ms, |receiving, wait| {
            receiving.end_borrow();
            let next = receiving.next(wait)?.map(|bytes| (bytes.as_ptr(), bytes.len()));
            receiving.borrowed = next.is_some();
            Ok(next)
        })?;
        // SAFETY: as promised.
        unsafe { boundary::put(data, start.cast()) };
        // SAFETY: as promised.
        unsafe { boundary::put(size, length) };
        Ok(())
    })
}

/// `eshm_release`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_release(handle: *mut ESHMHandle) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        if handle.receiving()?.end_borrow() {
            return Ok(());
        }
        Err(Failure::invalid("nothing is borrowed: call eshm_recv_borrow first"))
    })
}

/// Receives within a time, or says why not.
pub(crate) fn received<T>(
    handle: &Handle,
    timeout_ms: u32,
    attempt: impl FnMut(&mut Receiving, Option<&Wait>) -> Result<Option<T>>,
) -> Result<T> {
    let received = handle.receive(timeout_ms, attempt)?;
    received.ok_or_else(|| Failure::Own(NO_DATA, "there is no message".into()))
}

/// What became of a message that was to be copied.
#[derive(Clone, Copy)]
pub(crate) enum Copied {
    /// It was, and has this size.
    Whole(usize),
    /// It stays, and needs this much.
    TooLong(usize),
}

impl Copied {
    pub(crate) fn size(self) -> usize {
        match self {
            Copied::Whole(size) | Copied::TooLong(size) => size,
        }
    }

    pub(crate) fn fits(self, room: Room) -> Result<usize> {
        match self {
            Copied::Whole(size) => Ok(size),
            Copied::TooLong(size) => Err(too_small(size, room.size)),
        }
    }
}

impl Receiving {
    /// The next message, which stays until it is released.
    fn next(&mut self, wait: Option<&Wait>) -> Result<Option<&[u8]>> {
        if self.message.is_none() {
            let found = match wait {
                None => self.receiver.try_recv(),
                Some(wait) => self.receiver.recv_part(wait, PART),
            }?;
            self.message = found.map(|message| {
                let (start, len) = message.into_raw();
                Held::InPlace(start, len)
            });
        }
        Ok(self.message.as_ref().map(Held::bytes))
    }

    /// Copies the next message and releases it, if it fits.
    pub(crate) fn copy_next(&mut self, room: Room, wait: Option<&Wait>) -> Result<Option<Copied>> {
        self.end_borrow();
        let Some(bytes) = self.next(wait)? else { return Ok(None) };
        let size = bytes.len();
        if size > room.size {
            return Ok(Some(Copied::TooLong(size)));
        }
        room.fill(bytes);
        self.release();
        Ok(Some(Copied::Whole(size)))
    }
}

/// `eshm_loan`.
///
/// # Safety
/// `data` is NULL or to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_loan(
    handle: *mut ESHMHandle,
    size: usize,
    data: *mut *mut c_void,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        boundary::not_null(data, "data")?;
        boundary::check_size(size, "the loan")?;
        let started = Instant::now();
        let start = in_time(&handle, timeout_ms, |sending, wait| {
            let start = match wait {
                None => sending.sender.try_loan(size).map(|loan| Some(loan.into_raw().0)),
                Some(_) => sending.loan_part(size, started, timeout_ms),
            }?;
            sending.loaned = start.is_some();
            Ok(start)
        })?;
        // SAFETY: as promised.
        unsafe { boundary::put(data, start.cast()) };
        Ok(())
    })
}

/// `eshm_loan_send`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_loan_send(handle: *mut ESHMHandle) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        let mut sending = handle.sending()?;
        sending.end_loan()?;
        Ok(sending.sender.send_loaned()?)
    })
}

/// `eshm_loan_drop`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_loan_drop(handle: *mut ESHMHandle) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        let mut sending = handle.sending()?;
        sending.end_loan()?;
        sending.sender.forget_loan();
        Ok(())
    })
}
