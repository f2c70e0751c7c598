//! Read-only monitoring of a segment.

use std::ffi::c_int;
use std::process;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use eshm::{Error, Observer};

use crate::abi::{DirectionView, Options, SeatView, View};
use crate::boundary::{Out, Structure, call};
use crate::config;
use crate::error::{Failure, NOT_INITIALIZED, Result};
use crate::registry::Registry;

static REGISTRY: LazyLock<Registry<Watcher>> =
    LazyLock::new(|| Registry::new(0x4F42_5356_5C3A_691E_u64 as usize));

/// Opaque, as in the header.
#[repr(C)]
pub struct ESHMObserver {
    _opaque: [u8; 0],
}

/// An observer, as the threads of a C program share it.
struct Watcher {
    name: Arc<str>,
    /// The process that opened it.
    owner: u32,
    observer: Mutex<Observer>,
}

impl Watcher {
    /// # Errors
    /// `Forked` in a child of the process that opened it, which may have no thread that releases the lock.
    fn lock(&self) -> Result<MutexGuard<'_, Observer>> {
        if process::id() != self.owner {
            return Err(Error::Forked { segment: Arc::clone(&self.name) }.into());
        }
        Ok(self.observer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `eshm_observe`.
///
/// # Safety
/// `options` is as for [`eshm_open`](crate::endpoint::eshm_open); `observer` is NULL or to an `ESHMObserver*`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_observe(options: *const Options, observer: *mut *mut ESHMObserver) -> c_int {
    call(|| {
        // SAFETY: the caller promises that `observer` is NULL or to an `ESHMObserver*`.
        let observer = unsafe { Out::needed(observer, "observer") }?;
        observer.set(std::ptr::null_mut());
        // SAFETY: the caller promises the same of `options`.
        let found = unsafe { config::of_options(options) }?.observe()?;
        let (name, owner) = (Arc::from(found.name()), process::id());
        observer.set(REGISTRY.insert(Watcher { name, owner, observer: Mutex::new(found) })?);
        Ok(())
    })
}

/// `eshm_observer_look`.
///
/// # Safety
/// `view` is NULL or to an `ESHMView` of its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eshm_observer_look(observer: *mut ESHMObserver, view: *mut View) -> c_int {
    call(|| {
        let watcher = REGISTRY.find(observer).ok_or_else(|| unknown(observer))?;
        // SAFETY: the caller promises that `view` is NULL or to an `ESHMView`, which begins with its size.
        let view = unsafe { Structure::new(view, "view", "ESHMView") }?;
        let mut observer = watcher.lock()?;
        let seen = observer.look();
        view.set(View {
            struct_size: view.size,
            is_current: observer.is_current(),
            data_size: observer.data_size(),
            max_message: observer.max_message(),
            master: seat(seen.master),
            slave: seat(seen.slave),
            master_to_slave: direction(seen.master_to_slave),
            slave_to_master: direction(seen.slave_to_master),
        });
        Ok(())
    })
}

/// `eshm_observer_close`. Any pointer is safe here.
#[unsafe(no_mangle)]
pub extern "C" fn eshm_observer_close(observer: *mut ESHMObserver) -> c_int {
    call(|| {
        REGISTRY.find(observer).ok_or_else(|| unknown(observer))?;
        REGISTRY.remove(observer);
        Ok(())
    })
}

fn seat(seat: eshm::SeatView) -> SeatView {
    same_fields!(seat => SeatView: pid heartbeat generation is_legacy; state: seat.state as u32)
}

fn direction(direction: eshm::DirectionView) -> DirectionView {
    same_fields!(direction => DirectionView: written read waiting high_water slots;)
}

#[cold]
fn unknown(observer: *mut ESHMObserver) -> Failure {
    if observer.is_null() {
        Failure::invalid("observer is NULL, expected one of eshm_observe")
    } else {
        Failure::Own(
            NOT_INITIALIZED,
            "the observer is not one that eshm_observe returned, or it was closed; open a new one".into(),
        )
    }
}
