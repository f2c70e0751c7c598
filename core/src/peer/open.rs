//! Opening: decides which endpoint becomes master or slave of a name, and creates or takes over the segment.
//!
//! A seat (master or slave) is a lock that the kernel holds. The process that holds it is alive, whatever the header
//! contains. ESHM 1.x processes hold no locks. Their heartbeat shows whether they are alive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::peer::attachment::Attachment;
use crate::peer::settings::{DEFAULT_DATA_SIZE, DEFAULT_QUEUE_CAPACITY, Settings};
use crate::role::Role;
use crate::segment::file::{self, MappedSegment, Opened};
use crate::segment::layout::{self, Geometry, QueueGeometry};
use crate::segment::name::SegmentName;
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::validate::{Mismatch, validate_memory};
use crate::segment::view::Memory;
use crate::sys::Ordering;

/// The interval at which a slave polls for a segment that does not exist yet.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// How long a seat may be locked before it counts as taken. A survivor that clears the counts of a dead peer, and an
/// endpoint that is closing, hold the lock for microseconds.
const SEAT_TIMEOUT: Duration = Duration::from_millis(20);

/// Several heartbeats of an ESHM 1.x process, which beats every millisecond.
const SEVERAL_HEARTBEATS: Duration = Duration::from_millis(5);

/// An open in progress.
struct Start<'a> {
    name: &'a SegmentName,
    config: &'a Settings,
    since: Instant,
    /// Set if the caller can wait for a seat to be unlocked, or for a heartbeat to change. The monitor cannot wait,
    /// because it would delay all heartbeats of the process.
    can_wait: bool,
}

/// The result of an open.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) attachment: Attachment,
    /// The segment that a master replaced. The master holds both of its seats, and must move its content to the new
    /// segment.
    pub(crate) replaced: Option<Attachment>,
}

impl From<Attachment> for Started {
    fn from(attachment: Attachment) -> Self {
        Started { attachment, replaced: None }
    }
}

/// Opens a segment in the role of `config`.
///
/// # Errors
/// Returns the errors of [`Builder::open`].
pub(crate) fn start(name: &SegmentName, config: &Settings) -> Result<Started> {
    let start = Start { name, config, since: Instant::now(), can_wait: true };
    loop {
        let found = match MappedSegment::open(name, config.any_owner)? {
            Opened::Missing if config.role == Some(Role::Slave) => start.wait("there is no such segment")?,
            Opened::Missing => start.create(1, None)?.map(Started::from),
            Opened::Empty => start.wait("its file is empty: another process may be creating it")?,
            Opened::Mapped(mapped) => match start.validate(&mapped)? {
                None => start.wait("its header is empty: another process may be creating it")?,
                Some(layout) => start.join(mapped, layout)?,
            },
        };
        if let Some(started) = found {
            return Ok(started);
        }
    }
}

/// Takes the seat of the slave in the segment that has the name now, without waiting. For a slave that has lost its
/// segment. Returns `Ok(None)` if there is no usable segment yet.
///
/// # Errors
/// Returns the errors of [`Builder::open`].
pub(crate) fn attach_again(name: &SegmentName, config: &Settings) -> Result<Option<Attachment>> {
    let start = Start { name, config, since: Instant::now(), can_wait: false };
    match MappedSegment::open(name, config.any_owner)? {
        Opened::Missing | Opened::Empty => Ok(None),
        Opened::Mapped(mapped) => match start.validate(&mapped)? {
            None => Ok(None),
            Some(layout) => start.join_as_slave(mapped, layout),
        },
    }
}

/// Creates a segment with the sizes of `old` under the name. This master holds both of its seats: see
/// `link/name_guard.rs`. Returns `Ok(None)` if the name exists again.
///
/// # Errors
/// Returns [`Error::Create`] if the system refuses.
pub(crate) fn stand_in(
    name: &SegmentName,
    config: &Settings,
    old: &Attachment,
) -> Result<Option<Attachment>> {
    let layout = old.layout();
    let config = Settings {
        data_size: Some(layout.geometry.data_size),
        queue_capacity: Some(layout.queues.map_or(0, |queues| queues.capacity)),
        ..config.clone()
    };
    let start = Start { name, config: &config, since: Instant::now(), can_wait: false };
    let generation = old.header().master_generation.load(Ordering::Relaxed).wrapping_add(1);
    start.make(generation, None, |new| new.reserve_peer_seat(old))
}

