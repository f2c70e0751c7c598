//! The calls of `eshm.Endpoint` that wait a slice long and take nothing: for `eshm.AsyncEndpoint`, whose helper threads
//! wait while the event loop takes.

use std::time::Duration;

use eshm::Wait;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::buffer::Bytes;
use crate::calls::endpoint;
use crate::error::Result;
use crate::half::{Half, Lender};
use crate::raw::{self, Arguments, Method};

/// How long such a call waits: the event loop may have to wait as long for the half.
const MOMENT: Duration = Duration::from_millis(5);

/// What the class gets beside what PyO3 gives it.
pub fn methods() -> [Method; 3] {
    [
        raw::method!(
            c"_wait_message",
            wait_message,
            c"_wait_message($self, /)\n--\n\nWaits a moment; returns whether try_recv is worth a call."
        ),
        raw::method!(
            c"_wait_value",
            wait_value,
            c"_wait_value($self, /)\n--\n\nWaits a moment; returns whether try_read is worth a call."
        ),
        raw::method!(
            c"_wait_room",
            wait_room,
            c"_wait_room($self, /, data)\n--\n\nWaits a moment; returns whether try_send of data is worth a call."
        ),
    ]
}

type Returned<'py> = Result<Bound<'py, PyAny>>;

fn wait_message<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    arguments.none("_wait_message")?;
    wait(slf.py(), &endpoint(slf)?.get().receiver, |receiver, wait| receiver.wait_message_part(wait, MOMENT))
}

fn wait_value<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    arguments.none("_wait_value")?;
    wait(slf.py(), &endpoint(slf)?.get().receiver, |receiver, wait| receiver.wait_value_part(wait, MOMENT))
}

fn wait_room<'py>(slf: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Returned<'py> {
    let ([data], []) = arguments.parse("_wait_room", [c"data"], [])?;
    let size = Bytes::of(&data)?.len();
    wait(slf.py(), &endpoint(slf)?.get().sender, |sender, wait| sender.wait_room_part(size, wait, MOMENT))
}

/// Waits with the half locked and the interpreter released, as the calls that take do.
fn wait<'py, H: Lender>(
    py: Python<'py>,
    half: &Half<H>,
    wait: impl FnOnce(&mut H, &Wait) -> eshm::Result<bool> + Send,
) -> Returned<'py> {
    let mut held = half.lock_to_look(py)?;
    let looked_at = &mut *held;
    let ready = py.detach(|| wait(looked_at, &Wait::new(None)))?;
    held.unlock_fair();
    Ok(PyBool::new(py, ready).to_owned().into_any())
}
