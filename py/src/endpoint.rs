//! `eshm.Endpoint`.

use std::ffi::CString;
use std::sync::OnceLock;
use std::time::Duration;

use eshm::raw::{Closed, Limit, SharedEndpoint};
use eshm::{Builder, Error, Inspector, Interest, WaitStrategy};
use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::batch;
use crate::calls;
use crate::convert::{self, Seconds, Whole};
use crate::descriptor::{self, Events, Identity, READABLE};
use crate::domain::{self, Domain};
use crate::error::{Failure, Result};
use crate::events;
use crate::interpreter::{Deadline, Interpreter, Polling};
use crate::lent::{Borrowed, Loan};

/// An endpoint of a segment: a master, which creates the segment, or a slave, which attaches to it.
///
/// All durations are in seconds. A timeout of None waits as long as the peer may still come (back). Waiting releases
/// the interpreter and ends with Ctrl-C. Threads may share an endpoint: sending and receiving do not block each other.
///
/// >>> with eshm.Endpoint("robot", role="slave") as robot:
/// ...     for message in robot:
/// ...         robot.send(b"ack")
///
/// name: the segment's name, 1 to 250 bytes without "/" or "..".
/// role: "master", "slave", or "auto": slave if there is a live master, master otherwise.
/// data_size: the greatest size of a value (write) in bytes. None: the size of the segment that is there, or 4096.
/// queue_capacity: the greatest size of a message (send) in bytes. None: the size of the segment that is there, or
///     256 KiB. 0 creates a segment without queues, on which send has one message in flight.
/// wait: how calls wait. "adaptive" learns where the peer runs, and polls, offers the processor to others or parks
///     accordingly. "spin" polls and never leaves its core, "spin_then_park" parks after some ten microseconds, "park"
///     at once. At most a few microseconds of that hold the interpreter.
/// connect_timeout: how long a slave waits for its segment to appear.
/// heartbeat_interval: how often this endpoint updates its heartbeat: 0.001 to 1, and at most stale_threshold.
/// stale_threshold: the peer is stale when its heartbeat has stood still for this time.
/// disconnect: what happens then. "immediately": calls fail at once. "on_timeout": calls without a timeout fail when
///     one of the reconnect limits is used up. "never": they wait without limit.
/// reconnect_timeout: how long calls without a timeout wait for a stale peer. None: no limit.
/// reconnect_interval: how often a slave looks for a new master, as long as it is open.
/// reconnect_attempts: for how many searches a slave's calls without a timeout wait. None: no limit.
/// auto_cleanup: whether a master's close removes the segment.
/// background: whether a thread updates the heartbeat. Without it, call update_heartbeat.
/// mode: the file permissions of a segment that this endpoint creates. None: 0o666 without the bits of the umask.
/// group: the id of the group of a segment that this endpoint creates, for a mode such as 0o660.
/// any_owner: whether to accept a segment of another user.
/// steady_heartbeat: whether to keep the full heartbeat rate, as ESHM 1.x does.
/// give_up: whether a slave stops looking for a master when a reconnect limit is used up, as in ESHM 1.x.
/// domain: the directory and the prefix of the segment's file. None: those of the environment when it is opened.
#[pyclass(module = "eshm", frozen, weakref)]
pub struct Endpoint {
    pub(crate) shared: SharedEndpoint,
    /// Set by the close.
    closed: OnceLock<()>,
    /// Whether to poll for a moment before the interpreter is released.
    polls: bool,
    /// The event descriptor, if it was asked for.
    identity: OnceLock<Identity>,
}

impl Endpoint {
    pub fn name(&self) -> &str {
        self.inspector().name()
    }

    pub fn inspector(&self) -> &Inspector {
        self.shared.inspector()
    }

