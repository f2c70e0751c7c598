//! `eshm.WaitSet`.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::convert::Seconds;
use crate::descriptor::Events;
use crate::endpoint::Endpoint;
use crate::error::{Failure, Result};
use crate::interpreter::Deadline;

/// Waits for any number of endpoints, sockets, timers and other descriptors, each with a token.
///
/// Any thread may wait, add and remove. A wait takes time in proportion to what is ready, and what is ready takes turns.
/// It releases the interpreter and ends with Ctrl-C. The set keeps what was added to it.
///
/// >>> with eshm.WaitSet() as waits:
/// ...     waits.add(robot)
/// ...     waits.add(connection, token="a client")
/// ...     for token in waits.wait(timeout=1.0):
/// ...         if token is robot and (message := robot.try_recv()) is not None:
/// ...             robot.send(b"ack")
#[pyclass(module = "eshm", frozen, weakref)]
pub struct WaitSet {
    state: Mutex<Option<State>>,
    /// The process that has made it.
    process: u32,
}

struct State {
    set: Arc<eshm::WaitSet>,
    /// What was added, by the number that stands for it in the set.
    entries: HashMap<u64, Entry>,
    numbers: HashMap<Key, u64>,
    next: u64,
}

struct Entry {
    source: Py<PyAny>,
    token: Py<PyAny>,
}

/// The set, the number of an entry, and the entry.
type Forgotten = (Arc<eshm::WaitSet>, u64, Option<Entry>);

/// What `remove` finds an entry by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// The descriptor of an endpoint.
    Endpoint(RawFd),
    /// The number of a descriptor.
    Number(RawFd),
    /// The address of an object, which the entry keeps.
    Object(usize),
}

/// What is to be waited for.
enum Source {
    Endpoint(Events),
    Other(RawFd),
}

impl Source {
    fn of(object: &Bound<'_, PyAny>) -> Result<Self> {
        if let Ok(endpoint) = object.cast::<Endpoint>() {
            endpoint.get().fileno()?;
            return Ok(Source::Endpoint(endpoint.get().descriptor()?));
        }
        if let Ok(events) = object.cast::<Events>() {
            events.get().fileno()?;
            return Ok(Source::Endpoint(Events(events.get().0.clone())));
        }
        let number = match object.extract::<RawFd>() {
            Ok(number) => number,
            Err(_) => object.call_method0("fileno")?.extract()?,
        };
        if number < 0 {
            let text = format!("{number} is no descriptor: {object} is closed");
            return Err(PyValueError::new_err(text).into());
        }
        Ok(Source::Other(number))
    }

    fn key(object: &Bound<'_, PyAny>) -> Result<Key> {
        if let Ok(endpoint) = object.cast::<Endpoint>() {
            return Ok(Key::Endpoint(endpoint.get().descriptor()?.0.number()));
        }
        if let Ok(events) = object.cast::<Events>() {
            return Ok(Key::Endpoint(events.get().0.number()));
        }
        Ok(object.extract::<RawFd>().map_or(Key::Object(object.as_ptr() as usize), Key::Number))
    }
}

impl WaitSet {
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `action` use the state, under the lock: it runs no code of Python.
    fn with<T>(&self, py: Python<'_>, action: impl FnOnce(&mut State) -> T) -> Result<T> {
        if std::process::id() != self.process {
            let text = "the wait set belongs to the parent of this process, which made it before the fork";
            return Err(Failure::named(py, "ForkedError", text));
        }
        let done = self.lock().as_mut().map(action);
        done.ok_or_else(|| Failure::named(py, "ClosedError", "the wait set is closed"))
    }

    /// Takes note of an entry. Returns its number, or `None` if the set has its source already.
    fn reserve(&self, py: Python<'_>, key: Key, entry: Entry) -> Result<Option<(Arc<eshm::WaitSet>, u64)>> {
        let mut entry = Some(entry);
        self.with(py, |state| {
            if state.numbers.contains_key(&key) {
                return None;
            }
            state.next += 1;
            state.numbers.insert(key, state.next);
            state.entries.extend(entry.take().map(|entry| (state.next, entry)));
            Some((Arc::clone(&state.set), state.next))
        })
    }

    /// Forgets an entry, and returns its number with it: the caller drops it without the lock.
    fn forget(&self, py: Python<'_>, key: Key) -> Result<Option<Forgotten>> {
        self.with(py, |state| {
            let number = state.numbers.remove(&key)?;
            Some((Arc::clone(&state.set), number, state.entries.remove(&number)))
        })
    }
}

