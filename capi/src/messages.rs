//! Messages that are not lost, and loans.

use std::ffi::{c_int, c_void};

use crate::abi::TIMEOUT_INFINITE;
use crate::boundary::{self, Room, call};
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
        let mut needed = 0;
        let outcome = Handle::find(handle).and_then(|handle| {
            // SAFETY: the caller promises that `buffer` is to `capacity` bytes, its own during the call.
            let room = unsafe { Room::new(buffer, capacity, "buffer") }?;
            let received = handle.receiver().recv(&mut C, limit(timeout_ms), |_, message| {
                needed = message.len();
                room.take(message)
            })?;
            received.ok_or_else(no_message)
        });
        // SAFETY: the caller promises that `size` is NULL or to a `size_t`.
        unsafe { boundary::put(size, needed) };
        outcome
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
        boundary::not_null(data, "data")?;
        boundary::not_null(size, "size")?;
        let borrowed = handle.receiver().borrow(&mut C, limit(timeout_ms))?.ok_or_else(no_message)?;
        // SAFETY: the caller promises that `data` is to a pointer.
        unsafe { boundary::put(data, borrowed.start.cast()) };
        // SAFETY: the caller promises that `size` is to a `size_t`.
        unsafe { boundary::put(size, borrowed.len) };
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
        boundary::not_null(data, "data")?;
        boundary::check_size(size, "the loan")?;
        let loan = handle.sender().loan(&mut C, size, limit(timeout_ms))?;
        // SAFETY: the caller promises that `data` is to a pointer.
        unsafe { boundary::put(data, loan.start.cast()) };
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

fn end_loan(
    handle: *mut ESHMHandle,
    end: fn(&eshm::raw::SharedSender, eshm::raw::Token) -> Result<(), eshm::raw::Error>,
) -> Result<()> {
    let handle = Handle::find(handle)?;
    let sender = handle.sender();
    let token = handle.token(sender.lent(), NO_LOAN)?;
    end(sender, token).map_err(|error| Failure::of_token(error, NO_LOAN))
}
