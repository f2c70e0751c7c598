//! Types and methods made with CPython's C API itself: the only door to it. All of it is in the limited API of
//! Python 3.11, which the wheel is tagged with.

use std::array;
use std::ffi::{CStr, c_int, c_void};
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

use pyo3::exceptions::{PySystemError, PyTypeError};
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::error::Result;

/// A method of a class: see [`method!`].
pub struct Method {
    pub name: &'static CStr,
    pub call: ffi::PyCFunctionFastWithKeywords,
    /// Its signature and its docstring, as `__text_signature__` wants them.
    pub doc: &'static CStr,
}

/// A property of a class: see [`property!`].
pub struct Property {
    pub name: &'static CStr,
    pub get: ffi::getter,
    pub doc: &'static CStr,
}

/// A [`Method`] out of a function of its object and its [`Arguments`].
macro_rules! method {
    ($name:literal, $function:path, $doc:literal) => {{
        unsafe extern "C" fn call(
            slf: *mut pyo3::ffi::PyObject,
            given: *const *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
            names: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            // SAFETY: the interpreter calls this, with what METH_FASTCALL | METH_KEYWORDS stands for.
            unsafe { $crate::raw::call_method(slf, given, count, names, $function) }
        }
        $crate::raw::Method { name: $name, call, doc: $doc }
    }};
}

/// A [`Property`] out of a function of its object.
macro_rules! property {
    ($name:literal, $function:path, $doc:literal) => {{
        unsafe extern "C" fn get(
            slf: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> *mut pyo3::ffi::PyObject {
            // SAFETY: the interpreter calls this, with the object whose property it is.
            unsafe { $crate::raw::call_unary(slf, $function) }
        }
        $crate::raw::Property { name: $name, get, doc: $doc }
    }};
}

pub(crate) use {method, property};

/// The arguments of a call.
pub struct Arguments<'a, 'py> {
    py: Python<'py>,
    /// The positional ones, then those with a name.
    given: &'a [*mut PyObject],
    /// Of the last of them. Null: there are none.
    names: *mut PyObject,
}

/// One of them.
pub type Argument<'a, 'py> = Borrowed<'a, 'py, PyAny>;

/// The most arguments of a method.
const MOST: usize = 4;

impl<'a, 'py> Arguments<'a, 'py> {
    /// That there are none.
    pub fn none(self, function: &str) -> PyResult<()> {
        let ([], []) = self.parse(function, [], [])?;
        Ok(())
    }

    /// The arguments by the order of their names: those that must be there, then those that may.
    #[inline]
    pub fn parse<const R: usize, const O: usize>(
        self,
        function: &str,
        required: [&CStr; R],
        optional: [&CStr; O],
    ) -> PyResult<([Argument<'a, 'py>; R], [Option<Argument<'a, 'py>>; O])> {
        const { assert!(R + O <= MOST) };
        let mut values = [None; MOST];
        let positional = self.given.len() - self.count_names();
        if positional > R + O {
            let (most, found) = (R + O, self.given.len());
            return Err(PyTypeError::new_err(format!(
                "{function}() takes at most {most} arguments, found {found}"
            )));
        }
        for (value, given) in values.iter_mut().zip(&self.given[..positional]) {
            // SAFETY: the caller keeps its arguments alive for `'a`, for which it lends them here.
            *value = Some(unsafe { Borrowed::from_ptr(self.py, *given) });
        }
        if !self.names.is_null() {
            let names = required.iter().chain(&optional).copied();
            self.parse_named(function, names, positional, &mut values)?;
        }
        if let Some(missing) = values[..R].iter().position(Option::is_none) {
            let missing = required[missing].to_string_lossy();
            return Err(PyTypeError::new_err(format!("{function}() needs the argument '{missing}'")));
        }
        Ok((array::from_fn(|at| values[at].expect("checked above")), array::from_fn(|at| values[R + at])))
    }

    fn count_names(&self) -> usize {
        if self.names.is_null() {
            return 0;
        }
        // SAFETY: a tuple, by the calling convention.
        unsafe { ffi::PyTuple_Size(self.names) as usize }
    }

    #[cold]
    fn parse_named<'n>(
        &self,
        function: &str,
        names: impl Iterator<Item = &'n CStr> + Clone,
        positional: usize,
        values: &mut [Option<Argument<'a, 'py>>; MOST],
    ) -> PyResult<()> {
        for (index, given) in self.given[positional..].iter().enumerate() {
            // SAFETY: the tuple has as many names as there are such arguments.
            let name = unsafe { ffi::PyTuple_GetItem(self.names, index as Py_ssize_t) };
            // SAFETY: keywords are str.
            let is =
                |known: &CStr| unsafe { ffi::PyUnicode_CompareWithASCIIString(name, known.as_ptr()) } == 0;
            let refuse = |what: &str| {
                // SAFETY: the tuple keeps it.
                let name = unsafe { Borrowed::from_ptr(self.py, name) }.to_owned();
                Err(PyTypeError::new_err(format!("{function}() got {what} '{name}'")))
            };
            match names.clone().position(is) {
                None => return refuse("an unexpected argument"),
                Some(at) if values[at].is_some() => return refuse("two values for the argument"),
                // SAFETY: as in `parse`.
                Some(at) => values[at] = Some(unsafe { Borrowed::from_ptr(self.py, *given) }),
            }
        }
        Ok(())
    }
}

