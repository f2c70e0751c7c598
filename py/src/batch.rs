//! The calls of `eshm.Endpoint` that move many messages at once.

use std::borrow::Cow;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use eshm::{BatchError, Error, Sender, Wait};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::buffer::{Bytes, Records};
use crate::calls::{self, Channel, Look};
use crate::convert;
use crate::endpoint::Endpoint;
use crate::error::{Failure, Result};
use crate::half::SLICE;
use crate::message::{self, Origin};

/// How many records to prepare at a time.
const CHUNK: usize = 1024;
/// How long a batch may keep the interpreter from other threads.
const BREATH: Duration = Duration::from_micros(200);

pub fn send_many(
    py: Python<'_>,
    endpoint: &Endpoint,
    messages: &Bound<'_, PyAny>,
    timeout: Option<f64>,
) -> Result<()> {
    let limit = Limit::new(endpoint.timeout(timeout)?);
    let items: Vec<_> = match messages.cast::<PyList>() {
        Ok(list) => list.iter().collect(),
        Err(_) => messages.try_iter()?.collect::<PyResult<_>>()?,
    };
    let messages = items.iter().map(Bytes::of).collect::<PyResult<Vec<_>>>()?;
    let mut sent = 0;
    send_all(py, endpoint, &messages, Bytes::settle, limit, &mut sent)
        .map_err(|failure| tell_sent(py, failure, sent).into())
}

pub fn send_records(
    py: Python<'_>,
    endpoint: &Endpoint,
    array: &Bound<'_, PyAny>,
    timeout: Option<f64>,
) -> Result<()> {
    let limit = Limit::new(endpoint.timeout(timeout)?);
    let records = Records::of(array)?;
    let mut sent = 0;
    for start in (0..records.count()).step_by(CHUNK) {
        // A chunk that fits at once does not look at the time.
        if start > 0 && limit.timeout != Some(Duration::ZERO) {
            limit.check(endpoint).map_err(|failure| tell_sent(py, failure, sent))?;
        }
        let end = records.count().min(start + CHUNK);
        let messages: Vec<_> = (start..end).map(|index| records.get(index)).collect();
        let settle = |message: &&[u8]| Cow::Owned(message.to_vec());
        let mut sent_here = 0;
        let outcome = send_all(py, endpoint, &messages, settle, limit, &mut sent_here);
        sent += sent_here;
        outcome.map_err(|failure| tell_sent(py, failure, sent))?;
    }
    Ok(())
}

/// How long a whole batch may take.
#[derive(Clone, Copy)]
struct Limit {
    timeout: Option<Duration>,
    started: Instant,
    wait: Wait,
}

impl Limit {
    /// From now on; `None` is without limit.
    fn new(timeout: Option<Duration>) -> Self {
        Limit { timeout, started: Instant::now(), wait: Wait::new(timeout) }
    }

    /// # Errors
    /// `Timeout` when the time is over.
    fn check(self, endpoint: &Endpoint) -> Result<()> {
        let waited = self.started.elapsed();
        if self.timeout.is_none_or(|timeout| waited < timeout) {
            return Ok(());
        }
        let segment = endpoint.inspector.name().to_owned();
        Err(Error::Timeout { segment, what: "room for the whole batch", waited }.into())
    }
}

/// Sends all of the messages, counting them. `settle` makes bytes that stay what they are while others run.
fn send_all<'m, B: AsRef<[u8]>>(
    py: Python<'_>,
    endpoint: &Endpoint,
    messages: &'m [B],
    settle: impl Fn(&'m B) -> Cow<'m, [u8]>,
    limit: Limit,
    sent: &mut usize,
) -> Result<()> {
    let mut held = endpoint.sender.lock(py)?;
    if limit.timeout == Some(Duration::ZERO) {
        return Ok(send_at_once(&mut held, messages, sent)?);
    }
    send_now(&mut held, messages, sent)?;
    let mut attached = Instant::now();
    while *sent < messages.len() {
        let progress = calls::glance(endpoint, Look::Calmly, || {
            let before = *sent;
            send_now(&mut held, messages, sent)?;
            Ok((*sent > before).then_some(()))
        })?;
        if progress.is_some() {
            if attached.elapsed() >= BREATH {
                py.detach(|| {});
                py.check_signals()?;
                limit.check(endpoint)?;
                attached = Instant::now();
            }
            continue;
        }
        let next = settle(&messages[*sent]);
        let sender = &mut *held;
        let done = py.detach(|| sender.send_part(&next, &limit.wait, SLICE))?;
        attached = Instant::now();
        if done {
            *sent += 1;
            continue;
        }
        held.unlock_fair();
        py.check_signals()?;
        held = endpoint.sender.lock(py)?;
    }
    Ok(())
}

