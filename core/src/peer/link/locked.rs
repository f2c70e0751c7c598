//! A link's state under its lock, and the events that wait for the lock's release.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, MutexGuard};
use std::time::Duration;

use super::{Link, State};

/// The state, locked. What was noticed meanwhile is emitted once the lock is released: see `notice.rs`.
///
/// Whoever drops it holds no other lock of this library, and never `ROUND`: the monitor uses the plain guard.
pub(super) struct Locked<'a> {
    link: &'a Link,
    /// `None` only while it is dropped.
    state: Option<MutexGuard<'a, State>>,
}

impl Link {
    pub(super) fn state(&self) -> Locked<'_> {
        Locked { link: self, state: Some(self.plain_state()) }
    }
}

impl<'a> Locked<'a> {
    /// Waits for a signal, for at most `timeout`. Returns at once if there was something to emit: the caller looks
    /// again in every case.
    pub(super) fn wait(mut self, signal: &Condvar, timeout: Duration) -> Locked<'a> {
        let link = self.link;
        if !self.notices.is_empty() {
            drop(self);
            return link.state();
        }
        let state = self.state.take().expect("it is not being dropped");
        let state = match signal.wait_timeout(state, timeout) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
        Locked { link, state: Some(state) }
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_ref().expect("it is not being dropped")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("it is not being dropped")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        let notices = std::mem::take(&mut state.notices);
        drop(state);
        // A subscriber's panic during another one would end the process.
        if !std::thread::panicking() {
            notices.emit();
        }
    }
}
