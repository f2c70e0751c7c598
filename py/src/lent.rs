//! Messages in place: `eshm.Loan`, which is built in the queue, and `eshm.Borrowed`, which is read there.

use std::ffi::c_int;
use std::ptr;

use eshm::raw::{self, SharedReceiver, SharedSender, Token};
use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;

use crate::endpoint::Endpoint;
use crate::error::{Failure, Result};
use crate::interpreter::{Interpreter, Polling};

/// Memory that an endpoint has lent to Python: its receiver if `RECEIVED`, otherwise its sender.
pub struct Lent<const RECEIVED: bool> {
    endpoint: Py<Endpoint>,
    token: Token,
    start: *mut u8,
    len: usize,
}

// SAFETY: the pointer is used only through buffers, which the half counts; any thread may use the memory.
unsafe impl<const RECEIVED: bool> Send for Lent<RECEIVED> {}
// SAFETY: as above; all other fields are `Sync`.
unsafe impl<const RECEIVED: bool> Sync for Lent<RECEIVED> {}

impl<const RECEIVED: bool> Lent<RECEIVED> {
    /// `len` bytes at `start`, which `endpoint` has lent under `token`.
    pub fn new(endpoint: &Bound<'_, Endpoint>, token: Token, start: *mut u8, len: usize) -> Self {
        Lent { endpoint: endpoint.clone().unbind(), token, start, len }
    }

    fn sender(&self) -> &SharedSender {
        self.endpoint.get().shared.sender()
    }

    fn receiver(&self) -> &SharedReceiver {
        self.endpoint.get().shared.receiver()
    }

    /// Counts a view of the memory.
    fn retain(&self, py: Python<'_>) -> Result<()> {
        let retained = if RECEIVED {
            self.receiver().retain(&mut host(py), self.token)
        } else {
            self.sender().retain(&mut host(py), self.token)
        };
        retained.map_err(Self::failure)
    }

    /// Counts a view less.
    fn unretain(&self, py: Python<'_>) {
        if RECEIVED {
            self.receiver().unretain(&mut host(py), self.token);
        } else {
            self.sender().unretain(&mut host(py), self.token);
        }
    }

    /// Returns the memory as soon as there are no views of it. Returns whether that is now.
    fn abandon(&self, py: Python<'_>) -> bool {
        if RECEIVED {
            self.receiver().abandon(&mut host(py), self.token)
        } else {
            self.sender().abandon(&mut host(py), self.token)
        }
    }

    fn failure(error: raw::Error) -> Failure {
        let failure = Failure::from(error);
        if RECEIVED { failure.of_receiver() } else { failure }
    }

    /// Ends a `with` block. `raised`: an exception has left it. Its traceback may be what keeps the views, and it says
    /// more than an error about them.
    fn exit(&self, py: Python<'_>, raised: bool) -> Result<()> {
        if self.abandon(py) || raised {
            return Ok(());
        }
        let segment = self.endpoint.get().name().into();
        Err(Self::failure(raw::Error::InUse { segment }))
    }

    /// Fills in `view`, a view of `owner`, and counts it. It is read-only if the memory is `RECEIVED`.
    ///
    /// # Safety
    /// `owner` has this memory. The caller may write to `view`, and passes it to `unretain` later on.
    unsafe fn fill_view(
        &self,
        owner: &Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> Result<()> {
        let (py, len, readonly) = (owner.py(), self.len as Py_ssize_t, RECEIVED.into());
        // An error must leave the view without an owner.
        // SAFETY: the caller may write to it.
        unsafe { (*view).obj = ptr::null_mut() };
        self.retain(py)?;
        // SAFETY: as above. Memory that is retained stays until `unretain`, and that of a loan is its holder's.
        let status =
            unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), self.start.cast(), len, readonly, flags) };
        if status == 0 {
            return Ok(());
        }
        let error = PyErr::fetch(py);
        self.unretain(py);
        Err(error.into())
    }
}

impl<const RECEIVED: bool> Drop for Lent<RECEIVED> {
    fn drop(&mut self) {
        Python::attach(|py| self.abandon(py));
    }
}

fn host(py: Python<'_>) -> Interpreter<'_> {
    Interpreter::new(py, Polling::None)
}

/// A message that is being built in the queue, from Endpoint.loan: a writable buffer, to be filled in place and sent.
///
/// Its content is arbitrary at first. Until it is sent or released, the endpoint sends nothing else.
///
/// >>> with robot.loan(frame.nbytes) as loan:
/// ...     np.frombuffer(loan, frame.dtype).reshape(frame.shape)[:] = frame
/// ...     loan.send()
#[pyclass(module = "eshm", frozen)]
pub struct Loan(pub Lent<false>);

#[pymethods]
impl Loan {
    /// Sends the message and ends the loan.
    ///
    /// Raises InUseError (a BufferError), and sends nothing, while there are views of it, such as NumPy arrays.
    fn send(&self, py: Python<'_>) -> Result<()> {
        Ok(self.0.sender().send_loan(&mut host(py), self.0.token)?)
    }

    /// Returns the memory to the queue, unsent.
    ///
    /// Raises InUseError (a BufferError) while there are views of it.
    fn release(&self, py: Python<'_>) -> Result<()> {
        Ok(self.0.sender().give_back(&mut host(py), self.0.token)?)
    }

    fn __len__(&self) -> usize {
        self.0.len
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Releases the memory if the message was not sent.
    #[pyo3(signature = (exc_type = None, exc = None, traceback = None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> Result<()> {
        let _ = (exc, traceback);
        self.0.exit(py, exc_type.is_some())
    }

    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> Result<()> {
        // SAFETY: the interpreter passes a structure to be filled in, and later on to the slot below.
        unsafe { slf.get().0.fill_view(slf, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, py: Python<'_>, _view: *mut ffi::Py_buffer) {
        self.0.unretain(py);
    }
}

/// A message in the queue, from Endpoint.borrow: a read-only buffer.
///
/// The queue does not reuse its memory until it is released. The next call that receives releases it, too.
///
/// >>> with robot.borrow() as message:
/// ...     total = np.frombuffer(message, np.float32).sum()
#[pyclass(module = "eshm", frozen)]
pub struct Borrowed(pub Lent<true>);

#[pymethods]
impl Borrowed {
    /// Returns the message's memory to the peer. A second call is an error.
    ///
    /// Raises InUseError (a BufferError) while there are views of it, such as NumPy arrays.
    fn release(&self, py: Python<'_>) -> Result<()> {
        let released = self.0.receiver().release(&mut host(py), self.0.token);
        released.map_err(Lent::<true>::failure)
    }

    fn __len__(&self) -> usize {
        self.0.len
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Releases the message if that was not done.
    #[pyo3(signature = (exc_type = None, exc = None, traceback = None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> Result<()> {
        let _ = (exc, traceback);
        self.0.exit(py, exc_type.is_some())
    }

    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> Result<()> {
        // SAFETY: the interpreter passes a structure to be filled in, and later on to the slot below.
        unsafe { slf.get().0.fill_view(slf, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, py: Python<'_>, _view: *mut ffi::Py_buffer) {
        self.0.unretain(py);
    }
}
