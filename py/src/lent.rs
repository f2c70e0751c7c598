//! Messages in place: `eshm.Loan`, which is built in the queue, and `eshm.Borrowed`, which is read there.

use std::ffi::c_int;
use std::ptr;

use eshm::raw::{self, SharedReceiver, SharedSender, Token};
use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;

use crate::endpoint::Endpoint;
use crate::error::{Failure, Result};
use crate::interpreter::{Interpreter, Polling};

/// Memory that an endpoint has lent to Python.
pub struct Lent {
    endpoint: Py<Endpoint>,
    token: Token,
    start: *mut u8,
    len: usize,
}

// SAFETY: the pointer is used only through buffers, which the half counts; any thread may use the memory.
unsafe impl Send for Lent {}
// SAFETY: as above; all other fields are `Sync`.
unsafe impl Sync for Lent {}

impl Lent {
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

    /// Ends a `with` block. `raised`: an exception has left it. Its traceback may be what keeps the views, and it says
    /// more than an error about them.
    fn exit(&self, is_over: bool, raised: bool) -> Result<()> {
        if is_over || raised {
            return Ok(());
        }
        let segment = self.endpoint.get().name().into();
        Err(raw::Error::InUse { segment }.into())
    }

    /// Fills in `view`, a view of `owner`, which has been counted.
    ///
    /// # Safety
    /// The caller may write to `view`, and keeps the memory in place until the view is released. If it is not
    /// `readonly`, no one else uses that memory.
    unsafe fn fill_view(
        &self,
        owner: &Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        readonly: bool,
        flags: c_int,
    ) -> PyResult<()> {
        let (len, readonly) = (self.len as Py_ssize_t, readonly.into());
        // SAFETY: the caller says so.
        let status =
            unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), self.start.cast(), len, readonly, flags) };
        if status == 0 { Ok(()) } else { Err(PyErr::fetch(owner.py())) }
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
pub struct Loan(pub Lent);

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
        let is_over = self.0.sender().abandon(&mut host(py), self.0.token);
        self.0.exit(is_over, exc_type.is_some())
    }

    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> Result<()> {
        let (lent, py) = (&slf.get().0, slf.py());
        // An error must leave the view without an owner.
        // SAFETY: the interpreter calls this slot with a structure to be filled in.
        unsafe { (*view).obj = ptr::null_mut() };
        lent.sender().retain(&mut host(py), lent.token)?;
        // SAFETY: as above; the memory of a loan that is retained stays, and is its holder's.
        let filled = unsafe { lent.fill_view(slf, view, false, flags) };
        Ok(filled.inspect_err(|_| lent.sender().unretain(&mut host(py), lent.token))?)
    }

    unsafe fn __releasebuffer__(&self, py: Python<'_>, _view: *mut ffi::Py_buffer) {
        self.0.sender().unretain(&mut host(py), self.0.token);
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        Python::attach(|py| self.0.sender().abandon(&mut host(py), self.0.token));
    }
}

/// A message in the queue, from Endpoint.borrow: a read-only buffer.
///
/// The queue does not reuse its memory until it is released. The next call that receives releases it, too.
///
/// >>> with robot.borrow() as message:
/// ...     total = np.frombuffer(message, np.float32).sum()
#[pyclass(module = "eshm", frozen)]
pub struct Borrowed(pub Lent);

#[pymethods]
impl Borrowed {
    /// Returns the message's memory to the peer. A second call is an error.
    ///
    /// Raises InUseError (a BufferError) while there are views of it, such as NumPy arrays.
    fn release(&self, py: Python<'_>) -> Result<()> {
        let released = self.0.receiver().release(&mut host(py), self.0.token);
        released.map_err(|error| Failure::from(error).of_receiver())
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
        let is_over = self.0.receiver().abandon(&mut host(py), self.0.token);
        self.0.exit(is_over, exc_type.is_some()).map_err(Failure::of_receiver)
    }

    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> Result<()> {
        let (lent, py) = (&slf.get().0, slf.py());
        // An error must leave the view without an owner.
        // SAFETY: the interpreter calls this slot with a structure to be filled in.
        unsafe { (*view).obj = ptr::null_mut() };
        let retained = lent.receiver().retain(&mut host(py), lent.token);
        retained.map_err(|error| Failure::from(error).of_receiver())?;
        // SAFETY: as above; the memory of a message that is retained stays.
        let filled = unsafe { lent.fill_view(slf, view, true, flags) };
        Ok(filled.inspect_err(|_| lent.receiver().unretain(&mut host(py), lent.token))?)
    }

    unsafe fn __releasebuffer__(&self, py: Python<'_>, _view: *mut ffi::Py_buffer) {
        self.0.receiver().unretain(&mut host(py), self.0.token);
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        Python::attach(|py| self.0.receiver().abandon(&mut host(py), self.0.token));
    }
}
