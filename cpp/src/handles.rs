//! The halves of an endpoint: one for each direction, so that one thread may send while another receives.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use cxx::{ExternType, kind, type_id};
use eshm::raw::{Limit, Stop, exclusive};
use eshm::{Message, Result};

use crate::convert::{builder, limit};
use crate::ffi::{self, Code, Outcome};
use crate::inspect::Inspector;

/// An endpoint that was opened, until the facade takes its parts; empty if opening failed.
pub(crate) struct Opened {
    sender: Option<eshm::Sender>,
    receiver: Option<eshm::Receiver>,
    inspector: Option<eshm::Inspector>,
}

const TAKEN_ONCE: &str = "the facade takes each part once, after opening succeeded";

pub(crate) fn open(name: &[u8], settings: &ffi::Settings<'_>, outcome: &mut Outcome) -> Box<Opened> {
    let endpoint = outcome.take(builder(name, settings).and_then(eshm::Builder::open));
    let inspector = endpoint.as_ref().map(eshm::Endpoint::inspector);
    let (sender, receiver) = endpoint.map(eshm::Endpoint::into_split).unzip();
    Box::new(Opened { sender, receiver, inspector })
}

impl Opened {
    pub(crate) fn sender(&mut self) -> Box<Sender> {
        Box::new(Sender { inner: self.sender.take().expect(TAKEN_ONCE), outcome: Outcome::default() })
    }

    pub(crate) fn receiver(&mut self) -> Box<Receiver> {
        Box::new(Receiver { inner: self.receiver.take().expect(TAKEN_ONCE), outcome: Outcome::default() })
    }

    pub(crate) fn inspector(&mut self) -> Box<Inspector> {
        Box::new(Inspector(self.inspector.take().expect(TAKEN_ONCE)))
    }
}

/// `eshm::bytes_view` of the facade; bridge.h compares the sizes.
#[repr(C)]
pub(crate) struct BytesView {
    data: *const u8,
    size: usize,
}

// SAFETY: `eshm::bytes_view` is a pointer and a size, in this order, and trivially copyable.
unsafe impl ExternType for BytesView {
    type Id = type_id!("eshm::bytes_view");
    type Kind = kind::Trivial;
}

impl AsRef<[u8]> for BytesView {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: only C++ makes a view, of bytes that outlive the call to which it passes the view.
        unsafe { slice(self.data, self.size) }
    }
}

/// `eshm::detail::Received` of the facade; bridge.h compares the sizes. The bytes are valid until the receiver's next call.
#[repr(C)]
pub(crate) struct Received {
    data: *const u8,
    size: usize,
    skipped: u64,
    generation: u64,
}

// SAFETY: `eshm::detail::Received` has the same fields, in this order, and is trivially copyable.
unsafe impl ExternType for Received {
    type Id = type_id!("eshm::detail::Received");
    type Kind = kind::Trivial;
}

/// Returns the `size` bytes at `data`, which may be null if there are none.
///
/// # Safety
/// As for [`std::slice::from_raw_parts`] otherwise.
#[inline]
pub(crate) unsafe fn slice<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    // SAFETY: the caller's contract; `data` is not null, since there are bytes.
    unsafe { std::slice::from_raw_parts(data, size) }
}

/// The half that writes and sends.
pub(crate) struct Sender {
    pub(crate) inner: eshm::Sender,
    pub(crate) outcome: Outcome,
}

impl Sender {
    /// # Safety
    /// There are `size` bytes at `data`.
    pub(crate) unsafe fn write(&mut self, data: *const u8, size: usize) -> i32 {
        // SAFETY: the caller's contract.
        let bytes = unsafe { slice(data, size) };
        self.outcome.code_of(self.inner.write(bytes))
    }

    /// # Safety
    /// There are `size` bytes at `data`.
    #[inline]
    pub(crate) unsafe fn send(&mut self, data: *const u8, size: usize, wait: i64) -> i32 {
        // SAFETY: the caller's contract.
        let bytes = unsafe { slice(data, size) };
        self.outcome.code_of(exclusive::send(&mut self.inner, bytes, limit(wait)))
    }

