//! The half of an async endpoint that reads and receives.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::patience::Patience;
use super::questions::questions;
use super::reactor::Reactor;
use super::readiness::{Kind, Readiness};
use crate::api::receiver::{Found, Message, Receiver, What};
use crate::error::{Error, Result};

/// The half of an [`AsyncEndpoint`](super::AsyncEndpoint) that reads and receives. One task at a time uses it.
///
/// As a [`Stream`] it yields a copy of each message. The stream ends when the peer has closed, and after an error.
#[derive(Debug)]
#[must_use = "the endpoint closes when both of its halves are dropped"]
pub struct AsyncReceiver<R: Reactor> {
    pub(super) readiness: Arc<Readiness<R>>,
    pub(super) receiver: Receiver,
    patience: Patience,
    /// Whether the stream has yielded an error, and ends.
    failed: bool,
}

impl<R: Reactor> AsyncReceiver<R> {
    pub(super) fn new(receiver: Receiver, readiness: Arc<Readiness<R>>) -> Self {
        AsyncReceiver { readiness, receiver, patience: Patience::default(), failed: false }
    }

    /// Waits until there is a message, and returns it. Every message is delivered once, in the order in which it was sent.
    /// The message usually lies in the queue; dropping it releases it.
    ///
    /// # Cancel safety
    /// A future that is dropped before it has returned has received nothing.
    ///
    /// # Errors
    /// As [`Receiver::recv`](crate::Receiver::recv). [`Error::Attach`]: the runtime has ended.
    pub async fn recv(&mut self) -> Result<Message<'_>> {
        let found = poll_fn(|context| self.poll_found(What::Message, context)).await?;
        Ok(self.receiver.message(found))
    }

    /// As [`AsyncReceiver::recv`], as a function that is polled. The waker of the last call is woken.
    ///
    /// # Cancel safety
    /// A call that returns `Pending` has received nothing.
    ///
    /// # Errors
    /// As [`AsyncReceiver::recv`].
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Message<'_>>> {
        let found = ready!(self.poll_found(What::Message, context))?;
        Poll::Ready(Ok(self.receiver.message(found)))
    }

    /// Waits until there is a value that this endpoint has not read, and returns the latest.
    ///
    /// # Cancel safety
    /// A future that is dropped before it has returned has read nothing.
    ///
    /// # Errors
    /// As [`AsyncReceiver::recv`].
    pub async fn read(&mut self) -> Result<Message<'_>> {
        let found = poll_fn(|context| self.poll_found(What::Value, context)).await?;
        Ok(self.receiver.message(found))
    }

    /// As [`AsyncReceiver::read`], as a function that is polled. The waker of the last call is woken.
    ///
    /// # Cancel safety
    /// A call that returns `Pending` has read nothing.
    ///
    /// # Errors
    /// As [`AsyncReceiver::recv`].
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Message<'_>>> {
        let found = ready!(self.poll_found(What::Value, context))?;
        Poll::Ready(Ok(self.receiver.message(found)))
    }

    /// Waits for a message, passes up to `most` messages that are there to `each`, in place, and releases them all at once.
    /// Returns their number; 0 only if `most` is 0.
    ///
    /// # Cancel safety
    /// A future that is dropped before it has returned has received nothing, and has not called `each`.
    ///
    /// # Errors
    /// As [`AsyncReceiver::recv`].
    pub async fn recv_many(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> Result<usize> {
        poll_fn(|context| self.poll_recv_many(context, most, &mut each)).await
    }

    /// As [`AsyncReceiver::recv_many`], as a function that is polled. The waker of the last call is woken.
    ///
    /// # Cancel safety
    /// A call that returns `Pending` has received nothing, and has not called `each`.
    ///
    /// # Errors
    /// As [`AsyncReceiver::recv`].
    pub fn poll_recv_many(
        &mut self,
        context: &mut Context<'_>,
        most: usize,
        each: impl FnMut(&[u8]),
    ) -> Poll<Result<usize>> {
        if most == 0 {
            return Poll::Ready(Ok(0));
        }
        let found = ready!(self.poll_found(What::Message, context))?;
        Poll::Ready(Ok(self.receiver.drain_from(found, most, each)))
    }

    /// Waits until the peer is attached and alive.
    ///
    /// # Cancel safety
    /// Cancelling it has no effect.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Forked`]. [`Error::Attach`]: the runtime has ended.
    pub async fn wait_for_peer(&mut self) -> Result<()> {
        poll_fn(|context| self.readiness.poll_for_peer(Kind::PeerOfReceiver, context)).await
    }

    /// Returns the receiver, for the verbs that do not wait, such as [`Receiver::try_recv`](crate::Receiver::try_recv).
    pub fn get_mut(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    fn poll_found(&mut self, what: What, context: &Context<'_>) -> Poll<Result<Found>> {
        let Self { readiness, receiver, patience, .. } = self;
        if let Some(found) = ready!(patience.look(context, || receiver.look(what)))? {
            return Poll::Ready(Ok(found));
        }
        let kind = match what {
            What::Message => Kind::Message,
            What::Value => Kind::Value,
        };
        readiness.poll(kind, context, || receiver.attempt(what).transpose())
    }
}

/// Yields a copy of each message. Ends when the peer has closed, and after an error.
impl<R: Reactor> Stream for AsyncReceiver<R> {
    type Item = Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        if std::mem::take(&mut self.failed) {
            return Poll::Ready(None);
        }
        let outcome = ready!(self.poll_recv(context)).map(|message| message.to_vec());
        Poll::Ready(match outcome {
            Err(Error::PeerClosed { .. }) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
            message => Some(message),
        })
    }
}

questions!(AsyncReceiver, receiver);
