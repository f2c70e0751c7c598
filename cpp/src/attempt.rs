//! The verbs for an event loop: they do not wait, and say whether a wait would go on.

use std::pin::Pin;

use eshm::raw::{Limit, exclusive};
use eshm::{Error, Result};

use crate::ffi::{self, Code, Outcome};
use crate::handles::{BytesView, Received, Receiver, Sender, deliver, slice};

/// Returns `Code::nothing` where a wait would go on.
fn code_of(outcome: &mut Outcome, result: Result<()>) -> i32 {
    match result {
        Err(Error::Full { .. } | Error::Reconnecting { .. }) => Code::nothing.repr,
        result => outcome.code_of(result),
    }
}

impl Sender {
    /// # Safety
    /// There are `size` bytes at `data`.
    pub(crate) unsafe fn attempt_send(&mut self, data: *const u8, size: usize) -> i32 {
        // SAFETY: the caller's contract.
        let bytes = unsafe { slice(data, size) };
        code_of(&mut self.outcome, exclusive::send(&mut self.inner, bytes, Limit::Poll))
    }

    pub(crate) fn attempt_send_many(&mut self, messages: &[BytesView], sent: &mut usize) -> i32 {
        let (count, result) = exclusive::send_many(&mut self.inner, messages, Limit::Poll);
        *sent = count;
        code_of(&mut self.outcome, result)
    }

    /// Returns null if there is no loan, as `outcome` says: with `Code::nothing` where a wait would go on.
    pub(crate) fn attempt_loan(&mut self, size: usize) -> *mut u8 {
        match exclusive::loan(&mut self.inner, size, Limit::Poll) {
            Ok(loan) => exclusive::lend(loan).start,
            Err(error) => {
                self.outcome.code = code_of(&mut self.outcome, Err(error));
                std::ptr::null_mut()
            }
        }
    }
}

impl Receiver {
    pub(crate) fn attempt_recv(&mut self, received: &mut Received) -> i32 {
        deliver(exclusive::recv(&mut self.inner, Limit::Poll), received, &mut self.outcome)
    }

    pub(crate) fn attempt_read(&mut self, received: &mut Received) -> i32 {
        deliver(exclusive::read(&mut self.inner, Limit::Poll), received, &mut self.outcome)
    }

    pub(crate) fn attempt_recv_many(
        &mut self,
        most: usize,
        each: Pin<&mut ffi::Each>,
        received: &mut usize,
    ) -> i32 {
        self.batch(most, Limit::Poll, each, received)
    }
}
