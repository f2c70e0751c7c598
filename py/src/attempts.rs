//! The calls of `eshm.AsyncEndpoint` that do not wait.

use eshm::Error;
use eshm::raw::Limit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::batch;
use crate::calls;
use crate::convert::Whole;
use crate::endpoint::Endpoint;
use crate::error::{Failure, Result};
use crate::lent::{Borrowed, Loan};

/// The calls of an endpoint, once and without a wait, for a task of an event loop.
///
/// Each returns what a wait without limit would return at once, or raises what would end it. None means that such a wait
/// would go on: the event descriptor, if there is one, is armed.
#[pyclass(module = "eshm._eshm", name = "_Attempts", frozen)]
pub struct Attempts(Py<Endpoint>);

#[pymethods]
impl Attempts {
    #[new]
    fn new(endpoint: Py<Endpoint>) -> Self {
        Attempts(endpoint)
    }

    fn recv<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>> {
        calls::recv(py, self.0.get(), Limit::Poll)
    }

    fn read<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>> {
        calls::read(py, self.0.get(), Limit::Poll)
    }

    fn borrow<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, Borrowed>>> {
        calls::borrow(self.0.bind(py), Limit::Poll)
    }

    #[pyo3(signature = (max = None))]
    fn recv_many<'py>(&self, py: Python<'py>, max: Option<Whole>) -> Result<Option<Bound<'py, PyList>>> {
        let wants_none = max.and_then(Whole::get::<usize>) == Some(0);
        let list = batch::recv_many(py, self.0.get(), max, Limit::Poll)?;
        Ok((wants_none || !list.is_empty()).then_some(list))
    }

    fn recv_into(&self, py: Python<'_>, array: &Bound<'_, PyAny>) -> Result<Option<usize>> {
        batch::poll_recv_into(py, self.0.get(), array)
    }

    /// Returns True if the message was sent.
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> Result<Option<bool>> {
        unless_full(calls::send(py, self.0.get(), data, Limit::Poll).map(|()| true))
    }

    fn loan<'py>(&self, py: Python<'py>, size: Whole) -> Result<Option<Bound<'py, Loan>>> {
        unless_full(calls::loan(self.0.bind(py), size, Limit::Poll))
    }

    /// Sends messages from the one with the index `start` on. Returns how many of the list were sent.
    fn send_many(&self, py: Python<'_>, messages: &Bound<'_, PyList>, start: usize) -> Result<usize> {
        let (sent, outcome) = batch::poll_send_many(py, self.0.get(), messages, start)?;
        unless_full(outcome).map_err(|failure| batch::with_sent(py, failure, sent))?;
        Ok(sent)
    }

    /// As `send_many`, for the items along the first axis of an array. Returns how many were sent, and how many there are.
    fn send_records(&self, py: Python<'_>, array: &Bound<'_, PyAny>, start: usize) -> Result<(usize, usize)> {
        let (sent, count, outcome) = batch::poll_send_records(py, self.0.get(), array, start)?;
        unless_full(outcome).map_err(|failure| batch::with_sent(py, failure, sent))?;
        Ok((sent, count))
    }

    /// Returns True if the peer is alive. Takes note of its state.
    fn wait_for_peer(&self) -> Result<Option<bool>> {
        self.0.get().notice_peer();
        match self.0.get().inspector().wait_for_peer(std::time::Duration::ZERO) {
            Ok(()) => Ok(Some(true)),
            Err(Error::Timeout { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a message is borrowed, which an attempt to receive would end.
    fn is_borrowed(&self) -> bool {
        self.0.get().shared.receiver().lent().is_some()
    }
}

/// Returns `None` where a wait would go on.
fn unless_full<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(Failure::Core(Error::Full { .. } | Error::Reconnecting { .. })) => Ok(None),
        Err(failure) => Err(failure),
    }
}
