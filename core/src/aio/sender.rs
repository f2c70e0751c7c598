//! The half of an async endpoint that writes and sends.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::patience::Patience;
use super::questions::questions;
use super::reactor::Reactor;
use super::readiness::{Kind, Readiness};
use crate::api::sender::{Loan, Sender};
use crate::error::{Error, Result};

/// The half of an [`AsyncEndpoint`](super::AsyncEndpoint) that writes and sends. One task at a time uses it.
///
/// As a [`Sink`] it takes everything that has bytes. A message for which there is no room is kept until there is; the sink
/// is ready for another one then. Every verb that sends sends it first.
#[derive(Debug)]
#[must_use = "the endpoint closes when both of its halves are dropped"]
pub struct AsyncSender<R: Reactor> {
    pub(super) readiness: Arc<Readiness<R>>,
    pub(super) sender: Sender,
    patience: Patience,
    /// What the sink has taken, and there was no room for.
    kept: Option<Vec<u8>>,
}

impl<R: Reactor> AsyncSender<R> {
    pub(super) fn new(sender: Sender, readiness: Arc<Readiness<R>>) -> Self {
        AsyncSender { readiness, sender, patience: Patience::default(), kept: None }
    }

    /// Replaces the latest value, whether it was read or not. Never waits.
    ///
    /// # Errors
    /// As [`Sender::write`](crate::Sender::write).
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.write(bytes)
    }

    /// Sends a message, which is delivered once and in order. Waits for room while the queue is full, and while a slave has
    /// no master.
    ///
    /// # Cancel safety
    /// A future that is dropped before it has returned has not sent the message.
    ///
    /// # Errors
    /// As [`Sender::send`](crate::Sender::send). [`Error::Attach`]: the runtime has ended.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        poll_fn(|context| self.poll_send(context, bytes)).await
    }

    /// As [`AsyncSender::send`], as a function that is polled. The waker of the last call is woken.
    ///
    /// # Cancel safety
    /// A call that returns `Pending` has not sent the message.
    ///
    /// # Errors
    /// As [`AsyncSender::send`].
    pub fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<()>> {
        ready!(self.poll_kept(context))?;
        self.poll_room(
            context,
            |sender| Ok(sender.send_fast(bytes)?.then_some(())),
            |sender| sender.poll_send(bytes),
        )
    }

    /// Sends messages in order, and shortens `messages` by those that were sent. Wakes the peer at most once for as many
    /// messages as there is room for.
    ///
    /// # Cancel safety
    /// After the future was dropped, as after an error, `messages` is what was not sent.
    ///
    /// # Errors
    /// As [`AsyncSender::send`], for the first message that could not be sent.
    pub async fn send_many<B: AsRef<[u8]>>(&mut self, messages: &mut &[B]) -> Result<()> {
        poll_fn(|context| self.poll_send_many(context, messages)).await
    }

    /// As [`AsyncSender::send_many`], as a function that is polled. The waker of the last call is woken.
    ///
    /// # Cancel safety
    /// After `Pending`, `messages` is what was not sent.
    ///
    /// # Errors
    /// As [`AsyncSender::send_many`].
    pub fn poll_send_many<B: AsRef<[u8]>>(
        &mut self,
        context: &mut Context<'_>,
        messages: &mut &[B],
    ) -> Poll<Result<()>> {
        ready!(self.poll_kept(context))?;
        let left = Cell::new(*messages);
        let outcome = self.poll_room(
            context,
            |sender| {
                // What stands in the way of the next one is found by `poll_send_many`.
                let sent = sender.send_some(left.get()).unwrap_or(0);
                left.set(&left.get()[sent..]);
                Ok(left.get().is_empty().then_some(()))
            },
            |sender| {
                let outcome = sender.poll_send_many(left.get());
                let sent = outcome.as_ref().map_or_else(|error| error.sent, |()| left.get().len());
                left.set(&left.get()[sent..]);
                outcome.map_err(Error::from)
            },
        );
        *messages = left.get();
        outcome
    }

    /// Lends memory for a message of `len` bytes, to be filled in place and sent. Waits for it as [`AsyncSender::send`] does.
    ///
    /// # Cancel safety
    /// A future that is dropped before it has returned has no effect. A loan that is dropped sends nothing.
    ///
    /// # Errors
    /// As [`AsyncSender::send`].
    pub async fn loan(&mut self, len: usize) -> Result<Loan<'_>> {
        let start = poll_fn(|context| self.poll_start(context, len)).await?;
        Ok(self.sender.loan_at(start, len))
    }

    /// As [`AsyncSender::loan`], as a function that is polled. The waker of the last call is woken.
    ///
    /// # Cancel safety
    /// A call that returns `Pending` has no effect.
    ///
    /// # Errors
    /// As [`AsyncSender::send`].
    pub fn poll_loan(&mut self, context: &mut Context<'_>, len: usize) -> Poll<Result<Loan<'_>>> {
        let start = ready!(self.poll_start(context, len))?;
        Poll::Ready(Ok(self.sender.loan_at(start, len)))
    }

    /// Waits until the peer is attached and alive.
    ///
    /// # Cancel safety
    /// Cancelling it has no effect.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Forked`]. [`Error::Attach`]: the runtime has ended.
    pub async fn wait_for_peer(&mut self) -> Result<()> {
        poll_fn(|context| self.readiness.poll_for_peer(Kind::PeerOfSender, context)).await
    }

    /// Returns the sender, for the verbs that do not wait, such as [`Sender::try_send`](crate::Sender::try_send). They do not
    /// send what the sink has kept.
    pub fn get_mut(&mut self) -> &mut Sender {
        &mut self.sender
    }

    fn poll_start(&mut self, context: &mut Context<'_>, len: usize) -> Poll<Result<*mut u8>> {
        ready!(self.poll_kept(context))?;
        self.poll_room(context, |sender| sender.loan_fast(len), |sender| sender.poll_start(len))
    }

    /// Sends what the sink has kept.
    fn poll_kept(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(kept) = self.kept.take() else { return Poll::Ready(Ok(())) };
        let sent = self.poll_send(context, &kept);
        if sent.is_pending() {
            self.kept = Some(kept);
        }
        sent
    }

    /// Waits until there is room. `look` tries without arming the event descriptor, `attempt` arms it.
    fn poll_room<T>(
        &mut self,
        context: &Context<'_>,
        mut look: impl FnMut(&mut Sender) -> Result<Option<T>>,
        mut attempt: impl FnMut(&mut Sender) -> Result<T>,
    ) -> Poll<Result<T>> {
        let Self { readiness, sender, patience, .. } = self;
        // A sender that was refused takes no fast path, so that a look would find nothing.
        if !sender.is_refused()
            && let Some(done) = ready!(patience.look(context, || look(sender)))?
        {
            return Poll::Ready(Ok(done));
        }
        readiness.poll(Kind::Room, context, || match attempt(sender) {
            Err(Error::Full { .. } | Error::Reconnecting { .. }) => None,
            outcome => Some(outcome),
        })
    }
}

/// Sends each message. A flush waits until all that was taken is in the queue, and so does the close, which does not close
/// the endpoint.
///
/// A flush that is cancelled loses nothing: what is not sent stays with the sender.
impl<R: Reactor, B: AsRef<[u8]>> Sink<B> for AsyncSender<R> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_kept(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: B) -> Result<()> {
        let bytes = message.as_ref();
        if self.kept.is_some() {
            // The caller has not waited for `poll_ready`.
            return Err(Error::Full { segment: self.inspector().segment() });
        }
        match self.sender.poll_send(bytes) {
            Err(Error::Full { .. } | Error::Reconnecting { .. }) => {
                self.kept = Some(bytes.to_vec());
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_kept(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_kept(context)
    }
}

questions!(AsyncSender, sender);
