//! The calls of `eshm.Endpoint` that move one message, which are worth being quick.

use std::hint;
use std::mem;
use std::time::{Duration, Instant};

use eshm::{Error, PeerState, Receiver, Wait};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::Bytes;
use crate::convert;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::half::{Held, Patience, SLICE};
use crate::lease::{Borrowed, Lease, Loan};
use crate::message::{self, Origin};

/// How long to look for what a prompt peer brings before the interpreter is released, which takes as long.
const GLANCE: Duration = Duration::from_micros(4);
/// How often to look between two looks at the clock.
const LOOKS: u32 = 24;
/// How long to pause between two calm looks: some hundred nanoseconds.
const PAUSES: u32 = 32;

/// How to look for what a prompt peer brings.
#[derive(Clone, Copy)]
pub enum Look {
    /// All the time: for the next message as soon as it is there.
    Eagerly,
    /// From time to time: for many messages at once. Who looks at every one of them as soon as it is there slows the
    /// peer down, whose next store needs the cache line that was looked at.
    Calmly,
}

pub fn write(py: Python<'_>, endpoint: &Endpoint, data: &Bound<'_, PyAny>) -> Result<()> {
    let bytes = Bytes::of(data)?;
    endpoint.sender.lock(py)?.write(&bytes)?;
    Ok(())
}

pub fn send(
    py: Python<'_>,
    endpoint: &Endpoint,
    data: &Bound<'_, PyAny>,
    timeout: Option<f64>,
) -> Result<()> {
    let timeout = endpoint.timeout(timeout)?;
    let bytes = Bytes::of(data)?;
    match endpoint.sender.lock(py)?.try_send(&bytes) {
        Err(error) if error.is_transient() => {}
        result => return Ok(result?),
    }
    send_later(py, endpoint, bytes, timeout)
}

#[cold]
fn send_later(
    py: Python<'_>,
    endpoint: &Endpoint,
    bytes: Bytes<'_, '_>,
    timeout: Option<Duration>,
) -> Result<()> {
    let wait = Wait::new(timeout);
    let mut held = endpoint.sender.lock(py)?;
    let sent = glance(endpoint, Look::Eagerly, || match held.try_send(&bytes) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.is_transient() => Ok(None),
        Err(error) => Err(error.into()),
    })?;
    if sent.is_some() {
        return Ok(());
    }
    let bytes = bytes.settle();
    loop {
        let sender = &mut *held;
        if py.detach(|| sender.send_part(&bytes, &wait, SLICE))? {
            return Ok(());
        }
        Held::unlock_fair(held);
        py.check_signals()?;
        held = endpoint.sender.lock(py)?;
    }
}

pub fn try_send(py: Python<'_>, endpoint: &Endpoint, data: &Bound<'_, PyAny>) -> Result<()> {
    let bytes = Bytes::of(data)?;
    endpoint.sender.lock(py)?.try_send(&bytes)?;
    Ok(())
}

pub fn loan<'py>(owner: &Bound<'py, Endpoint>, size: i64, timeout: Option<f64>) -> Result<Bound<'py, Loan>> {
    let (py, endpoint) = (owner.py(), owner.get());
    let timeout = endpoint.timeout(timeout)?;
    let size = convert::whole::<usize>(endpoint.inspector.name(), "size", size)?;
    let mut held = endpoint.sender.lock(py)?;
    let lent = match held.try_loan(size) {
        Ok(loan) => Some(Room(loan.into_raw())),
        Err(error) if error.is_transient() => None,
        Err(error) => return Err(error.into()),
    };
    let (held, Room((start, len))) = match lent {
        Some(room) => (held, room),
        None => loan_later(py, endpoint, held, size, timeout)?,
    };
    let number = held.lend();
    Ok(Bound::new(py, Loan(Lease::new(owner, number, start, len)))?)
}

/// What a loan consists of.
struct Room((*mut u8, usize));

// SAFETY: the memory of a sender's that is held, by whichever thread.
unsafe impl Send for Room {}

#[cold]
fn loan_later<'a>(
    py: Python<'_>,
    endpoint: &'a Endpoint,
    mut held: Held<'a, eshm::Sender>,
    size: usize,
    timeout: Option<Duration>,
) -> Result<(Held<'a, eshm::Sender>, Room)> {
    let patience = Patience::new(timeout);
    loop {
        let sender = &mut *held;
        let slice = patience.slice();
        match py.detach(|| sender.loan_timeout(size, slice).map(|loan| Room(loan.into_raw()))) {
            Ok(room) => return Ok((held, room)),
            Err(Error::Timeout { segment, what, .. }) if patience.is_over() => {
                let waited = timeout.unwrap_or_default();
                return Err(Error::Timeout { segment, what, waited }.into());
            }
            // The core waits for room without limit only as long as a peer may make some.
            Err(Error::Timeout { segment, .. })
                if timeout.is_none() && endpoint.inspector.peer_state() == PeerState::Closed =>
            {
                let inspector = &endpoint.inspector;
                let (peer, unreceived) = (inspector.role().peer(), inspector.unreceived());
                return Err(Error::PeerClosed { segment, peer, unreceived }.into());
            }
            Err(Error::Timeout { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Held::unlock_fair(held);
        py.check_signals()?;
        held = endpoint.sender.lock(py)?;
    }
}

pub fn read<'py>(py: Python<'py>, endpoint: &Endpoint, timeout: Option<f64>) -> Result<Bound<'py, PyBytes>> {
    let timeout = endpoint.timeout(timeout)?;
    Ok(receive(py, endpoint, Channel::Mailbox, Look::Eagerly, timeout, copy)?.1)
}

pub fn recv<'py>(py: Python<'py>, endpoint: &Endpoint, timeout: Option<f64>) -> Result<Bound<'py, PyBytes>> {
    let timeout = endpoint.timeout(timeout)?;
    Ok(receive(py, endpoint, Channel::Queue, Look::Eagerly, timeout, copy)?.1)
}

