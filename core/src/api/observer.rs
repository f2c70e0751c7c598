//! Read-only monitoring of a segment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::builder::Builder;
use crate::error::{Error, Result};
use crate::peer::liveness::Watch;
use crate::peer::settings::Settings;
use crate::peer_state::PeerState;
use crate::role::Role;
use crate::segment::file::{MappedSegment, Opened};
use crate::segment::layout::Direction;
use crate::segment::name::SegmentName;
use crate::segment::seat::Pulse;
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::validate::{Mismatch, validate_memory};
use crate::segment::view::Memory;
use crate::sys::Ordering;
use crate::wait::EventBell;

/// Monitors a segment without changing it: the file is opened and mapped for reading only. The permission to read the
/// segment suffices, and neither endpoint notices.
///
/// ```
/// use eshm::{Endpoint, Observer, PeerState};
///
/// let mut master = Endpoint::master("doc-observer")?;
/// master.send(b"nobody takes this yet")?;
/// let mut observer = Observer::open("doc-observer")?;
/// let view = observer.look();
/// assert_eq!(view.master.state, PeerState::Alive);
/// assert_eq!(view.slave.state, PeerState::Absent);
/// assert_eq!(view.master_to_slave.waiting, 1);
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "an observer does nothing until it looks"]
pub struct Observer {
    name: SegmentName,
    mapped: Arc<MappedSegment>,
    layout: SegmentLayout,
    master: Watch,
    slave: Watch,
}

/// The state of a segment as an [`Observer`] reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct View {
    /// The master.
    pub master: SeatView,
    /// The slave.
    pub slave: SeatView,
    /// From the master to the slave.
    pub master_to_slave: DirectionView,
    /// From the slave to the master.
    pub slave_to_master: DirectionView,
}

/// The state of an endpoint as an observer reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SeatView {
    /// Frozen only if this observer has looked before, and long enough ago.
    pub state: PeerState,
    /// Its pid in its own PID namespace; 0 if no process ever took the seat.
    pub pid: i32,
    /// Its heartbeats.
    pub heartbeat: u64,
    /// How often the seat was taken, by endpoints that are not ESHM 1.x.
    pub generation: u32,
    /// Whether it is, or was, an ESHM 1.x process.
    pub is_legacy: bool,
}

/// The state of one direction as an observer reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DirectionView {
    /// Values written.
    pub written: u64,
    /// Values read: up to a heartbeat interval old.
    pub read: u64,
    /// Messages in the queue that were not released, 0 … `slots`.
    pub waiting: u32,
    /// The most messages that were in the queue at once, as its sender's process has seen it: see
    /// [`Stats::m2s_queue_high_water`](crate::Stats::m2s_queue_high_water).
    pub high_water: u32,
    /// The most messages that the queue can hold; 0 if there is no queue.
    pub slots: u32,
}

impl Observer {
    /// Opens the segment of this name for monitoring, with the default settings: see [`Builder::observe`].
    ///
    /// # Errors
    /// As [`Builder::observe`].
    pub fn open(name: &str) -> Result<Observer> {
        Builder::new(name).observe()
    }

    pub(crate) fn new(name: SegmentName, settings: &Settings) -> Result<Observer> {
        let (segment, path) = (|| name.shared(), || name.shown_path());
        let missing =
            |found| Err(Error::NotFound { segment: segment(), path: path(), found, waited: Duration::ZERO });
        let mapped = match MappedSegment::observe(&name, settings.any_owner)? {
            Opened::Missing => return missing("there is no such segment"),
            Opened::Empty => return missing("its file is empty: another process may be creating it"),
            Opened::Mapped(mapped) => Arc::new(mapped),
        };
        let layout = match validate_memory(&*mapped, settings.data_size) {
            Ok(Some(layout)) => layout,
            Ok(None) => return missing("its header is empty: another process may be creating it"),
            Err(Mismatch { what, found, expected }) => {
                return Err(Error::Foreign { segment: segment(), path: path(), what, found, expected });
            }
        };
        let watch = |role| Watch::new(mapped.header().seat(role).pulse(), Instant::now());
        let (master, slave) = (watch(Role::Master), watch(Role::Slave));
        Ok(Observer { name, mapped, layout, master, slave })
    }

    /// Returns the segment's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Returns whether the name still leads to this segment. Otherwise the segment was removed or replaced; a new observer
    /// opens its successor.
    pub fn is_current(&self) -> bool {
        self.mapped.owns_name(&self.name)
    }

    /// Returns the greatest value of `write`, in bytes.
    pub fn data_size(&self) -> usize {
        self.layout.geometry.data_size
    }

    /// Returns the greatest message of `send`, in bytes: as [`Endpoint::max_message`](crate::Endpoint::max_message).
    pub fn max_message(&self) -> usize {
        self.layout.queues.map_or(self.data_size(), |queues| queues.capacity)
    }

    /// Returns the present state. Locks nothing, so each number is right, but two of them may be of different moments.
    /// Takes some microseconds, and more for each message that waits.
    pub fn look(&mut self) -> View {
        let now = Instant::now();
        View {
            master: look_at(&self.mapped, Role::Master, &mut self.master, now),
            slave: look_at(&self.mapped, Role::Slave, &mut self.slave, now),
            master_to_slave: self.direction(Direction::MasterToSlave),
            slave_to_master: self.direction(Direction::SlaveToMaster),
        }
    }

    fn direction(&self, direction: Direction) -> DirectionView {
        let tail = self.layout.channel(&*self.mapped, direction, EventBell::none()).tail;
        let queue = self.layout.queue(&self.mapped, direction, EventBell::none());
        DirectionView {
            written: tail.write_count.load(Ordering::Relaxed),
            read: tail.read_count.load(Ordering::Relaxed),
            waiting: queue.as_ref().map_or(0, |queue| queue.depth()),
            high_water: queue.as_ref().map_or(0, |queue| queue.high_water()),
            slots: queue.map_or(0, |queue| queue.slots.len() as u32),
        }
    }
}

impl Builder {
    /// Opens the segment for read-only monitoring: see [`Observer`]. Of the settings, `domain` and `any_owner` count, and
    /// `data_size` for a segment of ESHM 1.x whose data size is no multiple of 64. Never waits.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidDomain`]; [`Error::NotFound`] if there is no finished segment;
    /// [`Error::Attach`] if the file cannot be opened; [`Error::Foreign`] if it is not a segment that this version knows.
    pub fn observe(self) -> Result<Observer> {
        Observer::new(self.segment_name()?, &self.settings)
    }
}

fn look_at(mapped: &MappedSegment, role: Role, watch: &mut Watch, now: Instant) -> SeatView {
    let seat = mapped.header().seat(role);
    let pulse = seat.pulse();
    let Pulse { heartbeat, pid, alive } = pulse;
    let is_ours = seat.is_ours();
    let threshold = mapped.header().stale_threshold.load(Ordering::Relaxed).max(1);
    let judged = watch.judge(pulse, now, Duration::from_millis(threshold.into()), |_| false);
    // The lock tells at once whether a process of ESHM 2 is alive.
    let state = if alive && is_ours && !mapped.is_locked(role) { PeerState::Dead } else { judged };
    let generation = seat.generation.load(Ordering::Relaxed);
    SeatView { state, pid, heartbeat, generation, is_legacy: pid != 0 && !is_ours }
}