/// Runs `body` for the interpreter: what goes wrong becomes an exception, and so does a panic. An exception may also
/// come as a panic, out of what cannot fail otherwise.
pub fn enter<'py, T>(py: Python<'py>, failed: T, body: impl FnOnce() -> Result<T>) -> T {
    let error = match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => PyErr::from(failure),
        Err(panic) => panic.downcast::<PyErr>().map_or_else(
            |_| PySystemError::new_err("a bug in eshm: see the panic's message on stderr"),
            |error| *error,
        ),
    };
    error.restore(py);
    failed
}

/// What [`method!`] does.
///
/// # Safety
/// The interpreter calls it: it is attached, `slf` and `count` arguments at `given`, of which the last are called
/// `names`, live for the call.
#[inline(always)]
pub unsafe fn call_method<'py>(
    slf: *mut PyObject,
    given: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
    function: impl FnOnce(&Bound<'py, PyAny>, Arguments<'_, 'py>) -> Result<Bound<'py, PyAny>>,
) -> *mut PyObject {
    // SAFETY: the caller says so.
    let py = unsafe { Python::assume_attached() };
    enter(py, ptr::null_mut(), || {
        // SAFETY: it lives for the call.
        let slf = unsafe { Borrowed::from_ptr(py, slf) };
        // SAFETY: a null tuple has no names.
        let named = if names.is_null() { 0 } else { unsafe { ffi::PyTuple_Size(names) } };
        // The convention lets an empty array be null.
        let given = match count + named {
            0 => &[],
            // SAFETY: `count` positional arguments, then the named ones.
            len => unsafe { std::slice::from_raw_parts(given, len as usize) },
        };
        Ok(function(&slf, Arguments { py, given, names })?.into_ptr())
    })
}

/// What [`property!`] does; also a `repr`.
///
/// # Safety
/// The interpreter calls it: it is attached, and `slf` lives for the call.
pub unsafe fn call_unary<'py>(
    slf: *mut PyObject,
    function: impl FnOnce(&Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>>,
) -> *mut PyObject {
    // SAFETY: the caller says so.
    let py = unsafe { Python::assume_attached() };
    enter(py, ptr::null_mut(), || {
        // SAFETY: it lives for the call.
        let slf = unsafe { Borrowed::from_ptr(py, slf) };
        Ok(function(&slf)?.into_ptr())
    })
}

/// Whether this is the interpreter that the process began with. PyO3, and the state that this library keeps per process,
/// work in no other.
pub fn is_main_interpreter(_: Python<'_>) -> PyResult<bool> {
    // SAFETY: the interpreter is attached.
    let interpreter = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: it is the current one, which lives.
    match unsafe { ffi::PyInterpreterState_GetID(interpreter) } {
        -1 => Err(PySystemError::new_err("the interpreter has no number")),
        id => Ok(id == 0),
    }
}

