//! What is behind an `ESHMHandle*`.
//!
//! The pointer is no address: it is a number that the registry gave out, mixed with a mask. Each number says which
//! place in the registry and which generation of it, and a place's generation changes when it is used again. So a
//! handle that was destroyed, or that never was one, is told as such without looking at memory that it points to,
//! and a thread that is inside a call keeps what it uses while another destroys it.

use std::process;
use std::sync::LazyLock;
use std::time::Duration;

use eshm::{Endpoint, Error, Inspector, Receiver, Sender, Wait};
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use sharded_slab::{Config, Entry, Slab};

use crate::abi::{TIMEOUT_INFINITE, WAKEUP_PUSH};
use crate::error::{Failure, Result, SHM_CREATE};

/// How long a call that waits keeps its half of the endpoint from others, such as from one that destroys it.
pub(crate) const PART: Duration = Duration::from_millis(50);
/// How long a thread waits for its turn before it asks whether it is in a forked child.
const TURN: Duration = Duration::from_millis(100);

/// Makes small integers, and pointers into the heap or the stack, no handles.
const MASK: usize = 0x4553_484D_A5C3_96E1_u64 as usize;

/// Opaque, as in the header.
#[repr(C)]
pub struct ESHMHandle {
    _opaque: [u8; 0],
}

static REGISTRY: LazyLock<Slab<Handle, Places>> = LazyLock::new(Slab::new_with_config);

/// As many bits as can be for the generations: 2 million endpoints at a time, of each of 4096 threads.
struct Places;

impl Config for Places {
    const INITIAL_PAGE_SIZE: usize = 32;
    const MAX_PAGES: usize = 16;
}

/// An endpoint, as the threads of a C program share it.
pub(crate) struct Handle {
    pub(crate) inspector: Inspector,
    /// The process that opened it.
    owner: u32,
    /// `None` once it is destroyed, as for the receiver.
    sender: Mutex<Option<Sending>>,
    receiver: Mutex<Option<Receiving>>,
    wakeup_mode: Mutex<u32>,
}

/// The sending half.
pub(crate) struct Sending {
    pub(crate) sender: Sender,
    /// Whether room was lent.
    pub(crate) loaned: bool,
}

/// The receiving half.
pub(crate) struct Receiving {
    pub(crate) receiver: Receiver,
    /// A value that was greater than the buffer it was to be read into.
    pub(crate) value: Option<Vec<u8>>,
    /// A message that was too, or that is lent.
    pub(crate) message: Option<Held>,
    /// Whether `message` is lent.
    pub(crate) borrowed: bool,
}

/// A message that was received and not released.
pub(crate) enum Held {
    /// In the receiver's memory, until its next call.
    InPlace(*const u8, usize),
    /// Copied out of it.
    Copied(Vec<u8>),
}

// SAFETY: the pointer is to memory that belongs to the receiver beside it, and goes where that goes.
unsafe impl Send for Held {}

/// What became of an endpoint that was closed.
pub(crate) struct Destroyed {
    /// How many of its messages were not received.
    pub(crate) unreceived: u64,
    /// Whether the segment's name was removed, if it was to be.
    pub(crate) removed: eshm::Result<()>,
}

impl Handle {
    /// Puts an endpoint into the registry.
    pub(crate) fn register(endpoint: Endpoint) -> Result<*mut ESHMHandle> {
        let inspector = endpoint.inspector();
        let (sender, receiver) = endpoint.into_split();
        let handle = Handle {
            inspector,
            owner: process::id(),
            sender: Mutex::new(Some(Sending { sender, loaned: false })),
            receiver: Mutex::new(Some(Receiving { receiver, value: None, message: None, borrowed: false })),
            wakeup_mode: Mutex::new(WAKEUP_PUSH),
        };
        let key = REGISTRY.insert(handle).ok_or_else(|| {
            Failure::Own(SHM_CREATE, "this thread has as many endpoints open as it can: destroy some".into())
        })?;
        Ok(std::ptr::without_provenance_mut(key ^ MASK))
    }