    /// Sends the messages. Returns the error of the first that was not sent, and how many were sent before it.
    pub(crate) fn send_many(&mut self, messages: &[BytesView], wait: i64, sent: &mut usize) -> i32 {
        let (count, result) = exclusive::send_many(&mut self.inner, messages, limit(wait));
        *sent = count;
        self.outcome.code_of(result)
    }

    /// Returns null if there is no loan, as `outcome` says.
    pub(crate) fn loan(&mut self, size: usize, wait: i64) -> *mut u8 {
        match exclusive::loan(&mut self.inner, size, limit(wait)) {
            Ok(loan) => exclusive::lend(loan).start,
            Err(error) => {
                self.outcome.keep(&error);
                std::ptr::null_mut()
            }
        }
    }

    pub(crate) fn send_loan(&mut self) -> i32 {
        self.outcome.code_of(exclusive::send_loan(&mut self.inner))
    }

    pub(crate) fn forget_loan(&mut self) {
        exclusive::give_back(&mut self.inner);
    }

    pub(crate) fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

/// The half that reads and receives.
pub(crate) struct Receiver {
    pub(crate) inner: eshm::Receiver,
    pub(crate) outcome: Outcome,
}

/// A function of C++ threw.
struct Threw;

impl Receiver {
    pub(crate) fn read(&mut self, wait: i64, received: &mut Received) -> i32 {
        let read = exclusive::read(&mut self.inner, limit(wait));
        deliver(read, received, &mut self.outcome)
    }

    /// Receives a message, which stays lent until `release`.
    #[inline]
    pub(crate) fn recv(&mut self, wait: i64, received: &mut Received) -> i32 {
        match limit(wait) {
            // The shortest path: it has no branch for "nothing".
            Limit::Forever => match self.inner.recv() {
                Ok(message) => fill(message, received),
                Err(error) => self.outcome.keep(&error),
            },
            limit => deliver(exclusive::recv(&mut self.inner, limit), received, &mut self.outcome),
        }
    }

    pub(crate) fn release(&mut self) {
        exclusive::release(&mut self.inner);
    }

    pub(crate) fn recv_many(
        &mut self,
        most: usize,
        wait: i64,
        each: Pin<&mut ffi::Each>,
        received: &mut usize,
    ) -> i32 {
        let limit = match limit(wait) {
            // A batch counts a time-out even if it does not wait.
            Limit::Now => Limit::For(Duration::ZERO),
            limit => limit,
        };
        self.batch(most, limit, each, received)
    }

    /// Hands up to `most` messages to `each`, and stores how many were received.
    pub(crate) fn batch(
        &mut self,
        most: usize,
        limit: Limit,
        mut each: Pin<&mut ffi::Each>,
        received: &mut usize,
    ) -> i32 {
        let batch = exclusive::recv_many(&mut self.inner, limit, most, |bytes| {
            // SAFETY: there are `len` bytes at this pointer, and C++ uses them only during this call.
            match unsafe { each.as_mut().hand(bytes.as_ptr(), bytes.len()) } {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(Stop::Undo(Threw)),
            }
        });
        match batch {
            Ok(Ok(0)) if most > 0 => Code::nothing.repr,
            Ok(Ok(count)) => {
                *received = count;
                Code::ok.repr
            }
            // The facade throws the exception again.
            Ok(Err(Threw)) => Code::ok.repr,
            Err(error) => self.outcome.keep(&error),
        }
    }

    pub(crate) fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

#[inline(always)]
pub(crate) fn deliver(
    found: Result<Option<Message<'_>>>,
    received: &mut Received,
    outcome: &mut Outcome,
) -> i32 {
    match found {
        Ok(Some(message)) => fill(message, received),
        Ok(None) => Code::nothing.repr,
        Err(error) => outcome.keep(&error),
    }
}

#[inline(always)]
fn fill(message: Message<'_>, received: &mut Received) -> i32 {
    let exclusive::Borrowed { start: data, len: size, skipped, generation } = exclusive::borrow(message);
    *received = Received { data, size, skipped, generation };
    Code::ok.repr
}