    /// The host of a call, with this polling if the wait strategy polls at all.
    pub fn host<'py>(&self, py: Python<'py>, polling: Polling) -> Interpreter<'py> {
        Interpreter::new(py, if self.polls { polling } else { Polling::None })
    }

    /// A time-out of a call, where `None` is no limit.
    fn timeout(&self, seconds: Option<Seconds>) -> Result<Option<Duration>> {
        let convert = |seconds| convert::seconds(self.name(), "timeout", seconds);
        Ok(seconds.map(convert).transpose()?)
    }

    #[inline]
    pub fn limit(&self, timeout: Option<Seconds>) -> Result<Limit> {
        Ok(Limit::from_timeout(self.timeout(timeout)?))
    }

    /// Returns the event descriptor, with the interest that it has.
    pub fn descriptor(&self) -> Result<Events> {
        match self.identity.get() {
            Some(identity) => Ok(identity.events()),
            None => Events::open(self.inspector(), &self.identity, Interest::READABLE),
        }
    }

    /// Takes note of the state of the peer, for the event descriptor.
    pub fn notice_peer(&self) {
        if let Some(identity) = self.identity.get() {
            identity.notice_peer();
        }
    }

    /// As `limit`, for a batch: with 0, it sends what there is room for.
    fn batch_limit(&self, timeout: Option<Seconds>) -> Result<Limit> {
        Ok(match self.limit(timeout)? {
            Limit::For(Duration::ZERO) => Limit::Now,
            limit => limit,
        })
    }
}

