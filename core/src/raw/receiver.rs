//! The half that reads and receives, shared by threads.

use std::mem::ManuallyDrop;
use std::ops::ControlFlow;

use super::content::{Content, Kept, Source};
use super::host::{failed, glance};
use super::receiving::{Channel, Found, Loose, Receiving, STREAM};
use super::shared::{Guard, Half, Shared};
use super::stop::{Stop, cut};
use super::{Error, Host, Limit, Token};
use crate::api::inspector::Inspector;
use crate::api::receiver::Receiver;
use crate::error::Result;

/// A [`Receiver`] that threads share: see [the module](super).
///
/// The next call that reads or receives ends a message that is borrowed, unless somebody retains it:
/// [`Error::InUse`]. Every call fails with [`Error::Closed`](crate::Error::Closed) once the half is closed or the
/// endpoint stopped, and with
/// [`Error::Forked`](crate::Error::Forked) in a forked child.
///
/// ```
/// use eshm::raw::{Error, Limit, Plain, SharedEndpoint};
/// let master = SharedEndpoint::new(eshm::Endpoint::master("doc-shared-receiver")?);
/// let mut slave = eshm::Endpoint::slave("doc-shared-receiver")?;
/// slave.send(b"four")?;
/// let mut buffer = [0; 3];
/// let copied = master.receiver().recv(&mut Plain, Limit::Now, |_, message| {
///     let room = buffer.get_mut(..message.len()).ok_or(Error::InUse { segment: "does not fit".into() })?;
///     room.copy_from_slice(message);
///     Ok(message.len())
/// });
/// assert!(copied.is_err());
/// // A message that could not be taken stays the next one.
/// let borrowed = master.receiver().borrow(&mut Plain, Limit::Now)?.unwrap();
/// assert_eq!(borrowed.len, 4);
/// master.receiver().release(&mut Plain, borrowed.token)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct SharedReceiver(Shared<Receiving>);

/// A message that is borrowed: `len` bytes that nobody of this process writes, until the token is given back
/// ([`SharedReceiver::release`], [`SharedReceiver::abandon`]), the next call reads or receives, or the half is
/// closed.
#[derive(Clone, Copy, Debug)]
pub struct Borrowed {
    /// Stands for the message.
    pub token: Token,
    /// Where its bytes begin: at a multiple of 8, in a queue and longer than 56 bytes of 64.
    pub start: *const u8,
    /// How many bytes it has.
    pub len: usize,
}

// SAFETY: the pointer is to memory that the receiver keeps; its token's rules say who may use it, from any thread.
unsafe impl Send for Borrowed {}

impl SharedReceiver {
    /// Shares the half.
    pub fn new(receiver: Receiver) -> Self {
        let inspector = Inspector::of(&receiver.side);
        SharedReceiver(Shared::new(
            inspector,
            Receiving { receiver, before_stream: STREAM, message: None, value: None, borrowed: None },
        ))
    }

    /// Returns a handle for questions, and to stop the endpoint. It needs no lock.
    pub fn inspector(&self) -> &Inspector {
        self.0.inspector()
    }

