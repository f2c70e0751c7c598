//! What is behind the lock of a receiver, and where it finds the next message.

use std::mem::ManuallyDrop;
use std::time::Duration;

use super::Host;
use super::content::{Content, Kept, Source};
use super::shared::Half;
use crate::api::receiver::{Message, Receiver};
use crate::error::Result;
use crate::wait::Wait;

/// After so many messages in succession that were there at the first look, those behind them are there, too.
pub(super) const STREAM: u32 = 16;

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) receiver: Receiver,
    /// How many more messages must be there at the first look before the next ones are fetched ahead.
    pub(super) before_stream: u32,
    /// A message that was received, is no longer in the segment, and could not be taken.
    pub(super) message: Option<Kept>,
    /// As `message`, for a value.
    pub(super) value: Option<Kept>,
    /// Such a message while it is borrowed.
    pub(super) borrowed: Option<Kept>,
}

impl Half for Receiving {
    const USE_ENDS_LENT: bool = true;
    const FIRST_TOKEN: u64 = 2;

    fn take_back(&mut self) {
        self.borrowed = None;
        self.receiver.release();
    }
}

/// Where messages come from.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Channel {
    Values,
    Messages,
}

impl Channel {
    #[inline(always)]
    pub(super) fn now(self, receiver: &mut Receiver) -> Result<Option<Message<'_>>> {
        match self {
            Channel::Values => receiver.try_read(),
            Channel::Messages => receiver.try_recv(),
        }
    }
}

/// What was found, and where what cannot be taken is kept.
pub(super) enum Found<'a> {
    Message(ManuallyDrop<Message<'a>>, &'a mut Option<Kept>),
    /// Kept in the first, and to be moved to the second if it is borrowed.
    Kept(&'a mut Option<Kept>, &'a mut Option<Kept>),
}

impl Receiving {
    /// Returns whether a message was kept that may be the next one.
    #[inline(always)]
    pub(super) fn has_kept(&self, channel: Channel) -> bool {
        match channel {
            Channel::Values => self.value.is_some(),
            Channel::Messages => self.message.is_some(),
        }
    }

    /// Looks once for what was not kept.
    #[inline(always)]
    pub(super) fn now(&mut self, channel: Channel) -> Result<Option<Found<'_>>> {
        let Receiving { receiver, message, value, .. } = self;
        let kept = if channel == Channel::Values { value } else { message };
        Ok(channel.now(receiver)?.map(|message| Found::Message(ManuallyDrop::new(message), kept)))
    }

    /// Looks once where a message was kept.
    pub(super) fn now_or_kept(&mut self, channel: Channel) -> Result<Found<'_>> {
        let Receiving { receiver, message, value, borrowed, .. } = self;
        if channel == Channel::Messages {
            return Ok(Found::Kept(message, borrowed));
        }
        match channel.now(receiver)? {
            Some(newer) => {
                *value = None;
                Ok(Found::Message(ManuallyDrop::new(newer), value))
            }
            None => Ok(Found::Kept(value, borrowed)),
        }
    }

    /// Looks once more for a caller that waits for the event descriptor, after a look that found nothing.
    ///
    /// # Errors
    /// The error that ends a wait without limit.
    pub(super) fn end_of_wait(&mut self, channel: Channel) -> Result<Option<Found<'_>>> {
        let Receiving { receiver, message, value, .. } = self;
        let (found, kept) = match channel {
            Channel::Values => (receiver.end_of_reading()?, value),
            Channel::Messages => (receiver.end_of_receiving()?, message),
        };
        Ok(found.map(|message| Found::Message(ManuallyDrop::new(message), kept)))
    }

    pub(super) fn part(
        &mut self,
        channel: Channel,
        wait: &Wait,
        part: Duration,
    ) -> Result<Option<Found<'_>>> {
        let Receiving { receiver, message, value, .. } = self;
        let (found, kept) = match channel {
            Channel::Values => (receiver.read_part(wait, part)?, value),
            Channel::Messages => (receiver.recv_part(wait, part)?, message),
        };
        Ok(found.map(|message| Found::Message(ManuallyDrop::new(message), kept)))
    }
}

impl Found<'_> {
    /// Has `take` take it. What cannot be taken, and what `take` panics for in the queue, stays the next one.
    pub(super) fn taken_by<H: Host, T, E>(
        self,
        host: &mut H,
        take: &mut impl FnMut(&mut H, &Content<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let source = match &self {
            Found::Message(message, _) => Source::Message(message),
            Found::Kept(kept, _) => Source::Kept(kept.as_ref().expect("it was found there")),
        };
        let taken = take(host, &Content(source));
        match (self, taken.is_ok()) {
            (Found::Message(message, _), true) => drop(ManuallyDrop::into_inner(message)),
            (Found::Message(message, kept), false) if !message.is_in_place() => {
                *kept = Some(Kept::of(&message));
            }
            (Found::Kept(kept, _), true) => *kept = None,
            _ => {}
        }
        taken
    }
}

/// What a borrowed message consists of, before it has its token.
pub(super) struct Loose {
    pub(super) start: *const u8,
    pub(super) len: usize,
}

impl Loose {
    #[inline]
    pub(super) fn of(message: Message<'_>) -> Self {
        let (start, len) = message.into_raw();
        Loose { start, len }
    }
}

impl Found<'_> {
    pub(super) fn lent(self) -> Loose {
        match self {
            Found::Message(message, _) => Loose::of(ManuallyDrop::into_inner(message)),
            Found::Kept(kept, borrowed) => {
                // Moving it leaves its bytes where they are.
                let kept = borrowed.insert(kept.take().expect("it was found there"));
                Loose { start: kept.bytes.as_ptr(), len: kept.bytes.len() }
            }
        }
    }
}
