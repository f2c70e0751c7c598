//! Start-up: who becomes master or slave of what lies under a name, and how a segment is made and taken over.
//!
//! A seat (master or slave) is a lock that the kernel holds for us; whoever has it is alive, whatever the header
//! says. ESHM 1.x processes hold no locks: of them, the heartbeat decides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::peer::attachment::Attachment;
use crate::peer::settings::{DEFAULT_DATA_SIZE, DEFAULT_QUEUE_CAPACITY, Settings};
use crate::role::Role;
use crate::segment::file::{self, Opened, Region};
use crate::segment::layout::{self, Geometry, QueueGeometry};
use crate::segment::name::SegmentName;
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::validate::{Misfit, validate_memory};
use crate::segment::view::Memory;
use crate::sys::Ordering;

/// How often a slave looks for a segment that does not exist yet.
const LOOK: Duration = Duration::from_millis(1);
/// How long a seat may be found locked before it counts as taken: a survivor that tidies up after the dead, and
/// an endpoint that is just closing, hold it for microseconds.
const SEAT_PATIENCE: Duration = Duration::from_millis(20);

/// Of an ESHM 1.x process, which beats every millisecond.
const SEVERAL_HEARTBEATS: Duration = Duration::from_millis(5);

/// A start-up under way.
struct Start<'a> {
    name: &'a SegmentName,
    config: &'a Settings,
    since: Instant,
    /// Whether the caller can wait: for a seat to be given up, for a heartbeat to move. The monitor cannot, since all
    /// heartbeats of the process would stand still meanwhile.
    patient: bool,
}

/// What a start-up leads to.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) attachment: Attachment,
    /// The segment that a master replaced, both of whose seats it holds: what is in there is for it to move over.
    pub(crate) replaced: Option<Attachment>,
}

impl From<Attachment> for Started {
    fn from(attachment: Attachment) -> Self {
        Started { attachment, replaced: None }
    }
}

/// Opens a segment in the role that `config` asks for.
///
/// # Errors
/// As [`Builder::open`].
pub(crate) fn start(name: &SegmentName, config: &Settings) -> Result<Started> {
    let start = Start { name, config, since: Instant::now(), patient: true };
    loop {
        let found = match Region::open(name, config.any_owner)? {
            Opened::Missing if config.role == Role::Slave => start.wait("there is no such segment")?,
            Opened::Missing => start.create(1, None)?.map(Started::from),
            Opened::Empty => start.wait("its file is empty, as if somebody had begun to make it")?,
            Opened::Mapped(region) => match start.inspect(&region)? {
                None => start.wait("its header is empty, as if somebody had begun to make it")?,
                Some(plan) => start.join(region, plan)?,
            },
        };
        if let Some(started) = found {
            return Ok(started);
        }
    }
}

/// Takes the slave's seat in what lies under the name now, without waiting: for a slave that has lost its
/// segment. `Ok(None)`: nothing usable yet.
///
/// # Errors
/// As [`Builder::open`].
pub(crate) fn attach_again(name: &SegmentName, config: &Settings) -> Result<Option<Attachment>> {
    let start = Start { name, config, since: Instant::now(), patient: false };
    match Region::open(name, config.any_owner)? {
        Opened::Missing | Opened::Empty => Ok(None),
        Opened::Mapped(region) => match start.inspect(&region)? {
            None => Ok(None),
            Some(plan) => start.join_as_slave(region, plan),
        },
    }
}

/// Makes a segment of the sizes of `old` under the name, both of whose seats this master holds: see `link/guard.rs`.
/// `Ok(None)`: the name exists again.
///
/// # Errors
/// [`Error::Create`].
pub(crate) fn stand_in(
    name: &SegmentName,
    config: &Settings,
    old: &Attachment,
) -> Result<Option<Attachment>> {
    let plan = old.plan();
    let config = Settings {
        data_size: Some(plan.geometry.data_size),
        queue_capacity: Some(plan.queues.map_or(0, |queues| queues.capacity)),
        ..config.clone()
    };
    let start = Start { name, config: &config, since: Instant::now(), patient: false };
    let generation = old.header().master_generation.load(Ordering::Relaxed).wrapping_add(1);
    start.make(generation, None, |new| new.reserve_peer_seat(old))
}

