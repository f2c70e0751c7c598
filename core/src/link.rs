//! An endpoint's tie to its segment and its peer: what its halves and the monitor share.

mod account;
mod guard;
mod locked;
mod moving;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::attach::{self, Started};
use crate::attachment::Attachment;
use crate::carry::{Carry, WHOLE};
use crate::config::{Builder, Disconnect, Role};
use crate::error::{Error, Result};
use crate::heartbeat::{self, PeerState, Watch};
use crate::monitor;
use crate::name::SegmentName;
use crate::notice::{Notice, Notices};
use crate::outlet::Outlet;
use crate::process;
use crate::region;
use crate::stats::Counters;
use crate::sync::{self, AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering, futex_wake};
use crate::wait::Fences;

pub(crate) use moving::Reading;
use moving::Trail;

/// A bit of [`Link::attention`]: the endpoint is closed.
const CLOSED: u32 = 1;
/// A bit of [`Link::attention`]: a slave whose master is gone, or given up.
const ADRIFT: u32 = 2;
/// A bit of [`Link::attention`]: the peer is an ESHM 1.x process.
const LEGACY: u32 = 4;
/// A bit of [`Link::attention`]: another segment has this one's name.
const DISPLACED: u32 = 8;
/// A bit of [`Link::attention`]: the endpoint was stopped, and is still to be closed.
const STOPPED: u32 = 16;
/// What [`Link::attention`] grows by when the attachment is replaced.
const EPOCH: u32 = 32;

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: SegmentName,
    pub(crate) role: Role,
    pub(crate) counters: Counters,
    config: Builder,
    /// The process that opened the endpoint: see [`process::stamp`].
    stamp: u32,
    state: Mutex<State>,
    /// Signalled when the peer's state changes.
    changed: Condvar,
    // What follows is written under `state`, and read without it. The stores are Release, and the loads that conclude
    // something from them Acquire: who sees here that the peer has closed, or that the segment was replaced, finds
    // all that was written before. The fast path's look at `attention` is Relaxed: it concludes nothing.
    /// How often the attachment was replaced, times [`EPOCH`], and the bits below. As long as it stays what a half of the
    /// endpoint knows it to be, that half's fast path needs to look at nothing else.
    attention: AtomicU32,
    /// A [`PeerState`].
    peer: AtomicU32,
    /// Whether patience with the peer is used up: calls without a time-out fail, the search goes on.
    lost: AtomicBool,
    /// The incoming `wake_seq` when an ESHM 1.x peer came: while it stays, that peer may be one that never wakes.
    silent_wake_seq: AtomicU32,
    /// What goes from segments that were left to the present one. Taken after `state`, where both are.
    carry: Mutex<Carry>,
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
    pub(crate) fn open(name: SegmentName, config: Builder) -> Result<(Arc<Link>, Origin)> {
        sync::register_fences();
        let Started { attachment, replaced } = attach::start(&name, &config)?;
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
            link.look(&mut state, now);
        }
        if link.config.background {
            monitor::watch(&link).map_err(|source| {
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
            monitor::close_at_exit(&link);
        }
        Ok((link, origin))
    }

    fn new(name: SegmentName, config: Builder, attachment: &Arc<Attachment>, now: Instant) -> Link {
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
            next_name_check: now + guard::INTERVAL,
            attachment: Arc::clone(attachment),
        };
        Link {
            role: attachment.role(),
            counters: Counters::default(),
            stamp: process::stamp(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            attention: AtomicU32::new(0),
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

    /// Whether nothing has happened since `attention` was what it is given as: the endpoint is open, in this
    /// process, attached to the same segment, and so on.
    #[inline(always)]
    pub(crate) fn is_calm(&self, attention: u32) -> bool {
        self.attention.load(Ordering::Relaxed) == attention && !self.is_forked()
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
        if self.attention.load(Ordering::Relaxed) & STOPPED != 0 {
            return Err(Error::Closed { segment: self.segment() });
        }
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.attention.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Whether this process is a fork of the one that opened the endpoint.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.stamp != process::stamp()
    }

    pub(crate) fn config(&self) -> &Builder {
        &self.config
    }

    /// The segment's name, for an error.
    pub(crate) fn segment(&self) -> String {
        self.name.as_str().to_owned()
    }

    /// Counts the attachments that there have been before the one to be had from [`Link::attachment`].
    pub(crate) fn epoch(&self) -> u32 {
        // Acquire: pairs with the Release store in `search`: the old segment's master was gone before it.
        self.attention.load(Ordering::Acquire) / EPOCH
    }

    /// The attention of this link when it is attached for the `epoch`-th time, and has no troubles.
    pub(crate) fn calm(&self, epoch: u32) -> u32 {
        // An endpoint that nobody watches is never known to be calm: it looks for itself.
        if self.config.background { epoch.wrapping_mul(EPOCH) } else { u32::MAX }
    }

    /// The segment that the endpoint is attached to.
    fn attachment(&self) -> Arc<Attachment> {
        Arc::clone(&self.state().attachment)
    }

    /// The peer's state as it was last judged.
    fn verdict(&self) -> PeerState {
        // Acquire: pairs with the Release store in `look`.
        PeerState::from_u32(self.peer.load(Ordering::Acquire))
    }

    /// The peer's state. Of an endpoint without the monitor: as of now, and taken note of.
    pub(crate) fn peer_state(&self) -> PeerState {
        if !self.config.background && self.check().is_ok() {
            let mut state = self.state();
            // Asked with the lock: after a close the segment is no affair of ours any more.
            if !self.is_closed() {
                self.look(&mut state, Instant::now());
            }
        }
        self.verdict()
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

    /// Whether the peer, an ESHM 1.x process, has not been seen to wake its readers.
    pub(crate) fn peer_is_silent(&self, attachment: &Attachment) -> bool {
        attachment.peer_is_legacy()
            && attachment.incoming().tail.wake_seq.load(Ordering::Relaxed)
                == self.silent_wake_seq.load(Ordering::Relaxed)
    }

    /// Why no message can come any more, or be taken, if so. An unbounded wait ends with it; a `timed` one lasts as long as
    /// it was told to, unless the search for the peer is over.
    pub(crate) fn hopeless(&self, timed: bool) -> Option<Error> {
        let state = self.peer_state();
        if timed && !self.search_is_over() {
            return None;
        }
        let (segment, peer) = (self.segment(), self.role.peer());
        match state {
            PeerState::Closed => Some(Error::PeerClosed { segment, peer, unreceived: self.unreceived() }),
            state if self.is_lost() => Some(Error::PeerStale { segment, peer, state }),
            _ => None,
        }
    }

    /// Whether the patience with the peer is used up.
    fn is_lost(&self) -> bool {
        // Acquire: pairs with the Release store in `look`.
        self.lost.load(Ordering::Acquire)
    }

    /// Whether this slave has stopped looking for its master. By default it never does.
    pub(crate) fn search_is_over(&self) -> bool {
        self.role == Role::Slave && self.is_lost() && self.config.search_ends()
    }

    /// Checks that what is put now will be looked at by somebody: a slave whose master is gone, or frozen and given up,
    /// accepts nothing, and neither does a displaced master.
    ///
    /// # Errors
    /// [`Error::Reconnecting`], or, once the patience is over, [`Error::PeerClosed`] or [`Error::PeerStale`];
    /// [`Error::Displaced`].
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_displaced()?;
        if self.role == Role::Master {
            return Ok(());
        }
        let lost = self.is_lost();
        if !self.peer_state().is_gone() && !lost {
            return Ok(());
        }
        let given_up = if lost { self.hopeless(false) } else { None };
        Err(given_up.unwrap_or_else(|| Error::Reconnecting { segment: self.segment() }))
    }

    /// Checks that no other segment has this one's name.
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(crate) fn check_displaced(&self) -> Result<()> {
        if self.attention.load(Ordering::Relaxed) & DISPLACED == 0 {
            return Ok(());
        }
        Err(Error::Displaced { segment: self.segment() })
    }

    /// Waits until the peer is alive. `Ok(false)`: it was not, in time.
    pub(crate) fn wait_for_peer(&self, timeout: Duration) -> Result<bool> {
        self.check_running()?;
        let until = Instant::now().checked_add(timeout);
        let mut state = self.state();
        self.check_running()?;
        // What the monitor knows may be a heartbeat old.
        self.look(&mut state, Instant::now());
        loop {
            self.check_running()?;
            if self.peer.load(Ordering::Relaxed) == PeerState::Alive as u32 {
                return Ok(true);
            }
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(false);
            }
            // Without the monitor nobody signals: look again soon.
            let slice =
                if self.config.background { crate::patience::SLICE } else { self.config.heartbeat_interval };
            state = state.wait(&self.changed, left.min(slice));
            if !self.config.background && !self.is_closed() {
                self.look(&mut state, Instant::now());
            }
        }
    }

    /// The monitor's visit: beats, looks at the peer. Returns when to come again, or `None`: never. The events go to
    /// `notices`, since the monitor holds a lock of its own meanwhile.
    pub(crate) fn keep(&self, now: Instant, notices: &mut Notices) -> Option<Instant> {
        let mut state = self.plain_state();
        if self.is_closed() || !self.config.background {
            return None;
        }
        if now >= state.next_beat {
            state.attachment.beat();
            crash_point!("keep.beaten");
            if let Some(stand_in) = &state.stand_in {
                stand_in.beat();
            }
            state.attachment.publish_reads();
            state.attachment.note_depth();
            crash_point!("keep.published");
            state.next_beat = now + self.beat_interval(&mut state, now);
        }
        self.look(&mut state, now);
        self.guard_name(&mut state, now);
        self.continue_carry(&mut state.notices);
        notices.append(&mut state.notices);
        Some(state.next_beat)
    }

    /// How long it is to the next beat: an endpoint that has been idle costs less.
    fn beat_interval(&self, state: &mut State, now: Instant) -> Duration {
        let traffic = self.counters.sent.events().wrapping_add(self.counters.received.events());
        if traffic != state.traffic.0 {
            state.traffic = (traffic, now);
        }
        let idle = !self.config.steady && now - state.traffic.1 >= heartbeat::IDLE_AFTER;
        let (interval, threshold) = (self.config.heartbeat_interval, self.config.stale_threshold);
        heartbeat::beat_interval(interval, threshold, state.attachment.peer_threshold(), idle)
    }

    /// One heartbeat, by hand.
    pub(crate) fn update_heartbeat(&self) -> Result<()> {
        self.check()?;
        let mut state = self.state();
        // Asked again with the lock: another thread may have closed the endpoint, and a successor have the seat.
        self.check()?;
        state.attachment.beat();
        self.look(&mut state, Instant::now());
        self.continue_carry(&mut state.notices);
        Ok(())
    }

    /// Judges the peer, and does what follows from it.
    fn look(&self, state: &mut State, now: Instant) {
        let attachment = Arc::clone(&state.attachment);
        let mut pulse = attachment.peer_pulse();
        let threshold = self.config.stale_threshold;
        let before = PeerState::from_u32(self.peer.load(Ordering::Relaxed));
        let looks_closed = !pulse.alive && pulse.pid != 0 && before != PeerState::Closed;
        if looks_closed && attachment.peer_is_seated() {
            // It is just sitting down, on the seat of one that was killed, or just getting up; or stopped while it does.
            pulse.alive = true;
        }
        let verdict =
            state.watch.judge(pulse, now, threshold, |still| attachment.peer_is_gone(still, threshold));
        self.note_identity(state, &attachment, pulse.pid);
        if verdict != before {
            let notice = Notice::Peer { peer: self.role.peer(), from: before, to: verdict };
            state.notices.push(self.name.as_str(), notice);
            self.note_verdict(state, verdict, now);
        }

        let lost = state.missed.as_ref().is_some_and(|missed| self.is_patience_over(missed, now));
        let mut bits = if attachment.peer_is_legacy() { LEGACY } else { 0 };
        if self.role == Role::Slave && (verdict.is_gone() || lost) {
            bits |= ADRIFT;
        }
        let attention = self.attention.load(Ordering::Relaxed);
        let news = verdict != before
            || lost != self.lost.load(Ordering::Relaxed)
            || bits != attention & (ADRIFT | LEGACY);
        // Stored only when they change: the fast path reads this cache line. The state goes last, so that who has
        // seen it is not on the fast path any more.
        if news {
            self.lost.store(lost, Ordering::Release);
            self.attention.store(attention & !(ADRIFT | LEGACY) | bits, Ordering::Release);
            self.peer.store(verdict as u32, Ordering::Release);
            self.wake_own_threads(&attachment);
        }
        if verdict == PeerState::Dead && before != PeerState::Dead {
            attachment.bury_peer();
        }
        if self.config.background && !(lost && self.config.search_ends()) {
            self.search(state, now);
        }
    }

    /// Starts or ends the search for the peer.
    fn note_verdict(&self, state: &mut State, verdict: PeerState, now: Instant) {
        match verdict {
            PeerState::Alive | PeerState::Absent => {
                if state.missed.take().is_some_and(|missed| missed.identity == state.identity) {
                    self.counters.stalls.add(1);
                }
            }
            PeerState::Frozen | PeerState::Dead | PeerState::Closed => {
                let identity = state.identity;
                state.missed.get_or_insert(Missed { identity, since: now, next_search: now, searches: 0 });
            }
        }
    }

    /// Takes note of another process in the peer's seat.
    fn note_identity(&self, state: &mut State, attachment: &Attachment, pid: i32) {
        let identity = (pid, attachment.peer_generation());
        if identity == state.identity {
            return;
        }
        if identity.1 == state.identity.1 {
            // An ESHM 1.x slave counts no generations: we count it.
            attachment.raise_generation(attachment.generation() + 1);
        }
        if state.identity.0 != 0 {
            self.counters.reconnects.add(1);
        }
        state.identity = identity;
        let wake_seq = attachment.incoming().tail.wake_seq.load(Ordering::Relaxed);
        self.silent_wake_seq.store(wake_seq, Ordering::Relaxed);
    }

    fn is_patience_over(&self, missed: &Missed, now: Instant) -> bool {
        match self.config.disconnect {
            Disconnect::Immediately => true,
            Disconnect::Never => false,
            Disconnect::OnTimeout => {
                let (timeout, attempts) = (self.config.reconnect_timeout, self.config.reconnect_attempts);
                let in_time = timeout.is_zero() || now.saturating_duration_since(missed.since) < timeout;
                let tries_left = attempts == 0 || self.role == Role::Master || missed.searches < attempts;
                !(in_time && tries_left)
            }
        }
    }

    /// Has this endpoint's waiting threads look again; another process's that wait there too look in vain.
    fn wake_own_threads(&self, attachment: &Attachment) {
        self.changed.notify_all();
        futex_wake(attachment.incoming().news(Fences::Asymmetric).word);
        futex_wake(attachment.outgoing().taken().word);
        if let Some(queue) = attachment.incoming_queue() {
            queue.wake_receiver();
        }
        if let Some(queue) = attachment.outgoing_queue() {
            futex_wake(queue.room().word);
        }
    }

    /// Ends the calls of the endpoint that wait, and all later ones; it keeps its seat until it is closed. In a forked
    /// child it does nothing: the endpoint is the parent's.
    pub(crate) fn stop(&self) {
        if self.is_forked() {
            return;
        }
        let state = self.state();
        // Release: as every store to `attention`. A thread that misses the wake-up looks up after a slice.
        self.attention.store(self.attention.load(Ordering::Relaxed) | STOPPED, Ordering::Release);
        self.wake_own_threads(&state.attachment);
    }

    /// Closes the endpoint, once. In a forked child it does nothing: the endpoint is the parent's.
    pub(crate) fn close(&self) {
        if self.is_forked() {
            return;
        }
        let unlinked = {
            let mut state = self.state();
            let unlinked = self.leave(&mut state, &mut self.carry(), Attachment::leave);
            // Closing its file frees both of its seats.
            state.stand_in = None;
            unlinked
        };
        let Some(unlinked) = unlinked else { return };
        monitor::forget(self);
        let unreceived = self.unreceived();
        tracing::debug!(segment = self.name.as_str(), role = %self.role, unreceived, "closed");
        if let Err(error) = unlinked {
            let error = region::errno(&error);
            // Relaxed: it is asked for by whoever has waited for this close.
            self.not_removed.store(error as i32, Ordering::Relaxed);
            let error = region::remove_error(&self.name, error);
            tracing::warn!(segment = self.name.as_str(), %error, "the segment's name could not be removed");
        }
    }

    /// Whether the name of the segment was removed at the close, if it was to be.
    ///
    /// # Errors
    /// [`Error::Remove`].
    pub(crate) fn check_removed(&self) -> Result<()> {
        match self.not_removed.load(Ordering::Relaxed) {
            0 => Ok(()),
            error => Err(region::remove_error(&self.name, nix::Error::from_raw(error))),
        }
    }

    /// As `close`, when the process exits: without a word, for loggers may be gone, and without waiting for what this
    /// thread may hold itself. The seats stay locked until the kernel ends the process, since other threads may be
    /// in calls, and use the segment until then.
    pub(crate) fn close_at_exit(&self) {
        if self.is_forked() {
            return;
        }
        let Some(mut state) = process::lock_at_exit(&self.state) else { return };
        if let Some(mut carry) = process::lock_at_exit(&self.carry) {
            // Whether the name could be removed interests nobody any more.
            let _ = self.leave(&mut state, &mut carry, Attachment::say_closed);
        }
    }

    /// Closes the endpoint; `part` is what each of its segments is left by. `None`: it was closed already.
    fn leave(
        &self,
        state: &mut State,
        carry: &mut Carry,
        part: fn(&Attachment, &SegmentName, bool) -> std::io::Result<()>,
    ) -> Option<std::io::Result<()>> {
        if self.is_closed() {
            return None;
        }
        self.pump(&mut state.notices, carry, WHOLE);
        let unreceived = state.attachment.outgoing_depth() + carry.unreceived();
        self.unreceived_at_close.store(unreceived, Ordering::Relaxed);
        self.attention.store(self.attention.load(Ordering::Relaxed) | CLOSED, Ordering::Release);
        let leave = |attachment: &Attachment| part(attachment, &self.name, self.config.auto_cleanup);
        let unlinked = state.stand_in.as_ref().map_or(Ok(()), leave);
        let left = leave(&state.attachment);
        self.wake_own_threads(&state.attachment);
        Some(unlinked.and(left))
    }
}
