//! What the facade holds of the core: one handle per direction, so that a thread may use each.

use std::pin::Pin;

use eshm::{Error, Message, Result};

use crate::convert::{Wait, builder};
use crate::ffi;

/// What a call returns for success.
const OK: i32 = 0;
/// What a read returns when nothing came in the time it had: no error, and no text to keep.
const NOTHING: i32 = 1;

/// The text of the last failure.
#[derive(Default)]
struct LastFailure(String);

impl LastFailure {
    fn keep(&mut self, error: &Error) -> i32 {
        self.0 = error.to_string();
        error.code()
    }

    fn code_of(&mut self, result: Result<()>) -> i32 {
        result.map_or_else(|error| self.keep(&error), |()| OK)
    }
}

/// The outcome of opening an endpoint: its two directions until the facade takes them, or a failure.
pub(crate) struct Opening {
    code: i32,
    failure: LastFailure,
    sender: Option<eshm::Sender>,
    receiver: Option<eshm::Receiver>,
}

pub(crate) fn open(name: &[u8], settings: &ffi::Settings) -> Box<Opening> {
    let mut opening = Opening { code: OK, failure: LastFailure::default(), sender: None, receiver: None };
    match builder(name, settings).and_then(eshm::Builder::open) {
        Ok(endpoint) => {
            let (sender, receiver) = endpoint.into_split();
            opening.sender = Some(sender);
            opening.receiver = Some(receiver);
        }
        Err(error) => opening.code = opening.failure.keep(&error),
    }
    Box::new(opening)
}

impl Opening {
    pub(crate) fn code(&self) -> i32 {
        self.code
    }

    pub(crate) fn failure(&self) -> &str {
        &self.failure.0
    }

    pub(crate) fn sender(&mut self) -> Box<Sender> {
        let inner = self.sender.take().expect("the facade takes the sender once, when code() is 0");
        Box::new(Sender { inner, failure: LastFailure::default() })
    }

    pub(crate) fn receiver(&mut self) -> Box<Receiver> {
        let inner = self.receiver.take().expect("the facade takes the receiver once, when code() is 0");
        Box::new(Receiver { inner, failure: LastFailure::default() })
    }
}

/// The sending direction, and the inspection of the endpoint.
pub(crate) struct Sender {
    inner: eshm::Sender,
    failure: LastFailure,
}

impl Sender {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> i32 {
        self.failure.code_of(self.inner.write(bytes))
    }

    pub(crate) fn send(&mut self, bytes: &[u8], wait: i64) -> i32 {
        self.failure.code_of(match Wait::from(wait) {
            Wait::No => self.inner.try_send(bytes),
            Wait::For(time) => self.inner.send_timeout(bytes, time),
            Wait::Forever => self.inner.send(bytes),
        })
    }

    pub(crate) fn wait_for_peer(&mut self, wait: i64) -> i32 {
        self.failure.code_of(self.inner.wait_for_peer(Wait::from(wait).longest()))
    }

    pub(crate) fn failure(&self) -> &str {
        &self.failure.0
    }

    pub(crate) fn role(&self) -> ffi::Role {
        self.inner.role().into()
    }

    pub(crate) fn data_size(&self) -> usize {
        self.inner.data_size()
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

    pub(crate) fn stats(&mut self, counters: &mut ffi::Counters) -> i32 {
        let stats = self.inner.stats().map(|stats| *counters = stats.into());
        self.failure.code_of(stats)
    }
}

/// The receiving direction.
pub(crate) struct Receiver {
    inner: eshm::Receiver,
    failure: LastFailure,
}

impl Receiver {
    pub(crate) fn read(&mut self, wait: i64, message: Pin<&mut ffi::Message>) -> i32 {
        let outcome = match Wait::from(wait) {
            Wait::No => self.inner.try_read(),
            Wait::For(time) => self.inner.read_timeout(time),
            Wait::Forever => self.inner.read().map(Some),
        };
        deliver(outcome, message, &mut self.failure)
    }

    pub(crate) fn recv(&mut self, wait: i64, message: Pin<&mut ffi::Message>) -> i32 {
        let outcome = match Wait::from(wait) {
            Wait::No => self.inner.try_recv(),
            Wait::For(time) => self.inner.recv_timeout(time),
            Wait::Forever => self.inner.recv().map(Some),
        };
        deliver(outcome, message, &mut self.failure)
    }

    pub(crate) fn failure(&self) -> &str {
        &self.failure.0
    }
}

fn deliver(
    outcome: Result<Option<Message<'_>>>,
    message: Pin<&mut ffi::Message>,
    failure: &mut LastFailure,
) -> i32 {
    match outcome {
        Ok(Some(received)) => {
            ffi::fill(message, &received, received.skipped(), received.generation());
            OK
        }
        Ok(None) => NOTHING,
        Err(error) => failure.keep(&error),
    }
}

/// Appends the terminator to `text`.
pub(crate) fn encode(text: &[u8], encoded: &mut Vec<u8>, failure: &mut String) -> i32 {
    let utf8 = str::from_utf8(text)
        .map_err(|error| Error::InvalidText { reason: "is not UTF-8", at: error.valid_up_to() });
    match utf8.and_then(eshm::text::encode) {
        Ok(bytes) => {
            *encoded = bytes;
            OK
        }
        Err(error) => fail(&error, failure),
    }
}

/// The length of the text at the start of `bytes`, without the NULs at its end.
pub(crate) fn decode(bytes: &[u8], length: &mut usize, failure: &mut String) -> i32 {
    match eshm::text::decode(bytes) {
        Ok(text) => {
            *length = text.len();
            OK
        }
        Err(error) => fail(&error, failure),
    }
}

fn fail(error: &Error, failure: &mut String) -> i32 {
    *failure = error.to_string();
    error.code()
}
