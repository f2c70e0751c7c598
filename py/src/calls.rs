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
use crate::lease::{Borrowed, Loan};
use crate::message::{self, Origin};
use crate::raw::{self, Argument, Arguments, Method};

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

/// What the class gets beside what PyO3 gives it.
pub fn methods() -> [Method; 9] {
    [
        raw::method!(
            c"write",
            write,
            c"write($self, /, data)\n--\n\nPuts a value into the mailbox, over the one before. Never waits."
        ),
        raw::method!(
            c"try_read",
            try_read,
            c"try_read($self, /)\n--\n\nThe mailbox's value, if it is one that was not read before; None otherwise."
        ),
        raw::method!(
            c"read",
            read,
            c"read($self, /, timeout=None)\n--\n\n\
            The mailbox's next value that was not read before, however many were overwritten meanwhile.\n\n\
            Raises TimeoutError when there is none in time."
        ),
        raw::method!(
            c"send",
            send,
            c"send($self, /, data, timeout=None)\n--\n\n\
            Sends a message, which is never lost: waits until there is room for it.\n\n\
            Raises TimeoutError, with nothing sent, when there is none in time."
        ),
        raw::method!(
            c"try_send",
            try_send,
            c"try_send($self, /, data)\n--\n\nSends a message if there is room for it. Raises FullError otherwise."
        ),
        raw::method!(
            c"recv",
            recv,
            c"recv($self, /, timeout=None)\n--\n\n\
            The next message: a copy of it, which is released at once. Raises TimeoutError when there is none in time."
        ),
        raw::method!(
            c"try_recv",
            try_recv,
            c"try_recv($self, /)\n--\n\nThe next message, or None when there is none yet."
        ),
        raw::method!(
            c"loan",
            loan,
            c"loan($self, /, size, timeout=None)\n--\n\n\
            Room in the queue for a message of that many bytes, to be filled in place and sent: a Loan.\n\n\
            Waits for it as send does, and raises TimeoutError when there is none in time."
        ),
        raw::method!(
            c"borrow",
            borrow,
            c"borrow($self, /, timeout=None)\n--\n\n\
            The next message, to be read where it lies in the queue: a Borrowed.\n\n\
            Raises TimeoutError when there is none in time."
        ),
    ]
}

/// The endpoint whose method is called.
pub fn endpoint<'a, 'py>(slf: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, Endpoint>> {
    Ok(slf.cast::<Endpoint>()?)
}

/// A time-out, where None, or nothing, means: without limit.
pub fn timeout(endpoint: &Endpoint, argument: Option<Argument<'_, '_>>) -> Result<Option<Duration>> {
    match argument {
        None => Ok(None),
        Some(value) if value.is_none() => Ok(None),
        Some(value) => {
            let value = value.extract::<f64>()?;
            Ok(Some(convert::seconds(endpoint.inspector.name(), "timeout", value)?))
        }
    }
}

type Returned<'py> = Result<Bound<'py, PyAny>>;

fn write<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    let ([data], []) = arguments.parse("write", [c"data"], [])?;
    let bytes = Bytes::of(&data)?;
    endpoint(slf)?.get().sender.lock(slf.py())?.write(&bytes)?;
    Ok(raw::none(slf.py()))
}

fn send<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    let py = slf.py();
    let ([data], [limit]) = arguments.parse("send", [c"data"], [c"timeout"])?;
    let endpoint = endpoint(slf)?.get();
    let timeout = timeout(endpoint, limit)?;
    let bytes = Bytes::of(&data)?;
    match endpoint.sender.lock(py)?.try_send(&bytes) {
        Err(error) if error.is_transient() => {}
        result => {
            result?;
            return Ok(raw::none(py));
        }
    }
    send_later(py, endpoint, bytes, timeout)?;
    Ok(raw::none(py))
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

fn try_send<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    let ([data], []) = arguments.parse("try_send", [c"data"], [])?;
    let bytes = Bytes::of(&data)?;
    endpoint(slf)?.get().sender.lock(slf.py())?.try_send(&bytes)?;
    Ok(raw::none(slf.py()))
}

fn loan<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    let py = slf.py();
    let ([size], [limit]) = arguments.parse("loan", [c"size"], [c"timeout"])?;
    let owner = endpoint(slf)?;
    let endpoint = owner.get();
    let timeout = timeout(endpoint, limit)?;
    let size = size.extract::<i64>()?;
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
    Ok(Loan::object(owner, number, start, len)?)
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

fn read<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    let ([], [limit]) = arguments.parse("read", [], [c"timeout"])?;
    let endpoint = endpoint(slf)?.get();
    let timeout = timeout(endpoint, limit)?;
    let (_, message) = receive(slf.py(), endpoint, Channel::Mailbox, Look::Eagerly, timeout, copy)?;
    Ok(message.into_any())
}

fn try_read<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    arguments.none("try_read")?;
    try_receive(slf, Channel::Mailbox)
}

fn recv<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    let ([], [limit]) = arguments.parse("recv", [], [c"timeout"])?;
    let endpoint = endpoint(slf)?.get();
    let timeout = timeout(endpoint, limit)?;
    let (_, message) = receive(slf.py(), endpoint, Channel::Queue, Look::Eagerly, timeout, copy)?;
    Ok(message.into_any())
}

fn try_recv<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    arguments.none("try_recv")?;
    try_receive(slf, Channel::Queue)
}

fn borrow<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    let ([], [limit]) = arguments.parse("borrow", [], [c"timeout"])?;
    let owner = endpoint(slf)?;
    let timeout = timeout(owner.get(), limit)?;
    let (held, (start, len)) =
        receive(slf.py(), owner.get(), Channel::Queue, Look::Eagerly, timeout, |_, message| {
            Ok(message.into_raw())
        })?;
    let number = held.lend();
    Ok(Borrowed::object(owner, number, start.cast_mut(), len)?)
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

fn try_receive<'py>(slf: &Bound<'py, PyAny>, channel: Channel) -> Returned<'py> {
    let mut held = endpoint(slf)?.get().receiver.lock(slf.py())?;
    match channel.now(&mut held)? {
        Some(message) => Ok(copy(slf.py(), message)?.into_any()),
        None => Ok(raw::none(slf.py())),
    }
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