/// Python's None, as a result.
#[inline]
pub fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// Gives a class of PyO3's more methods.
pub fn add_methods(class: &Bound<'_, PyType>, methods: impl IntoIterator<Item = Method>) -> PyResult<()> {
    let py = class.py();
    for method in methods {
        let definition = Box::leak(Box::new(definition(&method)));
        // SAFETY: the definition and what it points to live for ever.
        let descriptor = unsafe { ffi::PyDescr_NewMethod(class.as_type_ptr(), definition) };
        // SAFETY: it is a new reference, or null with an exception.
        let descriptor = unsafe { Bound::from_owned_ptr_or_err(py, descriptor) }?;
        class.setattr(&*method.name.to_string_lossy(), descriptor)?;
    }
    Ok(())
}

fn definition(method: &Method) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: method.name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: method.call },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: method.doc.as_ptr(),
    }
}

/// What a class is made of.
pub struct Plan {
    /// With its module.
    pub name: &'static CStr,
    pub doc: &'static CStr,
    pub methods: Vec<Method>,
    pub properties: Vec<Property>,
    /// The rest of its slots.
    pub slots: Vec<ffi::PyType_Slot>,
    /// The size of an instance; 0: that of the base.
    pub size: usize,
}

impl Plan {
    /// Makes the class, once per process: what it consists of stays. Only this library makes instances.
    ///
    /// # Safety
    /// The slots fit instances of that size.
    pub unsafe fn make<'py>(
        self,
        py: Python<'py>,
        bases: Option<&Bound<'py, PyTuple>>,
    ) -> PyResult<Bound<'py, PyType>> {
        let methods: Vec<_> =
            self.methods.iter().map(definition).chain([ffi::PyMethodDef::zeroed()]).collect();
        let properties = self.properties.iter().map(|property| ffi::PyGetSetDef {
            name: property.name.as_ptr(),
            get: Some(property.get),
            set: None,
            doc: property.doc.as_ptr(),
            closure: ptr::null_mut(),
        });
        let properties: Vec<_> = properties.chain([ffi::PyGetSetDef::default()]).collect();
        let mut slots = self.slots;
        slots.extend([
            slot(ffi::Py_tp_doc, self.doc.as_ptr().cast()),
            slot(ffi::Py_tp_methods, methods.leak().as_ptr().cast()),
            slot(ffi::Py_tp_getset, properties.leak().as_ptr().cast()),
            slot(ffi::Py_tp_new, refuse_new as *const c_void),
            slot(0, ptr::null()),
        ]);
        let mut spec = ffi::PyType_Spec {
            name: self.name.as_ptr(),
            basicsize: self.size as c_int,
            itemsize: 0,
            flags: ffi::Py_TPFLAGS_DEFAULT as _,
            slots: slots.leak().as_mut_ptr(),
        };
        // Null: object.
        let bases = bases.map_or(ptr::null_mut(), |bases| bases.as_ptr());
        // SAFETY: the specification is complete, and its parts live for ever.
        let class = unsafe { ffi::PyType_FromSpecWithBases(&mut spec, bases) };
        // SAFETY: it is a new reference, or null with an exception.
        let class = unsafe { Bound::from_owned_ptr_or_err(py, class) }?;
        Ok(class.cast_into::<PyType>()?)
    }
}

/// A slot with a function or a structure of that slot's type.
pub fn slot(number: c_int, content: *const c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot: number, pfunc: content.cast_mut() }
}

unsafe extern "C" fn refuse_new(
    class: *mut ffi::PyTypeObject,
    _: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this.
    let py = unsafe { Python::assume_attached() };
    enter(py, ptr::null_mut(), || {
        // SAFETY: a class that lives for the call.
        let class = unsafe { Borrowed::from_ptr(py, class.cast()) }.to_owned();
        Err(PyTypeError::new_err(format!("{class} cannot be made: endpoints return them")).into())
    })
}

/// Frees an object whose content has been dropped.
///
/// # Safety
/// As `tp_dealloc`; the object was made with `PyObject_Malloc`.
pub unsafe extern "C" fn free(object: *mut PyObject) {
    // SAFETY: the object is alive until the next line.
    let class = unsafe { ffi::Py_TYPE(object) };
    // SAFETY: nobody refers to it any more; what it consisted of came from this allocator.
    unsafe { ffi::PyObject_Free(object.cast()) };
    // SAFETY: each instance holds a reference to its class, as `PyObject_Init` took it.
    unsafe { ffi::Py_DecRef(class.cast()) };
}
