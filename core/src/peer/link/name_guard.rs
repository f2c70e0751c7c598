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
use crate::segment::file::NameTarget;

/// The interval at which a master checks that its name leads to its segment.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

impl Link {
    /// Checks the name of a master at intervals, and handles its removal.
    pub(super) fn guard_name(&self, state: &mut State, now: Instant) {
        if self.role != Role::Master || self.status.has(DISPLACED) {
            return;
        }
        // Early, so that the pause is never longer than the interval at the intervals of idle endpoints.
        if now + state.interval / 2 >= state.next_name_check {
            state.next_name_check = now + INTERVAL;
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
                self.wake_own_threads(&state.attachment);
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
