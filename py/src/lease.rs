//! Messages in place: `eshm.Loan`, which is built in the queue, and `eshm.Borrowed`, which is read there.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr;

use eshm::{Receiver, Sender};
use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;

use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::half::{Half, Lender};

/// Memory that a half of an endpoint has lent to Python.
pub struct Lease<H: Leasing> {
    endpoint: Py<Endpoint>,
    /// See [`Half`].
    number: u64,
    start: *mut u8,
    len: usize,
    half: PhantomData<fn() -> H>,
}

// SAFETY: the pointer is used only through buffers, which the half counts; any thread may use the memory.
unsafe impl<H: Leasing> Send for Lease<H> {}
// SAFETY: as above; all other fields are `Sync`.
unsafe impl<H: Leasing> Sync for Lease<H> {}

/// The halves that lend memory to Python.
pub trait Leasing: Lender + Sized + 'static {
    /// Whether the borrower may write.
    const WRITABLE: bool;

    /// Returns this half of an endpoint.
    fn of(endpoint: &Endpoint) -> &Half<Self>;
}

impl Leasing for Sender {
    const WRITABLE: bool = true;

    fn of(endpoint: &Endpoint) -> &Half<Self> {
        &endpoint.sender
    }
}

impl Leasing for Receiver {
    const WRITABLE: bool = false;

    fn of(endpoint: &Endpoint) -> &Half<Self> {
        &endpoint.receiver
    }
}

impl<H: Leasing> Lease<H> {
    /// Lease `number` of `endpoint`'s half: `len` bytes at `start`.
    pub fn new(endpoint: &Bound<'_, Endpoint>, number: u64, start: *mut u8, len: usize) -> Self {
        Lease { endpoint: endpoint.clone().unbind(), number, start, len, half: PhantomData }
    }

    fn half(&self) -> &Half<H> {
        H::of(self.endpoint.get())
    }

    /// Releases the memory without sending it.
    fn release(&self, py: Python<'_>) -> Result<()> {
        self.half().finish(py, self.number, |half| {
            half.take_back();
            Ok(())
        })
    }

    /// Ends a `with` block, which an exception has left if `raised`.
    fn exit(&self, py: Python<'_>, raised: bool) -> Result<()> {
        // An exception's traceback may be what keeps the views. It says more than an error about them.
        if !self.half().abandon(py, self.number) && !raised {
            return Err(self.half().still_viewed());
        }
        Ok(())
    }

    /// Fills in `view`, a view of `owner`, whose content this is.
    ///
    /// # Safety
    /// `view` is a structure that the caller may write to, as the slot `bf_getbuffer` gets it.
    unsafe fn get_buffer(
        &self,
        owner: &Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> Result<()> {
        let py = owner.py();
        // SAFETY: the caller may write to it. An error must leave it without an owner.
        unsafe { (*view).obj = ptr::null_mut() };
        self.half().view(py, self.number)?;
        let (len, readonly) = (self.len as Py_ssize_t, c_int::from(!H::WRITABLE));
        // SAFETY: `len` bytes at `start`, which the half keeps in place until the view is released.
        let status =
            unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), self.start.cast(), len, readonly, flags) };
        if status == 0 {
            return Ok(());
        }
        let error = PyErr::fetch(py);
        self.half().unview(py, self.number);
        Err(error.into())
    }

    fn release_buffer(&self, py: Python<'_>) {
        self.half().unview(py, self.number);
    }
}

impl<H: Leasing> Drop for Lease<H> {
    fn drop(&mut self) {
        Python::attach(|py| self.half().abandon(py, self.number));
    }
}

/// A message that is being built in the queue, from Endpoint.loan: a writable buffer, to be filled in place and sent.
///
/// Its content is arbitrary at first. Until it is sent or released, the endpoint sends nothing else.
///
/// >>> with robot.loan(frame.nbytes) as loan:
/// ...     np.frombuffer(loan, frame.dtype).reshape(frame.shape)[:] = frame
/// ...     loan.send()
#[pyclass(module = "eshm", frozen)]
pub struct Loan(pub Lease<Sender>);

#[pymethods]
impl Loan {
    /// Sends the message and ends the loan.
    ///
    /// Raises InUseError (a BufferError), and sends nothing, while there are views of it, such as NumPy arrays.
    fn send(&self, py: Python<'_>) -> Result<()> {
        self.0.half().finish(py, self.0.number, Sender::send_loaned)
    }

    /// Returns the memory to the queue, unsent.
    ///
    /// Raises InUseError (a BufferError) while there are views of it.
    fn release(&self, py: Python<'_>) -> Result<()> {
        self.0.release(py)
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
        // SAFETY: the interpreter calls this slot with a structure to be filled in.
        unsafe { slf.get().0.get_buffer(slf.as_any(), view, flags) }
    }

    unsafe fn __releasebuffer__(&self, py: Python<'_>, _view: *mut ffi::Py_buffer) {
        self.0.release_buffer(py);
    }
}

/// A message in the queue, from Endpoint.borrow: a read-only buffer.
///
/// The queue does not reuse its memory until it is released. The next call that receives releases it, too.
///
/// >>> with robot.borrow() as message:
/// ...     total = np.frombuffer(message, np.float32).sum()
#[pyclass(module = "eshm", frozen)]
pub struct Borrowed(pub Lease<Receiver>);

#[pymethods]
impl Borrowed {
    /// Returns the message's memory to the peer. A second call is an error.
    ///
    /// Raises InUseError (a BufferError) while there are views of it, such as NumPy arrays.
    fn release(&self, py: Python<'_>) -> Result<()> {
        self.0.release(py)
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
        // SAFETY: the interpreter calls this slot with a structure to be filled in.
        unsafe { slf.get().0.get_buffer(slf.as_any(), view, flags) }
    }

    unsafe fn __releasebuffer__(&self, py: Python<'_>, _view: *mut ffi::Py_buffer) {
        self.0.release_buffer(py);
    }
}
