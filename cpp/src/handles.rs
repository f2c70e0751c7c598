//! What the facade holds of the core: one handle per direction, so that a thread may use each, and one for
//! questions, which any thread may ask.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;

use cxx::{ExternType, kind, type_id};
use eshm::{Error, Message, Result};

use crate::convert::{self, Wait, builder};
use crate::ffi;

/// What a call returns for success.
const OK: i32 = 0;
/// What a read returns when nothing came in the time it had: no error, and no text to keep. `Code` in direction.h.
const NOTHING: i32 = 1;

/// The last failure.
#[derive(Default)]
struct LastFailure {
    code: i32,
    text: String,
}

impl LastFailure {
    #[cold]
    fn keep(&mut self, error: &Error) -> i32 {
        *self = LastFailure { code: convert::code(error), text: error.to_string() };
        self.code
    }

    #[inline]
    fn code_of(&mut self, result: Result<()>) -> i32 {
        match result {
            Ok(()) => OK,
            Err(error) => self.keep(&error),
        }
    }
}

/// The outcome of opening an endpoint: its parts until the facade takes them, or a failure.
pub(crate) struct Opening {
    failure: LastFailure,
    inspector: Option<eshm::Inspector>,
    sender: Option<eshm::Sender>,
    receiver: Option<eshm::Receiver>,
}

pub(crate) fn open(name: &[u8], settings: &ffi::Settings<'_>) -> Box<Opening> {
    let mut opening =
        Opening { failure: LastFailure::default(), inspector: None, sender: None, receiver: None };
    match builder(name, settings).and_then(eshm::Builder::open) {
        Ok(endpoint) => {
            opening.inspector = Some(endpoint.inspector());
            let (sender, receiver) = endpoint.into_split();
            opening.sender = Some(sender);
            opening.receiver = Some(receiver);
        }
        Err(error) => _ = opening.failure.keep(&error),
    }
    Box::new(opening)
}

impl Opening {
    pub(crate) fn code(&self) -> i32 {
        self.failure.code
    }

    pub(crate) fn failure(&self) -> &str {
        &self.failure.text
    }

    pub(crate) fn sender(&mut self) -> Box<Sender> {
        let inner = self.sender.take().expect("the facade takes the sender once, when code() is 0");
        Box::new(Sender { inner, failure: LastFailure::default() })
    }

    pub(crate) fn receiver(&mut self) -> Box<Receiver> {
        let inner = self.receiver.take().expect("the facade takes the receiver once, when code() is 0");
        Box::new(Receiver { inner, failure: LastFailure::default() })
    }

    pub(crate) fn inspector(&mut self) -> Box<Inspector> {
        let inner = self.inspector.take().expect("the facade takes the inspector once, when code() is 0");
        Box::new(Inspector { inner })
    }
}

/// `eshm::bytes_view` of the facade, whose lengths bridge.h compares.
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
        // SAFETY: a view is only made by C++, and views bytes that live as long as the call that it is passed to.
        unsafe { slice(self.data, self.size) }
    }
}

/// `eshm::detail::Received` of the facade, whose lengths bridge.h compares: what was read or received, valid until the
/// receiver's next call.
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

/// The `count` values at `data`, which may be null when they are none.
///
/// # Safety
/// As for [`std::slice::from_raw_parts`] otherwise.
#[inline]
unsafe fn slice<'a, T>(data: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // SAFETY: by the caller, and not null, as there are some.
    unsafe { std::slice::from_raw_parts(data, count) }
}

/// The sending direction.
pub(crate) struct Sender {
    inner: eshm::Sender,
    failure: LastFailure,
}

impl Sender {
    /// # Safety
    /// `data` is `size` bytes.
    pub(crate) unsafe fn write(&mut self, data: *const u8, size: usize) -> i32 {
        // SAFETY: by the caller.
        let bytes = unsafe { slice(data, size) };
        self.failure.code_of(self.inner.write(bytes))
    }

