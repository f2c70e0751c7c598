//! What is behind the lock of a receiver, and where it finds the next message.

use std::mem::ManuallyDrop;
use std::time::Duration;

use super::Host;
use super::content::{Content, Kept, Source};
use super::shared::Half;
use crate::api::receiver::{Message, Receiver};
use crate::error::Result;
use crate::wait::Wait;

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) receiver: Receiver,
    /// A message that was received, is no longer in the segment, and could not be taken.
    pub(super) message: Option<Kept>,
    /// As `message`, for a value.
    pub(super) value: Option<Kept>,
    /// Such a message while it is borrowed.
    pub(super) borrowed: Option<Kept>,
}

impl Half for Receiving {
    const USE_ENDS_LENT: bool = true;

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
    #[inline]
    pub(super) fn now(self, receiver: &mut Receiver) -> Result<Option<Message<'_>>> {
        match self {
            Channel::Values => receiver.try_read(),
            Channel::Messages => receiver.try_recv(),
        }
    }

    pub(super) fn part<'a>(
        self,
        receiver: &'a mut Receiver,
        wait: &Wait,
        part: Duration,
    ) -> Result<Option<Message<'a>>> {
        match self {
            Channel::Values => receiver.read_part(wait, part),
            Channel::Messages => receiver.recv_part(wait, part),
        }
    }
}

/// What was found, and where what cannot be taken is kept.
pub(super) enum Found<'a> {
    Message(ManuallyDrop<Message<'a>>, &'a mut Option<Kept>),
    Kept(&'a mut Option<Kept>),
}

impl Receiving {
    /// The message that was kept, if it is the next one.
    pub(super) fn kept(&mut self, channel: Channel) -> Option<Found<'_>> {
        let kept = match channel {
            Channel::Values => &mut self.value,
            Channel::Messages => &mut self.message,
        };
        if kept.is_some() { Some(Found::Kept(kept)) } else { None }
    }

    #[inline]
    pub(super) fn found<'a>(
        channel: Channel,
        found: Result<Option<Message<'a>>>,
        kept: &'a mut Option<Kept>,
    ) -> Result<Option<Found<'a>>> {
        Ok(found?.map(|message| {
            if channel == Channel::Values {
                // It is newer than the one that was kept.
                *kept = None;
            }
            // A panic leaves a message of the queue where it is.
            Found::Message(ManuallyDrop::new(message), kept)
        }))
    }

    /// Looks once.
    #[inline]
    pub(super) fn now(&mut self, channel: Channel) -> Result<Option<Found<'_>>> {
        let Receiving { receiver, message, value, .. } = self;
        match channel {
            Channel::Messages if message.is_some() => Ok(Some(Found::Kept(message))),
            Channel::Messages => Self::found(channel, channel.now(receiver), message),
            Channel::Values => {
                let found = channel.now(receiver)?;
                if found.is_none() && value.is_some() {
                    return Ok(Some(Found::Kept(value)));
                }
                Self::found(channel, Ok(found), value)
            }
        }
    }
}

impl Found<'_> {
    /// Has `take` take it. What cannot be taken stays the next one.
    #[inline]
    pub(super) fn taken_by<H: Host, T, E>(
        self,
        host: &mut H,
        take: &mut impl FnMut(&mut H, &Content<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Found::Message(message, kept) => match take(host, &Content(Source::Message(&message))) {
                Ok(taken) => {
                    drop(ManuallyDrop::into_inner(message));
                    Ok(taken)
                }
                Err(error) => {
                    if !message.is_in_place() {
                        *kept = Some(Kept::of(&message));
                    }
                    Err(error)
                }
            },
            Found::Kept(kept) => {
                let content = kept.as_ref().expect("it was found there");
                let taken = take(host, &Content(Source::Kept(content)))?;
                *kept = None;
                Ok(taken)
            }
        }
    }
}

/// What a borrowed message consists of, before it has its token.
pub(super) struct Loose {
    pub(super) start: *const u8,
    pub(super) len: usize,
    pub(super) generation: u64,
    /// The message itself, if it is no longer in the segment.
    pub(super) kept: Option<Kept>,
}

impl Found<'_> {
    pub(super) fn lent(self) -> Loose {
        match self {
            Found::Message(message, _) => {
                let generation = message.generation();
                let (start, len) = ManuallyDrop::into_inner(message).into_raw();
                Loose { start, len, generation, kept: None }
            }
            Found::Kept(kept) => {
                let kept = kept.take().expect("it was found there");
                // Moving it leaves its bytes where they are.
                Loose {
                    start: kept.bytes.as_ptr(),
                    len: kept.bytes.len(),
                    generation: kept.generation,
                    kept: Some(kept),
                }
            }
        }
    }
}
