//! The attachment of one endpoint to one segment: its seat, its mailboxes and queues, and its view of the peer.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::mailbox::{Channel, MailboxMemory};
use crate::channel::queue::QueueMemory;
use crate::error::Result;
use crate::peer::counters::Counter;
use crate::peer::events::Interest;
use crate::peer::settings::Settings;
use crate::role::Role;
use crate::segment::file::{EventDescriptor, MappedSegment, NameTarget, PeerDescriptor, Unpublished};
use crate::segment::layout::{Direction, Header};
use crate::segment::name::SegmentName;
use crate::segment::seat::{Pulse, Threshold};
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::view::Memory;
use crate::sys::{AtomicBool, Ordering};
use crate::wait::{Doorbell, EventBell, Fences};

/// The kind of data in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The latest value, written by `write`.
    Value,
    /// A message that must be delivered, written by `send` where there is no queue.
    Message,
}

/// The attachment of one endpoint to one segment. Its seat is locked, and its header fields are filled in.
#[derive(Debug)]
pub(crate) struct Attachment {
    mapped: Arc<MappedSegment>,
    layout: SegmentLayout,
    role: Role,
    /// The number of values read from the incoming channel. `publish_reads` copies it to `read_count`.
    reads: Counter,
    /// Added to the generation of the peer in this segment, so that the result grows even if the segment is replaced.
    generation_offset: Counter,
    /// Set if the outgoing mailbox holds a message. The segment does not record this. Without queues it may.
    holds_message: AtomicBool,
    /// The event descriptor of the peer.
    peer_descriptor: Arc<PeerDescriptor>,
    bell: EventBell,
}

impl Attachment {
    /// Creates the attachment to a segment whose layout was checked. `occupy` makes it visible to others.
    pub(crate) fn new(
        name: &SegmentName,
        mapped: Arc<MappedSegment>,
        layout: SegmentLayout,
        role: Role,
    ) -> Self {
        let (reads, generation_offset) = (Counter::default(), Counter::default());
        let holds_message = AtomicBool::new(layout.queues.is_none());
        let peer_descriptor = Arc::new(PeerDescriptor::new(name, &mapped, role.peer()));
        let bell = EventBell::new(Arc::clone(&peer_descriptor) as Arc<_>);
        let attachment = Attachment {
            mapped,
            layout,
            role,
            reads,
            generation_offset,
            holds_message,
            peer_descriptor,
            bell,
        };
        attachment.reads.set(attachment.incoming().tail.read_count.load(Ordering::Relaxed));
        attachment
    }

    /// Counts a value that was read. Only the thread of the reader calls this. `publish_reads` updates the segment.
    #[inline(always)]
    pub(crate) fn count_read(&self) {
        self.reads.set(self.reads.get().wrapping_add(1));
    }

    /// Updates the `read_count` of the incoming channel.
    pub(crate) fn publish_reads(&self) {
        let (published, reads) = (&self.incoming().tail.read_count, self.reads.get());
        // Stored only if it differs, because the writer uses this cache line.
        if published.load(Ordering::Relaxed) != reads {
            published.store(reads, Ordering::Relaxed);
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Returns the size of the longest message of a queue in bytes, or `None` without queues.
    pub(crate) fn queue_capacity(&self) -> Option<usize> {
        self.layout.queues.map(|queues| queues.capacity)
    }

    pub(crate) fn data_size(&self) -> usize {
        self.layout.geometry.data_size
    }

    pub(crate) fn header(&self) -> &Header {
        self.mapped.header()
    }

    /// Returns the channel of a direction.
    pub(crate) fn channel(&self, direction: Direction) -> Channel<'_> {
        self.layout.channel(&*self.mapped, direction, &self.bell)
    }

    /// Returns the mailbox that this endpoint writes.
    pub(crate) fn outgoing_mailbox(&self) -> MailboxMemory {
        self.layout.mailbox(&self.mapped, written_by(self.role), &self.bell)
    }

    /// Returns the mailbox that this endpoint reads.
    pub(crate) fn incoming_mailbox(&self) -> MailboxMemory {
        self.layout.mailbox(&self.mapped, written_by(self.role.peer()), &self.bell)
    }

    /// Returns the channel that this endpoint writes.
    pub(crate) fn outgoing(&self) -> Channel<'_> {
        self.channel(written_by(self.role))
    }

