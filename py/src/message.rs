//! What a read or a recv returns: a `bytes` that knows how it came.

use std::ffi::c_void;
use std::ptr;
use std::slice;

use pyo3::exceptions::{PyMemoryError, PySystemError, PyTypeError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::error::Result;
use crate::raw::{self, Arguments, Plan};
use crate::text;

/// What an instance has beyond a `bytes` object: it lies behind the NUL that ends the bytes.
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

/// What making an instance takes.
struct Class {
    class: Py<PyType>,
    /// What a `bytes` object has between what all objects have and its bytes, when nobody has asked for its hash.
    head: Vec<u8>,
}

static CLASS: PyOnceLock<Class> = PyOnceLock::new();
const VAR_HEAD: usize = size_of::<ffi::PyVarObject>();

/// Makes the class `eshm.Message`.
pub fn make_class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let plan = Plan {
        name: c"eshm.Message",
        doc: c"A message: a copy of its bytes, and what is known about their coming.\n\n\
            It is a bytes object in every respect.",
        methods: vec![
            raw::method!(
                c"text",
                text,
                c"text($self, /)\n--\n\nThe message as text, without the NUL that ends it.\n\n\
                Raises InvalidError (a ValueError) when it is not UTF-8, or has another NUL in it."
            ),
            raw::method!(
                c"__reduce__",
                reduce,
                c"__reduce__($self, /)\n--\n\nCopies and pickles are plain bytes."
            ),
        ],
        properties: vec![
            raw::property!(c"data", data, c"The message, as plain bytes."),
            raw::property!(
                c"skipped",
                skipped,
                c"How many values were overwritten unread before this one. Always 0 for recv."
            ),
            raw::property!(
                c"generation",
                generation,
                c"The generation of the peer that sent it: it changes when the peer has been restarted."
            ),
        ],
        slots: vec![
            raw::slot(ffi::Py_tp_dealloc, raw::free as *const c_void),
            raw::slot(ffi::Py_tp_repr, repr_slot as *const c_void),
        ],
        size: 0,
    };
    let bases = PyTuple::new(py, [py.get_type::<PyBytes>()])?;
    // SAFETY: the slots take their objects for `bytes` with an `Origin`, which is what `new` makes.
    let class = unsafe { plan.make(py, Some(&bases)) }?;
    let head = head(py)?;
    CLASS.get_or_init(py, || Class { class: class.clone().unbind(), head });
    Ok(class)
}

/// The part of a new `bytes` object between what all objects have and its bytes.
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

/// A message with a copy of these bytes.
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
    // SAFETY: the object is that long, and nobody else's: its head, its bytes, a NUL, its origin.
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "each one writes a part of what was allocated")]
    unsafe {
        ptr::copy_nonoverlapping(head.as_ptr(), object.add(VAR_HEAD), head.len());
        ptr::copy_nonoverlapping(bytes.as_ptr(), object.add(start), len);
        object.add(start + len).write(0);
        object.add(start + len + 1).cast::<Origin>().write_unaligned(origin);
    }
    // SAFETY: a `bytes` object of that many bytes but for its head, which this completes: it has the first reference.
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "the cast relies on the line before")]
    unsafe {
        let object = ffi::PyObject_InitVar(object.cast(), class.as_ptr().cast(), len as ffi::Py_ssize_t);
        Ok(Bound::from_owned_ptr(py, object.cast()).cast_into_unchecked())
    }
}

/// The origin of a message.
fn origin(message: &Bound<'_, PyAny>) -> PyResult<Origin> {
    let class = CLASS.get(message.py());
    if class.is_none_or(|known| known.class.as_ptr() != message.get_type_ptr().cast()) {
        return Err(PyTypeError::new_err(format!("expected a Message, found {}", message.get_type())));
    }
    let len = message.cast::<PyBytes>()?.as_bytes().len();
    // SAFETY: the class is final and derives from `bytes`. The pointer is the object's, not that of a slice, which would not
    // reach beyond the bytes.
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

fn text<'py>(message: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Result<Bound<'py, PyAny>> {
    arguments.none("text")?;
    Ok(text::decode(message.py(), bytes(message)?)?.into_any())
}

fn reduce<'py>(message: &Bound<'py, PyAny>, arguments: Arguments<'_, 'py>) -> Result<Bound<'py, PyAny>> {
    arguments.none("__reduce__")?;
    let py = message.py();
    Ok((py.get_type::<PyBytes>(), (data(message)?,)).into_pyobject(py)?.into_any())
}

fn repr<'py>(message: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    let Origin { skipped, generation } = origin(message)?;
    let data = data(message)?.repr()?;
    let repr = format!("Message({data}, skipped={skipped}, generation={generation})");
    Ok(repr.into_pyobject(message.py()).map_err(PyErr::from)?.into_any())
}

unsafe extern "C" fn repr_slot(slf: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this slot.
    unsafe { raw::call_unary(slf, repr) }
}
