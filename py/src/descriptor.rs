//! `eshm.Events`: the event descriptor of an endpoint.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use eshm::{Inspector, Interest, PeerState};
use pyo3::prelude::*;

use crate::convert;
use crate::error::{Failure, Result};

/// `Interest.READABLE`, the default.
pub const READABLE: u32 = 1;

/// The members of `eshm.Interest`, by their bits.
const KINDS: [(u32, Interest); 4] =
    [(READABLE, Interest::READABLE), (2, Interest::VALUE), (4, Interest::WRITABLE), (8, Interest::PEER)];

/// Converts an `eshm.Interest`.
pub fn interest(segment: &str, bits: u32) -> Result<Interest> {
    let chosen = KINDS.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, kind)| kind);
    match chosen.reduce(|left, right| left | right) {
        Some(interest) if bits < 16 => Ok(interest),
        _ => Err(Failure::Invalid(format!(
            "segment '{segment}': the interest is {bits}; expected members of eshm.Interest, combined with |"
        ))),
    }
}

/// The event descriptor of an endpoint, and which file it is.
#[derive(Clone, Debug)]
pub struct Identity {
    events: eshm::Events,
    inspector: Inspector,
    /// The device and the number of the file, as they were when it was opened.
    file: (u64, u64),
    /// The process that has opened it.
    process: u32,
}

impl Identity {
    pub fn events(&self) -> Events {
        Events(self.clone())
    }

    pub fn notice_peer(&self) -> PeerState {
        self.events.peer_state()
    }

    pub fn add_to(&self, set: &eshm::WaitSet, token: u64) -> std::io::Result<()> {
        set.add(&self.events, token)
    }

    /// Returns the number of the descriptor, whether or not it is open.
    pub fn number(&self) -> RawFd {
        self.events.as_raw_fd()
    }

    /// Returns the descriptor.
    ///
    /// # Errors
    /// The program has closed it, and its number may be that of another file.
    pub fn checked(&self) -> Result<&eshm::Events> {
        // In a forked child it leads to another file, and the next call of the endpoint says so.
        if std::process::id() != self.process || identify(&self.events).is_ok_and(|file| file == self.file) {
            return Ok(&self.events);
        }
        let name = self.inspector.name();
        let text = format!(
            "segment '{name}': the program has closed the event descriptor, which belongs to the endpoint: open the endpoint anew"
        );
        Err(Python::attach(|py| Failure::named(py, "AttachError", &text)))
    }
}

fn identify(events: &eshm::Events) -> std::io::Result<(u64, u64)> {
    // SAFETY: it is never dropped, and so never closes the descriptor, which belongs to the endpoint.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(events.as_raw_fd()) });
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The event descriptor of an endpoint, from Endpoint.events: for `selectors`, `select.epoll`, a WaitSet or an event loop.
///
/// It is readable while a call of the endpoint is worth while. It is level-triggered: it stays readable until a call has
/// found nothing, such as try_recv with None, or try_send with FullError. It can be readable although there is nothing. A
/// new one is readable at once: the first calls arm it. Call only the endpoint's methods: do not read or close the
/// descriptor. It is readable, too, once the endpoint is closed or displaced, and in a forked child; the next call says why.
///
/// All objects of one endpoint stand for the same descriptor. They keep it open, but not the endpoint.
///
/// >>> events = robot.events(Interest.READABLE | Interest.PEER)
/// ... selector.register(events, selectors.EVENT_READ)
#[pyclass(module = "eshm", frozen, weakref)]
pub struct Events(pub Identity);

impl Events {
    /// Opens the descriptor, and sets its interest. `first` is what the first call has opened.
    pub fn open(inspector: &Inspector, first: &OnceLock<Identity>, interest: Interest) -> Result<Self> {
        let events = inspector.events(interest)?;
        if let Some(identity) = first.get() {
            identity.checked()?;
            return Ok(identity.events());
        }
        let file = identify(&events).map_err(PyErr::from)?;
        let identity = Identity { events, inspector: inspector.clone(), file, process: std::process::id() };
        Ok(first.get_or_init(|| identity).events())
    }
}

#[pymethods]
impl Events {
    /// Returns the number of the descriptor. Raises AttachError if the program has closed it.
    pub fn fileno(&self) -> Result<RawFd> {
        Ok(self.0.checked()?.as_raw_fd())
    }

    /// Returns the state of the peer, as a PeerState, and takes note of it: with Interest.PEER the descriptor becomes
    /// readable when the state differs from the one that this method returned last.
    fn peer_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::python_state(py, self.0.notice_peer())
    }

    /// Sets the interest.
    fn _select(&self, bits: u32) -> Result<()> {
        let _ = self.0.inspector.events(interest(self.0.inspector.name(), bits)?)?;
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<Events of segment {:?}: descriptor {}>", self.0.inspector.name(), self.0.events.as_raw_fd())
    }
}