    /// Returns the channel that this endpoint reads.
    pub(crate) fn incoming(&self) -> Channel<'_> {
        self.channel(written_by(self.role.peer()))
    }

    /// Returns the queue into which this endpoint sends.
    pub(crate) fn outgoing_queue(&self) -> Option<QueueMemory> {
        self.layout.queue(&self.mapped, written_by(self.role), &self.bell)
    }

    /// Returns the queue from which this endpoint receives.
    pub(crate) fn incoming_queue(&self) -> Option<QueueMemory> {
        self.layout.queue(&self.mapped, written_by(self.role.peer()), &self.bell)
    }

    /// Records what the outgoing mailbox is about to hold.
    pub(crate) fn note_content(&self, content: Content) {
        // Relaxed, here and below: the carry-over of the mailbox checks again until the writing thread has switched.
        self.holds_message.store(content == Content::Message, Ordering::Relaxed);
    }

    /// Returns the kind of data in the outgoing mailbox, if it holds any.
    pub(crate) fn content(&self) -> Content {
        if self.holds_message.load(Ordering::Relaxed) { Content::Message } else { Content::Value }
    }

    /// Returns whether the outgoing mailbox holds a message that no 2.0 reader has taken.
    pub(crate) fn message_in_mailbox(&self) -> bool {
        self.content() == Content::Message && !self.peer_was_legacy() && !self.outgoing().is_taken()
    }

    /// Returns whether a value of the incoming direction is unread. Without queues, it can be a message.
    pub(crate) fn has_unread_value(&self) -> bool {
        !self.incoming().is_taken()
    }

    /// Returns whether a message of the incoming direction is not released. Without queues, it can be a value.
    pub(crate) fn has_unread_message(&self) -> bool {
        self.incoming_queue().map_or_else(|| self.has_unread_value(), |queue| queue.depth() > 0)
    }

    /// Returns how many messages of the outgoing direction are not released.
    pub(crate) fn outgoing_depth(&self) -> u64 {
        let queued = self.outgoing_queue().map_or(0, |queue| u64::from(queue.depth()));
        queued + u64::from(self.message_in_mailbox())
    }

    /// Raises the high-water mark of the outgoing queue to its depth.
    pub(crate) fn note_depth(&self) {
        if let Some(queue) = self.outgoing_queue() {
            queue.note_depth(queue.depth());
        }
    }

    /// Locks the seat of the peer, so that no other endpoint reads or writes this segment any more. Returns `false`
    /// if a 2.0 peer is alive. An ESHM 1.x peer holds no lock; its heartbeat shows whether it is alive.
    pub(crate) fn take_peer_seat(&self) -> bool {
        self.mapped.lock(self.role.peer()) == Ok(true)
    }

    /// Makes the event descriptor of this endpoint.
    ///
    /// # Errors
    /// Returns [`Error::Attach`](crate::Error::Attach) if the process can have no descriptor more.
    pub(crate) fn event_descriptor(&self, name: &SegmentName) -> Result<EventDescriptor> {
        self.mapped.event_descriptor(name, self.role)
    }

    /// Makes the event descriptor of the peer readable, because this endpoint has closed.
    pub(crate) fn ring_peer_at_close(&self) {
        if !self.peer_is_legacy() {
            self.peer_descriptor.ring_at_close();
        }
    }

    /// Hands the doorbell that the peer rings for a kind of interest to `work`.
    pub(crate) fn with_bell<T>(&self, kind: Interest, work: impl FnOnce(Doorbell<'_>) -> T) -> T {
        let has_queue = !self.peer_is_legacy();
        match kind {
            Interest::WRITABLE => match self.outgoing_queue().filter(|_| has_queue) {
                Some(queue) => work(queue.space_bell()),
                None => work(self.outgoing().taken()),
            },
            Interest::READABLE => match self.incoming_queue().filter(|_| has_queue) {
                Some(queue) => work(queue.arrival_bell()),
                None => work(self.incoming().value_bell(Fences::Asymmetric)),
            },
            _ => work(self.incoming().value_bell(Fences::Asymmetric)),
        }
    }

    /// Returns a number that differs after the peer has released or taken what this endpoint has sent.
    pub(crate) fn outgoing_progress(&self) -> u64 {
        let tail = self.outgoing().tail;
        let released = self.outgoing_queue().map_or(0, |queue| queue.released());
        let taken = tail.taken.load(Ordering::Relaxed);
        (u64::from(released) << 32 | u64::from(taken)).wrapping_add(tail.read_count.load(Ordering::Relaxed))
    }

    /// Returns the queue of a direction, for statistics.
    pub(crate) fn queue(&self, direction: Direction) -> Option<QueueMemory> {
        self.layout.queue(&self.mapped, direction, &self.bell)
    }

    /// Returns the layout of this segment.
    pub(crate) fn layout(&self) -> SegmentLayout {
        self.layout
    }

    /// Called on a stand-in for `old`. Locks the seat of the peer and copies the identity of the present peer into
    /// it.
    pub(crate) fn reserve_peer_seat(&self, old: &Attachment) -> bool {
        let peer = self.role.peer();
        self.header().seat(peer).copy_identity_from(&old.header().seat(peer));
        self.take_peer_seat()
    }

    /// Unlocks the seat of the peer.
    pub(crate) fn free_peer_seat(&self) {
        self.mapped.unlock(self.role.peer());
    }

    /// Gives a new segment its name. Returns `Ok(false)` if the name exists already.
    ///
    /// # Errors
    /// Returns [`Error::Create`](crate::Error::Create) if the system refuses.
    pub(crate) fn publish(&self, name: &SegmentName, unpublished: Unpublished) -> Result<bool> {
        self.mapped.publish(name, unpublished)
    }

    /// Returns whether the name still refers to this segment.
    pub(crate) fn owns_name(&self, name: &SegmentName) -> bool {
        self.mapped.owns_name(name)
    }

    /// Returns where the name leads.
    pub(crate) fn name_target(&self, name: &SegmentName) -> NameTarget {
        self.mapped.name_target(name)
    }

    /// Returns the heartbeats of master and slave.
    pub(crate) fn heartbeats(&self) -> (u64, u64) {
        let header = self.header();
        (header.master_heartbeat.load(Ordering::Relaxed), header.slave_heartbeat.load(Ordering::Relaxed))
    }

    /// Returns the pulse of the peer.
    pub(crate) fn peer_pulse(&self) -> Pulse {
        self.header().seat(self.role.peer()).pulse()
    }

    /// Returns the stale threshold that the peer has published.
    pub(crate) fn peer_threshold(&self) -> Threshold {
        self.header().seat(self.role.peer()).threshold()
    }

    /// Publishes the stale threshold of this endpoint to the peer.
    pub(crate) fn publish_threshold(&self, threshold: Duration) {
        self.header().seat(self.role).publish_threshold(threshold);
    }

    /// Returns how often the seat of the peer was taken in this segment.
    pub(crate) fn peer_generation(&self) -> u32 {
        self.header().seat(self.role.peer()).generation.load(Ordering::Relaxed)
    }

    /// Returns the generation of the peer, which grows with each restart of the peer.
    pub(crate) fn generation(&self) -> u64 {
        self.generation_offset.get() + u64::from(self.peer_generation())
    }

    /// Raises the generation to at least `least`.
    pub(crate) fn raise_generation(&self, least: u64) {
        self.generation_offset.set(least.saturating_sub(u64::from(self.peer_generation())));
    }

    /// Returns whether an ESHM 1.x process owns the seat of the peer.
    pub(crate) fn peer_is_legacy(&self) -> bool {
        self.header().seat(self.role.peer()).is_legacy()
    }

    /// Returns whether the present or last owner of the seat of the peer is an ESHM 1.x process.
    pub(crate) fn peer_was_legacy(&self) -> bool {
        let seat = self.header().seat(self.role.peer());
        seat.pid.load(Ordering::Relaxed) != 0 && !seat.is_ours()
    }

    /// Returns whether the peer holds the lock of its seat. It is then a 2.0 endpoint and alive.
    pub(crate) fn peer_is_seated(&self) -> bool {
        self.mapped.is_locked(self.role.peer())
    }

    /// Returns whether the process of the peer has ended, if the system can tell. The pulse has stood still for
    /// `still`.
    pub(crate) fn peer_is_gone(&self, still: Duration, threshold: Duration) -> bool {
        if !self.peer_is_legacy() {
            // Asked in this order: a peer that closes is marked as closed before it unlocks its seat.
            return !self.peer_is_seated() && self.peer_pulse().alive;
        }
        // A pid from another PID namespace refers to another process here, or to none. So it only confirms what the
        // heartbeat has shown.
        let pid = self.peer_pulse().pid;
        still >= threshold
            && pid > 0
            && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) == Err(nix::Error::ESRCH)
    }

    /// Increments the heartbeat.
    pub(crate) fn beat(&self) {
        self.header().seat(self.role).beat();
    }

    /// Clears the counts of a peer that was killed while parked. They would cost every write a system call. The lock
    /// of its seat excludes a successor during this, whose counts must not be cleared.
    pub(crate) fn clear_dead_peer(&self, name: &SegmentName) {
        let seat = self.role.peer();
        if self.mapped.lock(seat) == Ok(true) {
            crash_point!("clear.locked");
            self.forget_waiters(seat);
            self.peer_descriptor.remove(self.owns_name(name));
            crash_point!("clear.cleared");
            self.mapped.unlock(seat);
            crash_point!("clear.unlocked");
        }
    }

    /// Clears the counts of parked threads of the last owner of `seat`.
    fn forget_waiters(&self, seat: Role) {
        let (reads, writes) = (written_by(seat.peer()), written_by(seat));
        self.channel(reads).tail.waiters.store(0, Ordering::Relaxed);
        self.channel(writes).tail.taken_waiters.store(0, Ordering::Relaxed);
        if let Some(queue) = self.layout.queue(&self.mapped, reads, &self.bell) {
            queue.forget_parked_receiver();
        }
        if let Some(queue) = self.layout.queue(&self.mapped, writes, &self.bell) {
            queue.forget_parked_sender();
        }
    }

    /// Marks this endpoint as closed, as [`Attachment::mark_closed`] does, and unlocks its seat.
    pub(crate) fn leave(&self, name: &SegmentName, cleanup: bool) -> std::io::Result<()> {
        let unlinked = self.mark_closed(name, cleanup);
        self.mapped.unlock(self.role);
        crash_point!("leave.unlocked");
        if self.role == Role::Master && cleanup && !self.peer_is_legacy() && !self.peer_is_seated() {
            // A peer that has ended without a close leaves it, and with the segment goes who would remove it.
            self.peer_descriptor.remove(false);
        }
        unlinked
    }

    /// Marks this endpoint as closed in the header and keeps its seat, because other threads of this process may be
    /// in calls. A master with `cleanup` first removes the name, so that no slave attaches in between. Returns an
    /// error if the name could not be removed.
    pub(crate) fn mark_closed(&self, name: &SegmentName, cleanup: bool) -> std::io::Result<()> {
        self.publish_reads();
        crash_point!("leave.counted");
        let unlinked = if self.role == Role::Master && cleanup { self.mapped.unlink(name) } else { Ok(()) };
        crash_point!("leave.unlinked");
        self.header().seat(self.role).leave();
        crash_point!("leave.absent");
        unlinked
    }

    /// Fills in the header fields of this endpoint, which holds the lock of its seat.
    pub(crate) fn occupy(&self) {
        self.forget_waiters(self.role);
        crash_point!("occupy.cleared");
        self.header().seat(self.role).occupy(std::process::id() as i32);
    }

    /// Fills in the header fields that describe the segment. A take-over turns every version into the present one.
    pub(crate) fn describe(&self, config: &Settings) {
        let threshold = u32::try_from(config.stale_threshold.as_millis()).unwrap_or(u32::MAX);
        self.layout.announce(self.header(), threshold);
    }
}

/// Returns the direction in which an endpoint of this role writes.
fn written_by(role: Role) -> Direction {
    match role {
        Role::Slave => Direction::SlaveToMaster,
        Role::Master => Direction::MasterToSlave,
    }
}
