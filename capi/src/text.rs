//! Messages that are text: what ESHM 1.x has not.

use std::ffi::{c_int, c_void};

use crate::boundary::{self, call};

/// `eshm_text_length`.
///
/// # Safety
/// If `size` is not 0, `message` is NULL or to `size` bytes; `length` is NULL or to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_text_length(message: *const c_void, size: usize, length: *mut usize) -> c_int {
    call(|| {
        // SAFETY: as promised.
        let bytes = unsafe { boundary::bytes(message, size, "message") }?;
        let text = eshm::text::decode(bytes)?;
        // SAFETY: as promised.
        unsafe { boundary::put(length, text.len()) };
        Ok(())
    })
}
