//! Objects that lend memory out by the buffer protocol, made with the C API as [`raw`](crate::raw) has it.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::exceptions::{PyMemoryError, PySystemError, PyTypeError};
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::error::Result;
use crate::raw::{self, Method, Plan, enter, slot};

/// Memory that an object lends out.
pub struct Memory {
    pub start: *mut u8,
    pub len: usize,
    pub writable: bool,
}

/// The content of the instances of a class that lends memory out, by the buffer protocol.
pub trait Lending: Send + Sync + 'static {
    /// Where the class is kept.
    fn class() -> &'static PyOnceLock<Py<PyType>>;

    /// Counts one user more of the memory, which stays where it is until [`Lending::give_back`].
    ///
    /// # Errors
    /// When it is no longer there.
    fn lend(&self, py: Python<'_>) -> Result<Memory>;

    /// Counts one user less.
    fn give_back(&self, py: Python<'_>);

    /// How much there is.
    fn size(&self) -> usize;

    /// The object is about to be freed.
    fn retire(&self, py: Python<'_>);
}

/// An instance.
#[repr(C)]
struct Instance<T> {
    head: PyObject,
    content: T,
}

/// Makes the class of `T`.
pub fn make_class<'py, T: Lending>(
    py: Python<'py>,
    name: &'static CStr,
    doc: &'static CStr,
    methods: Vec<Method>,
) -> PyResult<Bound<'py, PyType>> {
    let slots = vec![
        slot(ffi::Py_bf_getbuffer, get_buffer::<T> as *const c_void),
        slot(ffi::Py_bf_releasebuffer, release_buffer::<T> as *const c_void),
        slot(ffi::Py_tp_dealloc, deallocate::<T> as *const c_void),
        slot(ffi::Py_sq_length, length::<T> as *const c_void),
    ];
    let size = size_of::<Instance<T>>();
    let plan = Plan { name, doc, methods, properties: Vec::new(), slots, size };
    // SAFETY: the slots take their objects for `Instance<T>`, whose size is given.
    let class = unsafe { plan.make(py, None) }?;
    T::class().get_or_init(py, || class.clone().unbind());
    Ok(class)
}

/// An instance with this content.
pub fn new<T: Lending>(py: Python<'_>, content: T) -> PyResult<Bound<'_, PyAny>> {
    let Some(class) = T::class().get(py) else { return Err(PySystemError::new_err("eshm is not imported")) };
    // SAFETY: any size can be asked for.
    let memory = unsafe { ffi::PyObject_Malloc(size_of::<Instance<T>>()) }.cast::<Instance<T>>();
    if memory.is_null() {
        content.retire(py);
        return Err(PyMemoryError::new_err(()));
    }
    // SAFETY: room for an instance, which is nobody else's.
    let place = unsafe { &raw mut (*memory).content };
    // SAFETY: as above.
    unsafe { place.write(content) };
    // SAFETY: as above; the class is one of this size.
    let object = unsafe { ffi::PyObject_Init(memory.cast(), class.as_ptr().cast()) };
    // SAFETY: the first reference to it.
    Ok(unsafe { Bound::from_owned_ptr(py, object) })
}

/// The content of an instance of `T`'s class.
pub fn content<'a, T: Lending>(object: &'a Bound<'_, PyAny>) -> PyResult<&'a T> {
    let class = T::class().get(object.py());
    if class.is_none_or(|class| class.as_ptr() != object.get_type_ptr().cast()) {
        return Err(PyTypeError::new_err(format!("unexpected {}", object.get_type())));
    }
    // SAFETY: the class is final and its instances are made by `new` only.
    Ok(unsafe { content_of(object.as_ptr()) })
}

/// # Safety
/// `object` is an instance that lives for `'a`, whose content is not dropped meanwhile.
unsafe fn content_of<'a, T>(object: *mut PyObject) -> &'a T {
    // SAFETY: the caller says so; an instance's content was written before anybody could see it.
    unsafe { &(*object.cast::<Instance<T>>()).content }
}

unsafe extern "C" fn get_buffer<T: Lending>(
    object: *mut PyObject,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> c_int {
    // SAFETY: the interpreter calls this slot.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: a structure to be filled in. An error must leave it without an owner.
    unsafe { (*view).obj = ptr::null_mut() };
    enter(py, -1, || {
        // SAFETY: the slot's object, an instance.
        let content = unsafe { content_of::<T>(object) };
        let Memory { start, len, writable } = content.lend(py)?;
        let (len, readonly) = (len as Py_ssize_t, c_int::from(!writable));
        // SAFETY: `len` bytes at `start`, lent until the view is released.
        if unsafe { ffi::PyBuffer_FillInfo(view, object, start.cast(), len, readonly, flags) } == 0 {
            return Ok(0);
        }
        let error = PyErr::fetch(py);
        content.give_back(py);
        Err(error.into())
    })
}

unsafe extern "C" fn release_buffer<T: Lending>(object: *mut PyObject, _: *mut ffi::Py_buffer) {
    // SAFETY: the interpreter calls this slot.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the slot's object, an instance.
    unsafe { content_of::<T>(object) }.give_back(py);
}

unsafe extern "C" fn length<T: Lending>(object: *mut PyObject) -> Py_ssize_t {
    // SAFETY: the slot's object, an instance.
    unsafe { content_of::<T>(object) }.size() as Py_ssize_t
}

unsafe extern "C" fn deallocate<T: Lending>(object: *mut PyObject) {
    // SAFETY: the interpreter calls this slot.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the slot's object, an instance.
    unsafe { content_of::<T>(object) }.retire(py);
    // SAFETY: as above.
    let content = unsafe { &raw mut (*object.cast::<Instance<T>>()).content };
    // SAFETY: nobody refers to it any more, and it is freed next.
    unsafe { content.drop_in_place() };
    // SAFETY: made by `new`, with this allocator.
    unsafe { raw::free(object) };
}
