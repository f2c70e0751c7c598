//! What comes in from C and goes out to it: pointers that may be anything. No panic leaves.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use eshm::Domain;

use crate::error::{BUFFER_TOO_SMALL, Failure, INTERNAL, Result, SUCCESS};

/// The longest name, in bytes, and how far a pointer to a name is followed. The core refuses a name that is too
/// long for the domain's prefix.
const LONGEST_NAME: usize = 255;

/// Runs the body of an exported function: no panic leaves, and a failure becomes the thread's last one.
pub(crate) fn call(body: impl FnOnce() -> Result<()>) -> c_int {
    run(body).map_or_else(Failure::keep, |()| SUCCESS)
}

/// As [`call`], for a body with a result; `failed` is what C gets instead.
pub(crate) fn call_for<T>(failed: impl FnOnce(c_int) -> T, body: impl FnOnce() -> Result<T>) -> T {
    run(body).unwrap_or_else(|failure| failed(failure.keep()))
}

fn run<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // Unwind safety: a panic can leave the state of an endpoint half-changed. That state lies in shared memory and
    // is made for processes that are killed at any instruction.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(defect(&*panic)))
}

fn defect(panic: &(dyn Any + Send)) -> Failure {
    let what = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no details");
    Failure::Own(INTERNAL, format!("a defect of ESHM: {what}; please report it").replace('\0', "\\0").into())
}

/// Refuses NULL.
pub(crate) fn not_null<T>(pointer: *const T, name: &'static str) -> Result<()> {
    if pointer.is_null() {
        return Err(Failure::invalid(format!("{name} is NULL, expected a pointer")));
    }
    Ok(())
}

/// Reads what C points to.
///
/// # Safety
/// If not NULL, `pointer` is to a `T`. (It may be unaligned: packed structures are common in C.)
pub(crate) unsafe fn get<T: Copy>(pointer: *const T, name: &'static str) -> Result<T> {
    not_null(pointer, name)?;
    // SAFETY: the caller promises that it is to a `T`.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Where C wants a value to be stored.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// NULL is allowed: the value is stored nowhere.
    ///
    /// # Safety
    /// If not NULL, `pointer` is to memory for a `T`, the caller's to write while the result is used. (It may be
    /// unaligned.)
    pub(crate) unsafe fn new(pointer: *mut T) -> Self {
        Out(pointer)
    }

    /// Refuses NULL.
    ///
    /// # Safety
    /// As [`Out::new`].
    pub(crate) unsafe fn needed(pointer: *mut T, name: &'static str) -> Result<Self> {
        not_null(pointer, name)?;
        Ok(Out(pointer))
    }

    pub(crate) fn set(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: it is to memory for a `T` that may be written, as the maker of `self` promised.
            unsafe { self.0.write_unaligned(value) };
        }
    }
}

/// A structure of C that begins with its size, to be filled.
pub(crate) struct Structure<T> {
    pub(crate) size: usize,
    out: Out<T>,
}

impl<T> Structure<T> {
    /// Refuses NULL and a structure of another version.
    ///
    /// # Safety
    /// If not NULL, `pointer` is to a structure that begins with its size in bytes, the caller's to write while the
    /// result is used.
    pub(crate) unsafe fn new(pointer: *mut T, name: &'static str, kind: &'static str) -> Result<Self> {
        // SAFETY: the caller promises that the structure begins with its size.
        let size = unsafe { get(pointer.cast_const().cast::<usize>(), name) }?;
        check_version(kind, size, size_of::<T>())?;
        Ok(Structure { size, out: Out(pointer) })
    }

    pub(crate) fn set(&self, value: T) {
        self.out.set(value);
    }
}

/// Checks that a structure is of this version. A later one will be longer, and have fields that must not be ignored.
pub(crate) fn check_version(structure: &'static str, found: usize, known: usize) -> Result<()> {
    if found == known {
        return Ok(());
    }
    let why =
        if found > known { "of a later eshm.h: install the libeshm that belongs to it" } else { "not set" };
    Err(Failure::invalid(format!("{structure}.struct_size is {found}, expected {known}; it is {why}")))
}

/// Returns the bytes that C points to; NULL is allowed if there are none.
///
/// # Safety
/// If not NULL, `data` is to `size` bytes, which do not change during `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, size: usize, name: &'static str) -> Result<&'a [u8]> {
    if size == 0 {
        return Ok(&[]);
    }
    not_null(data, name)?;
    check_size(size, name)?;
    // SAFETY: the caller promises `size` bytes that do not change; `size` was checked.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), size) })
}

/// Refuses a size that no object can have: it was computed wrongly, such as from a negative number.
pub(crate) fn check_size(size: usize, name: &'static str) -> Result<()> {
    if isize::try_from(size).is_err() {
        return Err(Failure::invalid(format!("{name} has {size} bytes, more than an object can have")));
    }
    Ok(())
}

