//! An endpoint's tie to its segment and its peer: what its halves and the monitor share.

mod close;
mod locked;
mod name_guard;
mod peer;
mod statistics;
mod status;
mod switch;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::peer::attachment::Attachment;
use crate::peer::carry_over::CarryOver;
use crate::peer::counters::Counters;
use crate::peer::liveness::Watch;
use crate::peer::monitor::{self, Watched};
use crate::peer::notice::Notices;
use crate::peer::open::{self, Started};
use crate::peer::outlet::Outlet;
use crate::peer::settings::Settings;
use crate::peer_state::PeerState;
use crate::role::Role;
use crate::segment::name::SegmentName;
use crate::sys::fork;
use crate::sys::{self, AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use status::{CLOSED, DISPLACED, STOPPED, StatusWord};
pub(crate) use switch::Reading;
use switch::Trail;

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: SegmentName,
    pub(crate) role: Role,
    pub(crate) counters: Counters,
    config: Settings,
    /// The process that opened the endpoint: see [`fork::stamp`].
    stamp: u32,
    state: Mutex<State>,
    /// Signalled when the peer's state changes.
    changed: Condvar,
    // What follows is written under `state`, and read without it. The stores are Release, and the loads that conclude
    // something from them Acquire: who sees here that the peer has closed, or that the segment was replaced, finds
    // all that was written before.
    /// As long as it stays what a half of the endpoint knows it to be, that half's fast path needs to look at nothing else.
    status: StatusWord,
    /// A [`PeerState`].
    peer: AtomicU32,
    /// Whether patience with the peer is used up: calls without a time-out fail, the search goes on.
    lost: AtomicBool,
    /// The incoming `wake_seq` when an ESHM 1.x peer came: while it stays, that peer may be one that never wakes.
    silent_wake_seq: AtomicU32,
    /// What goes from segments that were left to the present one. Taken after `state`, where both are.
    carry: Mutex<CarryOver>,
    /// What was not received when the endpoint closed.
    unreceived_at_close: AtomicU64,
    /// Why the name could not be removed then, as the system's error number; 0: it could, or was not to be.
    not_removed: AtomicI32,
}

/// Where both halves of an endpoint begin.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) epoch: u32,
}

#[derive(Debug)]
struct State {
    attachment: Arc<Attachment>,
    trail: Trail,
    /// The second segment of a master whose name was removed.
    stand_in: Option<Attachment>,
    next_name_check: Instant,
    watch: Watch,
    /// The peer's pid and its generation as the segment counts it, when last looked at.
    identity: (i32, u32),
    next_beat: Instant,
    /// How much was sent and received when last looked at, and when that last changed.
    traffic: (u64, Instant),
    /// Since when the peer has been frozen, dead or closed.
    missed: Option<Missed>,
    /// The heartbeats (master's, slave's) when statistics were last asked for.
    last_stats: (u64, u64),
    /// What is to be emitted once the lock is released.
    notices: Notices,
}

#[derive(Debug)]
struct Missed {
    /// Whose peer it was: [`State::identity`].
    identity: (i32, u32),
    since: Instant,
    next_search: Instant,
    searches: u32,
}

impl Link {
    /// Opens the segment and, unless the configuration says otherwise, has the monitor keep the heartbeat. Returns also
    /// the segment where the halves begin, with its epoch: the one that a master has replaced comes first.
    pub(crate) fn open(name: SegmentName, config: Settings) -> Result<(Arc<Link>, Origin)> {
        sys::register_fences();
        let Started { attachment, replaced } = open::start(&name, &config)?;
        let replaced = replaced.map(Arc::new).filter(|old| match Outlet::open(Arc::clone(old)) {
            Ok(_) => true,
            Err(broken) => {
                tracing::warn!(
                    segment = name.as_str(),
                    ?broken,
                    "what the replaced segment holds cannot be found"
                );
                false
            }
        });
        attachment.say_threshold(config.stale_threshold);
        let attachment = Arc::new(attachment);
        let first = replaced.as_ref().unwrap_or(&attachment);
        let origin = Origin { attachment: Arc::clone(first), epoch: 0 };
        let now = Instant::now();
        let link = Arc::new(Link::new(name, config, first, now));
        tracing::debug!(segment = link.name.as_str(), role = %link.role, "attached");
        {
            let mut state = link.state();
            if replaced.is_some() {
                link.move_to(&mut state, attachment, now);
            }
            link.update_peer_state(&mut state, now);
        }
        if link.config.background {
            monitor::watch(as_watched(&link)).map_err(|source| {
                link.close();
                Error::Attach {
                    segment: link.segment(),
                    path: link.name.shown_path(),
                    action: "starting the heartbeat thread",
                    source,
                    hint: "raise the limit on threads (ulimit -u) or on address space (ulimit -v), or open it with `background(false)`"
                        .to_owned(),
                }
            })?;
        } else {
            monitor::close_at_exit(as_watched(&link));
        }
        Ok((link, origin))
    }

