//! Start-up: who becomes master or slave of what lies under a name, and how a segment is made and taken over.
//!
//! A seat (master or slave) is a lock that the kernel holds for us; whoever has it is alive, whatever the header
//! says. ESHM 1.x processes hold no locks: of them, the heartbeat decides.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Builder, DEFAULT_DATA_SIZE, DEFAULT_QUEUE_CAPACITY, MAX_DATA_SIZE, Role};
use crate::error::{Error, Result};
use crate::heartbeat::Pulse;
use crate::layout::{self, ChannelHead, ChannelTail, Direction, Geometry, Header, QueueGeometry};
use crate::mailbox::{Channel, MailboxMemory};
use crate::name::SegmentName;
use crate::queue::QueueMemory;
use crate::region::{Opened, Region};
use crate::stats::Counter;
use crate::sync::Ordering;

/// How often a slave looks for a segment that does not exist yet.
const LOOK: Duration = Duration::from_millis(1);
/// How long a seat may be found locked before it counts as taken: a survivor that tidies up after the dead, and
/// an endpoint that is just closing, hold it for microseconds.
const SEAT_PATIENCE: Duration = Duration::from_millis(20);

/// Of an ESHM 1.x process, which beats every millisecond.
const SEVERAL_HEARTBEATS: Duration = Duration::from_millis(5);

/// One endpoint's hold on one segment: its seat is taken, its fields in the header are filled in.
#[derive(Debug)]
pub(crate) struct Attachment {
    region: Arc<Region>,
    geometry: Geometry,
    queues: Option<QueueGeometry>,
    role: Role,
    /// How many values were read from the incoming channel: what its `read_count` will be brought up to.
    reads: Counter,
    /// Added to the peer's generation as the segment counts it, so that ours grows whatever becomes of the segment.
    generation_offset: Counter,
}

/// What a segment's header says of its layout, checked.
#[derive(Clone, Copy, Debug)]
struct Plan {
    geometry: Geometry,
    queues: Option<QueueGeometry>,
    /// Whether an ESHM 1.x process made it.
    legacy: bool,
}

/// The header's fields of one role.
struct Seat<'a> {
    heartbeat: &'a crate::sync::AtomicU64,
    pid: &'a crate::sync::AtomicI32,
    alive: &'a crate::sync::AtomicU32,
    capabilities: &'a crate::sync::AtomicU32,
    signature: &'a crate::sync::AtomicI32,
    generation: &'a crate::sync::AtomicU32,
}

impl Header {
    fn seat(&self, role: Role) -> Seat<'_> {
        match role {
            Role::Slave => Seat {
                heartbeat: &self.slave_heartbeat,
                pid: &self.slave_pid,
                alive: &self.slave_alive,
                capabilities: &self.slave_capabilities,
                signature: &self.slave_signature,
                generation: &self.slave_generation,
            },
            Role::Master | Role::Auto => Seat {
                heartbeat: &self.master_heartbeat,
                pid: &self.master_pid,
                alive: &self.master_alive,
                capabilities: &self.master_capabilities,
                signature: &self.master_signature,
                generation: &self.master_generation,
            },
        }
    }
}

impl Seat<'_> {
    fn pulse(&self) -> Pulse {
        Pulse {
            heartbeat: self.heartbeat.load(Ordering::Relaxed),
            pid: self.pid.load(Ordering::Relaxed),
            // Acquire: pairs with the Release store in `occupy`: who sees it set sees the fields above it.
            alive: self.alive.load(Ordering::Acquire) != 0,
        }
    }

    /// Whether the endpoint that sits here, or sat here last, is one of ours.
    fn is_ours(&self) -> bool {
        let pid = self.pid.load(Ordering::Relaxed);
        pid != 0
            && self.signature.load(Ordering::Relaxed) == pid
            && self.capabilities.load(Ordering::Relaxed) & layout::CAPABILITY_TAKEN != 0
    }
}

impl Attachment {
    fn new(region: Arc<Region>, geometry: Geometry, queues: Option<QueueGeometry>, role: Role) -> Self {
        let (reads, generation_offset) = (Counter::default(), Counter::default());
        let attachment = Attachment { region, geometry, queues, role, reads, generation_offset };
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
        self.queues.map(|queues| queues.capacity)
    }