impl Start<'_> {
    /// Sleeps for one poll interval. Returns `Ok(None)` to try again.
    fn wait(&self, found: &'static str) -> Result<Option<Started>> {
        let waited = self.since.elapsed();
        if waited >= self.config.connect_timeout {
            if self.config.role != Some(Role::Slave) {
                // No process finishes this file, and this endpoint must not remove it.
                return Err(self.foreign("its state", found.to_owned(), "a finished segment".to_owned()));
            }
            let (segment, path) = (self.name.shared(), self.name.shown_path());
            return Err(Error::NotFound { segment, path, found, waited });
        }
        std::thread::sleep(POLL_INTERVAL.min(self.config.connect_timeout - waited));
        Ok(None)
    }

    /// Creates the segment. If `old` is given, the new segment replaces it once it is complete. Returns `Ok(None)` if
    /// another process was faster.
    fn create(&self, generation: u32, old: Option<&MappedSegment>) -> Result<Option<Attachment>> {
        self.make(generation, old, |_| true)
    }

    /// Creates the segment as `create` does. `prepare` runs before any other process can open it, and returns whether
    /// to go on.
    fn make(
        &self,
        generation: u32,
        old: Option<&MappedSegment>,
        prepare: impl FnOnce(&Attachment) -> bool,
    ) -> Result<Option<Attachment>> {
        let geometry = Geometry { data_size: self.config.data_size.unwrap_or(DEFAULT_DATA_SIZE) };
        let queues = Some(self.config.queue_capacity.unwrap_or(DEFAULT_QUEUE_CAPACITY))
            .filter(|capacity| *capacity > 0)
            .map(|capacity| QueueGeometry::new(geometry.total(), capacity));
        let len = queues.map_or(geometry.total(), QueueGeometry::end);
        let (mapped, unpublished) =
            MappedSegment::create(self.name, len, self.config.mode, self.config.group)?;
        let mapped = Arc::new(mapped);
        crash_point!("create.reserved");
        self.lock(&mapped, Role::Master)?;
        crash_point!("create.locked");
        let attachment = Attachment::new(
            self.name,
            mapped,
            SegmentLayout { geometry, queues, legacy: false },
            Role::Master,
        );
        let header = attachment.header();
        // `occupy` adds one.
        header.master_generation.store(generation.wrapping_sub(1), Ordering::Relaxed);
        crash_point!("create.numbered");
        attachment.describe(self.config);
        crash_point!("create.described");
        attachment.occupy();
        crash_point!("create.occupied");
        // Release: pairs with the Acquire load in `validate`. Stored last, although no other process can open the file
        // before `publish`.
        header.magic.store(layout::MAGIC, Ordering::Release);
        crash_point!("create.finished");
        if !prepare(&attachment) {
            return Ok(None);
        }
        if let Some(old) = old {
            old.unlink(self.name).map_err(|error| file::replace_error(self.name, file::errno(&error)))?;
            crash_point!("create.unlinked");
        }
        let published = attachment.publish(self.name, unpublished)?;
        crash_point!("create.linked");
        Ok(published.then_some(attachment))
    }

    /// Takes a seat of an existing segment: one that the role allows and that is free. Returns `Ok(None)` to try
    /// again.
    fn join(&self, mapped: MappedSegment, layout: SegmentLayout) -> Result<Option<Started>> {
        let joined = match self.config.role {
            Some(Role::Slave) => return Ok(self.join_as_slave(mapped, layout)?.map(Started::from)),
            Some(Role::Master) => return self.join_as_master(mapped, layout),
            None if self.master_lives(&mapped) => {
                self.join_as_slave(mapped, layout).map(|joined| joined.map(Started::from))
            }
            None => self.join_as_master(mapped, layout),
        };
        match joined {
            // Another process was faster. The next attempt finds it alive.
            Err(Error::SeatTaken { role: Role::Master, .. }) => Ok(None),
            // A slave that clears the counts of a dead master may have held its seat for a moment.
            Err(Error::SeatTaken { .. }) if self.since.elapsed() < 3 * SEAT_TIMEOUT => Ok(None),
            joined => joined,
        }
    }

    fn join_as_slave(&self, mapped: MappedSegment, layout: SegmentLayout) -> Result<Option<Attachment>> {
        crash_point!("attach.opened");
        if let Some((what, found, wanted)) = self.size_mismatch(layout) {
            return Err(self.foreign(
                what,
                format!("{found} bytes"),
                format!("{wanted} bytes, as configured"),
            ));
        }
        if !self.claim(&mapped, Role::Slave)? {
            // A master that has just replaced this segment may hold the seat.
            return if mapped.owns_name(self.name) {
                Err(self.seat_taken(&mapped, Role::Slave))
            } else {
                Ok(None)
            };
        }
        crash_point!("attach.claimed");
        if !mapped.owns_name(self.name) {
            return Ok(None);
        }
        self.reserve(&mapped, layout)?;
        crash_point!("attach.verified");
        let attachment = Attachment::new(self.name, Arc::new(mapped), layout, Role::Slave);
        attachment.occupy();
        Ok(Some(attachment))
    }

    /// Takes over the segment of a dead master, with everything unread in it. Replaces the segment if it does not
    /// have the configured sizes, or if it is one of ESHM 1.x without a slave.
    fn join_as_master(&self, mapped: MappedSegment, layout: SegmentLayout) -> Result<Option<Started>> {
        if !self.claim(&mapped, Role::Master)? {
            // A process that removes this segment may hold the seat.
            return if mapped.owns_name(self.name) {
                Err(self.seat_taken(&mapped, Role::Master))
            } else {
                Ok(None)
            };
        }
        crash_point!("takeover.claimed");
        if !mapped.owns_name(self.name) {
            return Ok(None);
        }
        let abandoned =
            layout.legacy && !mapped.is_locked(Role::Slave) && !self.legacy_lives(&mapped, Role::Slave);
        if abandoned || self.size_mismatch(layout).is_some() {
            let generation = mapped.header().master_generation.load(Ordering::Relaxed);
            let created = self.create(generation.wrapping_add(1), Some(&mapped))?;
            let Some(attachment) = created else { return Ok(None) };
            // A live slave moves what is in the old segment. A slave that finds it replaced holds its seat only for a
            // moment.
            let has_both_seats = !layout.legacy && self.claim(&mapped, Role::Slave).unwrap_or(false);
            let replaced =
                has_both_seats.then(|| Attachment::new(self.name, Arc::new(mapped), layout, Role::Master));
            return Ok(Some(Started { attachment, replaced }));
        }
        self.reserve(&mapped, layout)?;
        if let Err(error) = mapped.set_access(self.config.mode, self.config.group) {
            event!(warn, segment = self.name.as_str(), %error, "the permissions of the segment could not be changed");
        }
        crash_point!("takeover.verified");
        let attachment = Attachment::new(self.name, Arc::new(mapped), layout, Role::Master);
        attachment.describe(self.config);
        crash_point!("takeover.described");
        attachment.occupy();
        Ok(Some(attachment.into()))
    }

    /// Reserves the memory of an ESHM 1.x segment, whose master does not. On a full /dev/shm the first access would
    /// raise SIGBUS.
    fn reserve(&self, mapped: &MappedSegment, layout: SegmentLayout) -> Result<()> {
        if layout.legacy { mapped.reserve(self.name) } else { Ok(()) }
    }

    /// Returns the first size of the segment that differs from the configured one: its name, the found and the
    /// configured size.
    fn size_mismatch(&self, layout: SegmentLayout) -> Option<(&'static str, usize, usize)> {
        let queue = layout.queues.map_or(0, |queues| queues.capacity);
        let sizes = [
            ("the data size", layout.geometry.data_size, self.config.data_size),
            ("the queue capacity", queue, self.config.queue_capacity),
        ];
        sizes.into_iter().find_map(|(what, found, wanted)| {
            let wanted = wanted.filter(|wanted| *wanted != found)?;
            Some((what, found, wanted))
        })
    }

    /// Locks a seat, unless an endpoint that is alive owns it.
    fn claim(&self, mapped: &MappedSegment, seat: Role) -> Result<bool> {
        let since = Instant::now();
        while !self.lock(mapped, seat)? {
            if !self.can_wait || since.elapsed() >= SEAT_TIMEOUT {
                return Ok(false);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        if self.legacy_lives(mapped, seat) {
            mapped.unlock(seat);
            return Ok(false);
        }
        Ok(true)
    }

    fn lock(&self, mapped: &MappedSegment, seat: Role) -> Result<bool> {
        mapped.lock(seat).map_err(|error| file::attach_error(self.name, "locking its seat", error))
    }

    fn master_lives(&self, mapped: &MappedSegment) -> bool {
        mapped.is_locked(Role::Master) || self.legacy_lives(mapped, Role::Master)
    }

    /// Returns whether an ESHM 1.x process owns this seat and is alive. Takes up to the stale threshold if such a
    /// process owned the seat and is dead, some milliseconds if a 2.0 process was killed there, and otherwise no
    /// time.
    fn legacy_lives(&self, mapped: &MappedSegment, role: Role) -> bool {
        let header = mapped.header();
        let seat = header.seat(role);
        let first = seat.pulse();
        if !first.alive {
            return false;
        }
        // A 2.0 owner is dead, because its lock was free. But a 1.x process in another PID namespace may have
        // followed it with the same pid. A few of its heartbeats show this.
        let watched = if seat.is_ours() { SEVERAL_HEARTBEATS } else { self.config.stale_threshold };
        if !self.can_wait {
            // The best answer without waiting.
            return !seat.is_ours();
        }
        let since = Instant::now();
        while since.elapsed() < watched {
            std::thread::sleep(POLL_INTERVAL);
            if seat.pulse() != first {
                return true;
            }
        }
        false
    }

    fn seat_taken(&self, mapped: &MappedSegment, role: Role) -> Error {
        let header = mapped.header();
        let pid = header.seat(role).pid.load(Ordering::Relaxed);
        Error::SeatTaken { segment: self.name.shared(), role, pid }
    }

    /// Returns the layout of the segment, if it is a known one, or `Ok(None)` if its creator has not finished it.
    fn validate(&self, mapped: &MappedSegment) -> Result<Option<SegmentLayout>> {
        validate_memory(mapped, self.config.data_size)
            .map_err(|Mismatch { what, found, expected }| self.foreign(what, found, expected))
    }

    fn foreign(&self, what: &'static str, found: String, expected: String) -> Error {
        let (segment, path) = (self.name.shared(), self.name.shown_path());
        Error::Foreign { segment, path, what, found, expected }
    }
}
