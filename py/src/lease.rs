//! Messages in place: `eshm.Loan`, which is built in the queue, and `eshm.Borrowed`, which is read there.

use std::marker::PhantomData;

use eshm::{Receiver, Sender};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::half::{Half, Lender};
use crate::lending::{self, Lending, Memory};
use crate::raw::{self, Arguments};

/// The content of a [`Loan`] or a [`Borrowed`]: memory that a half of an endpoint has lent out.
pub struct Lease<H> {
    endpoint: Py<Endpoint>,
    /// See [`Half`].
    number: u64,
    start: *mut u8,
    len: usize,
    half: PhantomData<fn() -> H>,
}

/// A message that is being built.
pub type Loan = Lease<Sender>;
/// A message that is being read.
pub type Borrowed = Lease<Receiver>;

// SAFETY: the pointer is used through buffers only, which the half counts; its memory may be used by any thread.
unsafe impl<H> Send for Lease<H> {}
// SAFETY: as above; all else is shareable.
unsafe impl<H> Sync for Lease<H> {}

/// The halves whose leases are classes of Python's.
pub trait Leasing: Lender + Sized + 'static {
    /// Whether the holder may write.
    const WRITABLE: bool;

    fn class() -> &'static PyOnceLock<Py<PyType>>;
    fn of(endpoint: &Endpoint) -> &Half<Self>;
}

impl Leasing for Sender {
    const WRITABLE: bool = true;

    fn class() -> &'static PyOnceLock<Py<PyType>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        &CLASS
    }

    fn of(endpoint: &Endpoint) -> &Half<Self> {
        &endpoint.sender
    }
}

impl Leasing for Receiver {
    const WRITABLE: bool = false;

    fn class() -> &'static PyOnceLock<Py<PyType>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        &CLASS
    }

    fn of(endpoint: &Endpoint) -> &Half<Self> {
        &endpoint.receiver
    }
}

impl<H: Leasing> Lease<H> {
    /// The Python object that stands for lease `number` of `endpoint`'s half, of `len` bytes at `start`.
    pub fn object<'py>(
        endpoint: &Bound<'py, Endpoint>,
        number: u64,
        start: *mut u8,
        len: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let endpoint_py = endpoint.clone().unbind();
        let lease = Lease::<H> { endpoint: endpoint_py, number, start, len, half: PhantomData };
        lending::new(endpoint.py(), lease)
    }

    fn half(&self) -> &Half<H> {
        H::of(self.endpoint.get())
    }
}

impl<H: Leasing> Lending for Lease<H> {
    fn class() -> &'static PyOnceLock<Py<PyType>> {
        H::class()
    }

    fn lend(&self, py: Python<'_>) -> Result<Memory> {
        self.half().view(py, self.number)?;
        Ok(Memory { start: self.start, len: self.len, writable: H::WRITABLE })
    }

    fn give_back(&self, py: Python<'_>) {
        self.half().unview(py, self.number);
    }

    fn size(&self) -> usize {
        self.len
    }

    fn retire(&self, py: Python<'_>) {
        self.half().abandon(py, self.number);
    }
}

/// Makes the class `eshm.Loan`.
pub fn make_loan_class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let methods = vec![
        raw::method!(
            c"send",
            send,
            c"send($self, /)\n--\n\nSends the message, and ends the loan.\n\n\
            Raises InUseError (a BufferError), with nothing sent, while there are views of it, such as NumPy arrays."
        ),
        raw::method!(
            c"release",
            release::<Sender>,
            c"release($self, /)\n--\n\nGives the room back, unsent.\n\n\
            Raises InUseError (a BufferError) while there are views of it."
        ),
        raw::method!(c"__enter__", enter, c"__enter__($self, /)\n--\n\nThis loan."),
        raw::method!(
            c"__exit__",
            exit::<Sender>,
            c"__exit__($self, /, exc_type=None, exc=None, traceback=None)\n--\n\n\
            Gives the room back, if the message was not sent."
        ),
    ];
    lending::make_class::<Loan>(
        py,
        c"eshm.Loan",
        c"Room for a message in the queue, from Endpoint.loan: a writable buffer, to be filled in place and sent.\n\n\
        Its content is arbitrary at first. Until it is sent or released, the endpoint sends nothing else.\n\n\
        >>> with robot.loan(frame.nbytes) as loan:\n\
        ...     np.frombuffer(loan, frame.dtype).reshape(frame.shape)[:] = frame\n\
        ...     loan.send()",
        methods,
    )
}

/// Makes the class `eshm.Borrowed`.
pub fn make_borrowed_class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let methods = vec![
        raw::method!(
            c"release",
            release::<Receiver>,
            c"release($self, /)\n--\n\nGives the message's room back to the peer; a second call is an error.\n\n\
            Raises InUseError (a BufferError) while there are views of it, such as NumPy arrays."
        ),
        raw::method!(c"__enter__", enter, c"__enter__($self, /)\n--\n\nThis message."),
        raw::method!(
            c"__exit__",
            exit::<Receiver>,
            c"__exit__($self, /, exc_type=None, exc=None, traceback=None)\n--\n\n\
            Releases the message, if that was not done."
        ),
    ];
    lending::make_class::<Borrowed>(
        py,
        c"eshm.Borrowed",
        c"A message where it lies in the queue, from Endpoint.borrow: a read-only buffer.\n\n\
        Its room is not used again until it is released. The next call that receives does so, too.\n\n\
        >>> with robot.borrow() as message:\n\
        ...     total = np.frombuffer(message, np.float32).sum()",
        methods,
    )
}

fn send<'py>(loan: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Result<Bound<'py, PyAny>> {
    arguments.none("send")?;
    let lease = lending::content::<Loan>(loan)?;
    lease.half().finish(loan.py(), lease.number, Sender::send_loaned)?;
    Ok(raw::none(loan.py()))
}

fn release<'py, H: Leasing>(
    lease: &Bound<'py, PyAny>,
    arguments: Arguments<'_, 'py>,
) -> Result<Bound<'py, PyAny>> {
    arguments.none("release")?;
    let content = lending::content::<Lease<H>>(lease)?;
    content.half().finish(lease.py(), content.number, |half| {
        half.take_back();
        Ok(())
    })?;
    Ok(raw::none(lease.py()))
}

fn enter<'py>(lease: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Result<Bound<'py, PyAny>> {
    arguments.none("__enter__")?;
    Ok(lease.clone())
}

fn exit<'py, H: Leasing>(
    lease: &Bound<'py, PyAny>,
    arguments: Arguments<'_, 'py>,
) -> Result<Bound<'py, PyAny>> {
    let ([], [kind, _, _]) = arguments.parse("__exit__", [], [c"exc_type", c"exc", c"traceback"])?;
    let py = lease.py();
    let content = lending::content::<Lease<H>>(lease)?;
    let raised = kind.is_some_and(|kind| !kind.is_none());
    // An exception's traceback may be what keeps the views: it says more than a complaint about them.
    if !content.half().abandon(py, content.number) && !raised {
        return Err(content.half().still_viewed());
    }
    Ok(raw::none(py))
}
