//! The endpoint behind an `ESHMHandle*`.

use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::process;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use eshm::raw::{self, Closed, Host, Limit, SharedEndpoint, SharedReceiver, SharedSender};
use eshm::{Endpoint, Inspector, Interest, PeerState};
use sharded_slab::Entry;

use crate::abi::{TIMEOUT_INFINITE, WAKEUP_PUSH};
use crate::boundary::{Out, call};
use crate::error::{Failure, Result};
use crate::registry::{Places, Registry};

static REGISTRY: LazyLock<Registry<Handle>> =
    LazyLock::new(|| Registry::new(0x4553_484D_A5C3_96E1_u64 as usize));

/// Opaque, as in the header.
#[repr(C)]
pub struct ESHMHandle {
    _opaque: [u8; 0],
}

/// An endpoint, as the threads of a C program share it.
pub(crate) struct Handle {
    endpoint: SharedEndpoint,
    /// The wake-up mode of 1.x. The lock is held only for a load or a store.
    wakeup_mode: Mutex<u32>,
    /// The process that made the handle, to identify a child that was forked without the fork handlers of the C library.
    owner: u32,
}

/// The host of C programs, which do nothing between the parts of a wait.
pub(crate) struct C;

impl Host for C {
    type Error = Failure;
}

impl Handle {
    /// Puts an endpoint into the registry.
    pub(crate) fn register(endpoint: Endpoint) -> Result<*mut ESHMHandle> {
        let endpoint = SharedEndpoint::new(endpoint);
        REGISTRY.insert(Handle { endpoint, wakeup_mode: Mutex::new(WAKEUP_PUSH), owner: process::id() })
    }

    /// Returns the endpoint of a handle.
    pub(crate) fn find(handle: *mut ESHMHandle) -> Result<Entry<'static, Handle, Places>> {
        REGISTRY.find(handle).ok_or_else(|| Failure::unknown(handle))
    }

    /// Takes an endpoint out of the registry and closes it. Calls that wait in other threads end. `None`: a forked
    /// child, which leaves the parent's endpoint alone.
    pub(crate) fn destroy(handle: *mut ESHMHandle) -> Result<Option<Closed>> {
        let found = Handle::find(handle)?;
        REGISTRY.remove(handle);
        if found.check_process().is_err() || found.owner != process::id() {
            return Ok(None);
        }
        // If two threads destroy the same handle, one of them closes the endpoint.
        found.endpoint.close(&mut C).map(Some).ok_or_else(Failure::no_handle)
    }

    /// Fails in a forked child, because the endpoint belongs to the parent.
    pub(crate) fn check_process(&self) -> Result<()> {
        Ok(self.endpoint.check_process()?)
    }

    pub(crate) fn sender(&self) -> &SharedSender {
        self.endpoint.sender()
    }

    pub(crate) fn receiver(&self) -> &SharedReceiver {
        self.endpoint.receiver()
    }

    pub(crate) fn inspector(&self) -> &Inspector {
        self.endpoint.inspector()
    }

    /// Returns the event descriptor, which is open as long as the handle is.
    pub(crate) fn event_descriptor(&self, interest: Interest) -> Result<c_int> {
        // The endpoint has the descriptor, which outlives this value.
        Ok(self.inspector().events(interest)?.as_raw_fd())
    }

    /// Returns the state of the peer, which does not make the event descriptor readable any more.
    pub(crate) fn notice_peer(&self) -> Result<PeerState> {
        self.check_process()?;
        Ok(self.inspector().notice_peer())
    }

    /// Returns the token of what a half has lent. C programs hold none: a half lends one thing at a time.
    pub(crate) fn token(&self, lent: Option<raw::Token>, nothing: &'static str) -> Result<raw::Token> {
        self.check_process()?;
        lent.ok_or_else(|| Failure::invalid(nothing))
    }

    /// # Errors
    /// `Forked` in a forked child, which may have no thread that releases the lock.
    pub(crate) fn wakeup_mode(&self) -> Result<u32> {
        self.check_process()?;
        Ok(*self.wakeup_mode.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// # Errors
    /// As [`Handle::wakeup_mode`].
    pub(crate) fn set_wakeup_mode(&self, mode: u32) -> Result<()> {
        self.check_process()?;
        *self.wakeup_mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        Ok(())
    }
}

/// Runs a function that stores an answer about the endpoint.
pub(crate) fn answer<T>(
    handle: *mut ESHMHandle,
    out: impl FnOnce() -> Result<Out<T>>,
    body: impl FnOnce(&Handle) -> Result<T>,
) -> c_int {
    call(|| {
        let (handle, out) = (Handle::find(handle)?, out()?);
        out.set(body(&handle)?);
        Ok(())
    })
}

/// Returns the limit of a timeout of C.
pub(crate) fn limit(timeout_ms: u32) -> Limit {
    match timeout_ms {
        0 => Limit::Now,
        TIMEOUT_INFINITE => Limit::Forever,
        ms => Limit::For(Duration::from_millis(ms.into())),
    }
}

/// As [`limit`], as a time: without limit it is longer than any.
pub(crate) fn longest(timeout_ms: u32) -> Duration {
    match timeout_ms {
        TIMEOUT_INFINITE => Duration::MAX,
        ms => Duration::from_millis(ms.into()),
    }
}
