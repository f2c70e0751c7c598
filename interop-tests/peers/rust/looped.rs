//! The endpoint of the scenarios: its waits block the thread, or are awaited in an event loop.

use std::time::Duration;

use eshm::tokio::AsyncEndpoint;
use eshm::{
    BatchError, Builder, Events, Interest, Message, PeerState, Receiver, Result, Role, Sender, Stats,
};
use tokio::runtime::{self, Runtime};
use tokio::time;

/// An endpoint whose waits block the thread, or are awaited in tokio and cancelled when their time is over.
pub enum Endpoint {
    Blocking(eshm::Endpoint),
    Tokio(Looped),
}

/// An endpoint and its event loop.
pub struct Looped {
    runtime: Runtime,
    endpoint: AsyncEndpoint,
}

use Endpoint::{Blocking, Tokio};

/// Asks either endpoint the question of this name.
macro_rules! ask {
    ($endpoint:expr, $question:ident) => {
        match $endpoint {
            Blocking(endpoint) => endpoint.$question(),
            Tokio(looped) => looped.endpoint.$question(),
        }
    };
}

impl Endpoint {
    pub fn open(builder: Builder, in_tokio: bool) -> Result<Endpoint> {
        if !in_tokio {
            return builder.open().map(Blocking);
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a process can have an event loop");
        let endpoint = runtime.block_on(AsyncEndpoint::open(builder))?;
        Ok(Tokio(Looped { runtime, endpoint }))
    }

    pub fn close(self) -> Result<u64> {
        match self {
            Blocking(endpoint) => endpoint.close(),
            Tokio(looped) => looped.endpoint.close(),
        }
    }

    /// Returns the halves, for the calls that do not wait.
    pub fn split(&mut self) -> (&mut Sender, &mut Receiver) {
        match self {
            Blocking(endpoint) => endpoint.split(),
            Tokio(looped) => looped.endpoint.get_mut(),
        }
    }

    pub fn role(&self) -> Role {
        ask!(self, role)
    }

    pub fn data_size(&self) -> usize {
        ask!(self, data_size)
    }

    pub fn max_message(&self) -> usize {
        ask!(self, max_message)
    }

    pub fn peer_state(&self) -> PeerState {
        ask!(self, peer_state)
    }

    pub fn stats(&self) -> Result<Stats> {
        ask!(self, stats)
    }

    pub fn generation(&self) -> u64 {
        ask!(self, inspector).generation()
    }

    /// Returns the event descriptor, for a program that waits for it itself.
    pub fn events(&self, interest: Interest) -> Result<Events> {
        ask!(self, inspector).events(interest)
    }

    pub fn wait_for_peer(&mut self, timeout: Duration) -> Result<()> {
        match self {
            Blocking(endpoint) => endpoint.wait_for_peer(timeout),
            Tokio(Looped { runtime, endpoint }) => {
                let found = within(runtime, timeout, endpoint.wait_for_peer());
                found.unwrap_or_else(|| endpoint.inspector().wait_for_peer(Duration::ZERO))
            }
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.split().0.write(bytes)
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> Result<()> {
        self.split().0.try_send(bytes)
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Blocking(endpoint) => endpoint.send(bytes),
            Tokio(Looped { runtime, endpoint }) => runtime.block_on(endpoint.send(bytes)),
        }
    }

    /// In an event loop: cancels the call when the time is over, and tries once more.
    pub fn send_timeout(&mut self, bytes: &[u8], timeout: Duration) -> Result<()> {
        match self {
            Blocking(endpoint) => endpoint.send_timeout(bytes, timeout),
            Tokio(_) => self.cancel_send(bytes, timeout)?.map_or_else(|| self.try_send(bytes), Ok),
        }
    }

    /// Returns `None` if the call was cancelled.
    pub fn cancel_send(&mut self, bytes: &[u8], timeout: Duration) -> Result<Option<()>> {
        match self {
            Blocking(endpoint) => endpoint.send_timeout(bytes, timeout).map(Some),
            Tokio(Looped { runtime, endpoint }) => within(runtime, timeout, endpoint.send(bytes)).transpose(),
        }
    }

    pub fn send_many<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), BatchError> {
        match self {
            Blocking(endpoint) => endpoint.send_many(messages),
            Tokio(Looped { runtime, endpoint }) => {
                let mut left = messages;
                let outcome = runtime.block_on(endpoint.send_many(&mut left));
                outcome.map_err(|source| BatchError { sent: messages.len() - left.len(), source })
            }
        }
    }

    /// As [`Endpoint::send_timeout`].
    pub fn send_many_timeout<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        timeout: Duration,
    ) -> Result<(), BatchError> {
        match self {
            Blocking(endpoint) => endpoint.send_many_timeout(messages, timeout),
            Tokio(Looped { runtime, endpoint }) => {
                let mut left = messages;
                let outcome = within(runtime, timeout, endpoint.send_many(&mut left));
                let before = messages.len() - left.len();
                match outcome {
                    Some(outcome) => outcome.map_err(|source| BatchError { sent: before, source }),
                    None => endpoint
                        .get_mut()
                        .0
                        .try_send_many(left)
                        .map_err(|error| BatchError { sent: before + error.sent, source: error.source }),
                }
            }
        }
    }