/// A buffer of C's.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    start: *mut c_void,
    pub(crate) size: usize,
}

impl Room {
    /// NULL is allowed if there are no bytes.
    ///
    /// # Safety
    /// If not NULL, `start` is to `size` bytes that are the caller's while the result is used.
    pub(crate) unsafe fn new(start: *mut c_void, size: usize, name: &'static str) -> Result<Self> {
        if size > 0 {
            not_null(start, name)?;
            check_size(size, name)?;
        }
        Ok(Room { start, size })
    }

    /// Refuses NULL, also if there are no bytes.
    ///
    /// # Safety
    /// As [`Room::new`].
    pub(crate) unsafe fn needed(start: *mut c_void, size: usize, name: &'static str) -> Result<Self> {
        not_null(start, name)?;
        check_size(size, name)?;
        Ok(Room { start, size })
    }

    /// Copies `bytes` to its start.
    ///
    /// # Errors
    /// `BUFFER_TOO_SMALL` if they do not fit.
    pub(crate) fn take(self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > self.size {
            let text = format!(
                "{} bytes do not fit a buffer of {}; call again with a greater one",
                bytes.len(),
                self.size
            );
            return Err(Failure::Own(BUFFER_TOO_SMALL, text.into()));
        }
        if !bytes.is_empty() {
            // SAFETY: `start` is to `size` bytes, as the maker of `self` promised, and `bytes` are no more, as was
            // checked; they lie in the segment or in a buffer of this library, so not in C's buffer.
            unsafe { self.start.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
        Ok(())
    }

    /// Returns the rest of it behind the first `used` bytes.
    ///
    /// # Panics
    /// If `used` is more than all of it.
    pub(crate) fn rest(self, used: usize) -> Self {
        Room {
            start: self.start.wrapping_byte_add(used),
            size: self.size.checked_sub(used).expect("used what it has"),
        }
    }
}

/// Borrows a descriptor of C's, which may be closed.
///
/// # Errors
/// `INVALID_PARAM` if it cannot be one.
pub(crate) fn descriptor<'a>(fd: c_int) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Failure::invalid(format!("fd is {fd}, expected an open descriptor")));
    }
    // SAFETY: it is not -1. It is only duplicated, which fails if it is not open.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Returns a segment's name. A name without a NUL is read only as far as a name can be long.
///
/// # Safety
/// If not NULL, `pointer` is to bytes up to a NUL, or to 256 bytes.
pub(crate) unsafe fn name(pointer: *const c_char, field: &'static str) -> Result<String> {
    not_null(pointer, field)?;
    let mut name = Vec::new();
    loop {
        if name.len() > LONGEST_NAME {
            return Err(Failure::invalid(format!(
                "{field} has no NUL within {} bytes, expected a name of 1 to {} bytes and a NUL",
                LONGEST_NAME + 1,
                Domain::default().max_name()
            )));
        }
        // SAFETY: no byte before this one was the NUL, and it is among the first 256.
        match unsafe { pointer.wrapping_add(name.len()).cast::<u8>().read() } {
            0 => break,
            byte => name.push(byte),
        }
    }
    String::from_utf8(name).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::invalid(format!("{field} is not UTF-8 at byte {at}, expected UTF-8"))
    })
}

/// Returns a C string; `None` for NULL.
///
/// # Safety
/// If not NULL, `pointer` is to a C string, which does not change during `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller promises a C string.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::error;

    fn last() -> &'static str {
        // SAFETY: a C string of this thread's, which outlives the comparisons of one test.
        unsafe { CStr::from_ptr(error::last_text()) }.to_str().unwrap()
    }

    #[test]
    fn a_panic_becomes_an_error_with_its_text() {
        assert_eq!(call(|| panic!("index {} of {}", 7, 3)), INTERNAL);
        assert_eq!(last(), "a defect of ESHM: index 7 of 3; please report it");
        assert_eq!(call_for(|code| code, || panic!("a NUL \0 within")), INTERNAL);
        assert!(last().contains("a NUL \\0 within"));
        assert_eq!(call(|| std::panic::panic_any(7)), INTERNAL);
        assert!(last().contains("no details"));
    }

    #[test]
    fn a_buffer_takes_what_fits() {
        let mut buffer = [0_u8; 8];
        // SAFETY: eight bytes that are borrowed for it alone.
        let room = unsafe { Room::new(buffer.as_mut_ptr().cast(), buffer.len(), "buffer") }.unwrap();
        room.take(b"abc").unwrap();
        room.rest(3).take(b"").unwrap();
        room.rest(3).take(b"defgh").unwrap();
        assert_eq!(room.rest(8).size, 0);
        assert_eq!(room.rest(6).take(b"ijk").unwrap_err().code(), BUFFER_TOO_SMALL);
        assert_eq!(&buffer, b"abcdefgh");
    }
}
