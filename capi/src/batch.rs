//! Messages sent and received many at a time.

use std::ffi::{c_int, c_void};
use std::ops::ControlFlow;

use eshm::raw::Stop;

use crate::abi::Buffer;
use crate::boundary::{self, Out, Room, call};
use crate::error::{Failure, Result};
use crate::handle::{C, ESHMHandle, Handle, limit};
use crate::messages::no_message;

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
/// [`eshm_send_ex`](crate::messages::eshm_send_ex); `sent` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_send_batch(
    handle: *mut ESHMHandle,
    messages: *const Buffer,
    count: usize,
    sent: *mut usize,
    timeout_ms: u32,
) -> c_int {
    call(|| {
        // SAFETY: the caller promises that `messages` is to `count` buffers, which it leaves alone during the call.
        let batch = unsafe { batch(messages, count) };
        let (done, outcome) = match batch.and_then(|batch| Ok((batch, Handle::find(handle)?))) {
            Ok((batch, handle)) => handle.sender().send_many(&mut C, batch, limit(timeout_ms)),
            Err(failure) => (0, Err(failure)),
        };
        // SAFETY: the caller promises that `sent` is NULL or to a `size_t`.
        unsafe { Out::new(sent) }.set(done);
        outcome
    })
}

/// Checks the messages of a batch.
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
        // SAFETY: the caller promises that `count` is NULL or to a `size_t`.
        let count = unsafe { Out::needed(count, "count") }?;
        count.set(0);
        if most == 0 {
            return Ok(());
        }
        boundary::not_null(sizes, "sizes")?;
        // SAFETY: the caller promises that `buffer` is to `capacity` bytes, its own during the call.
        let mut room = unsafe { Room::new(buffer, capacity, "buffer") }?;
        let mut index = 0;
        let copied = handle.receiver().recv_many(&mut C, limit(timeout_ms), most, |_, message| {
            let taken = room.take(message);
            if taken.is_ok() || index == 0 {
                // SAFETY: the caller promises that `sizes` is to `most` numbers; no more messages than that come
                // here.
                unsafe { Out::new(sizes.wrapping_add(index)) }.set(message.len());
            }
            match taken {
                Ok(()) => {
                    room = room.rest(message.len());
                    index += 1;
                    ControlFlow::Continue(())
                }
                Err(failure) if index == 0 => ControlFlow::Break(Stop::Undo(failure)),
                Err(_) => ControlFlow::Break(Stop::Before),
            }
        })?;
        if copied == 0 {
            return Err(no_message());
        }
        count.set(copied);
        Ok(())
    })
}
