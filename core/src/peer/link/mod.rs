//! The link of an endpoint to its segment and its peer: the state that its halves and the monitor share.

mod close;
mod events;
mod keep;
mod locked;
mod name_guard;
mod peer;
mod statistics;
mod status;
mod switch;
mod wake;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::peer::attachment::Attachment;
use crate::peer::carry_over::CarryOver;
use crate::peer::counters::Counters;
use crate::peer::events::EventSource;
use crate::peer::liveness::{Activity, Watch};
use crate::peer::monitor::{self, Watched};
use crate::peer::notice::Notices;
use crate::peer::open::{self, Started};
use crate::peer::outgoing::OutgoingChannel;
use crate::peer::settings::Settings;
use crate::peer_state::PeerState;
use crate::role::Role;
use crate::segment::name::SegmentName;
use crate::sys::fork;
use crate::sys::{self, AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use name_guard::NameCheck;
use status::{CLOSED, DISPLACED, PeerWord, STOPPED, StatusWord};
use switch::OldSegments;
pub(crate) use switch::Reading;
use wake::WakeAgain;

/// The shared state of an endpoint. See the module.
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
    /// The number of threads that are parked, or about to park.
    parked: AtomicU32,
    /// The number of threads that wait for the peer to attach. The endpoint does not rest meanwhile.
    awaiting_peer: AtomicU32,
    /// Set while the endpoint rests, so that its view of the peer may be older than a query should see.
    resting: AtomicBool,
    // The fields below are written under `state` and read without it. Their stores are Release, and the loads from
    // which a thread draws conclusions are Acquire: a thread that sees here that the peer has closed, or that the
    // segment was replaced, finds everything that was written before.
    /// While it has the value that a half of the endpoint knows, the fast path of that half reads nothing else.
    status: StatusWord,
    /// The state of the peer at the last check.
    peer: PeerWord,
    /// The incoming `wake_seq` when an ESHM 1.x peer attached. While it does not change, that peer may be one that
    /// never wakes.
    silent_wake_seq: AtomicU32,
    /// The carry-over from old segments to the present one. Locked after `state`, where both are locked.
    carry: Mutex<CarryOver>,
    /// The number of unreceived messages at the close.
    unreceived_at_close: AtomicU64,
    /// The system error that prevented the removal of the name at the close. 0: it was removed, or was not to be
    /// removed.
    not_removed: AtomicI32,
    /// The event descriptor, if the program has asked for one.
    events: OnceLock<EventSource>,
}

/// The segment at which both halves of an endpoint start.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) epoch: u32,
}

#[derive(Debug)]
struct State {
    attachment: Arc<Attachment>,
    old_segments: OldSegments,
    wake_again: WakeAgain,
    /// The second segment of a master whose name was removed.
    stand_in: Option<Attachment>,
    name_check: NameCheck,
    watch: Watch,
    /// The pid of the peer and its generation in the segment, at the last check.
    peer_identity: (i32, u32),
    next_beat: Instant,
    /// The time between the last beat and the next.
    interval: Duration,
    activity: Activity,
    /// Set while the peer is frozen, dead or closed.
    outage: Option<Outage>,
    /// The heartbeats (of master and slave) at the last call of `stats`.
    last_stats: (u64, u64),
    /// The events to emit after the release of the lock.
    notices: Notices,
}

#[derive(Debug)]
struct Outage {
    /// The identity of that peer: [`State::peer_identity`].
    peer_identity: (i32, u32),
    since: Instant,
    next_search: Instant,
    searches: u32,
}

