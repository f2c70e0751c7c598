//! One thread waits for many endpoints, and for other descriptors.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::api::events::Events;
use crate::sys::fork;

/// The most tokens that one wait returns.
const MOST: usize = 64;

/// Waits for any number of endpoints, and for descriptors of sockets, timers and signals, each with a token.
///
/// A wait sleeps in the kernel at once. To look before, as the waiting verbs do, was tried and gained nothing
/// (`docs/async.md`).
///
/// Any thread may wait, add and remove. A wait takes time in proportion to what is ready, and what is ready takes turns. A
/// forked child cannot use the set of its parent.
///
/// ```
/// use std::time::Duration;
/// use eshm::{Endpoint, Interest, WaitSet};
/// let mut master = Endpoint::master("doc-wait-set")?;
/// let mut slave = Endpoint::slave("doc-wait-set")?;
/// let set = WaitSet::new()?;
/// set.add(&slave.events(Interest::READABLE)?, 7)?;
/// master.send(b"one")?;
/// let mut received = 0;
/// while received == 0 {
///     for token in set.wait(None)? {
///         assert_eq!(token, 7);
///         while slave.try_recv()?.is_some() {
///             received += 1;
///         }
///     }
/// }
/// assert!(set.wait(Some(Duration::ZERO))?.count() <= 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WaitSet {
    epoll: Epoll,
    sources: Mutex<HashMap<u64, Source>>,
    /// The process that made it: see [`fork::stamp`].
    stamp: u32,
}

/// What a token stands for. It keeps its descriptor open, so that the number is never that of another file.
#[derive(Debug)]
enum Source {
    Endpoint(Events),
    Other(OwnedFd),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Endpoint(events) => events.as_fd(),
            Source::Other(fd) => fd.as_fd(),
        }
    }
}

impl Source {
    /// Returns whether the descriptor is still that of the source. The program may have closed that of an endpoint.
    fn is_open(&self) -> bool {
        match self {
            Source::Endpoint(events) => events.is_open(),
            Source::Other(_) => true,
        }
    }
}

impl WaitSet {
    /// Makes an empty set.
    ///
    /// # Errors
    /// Returns the error of the system: the process can have no descriptor more.
    pub fn new() -> io::Result<WaitSet> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(WaitSet { epoll, sources: Mutex::default(), stamp: fork::stamp() })
    }

    /// Checks that this process made the set.
    fn check(&self) -> io::Result<()> {
        if self.stamp == fork::stamp() {
            return Ok(());
        }
        let text = "the wait set belongs to the parent process, which made it: make one in this process";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
    }

    /// Adds an endpoint. Its token is returned while a verb of it is worth a call: see [`Events`].
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`]: the token is in use, or the set has the endpoint already. EBADF: the program has
    /// closed the descriptor of the endpoint. Otherwise the error of the system.
    pub fn add(&self, events: &Events, token: u64) -> io::Result<()> {
        self.insert(Source::Endpoint(events.clone()), token)
    }

    /// Adds a descriptor of another kind. Its token is returned while the descriptor is readable, or has an error.
    ///
    /// The set has a duplicate of the descriptor. If the caller closes the descriptor, the set goes on with the same file
    /// until [`WaitSet::remove`].
    ///
    /// # Errors
    /// As [`WaitSet::add`]. [`io::ErrorKind::PermissionDenied`]: the file cannot be waited for, such as a regular file.
    pub fn add_fd(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        self.insert(Source::Other(fd.as_fd().try_clone_to_owned()?), token)
    }

    fn insert(&self, source: Source, token: u64) -> io::Result<()> {
        self.check()?;
        let mut sources = self.sources();
        if !source.is_open() {
            return Err(nix::Error::EBADF.into());
        }
        if sources.contains_key(&token) {
            let text = format!("the token {token} is in use in this wait set");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        self.epoll.add(&source, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        sources.insert(token, source);
        Ok(())
    }

    /// Removes what the token stands for. A wait that is under way in another thread does not return the token any more,
    /// unless it has returned already.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`]: the set does not have the token.
    pub fn remove(&self, token: u64) -> io::Result<()> {
        self.check()?;
        let mut sources = self.sources();
        let Some(source) = sources.remove(&token) else {
            let text = format!("the wait set has no token {token}");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        };
        // The system has removed a descriptor that the program has closed. Its number may be that of another source.
        if source.is_open() { Ok(self.epoll.delete(&source)?) } else { Ok(()) }
    }

    /// Waits until something is ready, for at most `timeout`, and returns the tokens of what is ready: up to 64, and the
    /// others at the next call. Returns no token after the timeout.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Ready> {
        self.wait_for_some(MOST, timeout)
    }

    /// As [`WaitSet::wait`], and returns at most `most` tokens: those that it leaves are the first of the next call.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`]: `most` is 0. Otherwise the error of the system.
    pub fn wait_for_some(&self, most: usize, timeout: Option<Duration>) -> io::Result<Ready> {
        self.check()?;
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut events = [EpollEvent::empty(); MOST];
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match self.epoll.wait(&mut events[..most.min(MOST)], epoll_timeout(left)) {
                // A timeout of the system may be shorter than that of the caller.
                Ok(0) if left.is_none_or(|left| !left.is_zero()) => {}
                Ok(count) => {
                    let sources = self.sources();
                    let mut ready = Ready { tokens: [0; MOST], next: 0, end: 0 };
                    let tokens = events[..count].iter().map(EpollEvent::data);
                    for token in tokens.filter(|token| sources.contains_key(token)) {
                        ready.tokens[ready.end] = token;
                        ready.end += 1;
                    }
                    // Another thread may have removed all of them.
                    if ready.end > 0 || left.is_some_and(|left| left.is_zero()) {
                        return Ok(ready);
                    }
                }
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<u64, Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The set itself can be waited for: it is readable while something in it is ready.
impl AsFd for WaitSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// Returns the timeout in milliseconds, rounded up, so that a wait never ends too early.
fn epoll_timeout(left: Option<Duration>) -> EpollTimeout {
    match left {
        None => EpollTimeout::NONE,
        Some(left) => {
            let milliseconds = left.as_nanos().div_ceil(1_000_000);
            EpollTimeout::try_from(i32::try_from(milliseconds).unwrap_or(i32::MAX))
                .unwrap_or(EpollTimeout::MAX)
        }
    }
}

/// The tokens that a wait has found ready.
#[derive(Clone, Debug)]
#[must_use = "these tokens are ready"]
pub struct Ready {
    tokens: [u64; MOST],
    next: usize,
    end: usize,
}

impl Iterator for Ready {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let token = self.tokens[self.next..self.end].first().copied();
        self.next += usize::from(token.is_some());
        token
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for Ready {}