    /// What a handle stands for.
    pub(crate) fn find(handle: *mut ESHMHandle) -> Result<Entry<'static, Handle, impl Config>> {
        REGISTRY.get(handle.addr() ^ MASK).ok_or_else(|| unknown(handle))
    }

    /// Takes an endpoint out of the registry and closes it; calls that wait in other threads end.
    pub(crate) fn destroy(handle: *mut ESHMHandle) -> Result<Destroyed> {
        let found = Handle::find(handle)?;
        // Whoever is inside a call keeps the place until it returns.
        REGISTRY.remove(handle.addr() ^ MASK);
        if found.check_process().is_err() {
            // In a forked child a lock may be held by a thread that is not there: nothing is left to be done,
            // the endpoint is the parent's.
            return Ok(Destroyed { unreceived: 0, removed: Ok(()) });
        }
        // Of two threads that destroy the same one, one gets it.
        found.sender.lock().take().ok_or_else(Failure::no_handle)?;
        found.receiver.lock().take();
        let removed = found.inspector.check_removed();
        Ok(Destroyed { unreceived: found.inspector.unreceived(), removed })
    }

    /// Refuses a forked child, whose parent the endpoint belongs to.
    pub(crate) fn check_process(&self) -> Result<()> {
        if process::id() != self.owner {
            return Err(Error::Forked { segment: self.inspector.name().into() }.into());
        }
        Ok(())
    }

    /// The right to send. It comes at once, or after what remains of another thread's part.
    pub(crate) fn sending(&self) -> Result<MappedMutexGuard<'_, Sending>> {
        self.lock(&self.sender)
    }

    /// The right to receive, as [`Handle::sending`].
    pub(crate) fn receiving(&self) -> Result<MappedMutexGuard<'_, Receiving>> {
        self.lock(&self.receiver)
    }

    fn lock<'a, H>(&self, half: &'a Mutex<Option<H>>) -> Result<MappedMutexGuard<'a, H>> {
        let guard = match half.try_lock() {
            Some(guard) => guard,
            None => self.lock_later(half)?,
        };
        MutexGuard::try_map(guard, Option::as_mut).map_err(|_| Failure::no_handle())
    }

    #[cold]
    fn lock_later<'a, H>(&self, half: &'a Mutex<Option<H>>) -> Result<MutexGuard<'a, Option<H>>> {
        loop {
            // A fork copies a held lock, but not the thread that would release it.
            self.check_process()?;
            if let Some(guard) = half.try_lock_for(TURN) {
                return Ok(guard);
            }
        }
    }

    pub(crate) fn wakeup_mode(&self) -> u32 {
        *self.wakeup_mode.lock()
    }

    pub(crate) fn set_wakeup_mode(&self, mode: u32) {
        *self.wakeup_mode.lock() = mode;
    }

    /// Has `attempt` send: at once if it is given `None`, else for a part of the wait. It says `Ok(None)` when there
    /// is no room yet.
    pub(crate) fn send<T>(
        &self,
        timeout_ms: u32,
        mut attempt: impl FnMut(&mut Sending, Option<&Wait>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.first_or_later(&self.sender, timeout_ms, limit(timeout_ms), &mut attempt)
    }

    /// As [`Handle::send`], for receiving.
    pub(crate) fn receive<T>(
        &self,
        timeout_ms: u32,
        mut attempt: impl FnMut(&mut Receiving, Option<&Wait>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut checked = |receiving: &mut Receiving, wait: Option<&Wait>| {
            if receiving.message.is_some() && !receiving.borrowed {
                // A message that did not fit comes from here, not from the core, which would refuse a forked child.
                self.check_process()?;
            }
            attempt(receiving, wait)
        };
        self.first_or_later(&self.receiver, timeout_ms, limit(timeout_ms), &mut checked)
    }

    /// As [`Handle::receive`], the way of ESHM 1.x: a wait without limit does not end when the peer leaves.
    pub(crate) fn read<T>(
        &self,
        timeout_ms: u32,
        mut attempt: impl FnMut(&mut Receiving, Option<&Wait>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let longest = limit(timeout_ms).unwrap_or(Duration::MAX);
        self.first_or_later(&self.receiver, timeout_ms, Some(longest), &mut attempt)
    }

    /// Tries at once, then in parts, between which others have their turn. `Ok(None)`: the call was not to wait.
    fn first_or_later<H, T>(
        &self,
        half: &Mutex<Option<H>>,
        timeout_ms: u32,
        limit: Option<Duration>,
        attempt: &mut impl FnMut(&mut H, Option<&Wait>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let first = attempt(&mut *self.lock(half)?, None)?;
        if first.is_some() || timeout_ms == 0 {
            return Ok(first);
        }
        let wait = Wait::new(limit);
        loop {
            let mut guard = self.lock(half)?;
            let done = attempt(&mut guard, Some(&wait))?;
            MappedMutexGuard::unlock_fair(guard);
            if done.is_some() {
                return Ok(done);
            }
        }
    }
}

/// How long a call waits at most; `None`: as long as it takes.
pub(crate) fn limit(timeout_ms: u32) -> Option<Duration> {
    (timeout_ms != TIMEOUT_INFINITE).then(|| Duration::from_millis(timeout_ms.into()))
}

#[cold]
fn unknown(handle: *mut ESHMHandle) -> Failure {
    if handle.is_null() {
        Failure::invalid("handle is NULL, expected one of eshm_init")
    } else {
        Failure::no_handle()
    }
}

impl Receiving {
    /// Ends a loan to the program, or says that there is none.
    pub(crate) fn end_borrow(&mut self) -> bool {
        let borrowed = std::mem::take(&mut self.borrowed);
        if borrowed {
            self.release();
        }
        borrowed
    }

    /// Releases the message that is held.
    pub(crate) fn release(&mut self) {
        self.message = None;
        self.receiver.release();
    }

    /// Makes the receiver usable for something else: a message that is held in its memory is copied out of it.
    pub(crate) fn settle(&mut self) {
        self.end_borrow();
        if let Some(held @ Held::InPlace(..)) = &self.message {
            self.message = Some(Held::Copied(held.bytes().to_vec()));
            self.receiver.release();
        }
    }
}

impl Held {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: `Message::into_raw` gave it, and the receiver was not used since: `Receiving` settles first.
            Held::InPlace(start, len) => unsafe { std::slice::from_raw_parts(*start, *len) },
            Held::Copied(bytes) => bytes,
        }
    }
}
