//! The verbs with a [`Limit`], for bindings whose language lets one thread at a time use a half.
//!
//! They add nothing to the core's verbs: no lock, no token, no part.
//!
//! ```
//! use eshm::raw::{Limit, exclusive};
//! let (mut sender, mut receiver) = eshm::Endpoint::master("doc-exclusive")?.into_split();
//! let (sent, outcome) = exclusive::send_many(&mut sender, &["a", "b"], Limit::Now);
//! assert_eq!((sent, outcome.is_ok()), (2, true));
//! assert!(exclusive::recv(&mut receiver, Limit::Now)?.is_none());
//! # Ok::<(), eshm::Error>(())
//! ```

use std::ops::ControlFlow;

use super::Limit;
use super::stop::{Stop, cut};
use crate::api::receiver::{Message, Receiver};
use crate::api::sender::{Loan, Sender};
use crate::error::Result;

/// Sends a message as [`Sender::try_send`], [`Sender::send_timeout`] or [`Sender::send`] does.
///
/// # Errors
/// Those of the verb.
#[inline(always)]
pub fn send(sender: &mut Sender, bytes: &[u8], limit: Limit) -> Result<()> {
    match limit {
        Limit::Now => sender.try_send(bytes),
        Limit::For(time) => sender.send_timeout(bytes, time),
        Limit::Forever => sender.send(bytes),
    }
}

/// Sends messages as [`Sender::try_send_many`], [`Sender::send_many_timeout`] or [`Sender::send_many`] does.
/// Returns how many were sent, from the first on, and why the next one was not.
///
/// # Errors
/// Those of the verb, for the first message that was not sent.
pub fn send_many<B: AsRef<[u8]>>(sender: &mut Sender, messages: &[B], limit: Limit) -> (usize, Result<()>) {
    let outcome = match limit {
        Limit::Now => sender.try_send_many(messages),
        Limit::For(time) => sender.send_many_timeout(messages, time),
        Limit::Forever => sender.send_many(messages),
    };
    match outcome {
        Ok(()) => (messages.len(), Ok(())),
        Err(error) => (error.sent, Err(error.source)),
    }
}

/// Lends memory for a message as [`Sender::try_loan`], [`Sender::loan_timeout`] or [`Sender::loan`] does.
///
/// # Errors
/// Those of the verb.
#[inline(always)]
pub fn loan(sender: &mut Sender, len: usize, limit: Limit) -> Result<Loan<'_>> {
    match limit {
        Limit::Now => sender.try_loan(len),
        Limit::For(time) => sender.loan_timeout(len, time),
        Limit::Forever => sender.loan(len),
    }
}

/// Receives a message as [`Receiver::try_recv`], [`Receiver::recv_timeout`] or [`Receiver::recv`] does. Returns
/// `None` when there is none in time.
///
/// # Errors
/// Those of the verb.
#[inline(always)]
pub fn recv(receiver: &mut Receiver, limit: Limit) -> Result<Option<Message<'_>>> {
    match limit {
        Limit::Now => receiver.try_recv(),
        Limit::For(time) => receiver.recv_timeout(time),
        Limit::Forever => receiver.recv().map(Some),
    }
}

/// Reads a value as [`Receiver::try_read`], [`Receiver::read_timeout`] or [`Receiver::read`] does. Returns `None`
/// when there is none in time.
///
/// # Errors
/// Those of the verb.
#[inline(always)]
pub fn read(receiver: &mut Receiver, limit: Limit) -> Result<Option<Message<'_>>> {
    match limit {
        Limit::Now => receiver.try_read(),
        Limit::For(time) => receiver.read_timeout(time),
        Limit::Forever => receiver.read().map(Some),
    }
}

/// Hands each of up to `most` messages that are there to `each`, in place, and releases them all at once. Waits for
/// the first one as [`recv`] does. Returns how many were released; 0 if `most` is, if there is none in time, or if
/// `each` stopped before the first.
///
/// `each` ends the batch where it wants: see [`Stop`]. On a segment without queues a message is handed over alone,
/// and is gone wherever `each` stops.
///
/// # Errors
/// Those of [`recv`]; the error of [`Stop::Undo`].
///
/// ```
/// use std::ops::ControlFlow;
/// use eshm::raw::{Limit, Stop, exclusive};
/// let (_sender, mut receiver) = eshm::Endpoint::master("doc-undo")?.into_split();
/// let mut slave = eshm::Endpoint::slave("doc-undo")?;
/// slave.send(b"again")?;
/// let stop = |_: &[u8]| ControlFlow::Break(Stop::Undo("no room for it"));
/// let outcome = exclusive::recv_many(&mut receiver, Limit::Forever, 10, stop)?;
/// assert_eq!(outcome, Err("no room for it"));
/// assert_eq!(&*receiver.recv()?, b"again");
/// # Ok::<(), eshm::Error>(())
/// ```
pub fn recv_many<E>(
    receiver: &mut Receiver,
    limit: Limit,
    most: usize,
    mut each: impl FnMut(&[u8]) -> ControlFlow<Stop<E>>,
) -> Result<Result<usize, E>> {
    if most == 0 {
        return Ok(Ok(0));
    }
    let Some(message) = recv(receiver, limit)? else { return Ok(Ok(0)) };
    if !message.is_in_place() {
        return Ok(match each(&message) {
            ControlFlow::Continue(()) | ControlFlow::Break(Stop::After) => Ok(1),
            ControlFlow::Break(Stop::Before) => Ok(0),
            ControlFlow::Break(Stop::Undo(error)) => Err(error),
        });
    }
    // It stays the next one, and is handed over with those behind it.
    std::mem::forget(message);
    let mut undo = None;
    let count = receiver.drain_found(most, |bytes| each(bytes).map_break(|stop| cut(stop, &mut undo)))?;
    Ok(undo.map_or(Ok(count), Err))
}
