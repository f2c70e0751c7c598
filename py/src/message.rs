//! `eshm.Message`: a `bytes` object that also knows how it arrived.
//!
//! PyO3 derives no class from `bytes` in the limited API of Python 3.11, so this file makes the class and its instances
//! with CPython's C API. A wrapper around a `bytes` object costs 19 to 42 % of a send and its receive: see
//! ARCHITECTURE.md.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::slice;

use pyo3::exceptions::{PyMemoryError, PySystemError, PyTypeError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::error::Result;
use crate::interpreter::guarded;
use crate::text;

/// What an instance has beyond a `bytes` object. It lies behind the NUL that ends the bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Origin {
    /// How many values were overwritten before this one.
    pub skipped: u64,
    /// The generation of the peer that sent it.
    pub generation: u64,
}

impl From<&eshm::Message<'_>> for Origin {
    fn from(message: &eshm::Message<'_>) -> Self {
        Origin { skipped: message.skipped(), generation: message.generation() }
    }
}

/// What is needed to make an instance.
struct Class {
    class: Py<PyType>,
    /// The part of a `bytes` object between the header that all objects have and its bytes, while its hash is not
    /// known.
    head: Vec<u8>,
}

static CLASS: PyOnceLock<Class> = PyOnceLock::new();
const VAR_HEAD: usize = size_of::<ffi::PyVarObject>();

/// Makes a C function out of a function of one object. A second parameter is not used.
macro_rules! unary {
    ($function:path $(, $unused:ty)?) => {{
        unsafe extern "C" fn call(slf: *mut PyObject $(, _: $unused)?) -> *mut PyObject {
            // SAFETY: the interpreter calls this, with the object whose method or property it is.
            unsafe { call_unary(slf, $function) }
        }
        call
    }};
}

/// Returns the table of the methods.
fn methods() -> Vec<ffi::PyMethodDef> {
    let method = |name: &'static CStr, function, doc: &'static CStr| ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: doc.as_ptr(),
    };
    vec![
        method(
            c"text",
            unary!(text, *mut PyObject),
            c"text($self, /)\n--\n\nReturns the message as text, without the NUL that ends it.\n\n\
            Raises InvalidError (a ValueError) when it is not UTF-8, or has another NUL in it.",
        ),
        method(
            c"__reduce__",
            unary!(reduce, *mut PyObject),
            c"__reduce__($self, /)\n--\n\nCopies and pickles are plain bytes.",
        ),
        ffi::PyMethodDef::zeroed(),
    ]
}

/// Returns the table of the properties.
fn properties() -> Vec<ffi::PyGetSetDef> {
    let property = |name: &'static CStr, get, doc: &'static CStr| ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set: None,
        doc: doc.as_ptr(),
        closure: ptr::null_mut(),
    };
    vec![
        property(c"data", unary!(data, *mut c_void), c"The message, as plain bytes."),
        property(
            c"skipped",
            unary!(skipped, *mut c_void),
            c"How many values were overwritten before they were read. Always 0 for recv.",
        ),
        property(
            c"generation",
            unary!(generation, *mut c_void),
            c"The generation of the peer that sent it: it changes when the peer has been restarted.",
        ),
        ffi::PyGetSetDef::default(),
    ]
}

/// Makes the class `eshm.Message`, once per process: the tables that it consists of stay.
pub fn make_class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let doc =
        c"A message: a copy of its bytes, and how it arrived.\n\nIt is a bytes object in every respect.";
    let slot = |slot: c_int, content: *const c_void| ffi::PyType_Slot { slot, pfunc: content.cast_mut() };
    let slots = vec![
        slot(ffi::Py_tp_doc, doc.as_ptr().cast()),
        slot(ffi::Py_tp_methods, methods().leak().as_ptr().cast()),
        slot(ffi::Py_tp_getset, properties().leak().as_ptr().cast()),
        slot(ffi::Py_tp_new, refuse_new as *const c_void),
        slot(ffi::Py_tp_dealloc, free as *const c_void),
        slot(ffi::Py_tp_repr, unary!(repr) as *const c_void),
        slot(0, ptr::null()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"eshm.Message".as_ptr(),
        // That of the base.
        basicsize: 0,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as _,
        slots: slots.leak().as_mut_ptr(),
    };
    let bases = PyTuple::new(py, [py.get_type::<PyBytes>()])?;
    // SAFETY: the specification is complete, and its parts are never freed. The slots take their objects for `bytes`
    // with an `Origin`, and the class is final and has no other instances than those that `new` makes.
    let class = unsafe { ffi::PyType_FromSpecWithBases(&mut spec, bases.as_ptr()) };
    // SAFETY: it is a new reference, or null with an exception.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, class) }?.cast_into::<PyType>()?;
    let head = head(py)?;
    CLASS.get_or_init(py, || Class { class: class.clone().unbind(), head });
    Ok(class)
}

/// Returns the part of a new `bytes` object between the header that all objects have and its bytes.
fn head(py: Python<'_>) -> PyResult<Vec<u8>> {
    // Two bytes: shorter ones are shared, and may have been asked for their hash.
    let sample = PyBytes::new(py, b"\xff\xfe");
    let start = sample.as_ptr().cast::<u8>();
    let offset = (sample.as_bytes().as_ptr() as usize).checked_sub(start as usize);
    let size = py.get_type::<PyBytes>().getattr("__basicsize__")?.extract::<usize>()?;
    match offset.and_then(|offset| offset.checked_sub(VAR_HEAD)) {
        // The bytes lie within the object, at its end, and are followed by a NUL.
        Some(len) if VAR_HEAD + len + 1 == size => {
            // SAFETY: it is the sample's own memory, which is initialised up to its bytes.
            let object = unsafe { slice::from_raw_parts(start, VAR_HEAD + len) };
            Ok(object[VAR_HEAD..].to_vec())
        }
        _ => Err(PySystemError::new_err("eshm does not know the bytes objects of this Python")),
    }
}