    /// Waits for the latest value that this endpoint has not read, as the limit says, in parts, and has `take` take
    /// it. Returns what that returns; `None` if there is no value and the limit is [`Limit::Now`].
    ///
    /// A value that `take` fails for is read again by the next call, unless a newer one has come.
    ///
    /// # Errors
    /// Those of [`Receiver::read_timeout`], and [`Error::Timeout`](crate::Error::Timeout); [`Error::InUse`]; those
    /// of the host and of `take`.
    pub fn read<H: Host, T>(
        &self,
        host: &mut H,
        limit: Limit,
        take: impl FnMut(&mut H, &Content<'_>) -> Result<T, H::Error>,
    ) -> Result<Option<T>, H::Error> {
        self.take(host, Channel::Values, limit, take)
    }

    /// Waits for the next message as the limit says, in parts, and has `take` take it. The message is released
    /// then. Returns what `take` returns; `None` if there is no message and the limit is [`Limit::Now`].
    ///
    /// A message that `take` fails or panics for stays the next one. `take` is called while the half is locked, and
    /// not within [`Host::block`].
    ///
    /// # Errors
    /// Those of [`Receiver::recv_timeout`], and [`Error::Timeout`](crate::Error::Timeout); [`Error::InUse`]; those
    /// of the host and of `take`.
    #[inline]
    pub fn recv<H: Host, T>(
        &self,
        host: &mut H,
        limit: Limit,
        take: impl FnMut(&mut H, &Content<'_>) -> Result<T, H::Error>,
    ) -> Result<Option<T>, H::Error> {
        self.take(host, Channel::Messages, limit, take)
    }

    #[inline(always)]
    fn take<H: Host, T>(
        &self,
        host: &mut H,
        channel: Channel,
        limit: Limit,
        mut take: impl FnMut(&mut H, &Content<'_>) -> Result<T, H::Error>,
    ) -> Result<Option<T>, H::Error> {
        let mut slot = self.0.lock(host)?;
        let receiving = self.0.usable(&mut slot)?;
        if receiving.has_kept(channel) {
            return self.take_later(host, slot, channel, limit, &mut take);
        }
        // What is there is taken with as few steps as can be.
        let Receiving { receiver, before_stream, message: kept_message, value: kept_value, .. } = receiving;
        let found = channel.now(receiver).map_err(failed::<H>)?.map(ManuallyDrop::new);
        let Some(message) = found else {
            return self.take_later(host, slot, channel, limit, &mut take);
        };
        if channel == Channel::Messages {
            match before_stream {
                0 => message.prefetch_later(),
                count => *count -= 1,
            }
        }
        let taken = take(host, &Content(Source::Message(&message)));
        if taken.is_ok() {
            drop(ManuallyDrop::into_inner(message));
        } else if !message.is_in_place() {
            let kept = if channel == Channel::Values { kept_value } else { kept_message };
            *kept = Some(Kept::of(&message));
        }
        taken.map(Some)
    }

    #[cold]
    fn take_later<H: Host, T>(
        &self,
        host: &mut H,
        slot: Guard<'_, Receiving>,
        channel: Channel,
        limit: Limit,
        take: &mut impl FnMut(&mut H, &Content<'_>) -> Result<T, H::Error>,
    ) -> Result<Option<T>, H::Error> {
        let with = |host: &mut H, found: Found<'_>| found.taken_by(host, take);
        let found = self.find_later(host, slot, channel, limit, with)?;
        Ok(found.map(|(_, taken)| taken))
    }

    /// Borrows the next message where it lies. Waits for it as [`SharedReceiver::recv`] does. A process that is
    /// killed before it is given back receives it again when it is back.
    ///
    /// # Errors
    /// As [`SharedReceiver::recv`].
    pub fn borrow<H: Host>(&self, host: &mut H, limit: Limit) -> Result<Option<Borrowed>, H::Error> {
        let mut slot = self.0.lock(host)?;
        let receiving = self.0.usable(&mut slot)?;
        let mut found = None;
        if !receiving.has_kept(Channel::Messages) {
            found = receiving.receiver.try_recv().map_err(failed::<H>)?.map(Loose::of);
        }
        if found.is_none() {
            let lent = |_: &mut H, found: Found<'_>| Ok(found.lent());
            match self.find_later(host, slot, Channel::Messages, limit, lent)? {
                Some((lending, loose)) => (slot, found) = (lending, Some(loose)),
                None => return Ok(None),
            }
        }
        Ok(found.map(|Loose { start, len }| Borrowed { token: self.0.lend(&mut slot), start, len }))
    }

    /// Releases the message that was borrowed.
    ///
    /// # Errors
    /// [`Error::Stale`]; [`Error::InUse`], and it stays borrowed; [`Error::Forked`](crate::Error::Forked): the
    /// message is the parent's.
    pub fn release<H: Host>(&self, host: &mut H, token: Token) -> Result<(), Error> {
        self.0.finish(host, token, |receiving| {
            receiving.take_back();
            Ok(())
        })
    }

    /// Releases the message as soon as nobody retains it. Returns whether that is now; a stale token is over.
    pub fn abandon<H: Host>(&self, host: &mut H, token: Token) -> bool {
        self.0.abandon(host, token)
    }

    /// Counts one user more of the message's memory. While it has users the half neither reads nor receives
    /// ([`Error::InUse`]), and a half that is closed is dropped after the last of them.
    ///
    /// # Errors
    /// [`Error::Stale`]; [`Error::InUse`] of a message that was abandoned.
    pub fn retain<H: Host>(&self, host: &mut H, token: Token) -> Result<(), Error> {
        self.0.retain(host, token)
    }

    /// Counts one user less. A stale token changes nothing.
    pub fn unretain<H: Host>(&self, host: &mut H, token: Token) {
        self.0.unretain(host, token);
    }

    /// Returns the token of the message that is borrowed now, for an interface whose users do not hold one. It
    /// needs no lock.
    pub fn lent(&self) -> Option<Token> {
        self.0.lent()
    }

    /// Hands each of up to `most` messages that are there to `each`, in place, and releases them all at once. Waits
    /// for the first one as [`SharedReceiver::recv`] does. Returns how many were released; 0 if `most` is, if there
    /// is none and the limit is [`Limit::Now`], or if `each` stopped before the first.
    ///
    /// `each` ends the batch where it wants: see [`Stop`]. A panic of it leaves the whole batch to be received again.
    ///
    /// # Errors
    /// As [`SharedReceiver::recv`]; the error of [`Stop::Undo`].
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use eshm::raw::{Error, Limit, Plain, SharedEndpoint, Stop};
    /// let master = SharedEndpoint::new(eshm::Endpoint::master("doc-recv-many")?);
    /// let mut slave = eshm::Endpoint::slave("doc-recv-many")?;
    /// slave.send_many(&["a", "b", "stop", "c"]).map_err(eshm::Error::from)?;
    /// let count = master.receiver().recv_many(&mut Plain, Limit::Forever, 100, |_, message| {
    ///     if &**message == b"stop" { ControlFlow::Break(Stop::Before) } else { ControlFlow::Continue(()) }
    /// })?;
    /// assert_eq!(count, 2);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn recv_many<H: Host>(
        &self,
        host: &mut H,
        limit: Limit,
        most: usize,
        mut each: impl FnMut(&mut H, &Content<'_>) -> ControlFlow<Stop<H::Error>>,
    ) -> Result<usize, H::Error> {
        if most == 0 {
            return Ok(0);
        }
        // Of a message of the queue only that it is there: it is left, and handed over with those behind it.
        let first = self.find(host, Channel::Messages, limit, |host, found| match found {
            Found::Message(message, _) if message.is_in_place() => Ok(None),
            alone => {
                let taken = alone.taken_by(host, &mut |host: &mut H, content: &Content<'_>| match each(
                    host, content,
                ) {
                    ControlFlow::Continue(()) | ControlFlow::Break(Stop::After) => Ok(()),
                    ControlFlow::Break(Stop::Before) => Err(None),
                    ControlFlow::Break(Stop::Undo(error)) => Err(Some(error)),
                });
                match taken {
                    Ok(()) => Ok(Some(1)),
                    Err(None) => Ok(Some(0)),
                    Err(Some(error)) => Err(error),
                }
            }
        })?;
        let mut slot = match first {
            None => return Ok(0),
            Some((_, Some(count))) => return Ok(count),
            Some((slot, None)) => slot,
        };
        let receiver = &mut self.0.usable(&mut slot)?.receiver;
        let generation = receiver.message_generation();
        let mut undo = None;
        let count = receiver.drain_found(most, |bytes| {
            let content = Content(Source::Queue { bytes, generation });
            each(host, &content).map_break(|stop| cut(stop, &mut undo))
        });
        match undo {
            Some(error) => Err(error),
            None => count.map_err(failed::<H>),
        }
    }

    /// Closes this half: other calls end after their part, and later ones fail. The endpoint closes with its second
    /// half. Memory that is retained keeps the half until nobody does. Returns whether this call closed it; a
    /// forked child closes nothing.
    pub fn close<H: Host>(&self, host: &mut H) -> bool {
        self.0.close(host)
    }

    /// Waits for a message or a value, and returns what `with` makes of it, and the lock.
    #[inline(always)]
    fn find<'a, H: Host, T>(
        &'a self,
        host: &mut H,
        channel: Channel,
        limit: Limit,
        mut with: impl FnMut(&mut H, Found<'_>) -> Result<T, H::Error>,
    ) -> Result<Option<(Guard<'a, Receiving>, T)>, H::Error> {
        let mut slot = self.0.lock(host)?;
        let receiving = self.0.usable(&mut slot)?;
        if !receiving.has_kept(channel)
            && let Some(found) = receiving.now(channel).map_err(failed::<H>)?
        {
            let done = with(host, found)?;
            return Ok(Some((slot, done)));
        }
        self.find_later(host, slot, channel, limit, with)
    }

    /// As `find`, where something was kept, or nothing is there yet.
    #[cold]
    fn find_later<'a, H: Host, T>(
        &'a self,
        host: &mut H,
        mut slot: Guard<'a, Receiving>,
        channel: Channel,
        limit: Limit,
        mut with: impl FnMut(&mut H, Found<'_>) -> Result<T, H::Error>,
    ) -> Result<Option<(Guard<'a, Receiving>, T)>, H::Error> {
        let receiving = self.0.usable(&mut slot)?;
        receiving.before_stream = STREAM;
        if receiving.has_kept(channel) {
            // It does not come from the core, which refuses a forked child by itself.
            self.0.check_process()?;
            let found = receiving.now_or_kept(channel).map_err(failed::<H>)?;
            let done = with(host, found)?;
            return Ok(Some((slot, done)));
        }
        if limit == Limit::Poll
            && let Some(found) = receiving.end_of_wait(channel).map_err(failed::<H>)?
        {
            let done = with(host, found)?;
            return Ok(Some((slot, done)));
        }
        let Some(wait) = limit.begin() else { return Ok(None) };
        let done = glance(host, receiving.receiver.polls_pay(), |host| {
            let found = receiving.now(channel).map_err(failed::<H>)?;
            found.map(|found| with(host, found)).transpose()
        })?;
        if let Some(done) = done {
            return Ok(Some((slot, done)));
        }
        loop {
            let (receiving, slice) = (self.0.usable(&mut slot)?, host.slice());
            // Another thread may have kept one since this one began to wait.
            if receiving.has_kept(channel) {
                // It does not come from the core, which refuses a forked child by itself.
                self.0.check_process()?;
                let found = receiving.now_or_kept(channel).map_err(failed::<H>)?;
                let done = with(host, found)?;
                return Ok(Some((slot, done)));
            }
            let found = host.block(|| receiving.part(channel, &wait, slice));
            if let Some(found) = found.map_err(failed::<H>)? {
                let done = with(host, found)?;
                return Ok(Some((slot, done)));
            }
            slot = self.0.yield_lock(host, slot)?;
        }
    }
}
