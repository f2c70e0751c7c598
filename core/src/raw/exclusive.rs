//! The verbs with a [`Limit`], for bindings whose language lets one thread at a time use a half.
//!
//! They add nothing to the core's verbs: no lock, no token, no part.
//!
//! A language that cannot keep a Rust borrow takes a message or a loan apart, with [`borrow`] and [`lend`], and ends
//! it by [`release`], [`send_loan`] or [`give_back`]. Each half has one of them at a time.
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
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;

/// Sends a message as [`Sender::try_send`], [`Sender::send_timeout`] or [`Sender::send`] does.
///
/// # Errors
/// Those of the verb.
#[inline(always)]
pub fn send(sender: &mut Sender, bytes: &[u8], limit: Limit) -> Result<()> {
    match limit {
        Limit::Now => sender.try_send(bytes),
        Limit::Poll => sender.poll_send(bytes),
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
        Limit::Poll => sender.poll_send_many(messages),
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
        Limit::Poll => sender.poll_loan(len),
        Limit::For(time) => sender.loan_timeout(len, time),
        Limit::Forever => sender.loan(len),
    }
}

/// A loan without its Rust borrow: see [`lend`].
#[derive(Clone, Copy, Debug)]
pub struct Loaned {
    /// Where the memory begins: at a multiple of 8, in a queue and longer than 56 bytes of 64.
    pub start: *mut u8,
    /// How many bytes it has.
    pub len: usize,
}

/// Takes a loan apart, for a language that cannot keep its Rust borrow.
///
/// The memory is the holder's until [`send_loan`], [`give_back`] or any other call of the sender that writes, sends or
/// lends, and no longer than the sender exists.
///
/// ```
/// use eshm::raw::{Limit, exclusive};
/// let (mut sender, _receiver) = eshm::Endpoint::master("doc-lend")?.into_split();
/// let loan = exclusive::lend(exclusive::loan(&mut sender, 3, Limit::Now)?);
/// // SAFETY: the memory is this thread's until the sender is used again.
/// unsafe { loan.start.copy_from_nonoverlapping(b"abc".as_ptr(), loan.len) };
/// exclusive::send_loan(&mut sender)?;
/// assert_eq!(exclusive::send_loan(&mut sender).unwrap_err().code(), -14);
/// # Ok::<(), eshm::Error>(())
/// ```
#[inline(always)]
pub fn lend(loan: Loan<'_>) -> Loaned {
    let (start, len) = loan.into_raw();
    Loaned { start, len }
}

/// Sends the loan that [`lend`] took apart. Never waits.
///
/// # Errors
/// [`Error::Closed`] if there is none, or another call has ended it. Otherwise as [`Loan::send`]. The loan is over in
/// every case.
#[inline(always)]
pub fn send_loan(sender: &mut Sender) -> Result<()> {
    sender.send_loaned()
}

/// Gives the loan that [`lend`] took apart back, unsent. Does nothing if there is none.
#[inline(always)]
pub fn give_back(sender: &mut Sender) {
    sender.forget_loan();
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
        Limit::Poll => receiver.poll_recv(),
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
        Limit::Poll => receiver.poll_read(),
        Limit::For(time) => receiver.read_timeout(time),
        Limit::Forever => receiver.read().map(Some),
    }
}

/// A message or a value without its Rust borrow: see [`borrow`].
#[derive(Clone, Copy, Debug)]
pub struct Borrowed {
    /// Where its bytes begin: at a multiple of 8, in a queue and longer than 56 bytes of 64.
    pub start: *const u8,
    /// How many bytes it has.
    pub len: usize,
    /// How many values were overwritten since the one that was read before; 0 for a message.
    pub skipped: u64,
    /// The peer's generation: see [`Message::generation`].
    pub generation: u64,
}

/// Takes a message or a value apart, for a language that cannot keep its Rust borrow.
///
/// Nobody of this process writes the bytes until [`release`] or any other call of the receiver that reads or receives,
/// and no longer than the receiver exists. A process that is killed before receives the message again.
///
/// ```
/// use eshm::raw::{Limit, exclusive};
/// let (_sender, mut receiver) = eshm::Endpoint::master("doc-borrow")?.into_split();
/// let mut slave = eshm::Endpoint::slave("doc-borrow")?;
/// slave.send(b"abc")?;
/// let message = exclusive::recv(&mut receiver, Limit::Forever)?.expect("it waits without limit");
/// let borrowed = exclusive::borrow(message);
/// // SAFETY: nobody writes the bytes until the receiver is used again.
/// assert_eq!(unsafe { std::slice::from_raw_parts(borrowed.start, borrowed.len) }, b"abc");
/// exclusive::release(&mut receiver);
/// # Ok::<(), eshm::Error>(())
/// ```
#[inline(always)]
pub fn borrow(message: Message<'_>) -> Borrowed {
    let (skipped, generation) = (message.skipped(), message.generation());
    let (start, len) = message.into_raw();
    Borrowed { start, len, skipped, generation }
}

/// Releases the message that [`borrow`] took apart. Does nothing if there is none, and to a value.
#[inline(always)]
pub fn release(receiver: &mut Receiver) {
    receiver.release();
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
