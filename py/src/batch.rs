//! The calls of `eshm.Endpoint` that move many messages at once.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Instant;

use eshm::raw::{Limit, Stop};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::buffer::{Bytes, Record, Records};
use crate::calls;
use crate::convert::{self, Whole};
use crate::endpoint::Endpoint;
use crate::error::{Failure, Result};
use crate::interpreter::Polling;

/// How many records to prepare at a time.
const CHUNK: usize = 65536;
/// How many messages to send at a time in an event loop, which has other tasks to run.
const POLLED: usize = 1024;

pub fn send_many(
    py: Python<'_>,
    endpoint: &Endpoint,
    messages: &Bound<'_, PyAny>,
    limit: Limit,
) -> Result<()> {
    let items: Vec<_> = match messages.cast::<PyList>() {
        Ok(list) => list.iter().collect(),
        Err(_) => messages.try_iter()?.collect::<PyResult<_>>()?,
    };
    let messages = items.iter().map(Bytes::of).collect::<PyResult<Vec<_>>>()?;
    let mut host = endpoint.host(py, Polling::Calm);
    let (sent, outcome) =
        endpoint.shared.sender().send_many_settled(&mut host, &messages, limit, Bytes::settle);
    outcome.map_err(|failure| with_sent(py, failure, sent))
}

pub fn send_records(
    py: Python<'_>,
    endpoint: &Endpoint,
    array: &Bound<'_, PyAny>,
    limit: Limit,
) -> Result<()> {
    let records = Records::of(array)?;
    let started = Instant::now();
    for start in (0..records.count()).step_by(CHUNK) {
        let end = records.count().min(start + CHUNK);
        let messages: Vec<_> = (start..end).map(|index| Record { records: &records, index }).collect();
        let left = match limit {
            Limit::For(time) if start > 0 => Limit::For(time.saturating_sub(started.elapsed())),
            limit => limit,
        };
        let mut host = endpoint.host(py, Polling::Calm);
        let settle = |message: &Record<'_, '_>| Cow::Owned(message.as_ref().to_vec());
        let (sent, outcome) = endpoint.shared.sender().send_many_settled(&mut host, &messages, left, settle);
        outcome.map_err(|failure| with_sent(py, failure, start + sent))?;
    }
    Ok(())
}

/// Sends those of the messages from the index `start` on for which there is room, and at most a chunk. Returns how many
/// messages of the list were sent, and why the next one was not.
pub fn poll_send_many(
    py: Python<'_>,
    endpoint: &Endpoint,
    messages: &Bound<'_, PyList>,
    start: usize,
) -> Result<(usize, Result<()>)> {
    let items: Vec<_> = messages.iter().skip(start).take(POLLED).collect();
    let chunk = items.iter().map(Bytes::of).collect::<PyResult<Vec<_>>>()?;
    let mut host = endpoint.host(py, Polling::None);
    let (sent, outcome) = endpoint.shared.sender().send_many(&mut host, &chunk, Limit::Poll);
    Ok((start + sent, outcome))
}

/// As `poll_send_many`, for the items along the first axis of an array. Returns their number, too.
pub fn poll_send_records(
    py: Python<'_>,
    endpoint: &Endpoint,
    array: &Bound<'_, PyAny>,
    start: usize,
) -> Result<(usize, usize, Result<()>)> {
    let records = Records::of(array)?;
    let end = records.count().min(start.saturating_add(POLLED));
    let chunk: Vec<_> = (start..end).map(|index| Record { records: &records, index }).collect();
    let mut host = endpoint.host(py, Polling::None);
    let (sent, outcome) = endpoint.shared.sender().send_many(&mut host, &chunk, Limit::Poll);
    Ok((start + sent, records.count(), outcome))
}

/// Returns the failure, as an exception that tells how many messages were sent before it.
pub fn with_sent(py: Python<'_>, failure: Failure, sent: usize) -> Failure {
    let error = PyErr::from(failure);
    // An exception that takes no attributes is one that a signal handler raised.
    let _ = error.value(py).setattr("sent", sent);
    error.into()
}

pub fn recv_many<'py>(
    py: Python<'py>,
    endpoint: &Endpoint,
    most: Option<Whole>,
    limit: Limit,
) -> Result<Bound<'py, PyList>> {
    let most = match most {
        Some(most) => convert::whole::<usize>(endpoint.name(), "max", most)?,
        None => usize::MAX,
    };
    let list = PyList::empty(py);
    let mut host = endpoint.host(py, Polling::Calm);
    let received = endpoint.shared.receiver().recv_many(&mut host, limit, most, |host, content| {
        match calls::copy(host, content).and_then(|message| Ok(list.append(message)?)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => ControlFlow::Break(Stop::Undo(failure)),
        }
    });
    received.map_err(Failure::of_receiver)?;
    Ok(list)
}

pub fn recv_into(
    py: Python<'_>,
    endpoint: &Endpoint,
    array: &Bound<'_, PyAny>,
    limit: Limit,
) -> Result<usize> {
    let records = Records::to_fill(array)?;
    let mut count = 0;
    let mut host = endpoint.host(py, Polling::Calm);
    let received = endpoint.shared.receiver().recv_many(&mut host, limit, records.count(), |_, message| {
        if message.len() == records.size() {
            records.set(count, message);
            count += 1;
            ControlFlow::Continue(())
        } else if count > 0 {
            ControlFlow::Break(Stop::Before)
        } else {
            ControlFlow::Break(Stop::Undo(mismatch(endpoint, message.len(), records.size())))
        }
    });
    received.map_err(Failure::of_receiver)
}

/// As `recv_into`, without a wait. Returns `None` where a wait would go on.
pub fn poll_recv_into(
    py: Python<'_>,
    endpoint: &Endpoint,
    array: &Bound<'_, PyAny>,
) -> Result<Option<usize>> {
    let wants_none = Records::to_fill(array)?.count() == 0;
    let count = recv_into(py, endpoint, array, Limit::Poll)?;
    Ok((wants_none || count > 0).then_some(count))
}

fn mismatch(endpoint: &Endpoint, found: usize, expected: usize) -> Failure {
    let name = endpoint.name();
    Failure::Invalid(format!(
        "segment '{name}': a message of {found} bytes does not fill a record of {expected}: receive it with recv"
    ))
}