    pub(crate) fn data_size(&self) -> usize {
        self.geometry.data_size
    }

    pub(crate) fn header(&self) -> &Header {
        self.region.at(0)
    }

    pub(crate) fn channel(&self, direction: Direction) -> Channel<'_> {
        let start = self.geometry.channel(direction);
        Channel {
            head: self.region.at::<ChannelHead>(start),
            data: self.region.slice_at(start + Geometry::DATA, (self.geometry.tail() - Geometry::DATA) / 8),
            tail: self.region.at::<ChannelTail>(start + self.geometry.tail()),
            capacity: self.geometry.data_size,
        }
    }

    /// The mailbox that this endpoint writes.
    pub(crate) fn outgoing_mailbox(&self) -> MailboxMemory {
        self.mailbox(written_by(self.role))
    }

    /// The mailbox that this endpoint reads.
    pub(crate) fn incoming_mailbox(&self) -> MailboxMemory {
        self.mailbox(written_by(self.role.peer()))
    }

    fn mailbox(&self, direction: Direction) -> MailboxMemory {
        let start = self.geometry.channel(direction);
        MailboxMemory {
            head: self.region.mapped(start, 1),
            data: self.region.mapped(start + Geometry::DATA, (self.geometry.tail() - Geometry::DATA) / 8),
            tail: self.region.mapped(start + self.geometry.tail(), 1),
            capacity: self.geometry.data_size,
        }
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
        self.queue(written_by(self.role))
    }

    /// The queue that this endpoint receives from.
    pub(crate) fn incoming_queue(&self) -> Option<QueueMemory> {
        self.queue(written_by(self.role.peer()))
    }

    fn queue(&self, direction: Direction) -> Option<QueueMemory> {
        let geometry = self.queues?;
        Some(QueueMemory {
            control: self.region.mapped(geometry.control(direction), 1),
            slots: self.region.mapped(geometry.slots(direction), geometry.slots),
            arena: self.region.mapped(geometry.arena(direction), geometry.blocks()),
            capacity: geometry.capacity,
        })
    }

    /// The peer's pulse.
    pub(crate) fn peer_pulse(&self) -> Pulse {
        self.header().seat(self.role.peer()).pulse()
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
        let seat = self.header().seat(self.role.peer());
        let pulse = seat.pulse();
        pulse.alive && pulse.pid != 0 && !seat.is_ours()
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
        let heartbeat = self.header().seat(self.role).heartbeat;
        // Relaxed: one writer; it publishes nothing but itself.
        heartbeat.store(heartbeat.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Tidies up after a peer that was killed while parked: its count of waiters would cost every write a system
    /// call. Holding its seat meanwhile keeps a successor out, whose count this must not wipe out.
    pub(crate) fn bury_peer(&self) {
        let seat = self.role.peer();
        if self.region.lock(seat) == Ok(true) {
            self.forget_waiters(seat);
            self.region.unlock(seat);
        }
    }

    /// Clears the counts of parked threads of the endpoint that sat in `seat`.
    fn forget_waiters(&self, seat: Role) {
        let (reads, writes) = (written_by(seat.peer()), written_by(seat));
        self.channel(reads).tail.waiters.store(0, Ordering::Relaxed);
        self.channel(writes).tail.taken_waiters.store(0, Ordering::Relaxed);
        if let Some(queue) = self.queue(reads) {
            queue.forget_parked_receiver();
        }
        if let Some(queue) = self.queue(writes) {
            queue.forget_parked_sender();
        }
    }

    /// Says goodbye. A master that is to clean up removes the name first, so that nobody attaches in between; the
    /// result says whether it could.
    pub(crate) fn leave(&self, name: &SegmentName, cleanup: bool) -> std::io::Result<()> {
        self.publish_reads();
        let unlinked = if self.role == Role::Master && cleanup { self.region.unlink(name) } else { Ok(()) };
        // Release: pairs with the Acquire load in `Seat::pulse`: who sees the goodbye sees all that was written.
        self.header().seat(self.role).alive.store(0, Ordering::Release);
        self.region.unlock(self.role);
        unlinked
    }

    /// Fills in this endpoint's fields. The seat's lock is held.
    fn occupy(&self) {
        self.forget_waiters(self.role);
        let seat = self.header().seat(self.role);
        let pid = std::process::id() as i32;
        seat.alive.store(0, Ordering::Relaxed);
        let capabilities = layout::CAPABILITY_TAKEN | layout::CAPABILITY_QUEUE;
        seat.capabilities.store(capabilities, Ordering::Relaxed);
        seat.signature.store(pid, Ordering::Relaxed);
        seat.pid.store(pid, Ordering::Relaxed);
        seat.generation.store(seat.generation.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.beat();
        // Release: pairs with the Acquire load in `Seat::pulse`.
        seat.alive.store(1, Ordering::Release);
    }

    /// Fills in what a master says of the segment. A take-over makes any version ours.
    fn describe(&self, config: &Builder) {
        let header = self.header();
        let threshold = u32::try_from(config.stale_threshold.as_millis()).unwrap_or(u32::MAX);
        header.version.store(layout::VERSION, Ordering::Relaxed);
        header.stale_threshold.store(threshold, Ordering::Relaxed);
        header.features.store(layout::FEATURE_WAKES, Ordering::Relaxed);
        header.layout_size.store(self.geometry.total() as u32, Ordering::Relaxed);
        header.data_size.store(self.geometry.data_size as u32, Ordering::Relaxed);
        if let Some(queues) = self.queues {
            header.queue_offset.store(queues.offset as u64, Ordering::Relaxed);
            header.queue_capacity.store(queues.capacity as u64, Ordering::Relaxed);
        }
        header.queue_slots.store(self.queues.map_or(0, |queues| queues.slots as u32), Ordering::Relaxed);
        header.extension.store(layout::EXTENSION, Ordering::Relaxed);
    }
}

/// The direction in which an endpoint of this role writes.
fn written_by(role: Role) -> Direction {
    match role {
        Role::Slave => Direction::SlaveToMaster,
        Role::Master | Role::Auto => Direction::MasterToSlave,
    }
}

/// A start-up under way.
struct Start<'a> {
    name: &'a SegmentName,
    config: &'a Builder,
    since: Instant,
    /// Whether the caller can wait: for a seat to be given up, for a heartbeat to move. The monitor cannot, since all
    /// heartbeats of the process would stand still meanwhile.
    patient: bool,
}

/// Opens a segment in the role that `config` asks for.
///
/// # Errors
/// As [`Builder::open`].
pub(crate) fn start(name: &SegmentName, config: &Builder) -> Result<Attachment> {
    let start = Start { name, config, since: Instant::now(), patient: true };
    loop {
        let found = match Region::open(name, config.any_owner)? {
            Opened::Missing if config.role == Role::Slave => start.wait("there is no such segment")?,
            Opened::Missing => start.create(1, None)?,
            Opened::Empty => start.wait("its file is empty, as if somebody had begun to make it")?,
            Opened::Mapped(region) => match start.inspect(&region)? {
                None => start.wait("its header is empty, as if somebody had begun to make it")?,
                Some(plan) => start.join(region, plan)?,
            },
        };
        if let Some(attachment) = found {
            return Ok(attachment);
        }
    }
}

/// Takes the slave's seat in what lies under the name now, without waiting: for a slave that has lost its
/// segment. `Ok(None)`: nothing usable yet.
///
/// # Errors
/// As [`Builder::open`].
pub(crate) fn attach_again(
    name: &SegmentName,
    config: &Builder,
    old: &Attachment,
) -> Result<Option<Attachment>> {
    if old.region.is_named(name) {
        return Ok(None);
    }
    let start = Start { name, config, since: Instant::now(), patient: false };
    match Region::open(name, config.any_owner)? {
        Opened::Missing | Opened::Empty => Ok(None),
        Opened::Mapped(region) => match start.inspect(&region)? {
            None => Ok(None),
            Some(plan) => start.join_as_slave(region, plan),
        },
    }
}

impl Start<'_> {
    /// Waits a moment for somebody else; `Ok(None)` to look again.
    fn wait(&self, found: &'static str) -> Result<Option<Attachment>> {
        let waited = self.since.elapsed();
        if waited >= self.config.connect_timeout {
            if self.config.role != Role::Slave {
                // Nobody goes on making it, and it is not ours to remove.
                return Err(self.foreign("its state", found.to_owned(), "a finished segment".to_owned()));
            }
            return Err(Error::NotFound { segment: self.name.as_str().to_owned(), found, waited });
        }
        std::thread::sleep(LOOK.min(self.config.connect_timeout - waited));
        Ok(None)
    }

    /// Makes the segment, in place of `old` if that is given and only once there is something to replace it by;
    /// `Ok(None)` if somebody else was faster.
    fn create(&self, generation: u32, old: Option<&Region>) -> Result<Option<Attachment>> {
        let geometry = Geometry { data_size: self.config.data_size.unwrap_or(DEFAULT_DATA_SIZE) };
        let queues = Some(self.config.queue_capacity.unwrap_or(DEFAULT_QUEUE_CAPACITY))
            .filter(|capacity| *capacity > 0)
            .map(|capacity| QueueGeometry::new(geometry.total(), capacity));
        let len = queues.map_or(geometry.total(), QueueGeometry::end);
        let region = Arc::new(Region::create(self.name, len, self.config.mode)?);
        self.lock(&region, Role::Master)?;
        let attachment = Attachment::new(region, geometry, queues, Role::Master);
        let header = attachment.header();
        // `occupy` counts one up.
        header.master_generation.store(generation.wrapping_sub(1), Ordering::Relaxed);
        attachment.describe(self.config);
        attachment.occupy();
        // Release: pairs with the Acquire load in `inspect`. Last, though nobody can look before the next line.
        header.magic.store(layout::MAGIC, Ordering::Release);
        if let Some(old) = old {
            old.unlink(self.name).map_err(|source| Error::Create {
                segment: self.name.as_str().to_owned(),
                action: "removing the segment that it replaces",
                source,
                hint: "see the system's message",
            })?;
        }
        Ok(attachment.region.publish(self.name)?.then_some(attachment))
    }

    /// Takes a seat of an existing segment, whichever the role asks for and the living leave; `Ok(None)` to look
    /// again.
    fn join(&self, region: Region, plan: Plan) -> Result<Option<Attachment>> {
        let joined = match self.config.role {
            Role::Slave => return self.join_as_slave(region, plan),
            Role::Master => return self.join_as_master(region, plan),
            Role::Auto if self.master_lives(&region) => self.join_as_slave(region, plan),
            Role::Auto => self.join_as_master(region, plan),
        };
        match joined {
            // Somebody was faster: look again, and find it alive.
            Err(Error::SeatTaken { role: Role::Master, .. }) => Ok(None),
            // The master's seat may have been held for a moment only, by a slave that tidies up after a dead one.
            Err(Error::SeatTaken { .. }) if self.since.elapsed() < 3 * SEAT_PATIENCE => Ok(None),
            joined => joined,
        }
    }

    fn join_as_slave(&self, region: Region, plan: Plan) -> Result<Option<Attachment>> {
        if let Some((what, found, wanted)) = self.mismatch(plan) {
            return Err(self.foreign(
                what,
                format!("{found} bytes"),
                format!("{wanted} bytes, as configured"),
            ));
        }
        if !self.claim(&region, Role::Slave)? {
            return Err(self.seat_taken(&region, Role::Slave));
        }
        if !region.is_named(self.name) {
            return Ok(None);
        }
        self.reserve(&region, plan)?;
        let Plan { geometry, queues, .. } = plan;
        let attachment = Attachment::new(Arc::new(region), geometry, queues, Role::Slave);
        attachment.occupy();
        Ok(Some(attachment))
    }

    /// Takes a dead master's segment over, with all that is unread in it; or replaces it, if it has not the
    /// configured sizes, or if it is one of ESHM 1.x that no slave is attached to.
    fn join_as_master(&self, region: Region, plan: Plan) -> Result<Option<Attachment>> {
        if !self.claim(&region, Role::Master)? {
            return Err(self.seat_taken(&region, Role::Master));
        }
        if !region.is_named(self.name) {
            return Ok(None);
        }
        let abandoned =
            plan.legacy && !region.is_locked(Role::Slave) && !self.legacy_lives(&region, Role::Slave);
        if abandoned || self.mismatch(plan).is_some() {
            let generation = region.at::<Header>(0).master_generation.load(Ordering::Relaxed);
            return self.create(generation.wrapping_add(1), Some(&region));
        }
        self.reserve(&region, plan)?;
        if let Err(error) = region.set_mode(self.config.mode) {
            tracing::warn!(segment = self.name.as_str(), %error, "the permissions of the segment stay as they are");
        }
        let Plan { geometry, queues, .. } = plan;
        let attachment = Attachment::new(Arc::new(region), geometry, queues, Role::Master);
        attachment.describe(self.config);
        attachment.occupy();
        Ok(Some(attachment))
    }

    /// An ESHM 1.x master reserves no memory for its segment: on a full /dev/shm the first access would be a SIGBUS.
    fn reserve(&self, region: &Region, plan: Plan) -> Result<()> {
        if plan.legacy { region.reserve(self.name) } else { Ok(()) }
    }

    /// A size that was configured and that the segment does not have: its name, what it is, what it should be.
    fn mismatch(&self, plan: Plan) -> Option<(&'static str, usize, usize)> {
        let queue = plan.queues.map_or(0, |queues| queues.capacity);
        let sizes = [
            ("the data size", plan.geometry.data_size, self.config.data_size),
            ("the queue capacity", queue, self.config.queue_capacity),
        ];
        sizes.into_iter().find_map(|(what, found, wanted)| {
            let wanted = wanted.filter(|wanted| *wanted != found)?;
            Some((what, found, wanted))
        })
    }

    /// Takes a seat's lock, unless somebody alive has the seat.
    fn claim(&self, region: &Region, seat: Role) -> Result<bool> {
        let since = Instant::now();
        while !self.lock(region, seat)? {
            if !self.patient || since.elapsed() >= SEAT_PATIENCE {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
        if self.legacy_lives(region, seat) {
            region.unlock(seat);
            return Ok(false);
        }
        Ok(true)
    }

    fn lock(&self, region: &Region, seat: Role) -> Result<bool> {
        region.lock(seat).map_err(|error| Error::Attach {
            segment: self.name.as_str().to_owned(),
            action: "locking its seat",
            source: error.into(),
            hint: "see the system's message",
        })
    }

    fn master_lives(&self, region: &Region) -> bool {
        region.is_locked(Role::Master) || self.legacy_lives(region, Role::Master)
    }

    /// Whether an ESHM 1.x process sits in this seat and shows signs of life. Takes up to the stale threshold if one sat
    /// there and is dead, some milliseconds if one of ours was killed there, and no time otherwise.
    fn legacy_lives(&self, region: &Region, role: Role) -> bool {
        let header: &Header = region.at(0);
        let seat = header.seat(role);
        let first = seat.pulse();
        if !first.alive {
            return false;
        }
        // One of ours is dead, since its lock was free. But a 1.x process may have come after it, in another PID
        // namespace, with the same pid: that shows within a few of its heartbeats.
        let watched = if seat.is_ours() { SEVERAL_HEARTBEATS } else { self.config.stale_threshold };
        if !self.patient {
            // For all that can be known at once.
            return !seat.is_ours();
        }
        let since = Instant::now();
        while since.elapsed() < watched {
            std::thread::sleep(LOOK);
            if seat.pulse() != first {
                return true;
            }
        }
        false
    }

    fn seat_taken(&self, region: &Region, role: Role) -> Error {
        let header: &Header = region.at(0);
        let pid = header.seat(role).pid.load(Ordering::Relaxed);
        Error::SeatTaken { segment: self.name.as_str().to_owned(), role, pid }
    }

    /// Checks that this is a segment whose layout we know. `Ok(None)`: its maker has not finished it.
    ///
    /// # Errors
    /// [`Error::Foreign`].
    fn inspect(&self, region: &Region) -> Result<Option<Plan>> {
        let least = Geometry { data_size: 1 }.total();
        if region.len() < least {
            return Err(self.foreign(
                "the size",
                format!("{} bytes", region.len()),
                format!("at least {least} bytes"),
            ));
        }
        let header: &Header = region.at(0);
        // Acquire: pairs with the Release store in `create`.
        let magic = header.magic.load(Ordering::Acquire);
        let version = header.version.load(Ordering::Relaxed);
        if magic == 0 && version == 0 {
            return Ok(None);
        }
        if magic != layout::MAGIC {
            return Err(self.foreign("the magic", Hex(magic).to_string(), Hex(layout::MAGIC).to_string()));
        }
        let total = match version {
            layout::VERSION => header.layout_size.load(Ordering::Relaxed),
            // Version 2 has no field for it: the file's size tells.
            layout::VERSION_POLLING => u32::try_from(region.len()).unwrap_or(u32::MAX),
            _ => return Err(self.foreign("the version", version.to_string(), "2 or 3".to_owned())),
        };
        let extension = header.extension.load(Ordering::Relaxed);
        let (geometry, queues) = match extension {
            0 => (self.legacy_geometry(total)?, None),
            layout::EXTENSION => {
                let geometry = self.own_geometry(total, header.data_size.load(Ordering::Relaxed))?;
                (geometry, self.queue_geometry(header, geometry)?)
            }
            other => return Err(self.foreign("the extension", other.to_string(), "0 or 1".to_owned())),
        };
        let needed = queues.map_or(geometry.total(), QueueGeometry::end);
        if needed > region.len() {
            let found = format!("{} bytes", region.len());
            return Err(self.foreign("the size", found, format!("at least {needed} bytes, by its header")));
        }
        Ok(Some(Plan { geometry, queues, legacy: extension == 0 }))
    }

    /// The geometry of a segment of ESHM 1.x whose `ESHMData` takes `total` bytes.
    fn legacy_geometry(&self, total: u32) -> Result<Geometry> {
        let configured = self.config.data_size.map(|data_size| Geometry { data_size });
        configured
            .filter(|geometry| geometry.total() == total as usize)
            .or_else(|| Geometry::from_total(total as usize))
            .filter(|geometry| geometry.data_size <= MAX_DATA_SIZE)
            .ok_or_else(|| {
                let expected =
                    "128 bytes and twice a channel of a multiple of 64, from 192 bytes to 64 MiB and 128";
                self.foreign("the layout size", format!("{total} bytes"), expected.to_owned())
            })
    }

    /// The geometry of a segment that says its data size.
    fn own_geometry(&self, total: u32, data_size: u32) -> Result<Geometry> {
        let geometry = Geometry { data_size: data_size as usize };
        if !(1..=MAX_DATA_SIZE).contains(&geometry.data_size) {
            let expected = format!("1 to {MAX_DATA_SIZE} bytes");
            return Err(self.foreign("the data size", format!("{data_size} bytes"), expected));
        }
        if geometry.total() != total as usize {
            let expected = format!("{} bytes, for a data size of {data_size}", geometry.total());
            return Err(self.foreign("the layout size", format!("{total} bytes"), expected));
        }
        Ok(geometry)
    }

    /// The queues that the header announces, each field read once; `None`: it announces none.
    fn queue_geometry(&self, header: &Header, geometry: Geometry) -> Result<Option<QueueGeometry>> {
        let slots = header.queue_slots.load(Ordering::Relaxed);
        if slots == 0 {
            return Ok(None);
        }
        let (offset, capacity) =
            (header.queue_offset.load(Ordering::Relaxed), header.queue_capacity.load(Ordering::Relaxed));
        if !slots.is_power_of_two() || slots > layout::MAX_QUEUE_SLOTS {
            let expected = format!("a power of two up to {}", layout::MAX_QUEUE_SLOTS);
            return Err(self.foreign("the number of queue slots", slots.to_string(), expected));
        }
        if !(1..=layout::MAX_QUEUE_CAPACITY).contains(&capacity) {
            let expected = format!("1 to {} bytes", layout::MAX_QUEUE_CAPACITY);
            return Err(self.foreign("the queue capacity", format!("{capacity} bytes"), expected));
        }
        if offset % 128 != 0 || offset < geometry.total() as u64 || offset > layout::MAX_QUEUE_CAPACITY {
            let expected = format!("a multiple of 128 from {} on", geometry.total());
            return Err(self.foreign("the queue offset", offset.to_string(), expected));
        }
        let (offset, capacity) = (offset as usize, capacity as usize);
        Ok(Some(QueueGeometry { offset, capacity, slots: slots as usize }))
    }

    fn foreign(&self, what: &'static str, found: String, expected: String) -> Error {
        Error::Foreign { segment: self.name.as_str().to_owned(), what, found, expected }
    }
}

/// A magic number as people know it.
struct Hex(u32);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}