    fn new(name: SegmentName, config: Settings, attachment: &Arc<Attachment>, now: Instant) -> Link {
        let pulse = attachment.peer_pulse();
        let state = State {
            watch: Watch::new(pulse, now),
            identity: (pulse.pid, attachment.peer_generation()),
            next_beat: now,
            traffic: (0, now),
            missed: None,
            last_stats: (0, 0),
            notices: Notices::default(),
            trail: Trail::default(),
            stand_in: None,
            next_name_check: now + name_guard::INTERVAL,
            attachment: Arc::clone(attachment),
        };
        Link {
            role: attachment.role(),
            counters: Counters::default(),
            stamp: fork::stamp(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            status: StatusWord::default(),
            peer: AtomicU32::new(PeerState::Absent as u32),
            lost: AtomicBool::new(false),
            silent_wake_seq: AtomicU32::new(attachment.incoming().tail.wake_seq.load(Ordering::Relaxed)),
            carry: Mutex::default(),
            unreceived_at_close: AtomicU64::new(0),
            not_removed: AtomicI32::new(0),
            name,
            config,
        }
    }

    /// The state's plain guard: nothing is emitted when it is dropped.
    fn plain_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the status word is still `status`, in the process that opened the endpoint.
    #[inline(always)]
    pub(crate) fn is_settled(&self, status: u32) -> bool {
        self.status.is(status) && !self.is_forked()
    }

    /// That the endpoint is open, in this process.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::Closed`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_forked() {
            return Err(Error::Forked { segment: self.segment() });
        }
        if self.is_closed() {
            return Err(Error::Closed { segment: self.segment() });
        }
        Ok(())
    }

    /// As [`Link::check`], and checks that the endpoint was not stopped: for the calls that [`Link::stop`] ends.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::Closed`].
    pub(crate) fn check_running(&self) -> Result<()> {
        self.check()?;
        if self.status.has(STOPPED) {
            return Err(Error::Closed { segment: self.segment() });
        }
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.status.has(CLOSED)
    }

    /// Whether this process is a fork of the one that opened the endpoint.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.stamp != fork::stamp()
    }

    pub(crate) fn config(&self) -> &Settings {
        &self.config
    }

    /// The segment's name, for an error.
    pub(crate) fn segment(&self) -> String {
        self.name.as_str().to_owned()
    }

    /// Counts the attachments that there have been before the one to be had from [`Link::attachment`].
    pub(crate) fn epoch(&self) -> u32 {
        self.status.epoch()
    }

    /// Returns the status word of this epoch while nothing needs attention.
    pub(crate) fn settled_status(&self, epoch: u32) -> u32 {
        // Without the monitor nobody updates the word: such an endpoint never takes the fast path.
        if self.config.background { StatusWord::settled(epoch) } else { u32::MAX }
    }

    /// The segment that the endpoint is attached to.
    fn attachment(&self) -> Arc<Attachment> {
        Arc::clone(&self.state().attachment)
    }

    /// The peer's generation. In a forked child 0: the locks there may be held by nobody.
    pub(crate) fn generation(&self) -> u64 {
        if self.is_forked() { 0 } else { self.attachment().generation() }
    }

    /// Whether the peer is an ESHM 1.x process, by the header. Not known in a forked child.
    pub(crate) fn peer_is_legacy(&self) -> bool {
        !self.is_forked() && self.attachment().peer_is_legacy()
    }

    /// The greatest value and the greatest message, in bytes. 0 in a forked child.
    pub(crate) fn limits(&self) -> (usize, usize) {
        if self.is_forked() {
            return (0, 0);
        }
        let attachment = self.attachment();
        (attachment.data_size(), attachment.queue_capacity().unwrap_or(attachment.data_size()))
    }

    /// Checks that no other segment has this one's name.
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(crate) fn check_displaced(&self) -> Result<()> {
        if !self.status.has(DISPLACED) {
            return Ok(());
        }
        Err(Error::Displaced { segment: self.segment() })
    }
}

fn as_watched(link: &Arc<Link>) -> Weak<dyn Watched> {
    let link: Weak<Link> = Arc::downgrade(link);
    link
}

#[cfg(test)]
mod tests;