impl Start<'_> {
    /// Waits a moment for somebody else; `Ok(None)` to look again.
    fn wait(&self, found: &'static str) -> Result<Option<Started>> {
        let waited = self.since.elapsed();
        if waited >= self.config.connect_timeout {
            if self.config.role != Role::Slave {
                // Nobody goes on making it, and it is not ours to remove.
                return Err(self.foreign("its state", found.to_owned(), "a finished segment".to_owned()));
            }
            let (segment, path) = (self.name.as_str().to_owned(), self.name.shown_path());
            return Err(Error::NotFound { segment, path, found, waited });
        }
        std::thread::sleep(LOOK.min(self.config.connect_timeout - waited));
        Ok(None)
    }

    /// Makes the segment, in place of `old` if that is given and only once there is something to replace it by;
    /// `Ok(None)` if somebody else was faster.
    fn create(&self, generation: u32, old: Option<&Region>) -> Result<Option<Attachment>> {
        self.make(generation, old, |_| true)
    }

    /// As `create`; `prepare` does what is to be done before anybody else can look, and says whether it could.
    fn make(
        &self,
        generation: u32,
        old: Option<&Region>,
        prepare: impl FnOnce(&Attachment) -> bool,
    ) -> Result<Option<Attachment>> {
        let geometry = Geometry { data_size: self.config.data_size.unwrap_or(DEFAULT_DATA_SIZE) };
        let queues = Some(self.config.queue_capacity.unwrap_or(DEFAULT_QUEUE_CAPACITY))
            .filter(|capacity| *capacity > 0)
            .map(|capacity| QueueGeometry::new(geometry.total(), capacity));
        let len = queues.map_or(geometry.total(), QueueGeometry::end);
        let (region, unpublished) = Region::create(self.name, len, self.config.mode, self.config.group)?;
        let region = Arc::new(region);
        crash_point!("create.reserved");
        self.lock(&region, Role::Master)?;
        crash_point!("create.locked");
        let attachment =
            Attachment::new(region, SegmentLayout { geometry, queues, legacy: false }, Role::Master);
        let header = attachment.header();
        // `occupy` counts one up.
        header.master_generation.store(generation.wrapping_sub(1), Ordering::Relaxed);
        crash_point!("create.numbered");
        attachment.describe(self.config);
        crash_point!("create.described");
        attachment.occupy();
        crash_point!("create.occupied");
        // Release: pairs with the Acquire load in `inspect`. Last, though nobody can look before the next line.
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

    /// Takes a seat of an existing segment, whichever the role asks for and the living leave; `Ok(None)` to look
    /// again.
    fn join(&self, region: Region, plan: SegmentLayout) -> Result<Option<Started>> {
        let joined = match self.config.role {
            Role::Slave => return Ok(self.join_as_slave(region, plan)?.map(Started::from)),
            Role::Master => return self.join_as_master(region, plan),
            Role::Auto if self.master_lives(&region) => {
                self.join_as_slave(region, plan).map(|joined| joined.map(Started::from))
            }
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

    fn join_as_slave(&self, region: Region, plan: SegmentLayout) -> Result<Option<Attachment>> {
        crash_point!("attach.opened");
        if let Some((what, found, wanted)) = self.mismatch(plan) {
            return Err(self.foreign(
                what,
                format!("{found} bytes"),
                format!("{wanted} bytes, as configured"),
            ));
        }
        if !self.claim(&region, Role::Slave)? {
            // By a master that has just replaced this segment, perhaps.
            return if region.is_named(self.name) {
                Err(self.seat_taken(&region, Role::Slave))
            } else {
                Ok(None)
            };
        }
        crash_point!("attach.claimed");
        if !region.is_named(self.name) {
            return Ok(None);
        }
        self.reserve(&region, plan)?;
        crash_point!("attach.verified");
        let attachment = Attachment::new(Arc::new(region), plan, Role::Slave);
        attachment.occupy();
        Ok(Some(attachment))
    }

    /// Takes a dead master's segment over, with all that is unread in it; or replaces it, if it has not the
    /// configured sizes, or if it is one of ESHM 1.x that no slave is attached to.
    fn join_as_master(&self, region: Region, plan: SegmentLayout) -> Result<Option<Started>> {
        if !self.claim(&region, Role::Master)? {
            // By somebody who removes this segment, perhaps.
            return if region.is_named(self.name) {
                Err(self.seat_taken(&region, Role::Master))
            } else {
                Ok(None)
            };
        }
        crash_point!("takeover.claimed");
        if !region.is_named(self.name) {
            return Ok(None);
        }
        let abandoned =
            plan.legacy && !region.is_locked(Role::Slave) && !self.legacy_lives(&region, Role::Slave);
        if abandoned || self.mismatch(plan).is_some() {
            let generation = region.header().master_generation.load(Ordering::Relaxed);
            let created = self.create(generation.wrapping_add(1), Some(&region))?;
            let Some(attachment) = created else { return Ok(None) };
            // A slave that lives moves over what is in the old segment. One that finds it replaced has the seat for a moment.
            let has_both_seats = !plan.legacy && self.claim(&region, Role::Slave).unwrap_or(false);
            let replaced = has_both_seats.then(|| Attachment::new(Arc::new(region), plan, Role::Master));
            return Ok(Some(Started { attachment, replaced }));
        }
        self.reserve(&region, plan)?;
        if let Err(error) = region.set_access(self.config.mode, self.config.group) {
            tracing::warn!(segment = self.name.as_str(), %error, "the permissions of the segment stay as they are");
        }
        crash_point!("takeover.verified");
        let attachment = Attachment::new(Arc::new(region), plan, Role::Master);
        attachment.describe(self.config);
        crash_point!("takeover.described");
        attachment.occupy();
        Ok(Some(attachment.into()))
    }

    /// An ESHM 1.x master reserves no memory for its segment: on a full /dev/shm the first access would be a SIGBUS.
    fn reserve(&self, region: &Region, plan: SegmentLayout) -> Result<()> {
        if plan.legacy { region.reserve(self.name) } else { Ok(()) }
    }

    /// A size that was configured and that the segment does not have: its name, what it is, what it should be.
    fn mismatch(&self, plan: SegmentLayout) -> Option<(&'static str, usize, usize)> {
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
        region.lock(seat).map_err(|error| file::attach_error(self.name, "locking its seat", error))
    }

    fn master_lives(&self, region: &Region) -> bool {
        region.is_locked(Role::Master) || self.legacy_lives(region, Role::Master)
    }

    /// Whether an ESHM 1.x process sits in this seat and shows signs of life. Takes up to the stale threshold if one sat
    /// there and is dead, some milliseconds if one of ours was killed there, and no time otherwise.
    fn legacy_lives(&self, region: &Region, role: Role) -> bool {
        let header = region.header();
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
        let header = region.header();
        let pid = header.seat(role).pid.load(Ordering::Relaxed);
        Error::SeatTaken { segment: self.name.as_str().to_owned(), role, pid }
    }

    /// What the header says of the layout, if this is a segment that we know; `Ok(None)`: its maker has not
    /// finished it.
    fn inspect(&self, region: &Region) -> Result<Option<SegmentLayout>> {
        validate_memory(region, self.config.data_size)
            .map_err(|Misfit { what, found, expected }| self.foreign(what, found, expected))
    }

    fn foreign(&self, what: &'static str, found: String, expected: String) -> Error {
        let (segment, path) = (self.name.as_str().to_owned(), self.name.shown_path());
        Error::Foreign { segment, path, what, found, expected }
    }
}
