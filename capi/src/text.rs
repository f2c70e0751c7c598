//! Messages that are text.

use std::ffi::{c_int, c_void};

use crate::boundary::{self, Out, call};

/// `eshm_text_length`.
///
/// # Safety
/// If `size` is not 0, `message` is NULL or to `size` bytes; `length` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_text_length(message: *const c_void, size: usize, length: *mut usize) -> c_int {
    call(|| {
        // SAFETY: the caller promises that `message` is NULL or to `size` bytes, which do not change during the call.
        let bytes = unsafe { boundary::bytes(message, size, "message") }?;
        let text = eshm::text::decode(bytes)?;
        // SAFETY: the caller promises that `length` is NULL or to a `size_t`.
        unsafe { Out::new(length) }.set(text.len());
        Ok(())
    })
}
