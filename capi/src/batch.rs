//! Messages sent and received many at a time.

use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use eshm::Wait;

use crate::abi::Buffer;
use crate::boundary::{self, Room, call};
use crate::error::{Failure, Result};
use crate::handle::{ESHMHandle, Handle, PART, Sending, limit};
use crate::messages::{Copied, in_time, received};

/// How many messages of a batch go between two looks at the time, and before others have their turn.
const CHUNK: usize = 1024;

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
    let deadline = limit(timeout_ms).map(|limit| Instant::now() + limit);
    in_time(&handle, timeout_ms, |sending, wait| match wait {
        None if timeout_ms == 0 => sending.send_some(batch, done).map(|()| Some(())),
        None => sending.send_chunk(batch, done),
        Some(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
            sending.send_last(batch, done).map(|()| Some(()))
        }
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

    /// As [`Sending::send_some`], of as many messages as go between two looks at the time. `Ok(None)`: some are left.
    fn send_chunk(&mut self, batch: &[Checked], done: &mut usize) -> eshm::Result<Option<()>> {
        self.send_some(&batch[..batch.len().min(*done + CHUNK)], done)?;
        Ok((*done == batch.len()).then_some(()))
    }

    /// Waits a part of the time for room for the next message of a batch, and sends it and what fits behind it.
    /// `Ok(None)`: some are left.
    fn send_more(&mut self, batch: &[Checked], done: &mut usize, wait: &Wait) -> eshm::Result<Option<()>> {
        if *done < batch.len() && !self.sender.send_part(batch[*done].as_ref(), wait, PART)? {
            return Ok(None);
        }
        *done = batch.len().min(*done + 1);
        match self.send_chunk(batch, done) {
            Err(error) if error.is_transient() => Ok(None),
            sent => sent,
        }
    }

    /// Sends the rest of a batch whose time is over, if that takes no time: room that keeps coming does not prolong it.
    fn send_last(&mut self, batch: &[Checked], done: &mut usize) -> eshm::Result<()> {
        let outcome = self.sender.send_many_timeout(&batch[*done..], Duration::ZERO);
        *done = outcome.as_ref().map_or_else(|error| *done + error.sent, |()| batch.len());
        outcome.map_err(|error| error.source)
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
