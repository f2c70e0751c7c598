//! The calls of `eshm.Endpoint` that wait for a few milliseconds and take nothing. `eshm.AsyncEndpoint` uses them: its
//! helper threads wait while the event loop takes.

use std::time::Duration;

use eshm::Wait;
use pyo3::prelude::*;

use crate::buffer::Bytes;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::half::{Half, Lender};

/// How long such a call waits: the event loop may have to wait as long for the half.
const MOMENT: Duration = Duration::from_millis(5);

pub fn wait_message(py: Python<'_>, endpoint: &Endpoint) -> Result<bool> {
    wait(py, &endpoint.receiver, |receiver, wait| receiver.wait_message_part(wait, MOMENT))
}

pub fn wait_value(py: Python<'_>, endpoint: &Endpoint) -> Result<bool> {
    wait(py, &endpoint.receiver, |receiver, wait| receiver.wait_value_part(wait, MOMENT))
}

pub fn wait_room(py: Python<'_>, endpoint: &Endpoint, data: &Bound<'_, PyAny>) -> Result<bool> {
    let size = Bytes::of(data)?.len();
    wait(py, &endpoint.sender, |sender, wait| sender.wait_room_part(size, wait, MOMENT))
}

/// Waits with the half locked and the interpreter released, as the calls that take do.
fn wait<H: Lender>(
    py: Python<'_>,
    half: &Half<H>,
    wait: impl FnOnce(&mut H, &Wait) -> eshm::Result<bool> + Send,
) -> Result<bool> {
    let mut held = half.lock_to_look(py)?;
    let looked_at = &mut *held;
    let ready = py.detach(|| wait(looked_at, &Wait::new(None)))?;
    held.unlock_fair();
    Ok(ready)
}