    /// # Safety
    /// `data` is `size` bytes.
    #[inline]
    pub(crate) unsafe fn send(&mut self, data: *const u8, size: usize, wait: i64) -> i32 {
        // SAFETY: by the caller.
        let bytes = unsafe { slice(data, size) };
        self.failure.code_of(match Wait::from(wait) {
            Wait::No => self.inner.try_send(bytes),
            Wait::For(time) => self.inner.send_timeout(bytes, time),
            Wait::Forever => self.inner.send(bytes),
        })
    }

    /// Sends the messages, and counts those that were sent. A failure is that of the first that was not.
    ///
    /// # Safety
    /// `messages` are `count` views of bytes.
    pub(crate) unsafe fn send_many(
        &mut self,
        messages: *const BytesView,
        count: usize,
        wait: i64,
        sent: &mut usize,
    ) -> i32 {
        // SAFETY: by the caller.
        let messages = unsafe { slice(messages, count) };
        let outcome = match Wait::from(wait) {
            Wait::No => self.inner.try_send_many(messages),
            Wait::For(time) => self.inner.send_many_timeout(messages, time),
            Wait::Forever => self.inner.send_many(messages),
        };
        *sent = outcome.as_ref().map_or_else(|error| error.sent, |()| count);
        self.failure.code_of(outcome.map_err(Error::from))
    }

    /// Null: it failed, as `code` and `failure` say.
    pub(crate) fn loan(&mut self, size: usize, wait: i64) -> *mut u8 {
        let loan = match Wait::from(wait) {
            Wait::No => self.inner.try_loan(size),
            Wait::For(time) => self.inner.loan_timeout(size, time),
            Wait::Forever => self.inner.loan(size),
        };
        match loan {
            Ok(loan) => loan.into_raw().0,
            Err(error) => {
                self.failure.keep(&error);
                std::ptr::null_mut()
            }
        }
    }

    pub(crate) fn send_loan(&mut self) -> i32 {
        self.failure.code_of(self.inner.send_loaned())
    }

    pub(crate) fn forget_loan(&mut self) {
        self.inner.forget_loan();
    }

    pub(crate) fn code(&self) -> i32 {
        self.failure.code
    }

    pub(crate) fn failure(&self) -> &str {
        &self.failure.text
    }
}

/// The receiving direction.
pub(crate) struct Receiver {
    inner: eshm::Receiver,
    failure: LastFailure,
}

/// What a batch is left with when a function of C++ threw.
struct Stopped;

impl Receiver {
    pub(crate) fn read(&mut self, wait: i64, received: &mut Received) -> i32 {
        let outcome = match Wait::from(wait) {
            Wait::No => self.inner.try_read(),
            Wait::For(time) => self.inner.read_timeout(time),
            Wait::Forever => self.inner.read().map(Some),
        };
        deliver(outcome, received, &mut self.failure)
    }

    /// What is received stays lent until `release`.
    #[inline]
    pub(crate) fn recv(&mut self, wait: i64, received: &mut Received) -> i32 {
        match Wait::from(wait) {
            // On its own, since this is what is to be fast: it knows no "nothing".
            Wait::Forever => match self.inner.recv() {
                Ok(message) => fill(received, message),
                Err(error) => self.failure.keep(&error),
            },
            Wait::No => deliver(self.inner.try_recv(), received, &mut self.failure),
            Wait::For(time) => deliver(self.inner.recv_timeout(time), received, &mut self.failure),
        }
    }

    pub(crate) fn release(&mut self) {
        self.inner.release();
    }