/// Sends what there is room for, and fails if that is not all.
fn send_at_once<B: AsRef<[u8]>>(sender: &mut Sender, messages: &[B], sent: &mut usize) -> eshm::Result<()> {
    let outcome = sender.try_send_many(messages);
    *sent = outcome.as_ref().map_or_else(|error| error.sent, |()| messages.len());
    outcome.map_err(|error| error.source)
}

/// Sends what there is room for of the messages from the `sent`th on, and counts it.
fn send_now<B: AsRef<[u8]>>(sender: &mut Sender, messages: &[B], sent: &mut usize) -> eshm::Result<()> {
    match sender.try_send_many(&messages[*sent..]) {
        Ok(()) => *sent = messages.len(),
        Err(BatchError { sent: more, source }) => {
            *sent += more;
            if !source.is_transient() {
                return Err(source);
            }
        }
    }
    Ok(())
}

/// The failure, as an exception that tells how many messages were sent before it.
fn tell_sent(py: Python<'_>, failure: Failure, sent: usize) -> PyErr {
    let error = PyErr::from(failure);
    // An exception that takes no attributes is one that a signal handler raised.
    let _ = error.value(py).setattr("sent", sent);
    error
}

pub fn recv_many<'py>(
    py: Python<'py>,
    endpoint: &Endpoint,
    most: Option<i64>,
    timeout: Option<f64>,
) -> Result<Bound<'py, PyList>> {
    let timeout = endpoint.timeout(timeout)?;
    let most = match most {
        Some(most) => convert::whole::<usize>(endpoint.inspector.name(), "max", most)?,
        None => usize::MAX,
    };
    let list = PyList::empty(py);
    if most > 0 {
        take_many(endpoint, &list, most, timeout)?;
    }
    Ok(list)
}

/// Puts messages into a list, and releases them all at once.
fn take_many(
    endpoint: &Endpoint,
    list: &Bound<'_, PyList>,
    most: usize,
    timeout: Option<Duration>,
) -> Result<()> {
    let py = list.py();
    let (mut receiver, waits) =
        calls::receive(py, endpoint, Channel::Queue, Look::Calmly, timeout, |py, message| {
            if message.is_in_place() {
                // It stays the next one.
                mem::forget(message);
                return Ok(true);
            }
            list.append(calls::copy(py, message)?)?;
            Ok(false)
        })?;
    if waits {
        let origin = Origin { skipped: 0, generation: endpoint.inspector.generation() };
        // A panic leaves all the messages to be received again.
        let received = panic::catch_unwind(AssertUnwindSafe(|| {
            receiver.recv_many(most, |bytes| {
                let added = message::new(py, bytes, origin).and_then(|message| list.append(message));
                added.unwrap_or_else(|error| panic::resume_unwind(Box::new(error)));
            })
        }));
        match received {
            Ok(result) => drop(result?),
            Err(panic) => match panic.downcast::<PyErr>() {
                Ok(error) => return Err((*error).into()),
                Err(panic) => panic::resume_unwind(panic),
            },
        }
    }
    Ok(())
}

pub fn recv_into(
    py: Python<'_>,
    endpoint: &Endpoint,
    array: &Bound<'_, PyAny>,
    timeout: Option<f64>,
) -> Result<usize> {
    let timeout = endpoint.timeout(timeout)?;
    let records = Records::to_fill(array)?;
    if records.count() == 0 { Ok(0) } else { fill(py, endpoint, &records, timeout) }
}

/// Fills records with messages, and returns how many.
fn fill(
    py: Python<'_>,
    endpoint: &Endpoint,
    records: &Records<'_>,
    timeout: Option<Duration>,
) -> Result<usize> {
    let take = |py: Python<'_>, message: eshm::Message<'_>| {
        let queue = message.is_in_place();
        if message.len() == records.size() {
            records.set(0, &message);
            return Ok(queue);
        }
        let error = mismatch(endpoint, message.len(), records.size());
        if queue {
            mem::forget(message);
        } else {
            error.value(py).setattr("data", PyBytes::new(py, &message))?;
        }
        Err(error)
    };
    let (mut receiver, queue) = calls::receive(py, endpoint, Channel::Queue, Look::Calmly, timeout, take)?;
    let mut count = 1;
    while queue
        && count < records.count()
        // An error comes again with the next call.
        && let Ok(Some(message)) = receiver.try_recv()
    {
        if message.len() != records.size() {
            mem::forget(message);
            break;
        }
        records.set(count, &message);
        count += 1;
    }
    Ok(count)
}

fn mismatch(endpoint: &Endpoint, found: usize, expected: usize) -> PyErr {
    let name = endpoint.inspector.name();
    let text = format!(
        "segment '{name}': a message of {found} bytes does not fill a record of {expected}: receive it with recv"
    );
    Failure::Invalid(text).into()
}