    /// Waits for room, fills it, and hands the loan to `keep`.
    pub fn loan_timeout(
        &mut self,
        content: &[u8],
        timeout: Duration,
        keep: impl Fn(eshm::Loan<'_>),
    ) -> Result<()> {
        let fill = |mut loan: eshm::Loan<'_>| {
            loan.copy_from_slice(content);
            keep(loan);
        };
        match self {
            Blocking(endpoint) => endpoint.loan_timeout(content.len(), timeout).map(fill),
            Tokio(Looped { runtime, endpoint }) => {
                let lent = within(runtime, timeout, endpoint.loan(content.len()));
                match lent.map(|lent| lent.map(fill)) {
                    Some(outcome) => outcome,
                    None => endpoint.get_mut().0.try_loan(content.len()).map(fill),
                }
            }
        }
    }

    pub fn try_recv(&mut self) -> Result<Option<Message<'_>>> {
        self.split().1.try_recv()
    }

    pub fn recv(&mut self) -> Result<Message<'_>> {
        match self {
            Blocking(endpoint) => endpoint.recv(),
            Tokio(Looped { runtime, endpoint }) => runtime.block_on(endpoint.recv()),
        }
    }

    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        match self {
            Tokio(_) if timeout.is_zero() => self.try_recv(),
            _ => self.cancel_recv(timeout),
        }
    }

    /// Returns `None` if no message came in time. In an event loop, the call was cancelled then.
    pub fn cancel_recv(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        match self {
            Blocking(endpoint) => endpoint.recv_timeout(timeout),
            Tokio(Looped { runtime, endpoint }) => within(runtime, timeout, endpoint.recv()).transpose(),
        }
    }

    pub fn recv_many_timeout(
        &mut self,
        most: usize,
        timeout: Duration,
        each: impl FnMut(&[u8]),
    ) -> Result<usize> {
        match self {
            Tokio(Looped { runtime, endpoint }) if !timeout.is_zero() => {
                within(runtime, timeout, endpoint.recv_many(most, each)).unwrap_or(Ok(0))
            }
            _ => self.split().1.recv_many_timeout(most, timeout, each),
        }
    }

    pub fn try_read(&mut self) -> Result<Option<Message<'_>>> {
        self.split().1.try_read()
    }

    pub fn read(&mut self) -> Result<Message<'_>> {
        match self {
            Blocking(endpoint) => endpoint.read(),
            Tokio(Looped { runtime, endpoint }) => runtime.block_on(endpoint.read()),
        }
    }

    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        match self {
            Blocking(endpoint) => endpoint.read_timeout(timeout),
            Tokio(_) if timeout.is_zero() => self.try_read(),
            Tokio(Looped { runtime, endpoint }) => within(runtime, timeout, endpoint.read()).transpose(),
        }
    }
}

/// Awaits a call. Cancels it when the time is over: `None`.
fn within<T>(runtime: &Runtime, limit: Duration, call: impl Future<Output = T>) -> Option<T> {
    runtime.block_on(async { time::timeout(limit, call).await.ok() })
}
