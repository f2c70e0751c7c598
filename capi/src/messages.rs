//! Messages that are not lost, and loans.

use std::ffi::{c_int, c_void};

use eshm::raw::{self, SharedSender, Token};

use crate::abi::TIMEOUT_INFINITE;
use crate::boundary::{self, Out, Room, call};
use crate::error::{Failure, NO_DATA, Result};
use crate::handle::{C, ESHMHandle, Handle, limit};

const NO_LOAN: &str = "no loan is open: call eshm_loan first";
const NO_BORROW: &str = "nothing is borrowed: call eshm_recv_borrow first";

/// `eshm_send`.
///
/// # Safety
/// As [`eshm_send_ex`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_send(handle: *mut ESHMHandle, data: *const c_void, size: usize) -> c_int {
    // SAFETY: the caller promises the same.
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
        // SAFETY: the caller promises that `data` is to `size` bytes, which it leaves alone during the call.
        let bytes = unsafe { boundary::bytes(data, size, "data") }?;
        handle.sender().send(&mut C, bytes, limit(timeout_ms))
    })
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
        // SAFETY: the caller promises that `size` is NULL or to a `size_t`.
        let size = unsafe { Out::new(size) };
        size.set(0);
        let handle = Handle::find(handle)?;
        // SAFETY: the caller promises that `buffer` is NULL or to `capacity` bytes, its own during the call.
        let room = unsafe { Room::new(buffer, capacity, "buffer") }?;
        let received = handle.receiver().recv(&mut C, limit(timeout_ms), |_, message| {
            size.set(message.len());
            room.take(message)
        })?;
        received.ok_or_else(no_message)
    })
}

pub(crate) fn no_message() -> Failure {
    Failure::Own(NO_DATA, "there is no message".into())
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
        // SAFETY: the caller promises that `data` is NULL or to a pointer.
        let data = unsafe { Out::needed(data, "data") }?;
        // SAFETY: the caller promises that `size` is NULL or to a `size_t`.
        let size = unsafe { Out::needed(size, "size") }?;
        let borrowed = handle.receiver().borrow(&mut C, limit(timeout_ms))?.ok_or_else(no_message)?;
        data.set(borrowed.start.cast());
        size.set(borrowed.len);
        Ok(())
    })
}

/// `eshm_release`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_release(handle: *mut ESHMHandle) -> c_int {
    call(|| {
        let handle = Handle::find(handle)?;
        let receiver = handle.receiver();
        let token = handle.token(receiver.lent(), NO_BORROW)?;
        receiver.release(&mut C, token).map_err(|error| Failure::of_token(error, NO_BORROW))
    })
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
        // SAFETY: the caller promises that `data` is NULL or to a pointer.
        let data = unsafe { Out::needed(data, "data") }?;
        boundary::check_size(size, "the loan")?;
        data.set(handle.sender().loan(&mut C, size, limit(timeout_ms))?.start.cast());
        Ok(())
    })
}

/// `eshm_loan_send`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_loan_send(handle: *mut ESHMHandle) -> c_int {
    call(|| end_loan(handle, |sender, token| sender.send_loan(&mut C, token)))
}

/// `eshm_loan_drop`.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_loan_drop(handle: *mut ESHMHandle) -> c_int {
    call(|| end_loan(handle, |sender, token| sender.give_back(&mut C, token)))
}

fn end_loan(handle: *mut ESHMHandle, end: fn(&SharedSender, Token) -> Result<(), raw::Error>) -> Result<()> {
    let handle = Handle::find(handle)?;
    let sender = handle.sender();
    let token = handle.token(sender.lent(), NO_LOAN)?;
    end(sender, token).map_err(|error| Failure::of_token(error, NO_LOAN))
}