    pub(crate) fn recv_many(
        &mut self,
        most: usize,
        wait: i64,
        mut each: Pin<&mut ffi::Each>,
        received: &mut usize,
    ) -> i32 {
        let hand = |bytes: &[u8]| {
            // SAFETY: the facade's functions look at the bytes only until they return.
            if !unsafe { each.as_mut().hand(bytes.as_ptr(), bytes.len()) } {
                // The way to leave a batch with nothing of it released.
                resume_unwind(Box::new(Stopped));
            }
        };
        // Unwind-safe: the core says what a panic of `hand` leaves behind.
        let outcome = catch_unwind(AssertUnwindSafe(|| match Wait::from(wait) {
            Wait::Forever => self.inner.recv_many(most, hand),
            limited => self.inner.recv_many_timeout(most, limited.longest(), hand),
        }));
        match outcome {
            Ok(Ok(0)) if most > 0 => NOTHING,
            Ok(Ok(count)) => {
                *received = count;
                OK
            }
            Ok(Err(error)) => self.failure.keep(&error),
            // The facade knows the exception.
            Err(panic) if panic.is::<Stopped>() => OK,
            Err(panic) => resume_unwind(panic),
        }
    }

    pub(crate) fn failure(&self) -> &str {
        &self.failure.text
    }
}

#[inline]
fn deliver(outcome: Result<Option<Message<'_>>>, received: &mut Received, failure: &mut LastFailure) -> i32 {
    match outcome {
        Ok(Some(message)) => fill(received, message),
        Ok(None) => NOTHING,
        Err(error) => failure.keep(&error),
    }
}

#[inline]
fn fill(received: &mut Received, message: Message<'_>) -> i32 {
    let (skipped, generation) = (message.skipped(), message.generation());
    let (data, size) = message.into_raw();
    *received = Received { data, size, skipped, generation };
    OK
}

/// Answers questions, for any thread.
pub(crate) struct Inspector {
    inner: eshm::Inspector,
}

impl Inspector {
    pub(crate) fn name(&self) -> &str {
        self.inner.name()
    }

    pub(crate) fn role(&self) -> ffi::Role {
        self.inner.role().into()
    }

    pub(crate) fn data_size(&self) -> usize {
        self.inner.data_size()
    }

    pub(crate) fn max_message(&self) -> usize {
        self.inner.max_message()
    }

    pub(crate) fn peer_state(&self) -> ffi::PeerState {
        self.inner.peer_state().into()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.inner.generation()
    }

    pub(crate) fn peer_is_legacy(&self) -> bool {
        self.inner.peer_is_legacy()
    }

    pub(crate) fn unreceived(&self) -> u64 {
        self.inner.unreceived()
    }

    pub(crate) fn stop(&self) {
        self.inner.stop();
    }

    pub(crate) fn stats(&self, counters: &mut ffi::Counters, failure: &mut String) -> i32 {
        told(self.inner.stats().map(|stats| *counters = stats.into()), failure)
    }

    pub(crate) fn wait_for_peer(&self, wait: i64, failure: &mut String) -> i32 {
        told(self.inner.wait_for_peer(Wait::from(wait).longest()), failure)
    }

    pub(crate) fn check_removed(&self, failure: &mut String) -> i32 {
        told(self.inner.check_removed(), failure)
    }

    pub(crate) fn update_heartbeat(&self, failure: &mut String) -> i32 {
        told(self.inner.update_heartbeat(), failure)
    }
}

/// Appends the terminator to `text`.
pub(crate) fn encode(text: &[u8], encoded: &mut Vec<u8>, failure: &mut String) -> i32 {
    let utf8 = str::from_utf8(text)
        .map_err(|error| Error::InvalidText { reason: "is not UTF-8", at: error.valid_up_to() });
    told(utf8.and_then(eshm::text::encode).map(|bytes| *encoded = bytes), failure)
}

/// The length of the text at the start of `bytes`, without the NULs at its end.
pub(crate) fn decode(bytes: &[u8], length: &mut usize, failure: &mut String) -> i32 {
    told(eshm::text::decode(bytes).map(|text| *length = text.len()), failure)
}

pub(crate) fn told(result: Result<()>, failure: &mut String) -> i32 {
    match result {
        Ok(()) => OK,
        Err(error) => {
            *failure = error.to_string();
            convert::code(&error)
        }
    }
}