impl Link {
    /// Opens the segment. The monitor then keeps the heartbeat, unless the configuration excludes it. Also returns
    /// the segment at which the halves start, with its epoch. If a master has replaced a segment, they start at the
    /// replaced one.
    pub(crate) fn open(name: SegmentName, config: Settings) -> Result<(Arc<Link>, Origin)> {
        sys::register_fences();
        let Started { attachment, replaced } = open::start(&name, &config)?;
        let replaced = replaced.map(Arc::new).filter(|old| match OutgoingChannel::open(Arc::clone(old)) {
            Ok(_) => true,
            Err(broken) => {
                event!(
                    warn,
                    segment = name.as_str(),
                    ?broken,
                    "the messages of the replaced segment cannot be found"
                );
                false
            }
        });
        attachment.publish_threshold(config.stale_threshold);
        let attachment = Arc::new(attachment);
        let first = replaced.as_ref().unwrap_or(&attachment);
        let origin = Origin { attachment: Arc::clone(first), epoch: 0 };
        let now = Instant::now();
        let link = Arc::new(Link::new(name, config, first, now));
        event!(debug, segment = link.name.as_str(), role = %link.role, "attached");
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
            watch: Watch::of_present_peer(pulse, now, config.stale_threshold),
            peer_identity: (pulse.pid, attachment.peer_generation()),
            next_beat: now,
            interval: Duration::ZERO,
            activity: Activity::new(now),
            outage: None,
            last_stats: (0, 0),
            notices: Notices::default(),
            old_segments: OldSegments::default(),
            stand_in: None,
            name_check: NameCheck::new(now),
            wake_again: Vec::new(),
            attachment: Arc::clone(attachment),
        };
        Link {
            role: attachment.role(),
            counters: Counters::default(),
            stamp: fork::stamp(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            parked: AtomicU32::new(0),
            awaiting_peer: AtomicU32::new(0),
            resting: AtomicBool::new(false),
            status: StatusWord::default(),
            peer: PeerWord::new(PeerState::Absent),
            silent_wake_seq: AtomicU32::new(attachment.incoming().tail.wake_seq.load(Ordering::Relaxed)),
            carry: Mutex::default(),
            unreceived_at_close: AtomicU64::new(0),
            not_removed: AtomicI32::new(0),
            events: OnceLock::new(),
            name,
            config,
        }
    }

    /// Locks the state. The guard emits nothing when it is dropped.
    fn plain_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the status word is still `status`, in the process that opened the endpoint.
    #[inline(always)]
    pub(crate) fn is_settled(&self, status: u32) -> bool {
        self.status.is(status) && !self.is_forked()
    }

    /// Checks that the endpoint is open, and that this process opened it.
    ///
    /// # Errors
    /// Returns [`Error::Forked`] or [`Error::Closed`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_forked() {
            return Err(Error::Forked { segment: self.segment() });
        }
        if self.is_closed() {
            return Err(Error::Closed { segment: self.segment() });
        }
        Ok(())
    }

    /// Checks that the endpoint is open and not stopped, for the calls that [`Link::stop`] ends.
    ///
    /// # Errors
    /// Returns [`Error::Forked`] or [`Error::Closed`].
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

    /// Returns whether this process is a fork of the one that opened the endpoint.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.stamp != fork::stamp()
    }

    pub(crate) fn config(&self) -> &Settings {
        &self.config
    }

    /// Returns the name of the segment, for an error.
    pub(crate) fn segment(&self) -> Arc<str> {
        self.name.shared()
    }

    /// Returns the epoch: the number of attachments before the present one.
    pub(crate) fn epoch(&self) -> u32 {
        self.status.epoch()
    }

    /// Returns the status word of this epoch with no flag set.
    pub(crate) fn settled_status(&self, epoch: u32) -> u32 {
        // Without the monitor nothing updates the word, so such an endpoint never takes the fast path.
        if self.config.background { StatusWord::settled(epoch) } else { u32::MAX }
    }

    /// Returns the present attachment of the endpoint.
    pub(crate) fn attachment(&self) -> Arc<Attachment> {
        Arc::clone(&self.state().attachment)
    }

    /// Returns the generation of the peer. Returns 0 in a forked child, where locks may stay locked for ever.
    pub(crate) fn generation(&self) -> u64 {
        if self.is_forked() { 0 } else { self.attachment().generation() }
    }

    /// Returns whether the peer is an ESHM 1.x process, according to the header. Returns `false` in a forked child.
    pub(crate) fn peer_is_legacy(&self) -> bool {
        !self.is_forked() && self.attachment().peer_is_legacy()
    }

    /// Returns the sizes of the longest value and the longest message in bytes. Returns 0 in a forked child.
    pub(crate) fn limits(&self) -> (usize, usize) {
        if self.is_forked() {
            return (0, 0);
        }
        let attachment = self.attachment();
        (attachment.data_size(), attachment.queue_capacity().unwrap_or(attachment.data_size()))
    }

    /// Checks that no other segment has taken the name of this one.
    ///
    /// # Errors
    /// Returns [`Error::Displaced`] if another segment has it.
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
