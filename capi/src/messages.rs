//! Messages that are not lost, loans and batches: what ESHM 1.x has not.

use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use eshm::{Error, PeerState, Wait};

use crate::abi::{Buffer, TIMEOUT_INFINITE};
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
fn in_time<T>(
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
fn received<T>(
    handle: &Handle,
    timeout_ms: u32,
    attempt: impl FnMut(&mut Receiving, Option<&Wait>) -> Result<Option<T>>,
) -> Result<T> {
    let received = handle.receive(timeout_ms, attempt)?;
    received.ok_or_else(|| Failure::Own(NO_DATA, "there is no message".into()))
}

/// What became of a message that was to be copied.
#[derive(Clone, Copy)]
enum Copied {
    /// It was, and has this size.
    Whole(usize),
    /// It stays, and needs this much.
    TooLong(usize),
}

impl Copied {
    fn size(self) -> usize {
        match self {
            Copied::Whole(size) | Copied::TooLong(size) => size,
        }
    }

    fn fits(self, room: Room) -> Result<usize> {
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
    fn copy_next(&mut self, room: Room, wait: Option<&Wait>) -> Result<Option<Copied>> {
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

/// A message of a batch, which was checked.
#[repr(transparent)]
struct Checked(Buffer);

impl AsRef<[u8]> for Checked {
    fn as_ref(&self) -> &[u8] {
        if self.0.size == 0 {
            return &[];
        }
        // SAFETY: it is to `size` bytes, as the caller of `eshm_send_batch` promises; that it is not NULL, and the
        // size possible, was checked there.
        unsafe { std::slice::from_raw_parts(self.0.data.cast(), self.0.size) }
    }
}

/// `eshm_send_batch`.
///
/// # Safety
/// If `count` is not 0, `messages` is NULL or to `count` aligned `ESHMBuffer`s, each with `data` as for
/// [`eshm_send_ex`]; `sent` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_send_batch(
    handle: *mut ESHMHandle,
    messages: *const Buffer,
    count: usize,
    sent: *mut usize,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        let mut done = 0;
        // SAFETY: as promised.
        let batch = unsafe { batch(messages, count) };
        let outcome = batch.and_then(|batch| send_batch(handle, batch, &mut done, timeout_ms));
        // SAFETY: as promised.
        unsafe { boundary::put(sent, done) };
        outcome
    })
}

/// Sends a batch within one time for all of it; `done` counts the messages that were sent.
fn send_batch(handle: *mut ESHMHandle, batch: &[Checked], done: &mut usize, timeout_ms: u32) -> Result<()> {
    let handle = Handle::find(handle)?;
    in_time(&handle, timeout_ms, |sending, wait| match wait {
        None => sending.send_some(batch, done).map(|()| Some(())),
        Some(wait) => sending.send_more(batch, done, wait),
    })
}

impl Sending {
    /// Sends what there is room for of the rest of a batch, and says why that is not all.
    fn send_some(&mut self, batch: &[Checked], done: &mut usize) -> eshm::Result<()> {
        let outcome = self.sender.try_send_many(&batch[*done..]);
        *done = outcome.as_ref().map_or_else(|error| *done + error.sent, |()| batch.len());
        outcome.map_err(|error| error.source)
    }

    /// Waits a part of the time for room for the next message of a batch, and sends it and what fits behind it.
    /// `Ok(None)`: some are left.
    fn send_more(&mut self, batch: &[Checked], done: &mut usize, wait: &Wait) -> eshm::Result<Option<()>> {
        if *done < batch.len() && !self.sender.send_part(batch[*done].as_ref(), wait, PART)? {
            return Ok(None);
        }
        *done = batch.len().min(*done + 1);
        match self.send_some(batch, done) {
            Err(error) if !error.is_transient() => Err(error),
            _ => Ok((*done == batch.len()).then_some(())),
        }
    }
}

/// The messages of a batch, checked.
///
/// # Safety
/// As [`eshm_send_batch`], for as long as the result is used.
unsafe fn batch<'a>(messages: *const Buffer, count: usize) -> Result<&'a [Checked]> {
    if count == 0 {
        return Ok(&[]);
    }
    boundary::not_null(messages, "messages")?;
    boundary::check_size(count.saturating_mul(size_of::<Buffer>()), "messages")?;
    if !messages.is_aligned() {
        return Err(Failure::invalid("messages is not aligned as an array of ESHMBuffer is"));
    }
    // SAFETY: `count` buffers, the caller promises; `Checked` is a `Buffer`.
    let batch = unsafe { std::slice::from_raw_parts(messages.cast::<Checked>(), count) };
    for Checked(message) in batch {
        if message.size > 0 {
            boundary::not_null(message.data, "messages[].data")?;
            boundary::check_size(message.size, "messages[].data")?;
        }
    }
    Ok(batch)
}

/// `eshm_recv_batch`.
///
/// # Safety
/// If `capacity` is not 0, `buffer` is NULL or to `capacity` bytes; if `most` is not 0, `sizes` is NULL or to `most`
/// `size_t`s; `count` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_recv_batch(
    handle: *mut ESHMHandle,
    buffer: *mut c_void,
    capacity: usize,
    sizes: *mut usize,
    most: usize,
    count: *mut usize,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        boundary::not_null(count, "count")?;
        // SAFETY: as promised.
        unsafe { boundary::put(count, 0) };
        if most == 0 {
            return Ok(());
        }
        boundary::not_null(sizes, "sizes")?;
        // SAFETY: as promised.
        let room = unsafe { Room::new(buffer, capacity, "buffer") }?;
        // SAFETY: `index` is less than `most`, wherever this is called.
        let put_size = |index: usize, size| unsafe { boundary::put(sizes.wrapping_add(index), size) };

        let first = received(&handle, timeout_ms, |receiving, wait| receiving.copy_next(room, wait))?;
        put_size(0, first.size());
        let mut used = first.fits(room)?;
        let mut copied = 1;
        let mut receiving = handle.receiving()?;
        // A failure here concerns a message of a later call, which will tell.
        while copied < most
            && let Ok(Some(Copied::Whole(size))) = receiving.copy_next(room.rest(used), None)
        {
            put_size(copied, size);
            used += size;
            copied += 1;
        }
        // SAFETY: as promised.
        unsafe { boundary::put(count, copied) };
        Ok(())
    })
}