#[pymethods]
impl WaitSet {
    #[new]
    fn new() -> PyResult<Self> {
        let set = Arc::new(eshm::WaitSet::new()?);
        let state = State { set, entries: HashMap::new(), numbers: HashMap::new(), next: 0 };
        Ok(WaitSet { state: Mutex::new(Some(state)), process: std::process::id() })
    }

    /// Adds an endpoint, an Events, the number of a descriptor, or an object with a fileno method, such as a socket. Its
    /// token, by default the object itself, is returned by wait while it is readable, or has an error.
    ///
    /// The interest of an endpoint is that of the last call of its events, or else Interest.READABLE. Of another
    /// descriptor the set has a duplicate: if the program closes it, the set goes on with the same file until remove.
    ///
    /// Raises KeyError if the set has it already, and PermissionError for what cannot be waited for, such as a file.
    #[pyo3(signature = (source, token = None))]
    fn add(&self, py: Python<'_>, source: &Bound<'_, PyAny>, token: Option<Bound<'_, PyAny>>) -> Result<()> {
        let (key, found) = (Source::key(source)?, Source::of(source)?);
        let token = token.unwrap_or_else(|| source.clone()).unbind();
        let entry = Entry { source: source.clone().unbind(), token };
        let twice = || Failure::Python(PyKeyError::new_err(format!("the wait set has {source} already")));
        let (set, number) = self.reserve(py, key, entry)?.ok_or_else(twice)?;
        let added = match found {
            Source::Endpoint(events) => events.0.add_to(&set, number),
            // SAFETY: it is not −1. If it is not open, duplicating it fails.
            Source::Other(fd) => set.add_fd(unsafe { BorrowedFd::borrow_raw(fd) }, number),
        };
        added.map_err(|error| {
            drop(self.forget(py, key));
            if error.kind() == ErrorKind::AlreadyExists { twice() } else { PyErr::from(error).into() }
        })
    }

    /// Removes what was added: the same object, or the same number. A wait of another thread does not return its token
    /// any more, unless it has returned already. Raises KeyError if the set does not have it.
    fn remove(&self, py: Python<'_>, source: &Bound<'_, PyAny>) -> Result<()> {
        let Some((set, number, entry)) = self.forget(py, Source::key(source)?)? else {
            return Err(PyKeyError::new_err(format!("the wait set does not have {source}")).into());
        };
        drop(entry);
        Ok(set.remove(number).map_err(PyErr::from)?)
    }

    /// Waits until something is ready, and returns the tokens of what is ready: up to 64, and the others at the next call.
    /// Returns an empty list when the timeout is over. None is no limit.
    ///
    /// Raises ClosedError when another thread closes the set.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<Seconds>) -> Result<Vec<Py<PyAny>>> {
        let timeout = timeout.map(|Seconds(seconds)| {
            std::time::Duration::try_from_secs_f64(seconds).map_err(|_| {
                Failure::Invalid(format!("the timeout is {seconds:?} s; expected 0 to 1.8e19 seconds"))
            })
        });
        let deadline = Deadline::new(timeout.transpose()?);
        loop {
            let set = self.with(py, |state| Arc::clone(&state.set))?;
            let slice = deadline.slice();
            let ready = py.detach(|| set.wait(Some(slice))).map_err(PyErr::from)?;
            let tokens = self.with(py, |state| {
                let entries = ready.filter_map(|number| state.entries.get(&number));
                entries.map(|entry| entry.token.clone_ref(py)).collect::<Vec<_>>()
            })?;
            if !tokens.is_empty() || deadline.is_over() {
                return Ok(tokens);
            }
            py.check_signals()?;
        }
    }

    /// Returns the number of a descriptor that is readable while something in the set is ready.
    fn fileno(&self, py: Python<'_>) -> Result<RawFd> {
        self.with(py, |state| state.set.as_fd().as_raw_fd())
    }

    /// Whether close was called.
    #[getter]
    fn closed(&self) -> bool {
        self.lock().is_none()
    }

    /// Closes the set, not what was added to it. Threads that wait raise ClosedError. A second close has no effect.
    fn close(&self) {
        let state = self.lock().take();
        drop(state);
    }

    fn __len__(&self, py: Python<'_>) -> Result<usize> {
        self.with(py, |state| state.entries.len())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        self.close();
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A thread that has the lock uses the set.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        for entry in state.iter().flat_map(|state| state.entries.values()) {
            visit.call(&entry.source)?;
            visit.call(&entry.token)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.close();
    }
}
