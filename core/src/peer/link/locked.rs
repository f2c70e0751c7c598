//! The locked state of a link, and the events that are emitted after the release of the lock.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, MutexGuard};
use std::time::Duration;

use super::{Link, State};

/// The locked state. Emits the collected events after it has released the lock: see `notice.rs`.
///
/// The thread that drops it holds no other lock of this library, and never `ROUND`. The monitor uses the plain guard.
pub(super) struct Locked<'a> {
    link: &'a Link,
    /// `None` only during the drop.
    state: Option<MutexGuard<'a, State>>,
}

impl Link {
    pub(super) fn state(&self) -> Locked<'_> {
        Locked { link: self, state: Some(self.plain_state()) }
    }
}

impl<'a> Locked<'a> {
    /// Waits for a signal, for at most `timeout`. Returns at once if there were events to emit. The caller checks its
    /// condition again in every case.
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
        // A panic of a subscriber during another panic would end the process.
        if !std::thread::panicking() {
            notices.emit();
        }
    }
}
