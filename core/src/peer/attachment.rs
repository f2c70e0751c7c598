//! One endpoint's hold on one segment: its seat, its mailboxes and queues, and what it sees of its peer.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::mailbox::{Channel, MailboxMemory};
use crate::channel::queue::QueueMemory;
use crate::error::Result;
use crate::peer::counters::Counter;
use crate::peer::settings::Settings;
use crate::role::Role;
use crate::segment::file::{NameLeads, Region, Unpublished};
use crate::segment::layout::{Direction, Header};
use crate::segment::name::SegmentName;
use crate::segment::seat::{Pulse, Threshold};
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::view::Memory;
use crate::sys::{AtomicBool, Ordering};

/// What a mailbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// By `write`: the latest value.
    Value,
    /// By `send`, where there is no queue: a message that is to be delivered.
    Message,
}

/// One endpoint's hold on one segment: its seat is taken, its fields in the header are filled in.
#[derive(Debug)]
pub(crate) struct Attachment {
    region: Arc<Region>,
    plan: SegmentLayout,
    role: Role,
    /// How many values were read from the incoming channel: what its `read_count` will be brought up to.
    reads: Counter,
    /// Added to the peer's generation as the segment counts it, so that ours grows whatever becomes of the segment.
    generation_offset: Counter,
    /// Whether the outgoing mailbox holds a message. The segment does not say; without queues it may.
    holds_message: AtomicBool,
}

impl Attachment {
    /// A hold on a segment whose layout was checked. `occupy` makes it visible to others.
    pub(crate) fn new(region: Arc<Region>, plan: SegmentLayout, role: Role) -> Self {
        let (reads, generation_offset) = (Counter::default(), Counter::default());
        let holds_message = AtomicBool::new(plan.queues.is_none());
        let attachment = Attachment { region, plan, role, reads, generation_offset, holds_message };
        attachment.reads.set(attachment.incoming().tail.read_count.load(Ordering::Relaxed));
        attachment
    }

    /// Counts a value that was read; only the reader's thread calls this. The segment is told by `publish_reads`.
    #[inline(always)]
    pub(crate) fn count_read(&self) {
        self.reads.set(self.reads.get().wrapping_add(1));
    }

    /// Brings the incoming channel's `read_count` up to date.
    pub(crate) fn publish_reads(&self) {
        let (published, reads) = (&self.incoming().tail.read_count, self.reads.get());
        // Stored only if it differs: the writer uses this cache line.
        if published.load(Ordering::Relaxed) != reads {
            published.store(reads, Ordering::Relaxed);
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The greatest message of a queue in bytes, on a segment with queues.
    pub(crate) fn queue_capacity(&self) -> Option<usize> {
        self.plan.queues.map(|queues| queues.capacity)
    }

    pub(crate) fn data_size(&self) -> usize {
        self.plan.geometry.data_size
    }

    pub(crate) fn header(&self) -> &Header {
        self.region.header()
    }

    /// One direction's channel.
    pub(crate) fn channel(&self, direction: Direction) -> Channel<'_> {
        self.plan.channel(&*self.region, direction)
    }

    /// The mailbox that this endpoint writes.
    pub(crate) fn outgoing_mailbox(&self) -> MailboxMemory {
        self.plan.mailbox(&self.region, written_by(self.role))
    }

    /// The mailbox that this endpoint reads.
    pub(crate) fn incoming_mailbox(&self) -> MailboxMemory {
        self.plan.mailbox(&self.region, written_by(self.role.peer()))
    }

    /// The channel that this endpoint writes.
    pub(crate) fn outgoing(&self) -> Channel<'_> {
        self.channel(written_by(self.role))
    }

