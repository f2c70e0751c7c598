//! The segments of a domain, and the removal of those that no process uses.

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use eshm::{Domain, SegmentKind, View};

use crate::abi::{
    self, SEGMENT_CURRENT, SEGMENT_FOREIGN, SEGMENT_LEGACY, SEGMENT_UNFINISHED, SEGMENT_UNREADABLE,
};
use crate::boundary::call;
use crate::config;
use crate::error::{Failure, Result};

/// `ESHMSegmentVisitor`.
pub type Visitor = Option<unsafe extern "C" fn(segment: *const abi::Segment, context: *mut c_void)>;

/// `eshm_segments`.
///
/// # Safety
/// `directory` and `prefix` are NULL or C strings; `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_segments(
    directory: *const c_char,
    prefix: *const c_char,
    visit: Visitor,
    context: *mut c_void,
) -> c_int {
    call(|| {
        if visit.is_none() {
            return Err(Failure::invalid("visit is NULL, expected a function"));
        }
        // SAFETY: the caller promises that both are NULL or C strings.
        let domain = unsafe { domain(directory, prefix) }?;
        // SAFETY: the caller promises that `visit` may be called with `context`.
        let visit = unsafe { Visit::new(visit, context) };
        domain.segments()?.iter().for_each(|segment| visit.show(segment, false, ""));
        Ok(())
    })
}

/// `eshm_remove_dead`.
///
/// # Safety
/// As for [`eshm_segments`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_remove_dead(
    directory: *const c_char,
    prefix: *const c_char,
    visit: Visitor,
    context: *mut c_void,
) -> c_int {
    call(|| {
        // SAFETY: the caller promises that both are NULL or C strings.
        let removal = unsafe { domain(directory, prefix) }?.remove_dead()?;
        // SAFETY: the caller promises that `visit` may be called with `context`.
        unsafe { Visit::new(visit, context) }.show_removal(&removal);
        Ok(())
    })
}

/// `eshm_find_dead`.
///
/// # Safety
/// As for [`eshm_segments`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_find_dead(
    directory: *const c_char,
    prefix: *const c_char,
    visit: Visitor,
    context: *mut c_void,
) -> c_int {
    call(|| {
        // SAFETY: the caller promises that both are NULL or C strings.
        let removal = unsafe { domain(directory, prefix) }?.find_dead()?;
        // SAFETY: the caller promises that `visit` may be called with `context`.
        unsafe { Visit::new(visit, context) }.show_removal(&removal);
        Ok(())
    })
}

/// # Safety
/// Both are NULL or C strings.
unsafe fn domain(directory: *const c_char, prefix: *const c_char) -> Result<Domain> {
    // SAFETY: the caller promises that both are NULL or C strings.
    match unsafe { config::domain(directory, prefix) }? {
        Some(domain) => Ok(domain),
        None => Ok(Domain::from_env()?),
    }
}

/// A function of C's that is shown segments.
struct Visit {
    visit: Visitor,
    context: *mut c_void,
}

impl Visit {
    /// # Safety
    /// `visit` may be called with `context` while the result is used.
    unsafe fn new(visit: Visitor, context: *mut c_void) -> Self {
        Visit { visit, context }
    }

    fn show_removal(&self, removal: &eshm::Removal) {
        removal.removed.iter().for_each(|segment| self.show(segment, true, ""));
        removal.left.iter().for_each(|left| self.show(&left.segment, false, &left.reason));
    }

    fn show(&self, segment: &eshm::Segment, removed: bool, left_because: &str) {
        let Some(visit) = self.visit else { return };
        let text = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
        let (name, path) = (text(segment.name.as_bytes()), text(segment.path.as_os_str().as_bytes()));
        let (reason, left_because) = (text(segment.reason.as_bytes()), text(left_because.as_bytes()));
        let owner_name = text(segment.owner_name.as_deref().unwrap_or("").as_bytes());
        let since = segment.since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok());
        let view = segment.view.as_ref();
        let number = |part: fn(&View) -> u32| view.map_or(0, part);
        let shown = abi::Segment {
            name: name.as_ptr(),
            path: path.as_ptr(),
            kind: match segment.kind {
                SegmentKind::Current => SEGMENT_CURRENT,
                SegmentKind::Legacy => SEGMENT_LEGACY,
                SegmentKind::Unfinished => SEGMENT_UNFINISHED,
                SegmentKind::Unreadable => SEGMENT_UNREADABLE,
                _ => SEGMENT_FOREIGN,
            },
            reason: reason.as_ptr(),
            size: segment.size,
            owner: segment.owner,
            owner_name: owner_name.as_ptr(),
            mode: segment.mode,
            since_ns: since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            has_seats: view.is_some(),
            master_state: number(|view| view.master.state as u32),
            slave_state: number(|view| view.slave.state as u32),
            master_pid: view.map_or(0, |view| view.master.pid),
            slave_pid: view.map_or(0, |view| view.slave.pid),
            m2s_waiting: number(|view| view.master_to_slave.waiting),
            m2s_slots: number(|view| view.master_to_slave.slots),
            s2m_waiting: number(|view| view.slave_to_master.waiting),
            s2m_slots: number(|view| view.slave_to_master.slots),
            removed,
            left_because: left_because.as_ptr(),
        };
        // SAFETY: the maker of `self` promised that it may be called; the segment and its texts live until it
        // returns.
        unsafe { visit(&raw const shown, self.context) };
    }
}