pub fn borrow<'py>(owner: &Bound<'py, Endpoint>, timeout: Option<f64>) -> Result<Bound<'py, Borrowed>> {
    let (py, endpoint) = (owner.py(), owner.get());
    let timeout = endpoint.timeout(timeout)?;
    let (held, (start, len)) =
        receive(py, endpoint, Channel::Queue, Look::Eagerly, timeout, |_, message| Ok(message.into_raw()))?;
    let number = held.lend();
    Ok(Bound::new(py, Borrowed(Lease::new(owner, number, start.cast_mut(), len)))?)
}

/// The next message of an iteration.
pub fn next_message<'py>(py: Python<'py>, endpoint: &Endpoint) -> Result<Bound<'py, PyBytes>> {
    Ok(receive(py, endpoint, Channel::Queue, Look::Eagerly, None, copy)?.1)
}

/// Where messages come from.
#[derive(Clone, Copy)]
pub enum Channel {
    Mailbox,
    Queue,
}

impl Channel {
    #[inline]
    fn now(self, receiver: &mut Receiver) -> eshm::Result<Option<eshm::Message<'_>>> {
        match self {
            Channel::Mailbox => receiver.try_read(),
            Channel::Queue => receiver.try_recv(),
        }
    }

    fn slice<'a>(self, receiver: &'a mut Receiver, wait: &Wait) -> eshm::Result<Option<eshm::Message<'a>>> {
        match self {
            Channel::Mailbox => receiver.read_part(wait, SLICE),
            Channel::Queue => receiver.recv_part(wait, SLICE),
        }
    }
}

/// Copies a message, and releases it; one that there is no memory for stays where it is.
pub fn copy<'py>(py: Python<'py>, message: eshm::Message<'_>) -> PyResult<Bound<'py, PyBytes>> {
    message::new(py, &message, Origin::from(&message)).inspect_err(|_| mem::forget(message))
}

/// Takes what is there now.
pub fn try_receive<'py>(
    py: Python<'py>,
    endpoint: &Endpoint,
    channel: Channel,
) -> Result<Option<Bound<'py, PyBytes>>> {
    let mut held = endpoint.receiver.lock(py)?;
    Ok(channel.now(&mut held)?.map(|message| copy(py, message)).transpose()?)
}

/// Waits for a message, and returns what `take` makes of it, and the receiver that it came from.
#[inline]
pub fn receive<'py, 'a, T>(
    py: Python<'py>,
    endpoint: &'a Endpoint,
    channel: Channel,
    how: Look,
    timeout: Option<Duration>,
    take: impl Fn(Python<'py>, eshm::Message<'_>) -> PyResult<T>,
) -> Result<(Held<'a, Receiver>, T)> {
    let mut held = endpoint.receiver.lock(py)?;
    // What is there already is worth no release of the interpreter.
    let taken = channel.now(&mut held)?.map(|message| take(py, message)).transpose()?;
    if let Some(taken) = taken {
        return Ok((held, taken));
    }
    receive_later(py, endpoint, held, channel, how, timeout, take)
}

#[cold]
fn receive_later<'py, 'a, T>(
    py: Python<'py>,
    endpoint: &'a Endpoint,
    mut held: Held<'a, Receiver>,
    channel: Channel,
    how: Look,
    timeout: Option<Duration>,
    take: impl Fn(Python<'py>, eshm::Message<'_>) -> PyResult<T>,
) -> Result<(Held<'a, Receiver>, T)> {
    let wait = Wait::new(timeout);
    let taken = glance(endpoint, how, || {
        Ok(channel.now(&mut held)?.map(|message| take(py, message)).transpose()?)
    })?;
    if let Some(taken) = taken {
        return Ok((held, taken));
    }
    loop {
        let receiver = &mut *held;
        let found = py.detach(|| channel.slice(receiver, &wait))?;
        if let Some(taken) = found.map(|message| take(py, message)).transpose()? {
            return Ok((held, taken));
        }
        Held::unlock_fair(held);
        py.check_signals()?;
        held = endpoint.receiver.lock(py)?;
    }
}

/// Looks a few microseconds long.
#[inline]
pub fn glance<T>(
    endpoint: &Endpoint,
    how: Look,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    if !endpoint.glances {
        return Ok(None);
    }
    let started = Instant::now();
    loop {
        let looks = match how {
            Look::Eagerly => LOOKS,
            Look::Calmly => {
                (0..PAUSES).for_each(|_| hint::spin_loop());
                1
            }
        };
        for _ in 0..looks {
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
        }
        if started.elapsed() >= GLANCE {
            return Ok(None);
        }
    }
}
