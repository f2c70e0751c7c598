//! An endpoint whose verbs are futures.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::open::open;
use super::questions::questions;
use super::reactor::Reactor;
use super::readiness::Readiness;
use super::receiver::AsyncReceiver;
use super::sender::AsyncSender;
use crate::api::builder::Builder;
use crate::api::endpoint::Endpoint;
use crate::api::receiver::{Message, Receiver};
use crate::api::sender::{Loan, Sender};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::peer::events::Interest;

/// An [`Endpoint`] whose verbs are futures. It holds no thread while it waits.
///
/// All verbs are safe to cancel, for example in a `select!` with a timer: each one says what that means. To receive in one
/// task and send in another, take the halves by [`AsyncEndpoint::into_split`]. Dropping the endpoint closes it.
#[derive(Debug)]
#[must_use = "an endpoint that is dropped is closed"]
pub struct AsyncEndpoint<R: Reactor> {
    sender: AsyncSender<R>,
    receiver: AsyncReceiver<R>,
}

impl<R: Reactor> AsyncEndpoint<R> {
    /// Opens an endpoint as [`Builder::open`] does, in a thread of its own that ends then, because a slave may wait for its
    /// master.
    ///
    /// # Cancel safety
    /// If the future is dropped, the endpoint is closed as soon as it is open.
    ///
    /// # Errors
    /// As [`Builder::open`] and [`AsyncEndpoint::new`].
    ///
    /// # Panics
    /// As [`AsyncEndpoint::new`].
    pub async fn open(builder: Builder) -> Result<Self> {
        Self::new(open(builder).await?)
    }

    /// Registers an endpoint with the reactor. If that fails, the endpoint is closed.
    ///
    /// # Errors
    /// - [`Error::Attach`]: this process can have no descriptor more, or the descriptor cannot be registered.
    /// - [`Error::Closed`], [`Error::Forked`]: the endpoint is closed, or belongs to the parent process.
    ///
    /// # Panics
    /// With tokio: outside of a runtime, and in one whose I/O driver is not enabled.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let events = endpoint.events(Interest::NONE)?;
        let readiness = Arc::new(Readiness::new(&events)?);
        let (sender, receiver) = endpoint.into_split();
        Ok(AsyncEndpoint {
            sender: AsyncSender::new(sender, Arc::clone(&readiness)),
            receiver: AsyncReceiver::new(receiver, readiness),
        })
    }

    /// Borrows both halves: to send while a received message is borrowed, or to do both in one `select!`.
    pub fn split(&mut self) -> (&mut AsyncSender<R>, &mut AsyncReceiver<R>) {
        (&mut self.sender, &mut self.receiver)
    }

    /// Returns the sender and the receiver, for the verbs that do not wait.
    pub fn get_mut(&mut self) -> (&mut Sender, &mut Receiver) {
        (self.sender.get_mut(), self.receiver.get_mut())
    }

    /// Takes the endpoint apart into its halves, for two tasks. The endpoint closes when both are dropped.
    pub fn into_split(self) -> (AsyncSender<R>, AsyncReceiver<R>) {
        (self.sender, self.receiver)
    }

    /// Returns the endpoint without the reactor. A message that the sink has kept for lack of room is dropped.
    pub fn into_inner(self) -> Endpoint {
        Endpoint::from_split(self.sender.sender, self.receiver.receiver)
    }

    /// As [`Endpoint::close`].
    ///
    /// # Errors
    /// As [`Endpoint::close`].
    pub fn close(self) -> Result<u64> {
        self.into_inner().close()
    }

    /// As [`AsyncSender::write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.write(bytes)
    }

    /// As [`AsyncSender::send`], and as safe to cancel.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.send(bytes).await
    }

    /// As [`AsyncSender::poll_send`], and as safe to cancel.
    pub fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<()>> {
        self.sender.poll_send(context, bytes)
    }

    /// As [`AsyncSender::send_many`], and as safe to cancel.
    pub async fn send_many<B: AsRef<[u8]>>(&mut self, messages: &mut &[B]) -> Result<()> {
        self.sender.send_many(messages).await
    }

    /// As [`AsyncSender::loan`], and as safe to cancel.
    pub async fn loan(&mut self, len: usize) -> Result<Loan<'_>> {
        self.sender.loan(len).await
    }

    /// As [`AsyncReceiver::recv`], and as safe to cancel.
    pub async fn recv(&mut self) -> Result<Message<'_>> {
        self.receiver.recv().await
    }

    /// As [`AsyncReceiver::poll_recv`], and as safe to cancel.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Message<'_>>> {
        self.receiver.poll_recv(context)
    }

    /// As [`AsyncReceiver::read`], and as safe to cancel.
    pub async fn read(&mut self) -> Result<Message<'_>> {
        self.receiver.read().await
    }

    /// As [`AsyncReceiver::poll_read`], and as safe to cancel.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Message<'_>>> {
        self.receiver.poll_read(context)
    }

    /// As [`AsyncReceiver::recv_many`], and as safe to cancel.
    pub async fn recv_many(&mut self, most: usize, each: impl FnMut(&[u8])) -> Result<usize> {
        self.receiver.recv_many(most, each).await
    }

    /// As [`AsyncReceiver::wait_for_peer`], and as safe to cancel.
    pub async fn wait_for_peer(&mut self) -> Result<()> {
        self.receiver.wait_for_peer().await
    }
}

impl<R: Reactor> TryFrom<Endpoint> for AsyncEndpoint<R> {
    type Error = crate::error::Error;

    /// As [`AsyncEndpoint::new`].
    fn try_from(endpoint: Endpoint) -> Result<Self> {
        Self::new(endpoint)
    }
}

questions!(AsyncEndpoint, receiver.receiver);
