//! Protection of the name of a master: handles the removal of the file of a segment in use (PROTOCOL.md, section 5).
//!
//! Linux gives no name to a file that has lost its last one. The master therefore creates a second segment under the
//! name, the stand-in, with both seats locked. It switches to the stand-in when its slave has left the first segment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::status::DISPLACED;
use super::{Link, State};
use crate::peer::notice::Notice;
use crate::peer::open;
use crate::role::Role;
use crate::segment::file::{Directories, NameTarget, Stamp};

/// The interval at which a master checks that its name leads to its segment.
const INTERVAL: Duration = Duration::from_millis(100);
/// The longest pause between two looks at the name itself. In between the times of its directory suffice.
const LOOK_AT_LEAST: Duration = Duration::from_secs(3);

/// When a master last checked its name.
#[derive(Debug)]
pub(super) struct NameCheck {
    next: Instant,
    /// The time of the next look at the name, and the stamp of the directory at the last one.
    next_look: Instant,
    stamp: Option<Stamp>,
}

impl NameCheck {
    pub(super) fn new(now: Instant) -> Self {
        NameCheck { next: now + INTERVAL, next_look: now, stamp: None }
    }

    /// Returns whether it is time for a look at the name. The next visit is after `pause`.
    fn is_due(&mut self, now: Instant, pause: Duration, stamp: impl FnOnce() -> Option<Stamp>) -> bool {
        // The visit that is closest to the time.
        if now + pause / 2 <= self.next {
            return false;
        }
        self.next = now + INTERVAL;
        // Read before the look, so that a change after it makes another stamp.
        let stamp = stamp();
        if stamp.is_some() && stamp == self.stamp && now < self.next_look {
            return false;
        }
        self.stamp = stamp;
        self.next_look = now + LOOK_AT_LEAST;
        true
    }
}

impl Link {
    /// Checks the name of a master at intervals, and handles its removal.
    pub(super) fn guard_name(&self, state: &mut State, now: Instant, directories: &mut Directories) {
        if self.role != Role::Master || self.status.has(DISPLACED) {
            return;
        }
        let stamp = || directories.stamp(self.name.path().parent()?);
        if state.name_check.is_due(now, state.interval, stamp) {
            self.check_name(state);
        }
        if state.stand_in.is_some() && self.slave_has_left(state) {
            self.move_to_stand_in(state, now);
        }
    }

    fn check_name(&self, state: &mut State) {
        let named = state.stand_in.as_ref().unwrap_or(&state.attachment);
        let segment = self.name.as_str();
        match named.name_target(&self.name) {
            NameTarget::ThisFile => {}
            NameTarget::OtherFile => {
                state.notices.push(segment, Notice::Displaced);
                state.stand_in = None;
                self.status.set(DISPLACED);
                let attachment = Arc::clone(&state.attachment);
                self.wake_own_threads(state, &attachment);
            }
            NameTarget::Missing => match open::stand_in(&self.name, &self.config, &state.attachment) {
                Ok(made) => {
                    crash_point!("guard.made");
                    state.notices.push(segment, Notice::StandIn);
                    // This drops a stand-in whose name was removed too. `None`: another process was faster, and the
                    // next check finds its segment.
                    state.stand_in = made;
                }
                Err(error) => state.notices.push(segment, Notice::NoStandIn(error)),
            },
        }
    }

    /// Locks the seat of the slave. Returns whether it was free.
    fn slave_has_left(&self, state: &State) -> bool {
        let attachment = &state.attachment;
        let legacy_lives = attachment.peer_is_legacy() && !self.verdict().is_gone();
        !legacy_lives && attachment.take_peer_seat()
    }

    fn move_to_stand_in(&self, state: &mut State, now: Instant) {
        let Some(stand_in) = state.stand_in.take() else { return };
        let stand_in = Arc::new(stand_in);
        if self.move_to(state, Arc::clone(&stand_in), now) {
            stand_in.free_peer_seat();
            crash_point!("guard.moved");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_at_when_its_directory_changed_and_every_three_seconds() {
        let stamp = |path: &str| {
            let mut directories = Directories::default();
            std::iter::repeat_with(|| directories.stamp(path.as_ref())).flatten().next()
        };
        let (one, other) = (stamp("/proc/self"), stamp("/sys"));
        assert!(one.is_some() && one != other);
        let start = Instant::now();
        let mut check = NameCheck::new(start);
        let mut is_due = |ms, stamp: Option<Stamp>| {
            check.is_due(start + Duration::from_millis(ms), Duration::from_millis(60), || stamp)
        };
        assert!(!is_due(60, one), "it is not time");
        assert!(is_due(120, one));
        assert!(!is_due(240, one), "the directory has not changed");
        assert!(is_due(360, other));
        assert!(!is_due(480, other));
        assert!(is_due(600, None), "nobody knows whether it has changed");
        assert!(is_due(720, None));
        assert!(is_due(840, other));
        assert!((900..3840).step_by(60).all(|ms| !is_due(ms, other)));
        assert!(is_due(3840, other));
    }
}