    /// The channel that this endpoint reads.
    pub(crate) fn incoming(&self) -> Channel<'_> {
        self.channel(written_by(self.role.peer()))
    }

    /// The queue that this endpoint sends into.
    pub(crate) fn outgoing_queue(&self) -> Option<QueueMemory> {
        self.plan.queue(&self.region, written_by(self.role))
    }

    /// The queue that this endpoint receives from.
    pub(crate) fn incoming_queue(&self) -> Option<QueueMemory> {
        self.plan.queue(&self.region, written_by(self.role.peer()))
    }

    /// Takes note of what the outgoing mailbox is about to hold.
    pub(crate) fn note_content(&self, content: Content) {
        // Relaxed, here and below: whoever carries the mailbox over looks again until the writing thread has followed.
        self.holds_message.store(content == Content::Message, Ordering::Relaxed);
    }

    /// What the outgoing mailbox holds, if anything.
    pub(crate) fn content(&self) -> Content {
        if self.holds_message.load(Ordering::Relaxed) { Content::Message } else { Content::Value }
    }

    /// Whether the outgoing mailbox holds a message that one of ours has not taken.
    pub(crate) fn message_in_mailbox(&self) -> bool {
        self.content() == Content::Message && !self.peer_was_legacy() && !self.outgoing().is_taken()
    }

    /// Whether a value of the incoming direction is unread, or, without queues, a message.
    pub(crate) fn has_unread_value(&self) -> bool {
        !self.incoming().is_taken()
    }

    /// Whether a message of the incoming direction was not released. Without queues, a value may be one.
    pub(crate) fn has_unread_message(&self) -> bool {
        self.incoming_queue().map_or_else(|| self.has_unread_value(), |queue| queue.depth() > 0)
    }

    /// Returns how many messages of the outgoing direction were not released.
    pub(crate) fn outgoing_depth(&self) -> u64 {
        let queued = self.outgoing_queue().map_or(0, |queue| u64::from(queue.depth()));
        queued + u64::from(self.message_in_mailbox())
    }

    /// Has the high-water mark of the outgoing queue follow its depth.
    pub(crate) fn note_depth(&self) {
        if let Some(queue) = self.outgoing_queue() {
            queue.note_depth(queue.depth());
        }
    }

    /// Takes the peer's seat, so that nobody else reads or writes this segment any more. `false`: a peer of ours lives.
    /// An ESHM 1.x peer holds no lock; whether it lives, its heartbeat says.
    pub(crate) fn take_peer_seat(&self) -> bool {
        self.region.lock(self.role.peer()) == Ok(true)
    }

    /// One direction's queue, to be looked at.
    pub(crate) fn queue(&self, direction: Direction) -> Option<QueueMemory> {
        self.plan.queue(&self.region, direction)
    }

    /// The sizes of this segment.
    pub(crate) fn plan(&self) -> SegmentLayout {
        self.plan
    }

    /// Of a stand-in for `old`: keeps the seat of the peer that sits there, and shows whose it is.
    pub(crate) fn reserve_peer_seat(&self, old: &Attachment) -> bool {
        let peer = self.role.peer();
        self.header().seat(peer).name(&old.header().seat(peer));
        self.take_peer_seat()
    }

    /// Gives the peer's seat back.
    pub(crate) fn free_peer_seat(&self) {
        self.region.unlock(self.role.peer());
    }

    /// Gives a new segment its name. `Ok(false)`: the name exists already.
    ///
    /// # Errors
    /// [`Error::Create`](crate::Error::Create).
    pub(crate) fn publish(&self, name: &SegmentName, unpublished: Unpublished) -> Result<bool> {
        self.region.publish(name, unpublished)
    }

    /// Whether the name still leads to this segment.
    pub(crate) fn is_named(&self, name: &SegmentName) -> bool {
        self.region.is_named(name)
    }

    /// Where the name leads.
    pub(crate) fn trace_name(&self, name: &SegmentName) -> NameLeads {
        self.region.trace_name(name)
    }

    /// The heartbeats of master and slave.
    pub(crate) fn heartbeats(&self) -> (u64, u64) {
        let header = self.header();
        (header.master_heartbeat.load(Ordering::Relaxed), header.slave_heartbeat.load(Ordering::Relaxed))
    }

    /// The peer's pulse.
    pub(crate) fn peer_pulse(&self) -> Pulse {
        self.header().seat(self.role.peer()).pulse()
    }

    /// What the peer says of its stale threshold.
    pub(crate) fn peer_threshold(&self) -> Threshold {
        self.header().seat(self.role.peer()).says()
    }

    /// Tells the peer what the stale threshold is here.
    pub(crate) fn say_threshold(&self, threshold: Duration) {
        self.header().seat(self.role).say(threshold);
    }

    /// How often the peer's seat was taken, as the segment counts it.
    pub(crate) fn peer_generation(&self) -> u32 {
        self.header().seat(self.role.peer()).generation.load(Ordering::Relaxed)
    }

    /// The peer's generation: greater after each restart of the peer.
    pub(crate) fn generation(&self) -> u64 {
        self.generation_offset.get() + u64::from(self.peer_generation())
    }

    /// Makes the generation at least this.
    pub(crate) fn raise_generation(&self, least: u64) {
        self.generation_offset.set(least.saturating_sub(u64::from(self.peer_generation())));
    }

    /// Whether an ESHM 1.x process sits in the peer's seat.
    pub(crate) fn peer_is_legacy(&self) -> bool {
        self.header().seat(self.role.peer()).is_legacy()
    }

    /// Whether an ESHM 1.x process sits in the peer's seat, or sat there last.
    pub(crate) fn peer_was_legacy(&self) -> bool {
        let seat = self.header().seat(self.role.peer());
        seat.pid.load(Ordering::Relaxed) != 0 && !seat.is_ours()
    }

    /// Whether the peer holds its seat's lock: it is one of ours, and lives.
    pub(crate) fn peer_is_seated(&self) -> bool {
        self.region.is_locked(self.role.peer())
    }

    /// Whether the peer's process has ended, if the system can tell, after its pulse stood `still`.
    pub(crate) fn peer_is_gone(&self, still: Duration, threshold: Duration) -> bool {
        if !self.peer_is_legacy() {
            return !self.peer_is_seated();
        }
        // A pid may belong to another PID namespace, where it means another process or none: so it only
        // explains what the heartbeat has shown.
        let pid = self.peer_pulse().pid;
        still >= threshold
            && pid > 0
            && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) == Err(nix::Error::ESRCH)
    }

    /// Shows a sign of life.
    pub(crate) fn beat(&self) {
        self.header().seat(self.role).beat();
    }

    /// Tidies up after a peer that was killed while parked: its count of waiters would cost every write a system
    /// call. Holding its seat meanwhile keeps a successor out, whose count this must not wipe out.
    pub(crate) fn clear_dead_peer(&self) {
        let seat = self.role.peer();
        if self.region.lock(seat) == Ok(true) {
            crash_point!("clear.locked");
            self.forget_waiters(seat);
            crash_point!("clear.cleared");
            self.region.unlock(seat);
            crash_point!("clear.unlocked");
        }
    }

    /// Clears the counts of parked threads of the endpoint that sat in `seat`.
    fn forget_waiters(&self, seat: Role) {
        let (reads, writes) = (written_by(seat.peer()), written_by(seat));
        self.channel(reads).tail.waiters.store(0, Ordering::Relaxed);
        self.channel(writes).tail.taken_waiters.store(0, Ordering::Relaxed);
        if let Some(queue) = self.plan.queue(&self.region, reads) {
            queue.forget_parked_receiver();
        }
        if let Some(queue) = self.plan.queue(&self.region, writes) {
            queue.forget_parked_sender();
        }
    }

    /// Closes: says so, and gives the seat up. As [`Attachment::say_closed`] otherwise.
    pub(crate) fn leave(&self, name: &SegmentName, cleanup: bool) -> std::io::Result<()> {
        let unlinked = self.say_closed(name, cleanup);
        self.region.unlock(self.role);
        crash_point!("leave.unlocked");
        unlinked
    }

    /// Says in the header that this endpoint is closed, and keeps its seat: other threads of this process may be in calls.
    /// A master that is to clean up removes the name first, so that nobody attaches in between; the result says
    /// whether it could.
    pub(crate) fn say_closed(&self, name: &SegmentName, cleanup: bool) -> std::io::Result<()> {
        self.publish_reads();
        crash_point!("leave.counted");
        let unlinked = if self.role == Role::Master && cleanup { self.region.unlink(name) } else { Ok(()) };
        crash_point!("leave.unlinked");
        self.header().seat(self.role).leave();
        crash_point!("leave.absent");
        unlinked
    }

    /// Fills in this endpoint's fields. The seat's lock is held.
    pub(crate) fn occupy(&self) {
        self.forget_waiters(self.role);
        crash_point!("occupy.cleared");
        self.header().seat(self.role).occupy(std::process::id() as i32);
    }

    /// Fills in what a master says of the segment. A take-over makes any version ours.
    pub(crate) fn describe(&self, config: &Settings) {
        let threshold = u32::try_from(config.stale_threshold.as_millis()).unwrap_or(u32::MAX);
        self.plan.announce(self.header(), threshold);
    }
}

/// The direction in which an endpoint of this role writes.
fn written_by(role: Role) -> Direction {
    match role {
        Role::Slave => Direction::SlaveToMaster,
        Role::Master | Role::Auto => Direction::MasterToSlave,
    }
}