#[pymethods]
impl Endpoint {
    #[new]
    #[pyo3(signature = (
        name, *, role = "auto", data_size = None, queue_capacity = None, wait = "adaptive",
        connect_timeout = Seconds(5.0), heartbeat_interval = Seconds(0.001), stale_threshold = Seconds(0.1),
        disconnect = "on_timeout", reconnect_timeout = Some(Seconds(5.0)), reconnect_interval = Seconds(0.1),
        reconnect_attempts = Some(Whole::Within(50)), auto_cleanup = true, background = true,
        mode = Some(Whole::Within(0o600)), group = None, any_owner = false, steady_heartbeat = false,
        give_up = false, domain = None
    ), text_signature = "(name, *, role='auto', data_size=None, queue_capacity=None, wait='adaptive', \
        connect_timeout=5.0, heartbeat_interval=0.001, stale_threshold=0.1, disconnect='on_timeout', \
        reconnect_timeout=5.0, reconnect_interval=0.1, reconnect_attempts=50, \
        auto_cleanup=True, background=True, mode=0o600, group=None, any_owner=False, steady_heartbeat=False, \
        give_up=False, domain=None)")]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments, all of them optional")]
    fn new(
        py: Python<'_>,
        name: &str,
        role: &str,
        data_size: Option<Whole>,
        queue_capacity: Option<Whole>,
        wait: &str,
        connect_timeout: Seconds,
        heartbeat_interval: Seconds,
        stale_threshold: Seconds,
        disconnect: &str,
        reconnect_timeout: Option<Seconds>,
        reconnect_interval: Seconds,
        reconnect_attempts: Option<Whole>,
        auto_cleanup: bool,
        background: bool,
        mode: Option<Whole>,
        group: Option<Whole>,
        any_owner: bool,
        steady_heartbeat: bool,
        give_up: bool,
        domain: Option<&Domain>,
    ) -> Result<Self> {
        let seconds = |setting, value| convert::seconds(name, setting, value);
        let reconnect_timeout =
            reconnect_timeout.map(|value| seconds("reconnect_timeout", value)).transpose()?;
        let reconnect_attempts =
            reconnect_attempts.map(|value| convert::whole(name, "reconnect_attempts", value)).transpose()?;
        let wait = convert::wait(name, wait)?;
        let mut builder = eshm::Endpoint::builder(name)
            .role(convert::role(name, role)?)
            .wait(wait)
            .heartbeat_interval(seconds("heartbeat_interval", heartbeat_interval)?)
            .stale_threshold(seconds("stale_threshold", stale_threshold)?)
            .disconnect(convert::disconnect(name, disconnect)?)
            .reconnect_timeout(convert::limit(name, "reconnect_timeout", reconnect_timeout)?)
            .reconnect_interval(seconds("reconnect_interval", reconnect_interval)?)
            .reconnect_attempts(convert::limit(name, "reconnect_attempts", reconnect_attempts)?)
            .auto_cleanup(auto_cleanup)
            .background(background)
            .any_owner(any_owner)
            .steady_heartbeat(steady_heartbeat)
            .give_up(give_up)
            .domain(domain::chosen(domain)?);
        builder = match mode {
            Some(mode) => builder.mode(convert::whole(name, "mode", mode)?),
            None => builder.mode_by_umask(),
        };
        if let Some(bytes) = data_size {
            builder = builder.data_size(convert::whole(name, "data_size", bytes)?);
        }
        if let Some(bytes) = queue_capacity {
            builder = builder.queue_capacity(convert::whole(name, "queue_capacity", bytes)?);
        }
        if let Some(gid) = group {
            builder = builder.group(convert::whole(name, "group", gid)?);
        }
        events::forward(py)?;
        let endpoint = open(py, &builder, seconds("connect_timeout", connect_timeout)?)?;
        Ok(Endpoint {
            shared: SharedEndpoint::new(endpoint),
            closed: OnceLock::new(),
            polls: wait != WaitStrategy::Park,
            identity: OnceLock::new(),
        })
    }

    /// The segment's name.
    #[getter(name)]
    fn py_name(&self) -> &str {
        self.name()
    }

    /// The endpoint's role: Role.MASTER or Role.SLAVE.
    #[getter]
    fn role<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::python_role(py, self.inspector().role())
    }

    /// Whether close was called. False in a forked child, which cannot close its parent's endpoint.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.get().is_some()
    }

    /// The greatest size of a value (write), in bytes.
    #[getter]
    fn data_size(&self) -> usize {
        self.inspector().data_size()
    }

    /// The greatest size of a message (send), in bytes.
    #[getter]
    fn max_message(&self) -> usize {
        self.inspector().max_message()
    }

    /// The state of the peer, as a PeerState.
    #[getter]
    fn peer_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::python_state(py, self.inspector().peer_state())
    }

    /// The peer's generation: it changes when the peer has been restarted.
    #[getter]
    fn generation(&self) -> u64 {
        self.inspector().generation()
    }

    /// Whether the peer is an ESHM 1.x process.
    #[getter]
    fn peer_is_legacy(&self) -> bool {
        self.inspector().peer_is_legacy()
    }

    /// How many messages of this endpoint were sent and not received: no receiver has released them. After the close:
    /// how many there were at the close.
    #[getter]
    fn unreceived(&self) -> u64 {
        self.inspector().unreceived()
    }

    /// Returns the statistics of the segment and of this endpoint.
    fn stats<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(convert::python_stats(py, &self.inspector().stats()?)?)
    }

    /// Updates the heartbeat, if background is False.
    fn update_heartbeat(&self) -> Result<()> {
        Ok(self.inspector().update_heartbeat()?)
    }

    /// Waits until the peer is alive. Raises TimeoutError if it is not in time.
    #[pyo3(signature = (timeout = None))]
    fn wait_for_peer(&self, py: Python<'_>, timeout: Option<Seconds>) -> Result<()> {
        let timeout = self.timeout(timeout)?;
        let (deadline, inspector) = (Deadline::new(timeout), self.inspector());
        loop {
            match py.detach(|| inspector.wait_for_peer(deadline.slice())) {
                Err(Error::Timeout { segment, what, .. }) if deadline.is_over() => {
                    let waited = timeout.unwrap_or_default();
                    return Err(Error::Timeout { segment, what, waited }.into());
                }
                Err(Error::Timeout { .. }) => {}
                result => return Ok(result?),
            }
            py.check_signals()?;
        }
    }

    /// Writes a value into the mailbox, in place of the previous one. Never waits.
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> Result<()> {
        calls::write(py, self, data)
    }

    /// Returns the mailbox's value if it was not read before, None otherwise.
    fn try_read<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>> {
        calls::read(py, self, Limit::Now)
    }

    /// Returns the mailbox's next value that was not read before, however many were overwritten meanwhile.
    ///
    /// Raises TimeoutError when there is none in time.
    #[pyo3(signature = (timeout = None))]
    fn read<'py>(&self, py: Python<'py>, timeout: Option<Seconds>) -> Result<Option<Bound<'py, PyBytes>>> {
        calls::read(py, self, self.limit(timeout)?)
    }

    /// Sends a message, which is never lost. Waits while the queue is full.
    ///
    /// Raises TimeoutError, with nothing sent, when there is no room in time.
    #[pyo3(signature = (data, timeout = None))]
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, timeout: Option<Seconds>) -> Result<()> {
        calls::send(py, self, data, self.limit(timeout)?)
    }

    /// Sends a message if there is room for it. Raises FullError otherwise.
    fn try_send(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> Result<()> {
        calls::send(py, self, data, Limit::Now)
    }

    /// Returns a copy of the next message, and releases the message. Raises TimeoutError when there is none in time.
    #[pyo3(signature = (timeout = None))]
    fn recv<'py>(&self, py: Python<'py>, timeout: Option<Seconds>) -> Result<Option<Bound<'py, PyBytes>>> {
        calls::recv(py, self, self.limit(timeout)?)
    }

    /// Returns the next message, or None when there is none yet.
    fn try_recv<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>> {
        calls::recv(py, self, Limit::Now)
    }

    /// Reserves memory in the queue for a message of that many bytes, to be filled in place and sent: a Loan.
    ///
    /// Waits for it as send does, and raises TimeoutError when there is none in time.
    #[pyo3(signature = (size, timeout = None))]
    fn loan<'py>(slf: &Bound<'py, Self>, size: Whole, timeout: Option<Seconds>) -> Result<Bound<'py, Loan>> {
        calls::loan(slf, size, slf.get().limit(timeout)?)
    }

    /// Reserves memory in the queue for a message that is a NumPy array of that shape and dtype: an ArrayLoan.
    ///
    /// Waits for it as send does, and raises TimeoutError when there is none in time. Raises InvalidError for a dtype
    /// that holds Python objects, is itself an array, or has no size, and for a shape that no array has.
    #[pyo3(signature = (shape, dtype, timeout = None))]
    fn loan_array<'py>(
        slf: &Bound<'py, Self>,
        shape: &Bound<'py, PyAny>,
        dtype: &Bound<'py, PyAny>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("eshm._arrays")?.call_method1("loan_array", (slf, shape, dtype, timeout))
    }

    /// Returns the next message, to be read in the queue without a copy: a Borrowed.
    ///
    /// Raises TimeoutError when there is none in time.
    #[pyo3(signature = (timeout = None))]
    fn borrow<'py>(slf: &Bound<'py, Self>, timeout: Option<Seconds>) -> Result<Option<Bound<'py, Borrowed>>> {
        calls::borrow(slf, slf.get().limit(timeout)?)
    }

    /// Sends the messages in order, as send does. Wakes the peer at most once for as many as there is room for.
    ///
    /// The timeout is one for all of them. With 0, sends what there is room for, and raises FullError if that is not
    /// all. When one cannot be sent, the exception's `sent` tells how many were.
    ///
    /// Messages that other threads send through this endpoint may come in between, and a `loan()` of another thread ends
    /// the batch with InUseError.
    #[pyo3(signature = (messages, timeout = None))]
    fn send_many(&self, py: Python<'_>, messages: &Bound<'_, PyAny>, timeout: Option<Seconds>) -> Result<()> {
        batch::send_many(py, self, messages, self.batch_limit(timeout)?)
    }

    /// Sends each item along the first axis of an array as one message, as send_many does.
    ///
    /// When one cannot be sent, the exception's `sent` tells how many were.
    #[pyo3(signature = (array, timeout = None))]
    fn send_records(&self, py: Python<'_>, array: &Bound<'_, PyAny>, timeout: Option<Seconds>) -> Result<()> {
        batch::send_records(py, self, array, self.batch_limit(timeout)?)
    }

    /// Returns the messages that are there, at most max of them. Waits for the first one, as recv does.
    ///
    /// Raises TimeoutError when there is none in time.
    #[pyo3(signature = (max = None, timeout = None))]
    fn recv_many<'py>(
        &self,
        py: Python<'py>,
        max: Option<Whole>,
        timeout: Option<Seconds>,
    ) -> Result<Bound<'py, PyList>> {
        batch::recv_many(py, self, max, self.limit(timeout)?)
    }

    /// Copies the messages that are there into an array, one per item along its first axis, and returns their number.
    /// Waits for the first one, as recv does.
    ///
    /// Raises TimeoutError when there is none in time, and InvalidError for a message of another size than the items.
    /// That message stays the next one.
    #[pyo3(signature = (array, timeout = None))]
    fn recv_into(&self, py: Python<'_>, array: &Bound<'_, PyAny>, timeout: Option<Seconds>) -> Result<usize> {
        batch::recv_into(py, self, array, self.limit(timeout)?)
    }

    /// Returns the event descriptor, made at the first call, as an Events. The interest of the last call holds.
    ///
    /// The descriptor is readable while a call of the endpoint is worth while: for `selectors`, `select.epoll`, a WaitSet
    /// or an event loop. Raises AttachError if the process can have no descriptor more (the endpoint works without),
    /// and if the program has closed it.
    #[pyo3(signature = (interest = READABLE), text_signature = "($self, interest=1)")]
    fn events(&self, interest: u32) -> Result<Events> {
        Events::open(self.inspector(), &self.identity, descriptor::interest(self.name(), interest)?)
    }

    /// Returns the number of the event descriptor, made at the first call, for `selectors.DefaultSelector().register`
    /// and the like. Its interest is that of the last call of events, or else Interest.READABLE.
    ///
    /// The descriptor belongs to the endpoint: do not read or close it. Raises AttachError if the program has.
    pub fn fileno(&self) -> Result<i32> {
        self.descriptor()?.fileno()
    }

    /// Closes the endpoint. Threads that wait in one of its calls raise ClosedError.
    ///
    /// Returns how many messages of this endpoint were sent and not received. A peer that is attached can still receive
    /// them; so can the next master of a slave that stays open. Without a peer they are lost. A second close has no
    /// effect, and returns the same number.
    ///
    /// Warns (RuntimeWarning) when the segment's name could not be removed, as that of another user's file in a sticky
    /// directory.
    ///
    /// Memory of a Loan or a Borrowed that still has views stays valid. The endpoint leaves the segment when the last
    /// such view is released.
    fn close(&self, py: Python<'_>) -> Result<u64> {
        let mut host = self.host(py, Polling::None);
        let Some(Closed { unreceived, removed }) = self.shared.close(&mut host) else {
            return Ok(self.inspector().unreceived());
        };
        let _ = self.closed.set(());
        if let Err(error) = removed {
            // Not an exception: the endpoint is closed, and an exception of a `with` block must not be replaced.
            let text = CString::new(error.to_string()).unwrap_or_default();
            PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)?;
        }
        Ok(unreceived)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> Result<()> {
        self.close(py).map(drop)
    }

    /// Iterates over the messages, as recv returns them, until the peer closes its endpoint.
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>> {
        match calls::recv(py, self, Limit::Forever) {
            Err(Failure::Core(Error::PeerClosed { .. })) => Ok(None),
            result => result,
        }
    }

    fn __repr__(&self) -> String {
        format!("Endpoint({:?}, role=\"{}\")", self.inspector().name(), self.inspector().role())
    }
}

/// Opens an endpoint. Waits for a master in slices, so that Ctrl-C ends the wait.
fn open(py: Python<'_>, builder: &Builder, timeout: Duration) -> Result<eshm::Endpoint> {
    let deadline = Deadline::new(Some(timeout));
    loop {
        let attempt = builder.clone().connect_timeout(deadline.slice());
        match py.detach(|| attempt.open()) {
            Err(Error::NotFound { segment, path, found, .. }) => {
                py.check_signals()?;
                if deadline.is_over() {
                    return Err(Error::NotFound { segment, path, found, waited: timeout }.into());
                }
            }
            result => return Ok(result?),
        }
    }
}
