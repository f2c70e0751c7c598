//! The calls of `eshm.Endpoint` that move one message.

use eshm::raw::{Content, Limit, may_pass};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::Bytes;
use crate::convert::{self, Whole};
use crate::endpoint::Endpoint;
use crate::error::{Failure, Result};
use crate::interpreter::{Interpreter, Polling};
use crate::lent::{Borrowed, Lent, Loan};
use crate::message::{self, Origin};

pub fn write(py: Python<'_>, endpoint: &Endpoint, data: &Bound<'_, PyAny>) -> Result<()> {
    let bytes = Bytes::of(data)?;
    endpoint.shared.sender().write(&mut endpoint.host(py, Polling::Eager), &bytes)
}

pub fn send(py: Python<'_>, endpoint: &Endpoint, data: &Bound<'_, PyAny>, limit: Limit) -> Result<()> {
    let bytes = Bytes::of(data)?;
    let (sender, mut host) = (endpoint.shared.sender(), endpoint.host(py, Polling::Eager));
    if matches!(limit, Limit::Now | Limit::Poll) || bytes.is_constant() {
        return sender.send(&mut host, &bytes, limit);
    }
    match sender.send(&mut host, &bytes, Limit::Now) {
        // Their owner may change them while the interpreter is released.
        Err(Failure::Core(error)) if may_pass(&error) => sender.send(&mut host, &bytes.settle(), limit),
        result => result,
    }
}

pub fn loan<'py>(owner: &Bound<'py, Endpoint>, size: Whole, limit: Limit) -> Result<Bound<'py, Loan>> {
    let (py, endpoint) = (owner.py(), owner.get());
    let size = convert::whole::<usize>(endpoint.name(), "size", size)?;
    let loan = endpoint.shared.sender().loan(&mut endpoint.host(py, Polling::Eager), size, limit)?;
    Ok(Bound::new(py, Loan(Lent::new(owner, loan.token, loan.start, loan.len)))?)
}

/// Returns the next value; `None` if there is none and the limit is `Now` or `Poll`.
pub fn read<'py>(py: Python<'py>, endpoint: &Endpoint, limit: Limit) -> Result<Option<Bound<'py, PyBytes>>> {
    let mut host = endpoint.host(py, Polling::Eager);
    endpoint.shared.receiver().read(&mut host, limit, copy).map_err(Failure::of_receiver)
}

/// Returns the next message; `None` if there is none and the limit is `Now` or `Poll`.
#[inline]
pub fn recv<'py>(py: Python<'py>, endpoint: &Endpoint, limit: Limit) -> Result<Option<Bound<'py, PyBytes>>> {
    let mut host = endpoint.host(py, Polling::Eager);
    endpoint.shared.receiver().recv(&mut host, limit, copy).map_err(Failure::of_receiver)
}

/// Returns the next message in place, as `recv`.
pub fn borrow<'py>(owner: &Bound<'py, Endpoint>, limit: Limit) -> Result<Option<Bound<'py, Borrowed>>> {
    let (py, endpoint) = (owner.py(), owner.get());
    let borrowed = endpoint
        .shared
        .receiver()
        .borrow(&mut endpoint.host(py, Polling::Eager), limit)
        .map_err(Failure::of_receiver)?;
    let object = borrowed.map(|message| {
        let lent = Lent::new(owner, message.token, message.start.cast_mut(), message.len);
        Bound::new(py, Borrowed(lent))
    });
    Ok(object.transpose()?)
}

/// Copies a message.
#[inline]
pub fn copy<'py>(host: &mut Interpreter<'py>, content: &Content<'_>) -> Result<Bound<'py, PyBytes>> {
    let origin = Origin { skipped: content.skipped(), generation: content.generation() };
    Ok(message::new(host.py, content, origin)?)
}