/// Makes a message with a copy of these bytes.
#[inline]
pub fn new<'py>(py: Python<'py>, bytes: &[u8], origin: Origin) -> PyResult<Bound<'py, PyBytes>> {
    let Some(Class { class, head }) = CLASS.get(py) else {
        return Err(PySystemError::new_err("eshm is not imported"));
    };
    let (len, start) = (bytes.len(), VAR_HEAD + head.len());
    // SAFETY: any size can be asked for; a message's is far from overflowing it.
    let object = unsafe { ffi::PyObject_Malloc(start + len + 1 + size_of::<Origin>()) }.cast::<u8>();
    if object.is_null() {
        return Err(PyMemoryError::new_err(()));
    }
    // SAFETY: the object is that long, and no one else knows it: its head, its bytes, a NUL, its origin.
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "each one writes a part of what was allocated")]
    unsafe {
        ptr::copy_nonoverlapping(head.as_ptr(), object.add(VAR_HEAD), head.len());
        ptr::copy_nonoverlapping(bytes.as_ptr(), object.add(start), len);
        object.add(start + len).write(0);
        object.add(start + len + 1).cast::<Origin>().write_unaligned(origin);
    }
    // SAFETY: a `bytes` object of that many bytes except for its head, which this completes: it has the first
    // reference.
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "the cast relies on the line before")]
    unsafe {
        let object = ffi::PyObject_InitVar(object.cast(), class.as_ptr().cast(), len as ffi::Py_ssize_t);
        Ok(Bound::from_owned_ptr(py, object.cast()).cast_into_unchecked())
    }
}

/// Frees a message.
///
/// # Safety
/// As `tp_dealloc`; the object was made by [`new`].
unsafe extern "C" fn free(object: *mut PyObject) {
    // SAFETY: the object is alive until the next line.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: no reference to it is left, and it came from this allocator.
    unsafe { ffi::PyObject_Free(object.cast()) };
    // SAFETY: each instance holds a reference to its class, which `PyObject_InitVar` took.
    unsafe { ffi::Py_DecRef(class.cast()) };
}

unsafe extern "C" fn refuse_new(
    _class: *mut ffi::PyTypeObject,
    _: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this slot.
    let py = unsafe { Python::assume_attached() };
    PyTypeError::new_err("cannot create 'eshm.Message' instances: endpoints return them").restore(py);
    ptr::null_mut()
}

/// Calls `function` for the interpreter. Errors and panics become exceptions.
///
/// # Safety
/// The interpreter calls it: it is attached, and `slf` lives for the call.
unsafe fn call_unary<'py>(
    slf: *mut PyObject,
    function: impl FnOnce(&Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>>,
) -> *mut PyObject {
    let call = |py| {
        // SAFETY: the caller says that it lives for the call.
        let slf = unsafe { Borrowed::from_ptr(py, slf) };
        function(&slf)
    };
    // SAFETY: the caller says so.
    unsafe { guarded(call) }
}

/// Returns the origin of a message.
fn origin(message: &Bound<'_, PyAny>) -> PyResult<Origin> {
    let class = CLASS.get(message.py());
    if class.is_none_or(|known| known.class.as_ptr() != message.get_type_ptr().cast()) {
        return Err(PyTypeError::new_err(format!("expected a Message, found {}", message.get_type())));
    }
    let len = message.cast::<PyBytes>()?.as_bytes().len();
    // SAFETY: the class is final and derives from `bytes`. The pointer is the object's, not that of a slice, which
    // would not reach beyond the bytes.
    let start = unsafe { ffi::PyBytes_AsString(message.as_ptr()) };
    // SAFETY: instances are made by `new` only, which puts a NUL and an origin behind the bytes.
    let behind = unsafe { start.add(len + 1) };
    // SAFETY: as above; any alignment.
    Ok(unsafe { behind.cast::<Origin>().read_unaligned() })
}

fn bytes<'a>(message: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    Ok(message.cast::<PyBytes>()?.as_bytes())
}

fn data<'py>(message: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    Ok(PyBytes::new(message.py(), bytes(message)?).into_any())
}

fn skipped<'py>(message: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    Ok(origin(message)?.skipped.into_pyobject(message.py()).map_err(PyErr::from)?.into_any())
}

fn generation<'py>(message: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    Ok(origin(message)?.generation.into_pyobject(message.py()).map_err(PyErr::from)?.into_any())
}

fn text<'py>(message: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    Ok(text::decode(message.py(), bytes(message)?)?.into_any())
}

fn reduce<'py>(message: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    let py = message.py();
    Ok((py.get_type::<PyBytes>(), (data(message)?,)).into_pyobject(py)?.into_any())
}

fn repr<'py>(message: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    let Origin { skipped, generation } = origin(message)?;
    let data = data(message)?.repr()?;
    let repr = format!("Message({data}, skipped={skipped}, generation={generation})");
    Ok(repr.into_pyobject(message.py()).map_err(PyErr::from)?.into_any())
}
