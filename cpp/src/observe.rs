//! Observers, and the segments of a domain.

use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use eshm::{Segment, SegmentKind};

use crate::convert;
use crate::ffi::{Found, Outcome, Place, Seen, SeenDirection, SeenSeat, SegmentKind as Kind};

/// An observer; empty if opening failed.
pub(crate) struct Observer(Option<eshm::Observer>);

pub(crate) fn observe(
    name: &[u8],
    any_owner: bool,
    place: &Place<'_>,
    outcome: &mut Outcome,
) -> Box<Observer> {
    let opened = convert::domain(place).and_then(|domain| {
        let name = convert::name(name, &domain)?;
        eshm::Endpoint::builder(name).domain(domain).any_owner(any_owner).observe()
    });
    Box::new(Observer(outcome.take(opened)))
}

impl Observer {
    fn opened(&self) -> &eshm::Observer {
        self.0.as_ref().expect("the facade drops an observer that was not opened")
    }

    pub(crate) fn name(&self) -> &str {
        self.opened().name()
    }

    pub(crate) fn is_current(&self) -> bool {
        self.opened().is_current()
    }

    pub(crate) fn data_size(&self) -> usize {
        self.opened().data_size()
    }

    pub(crate) fn max_message(&self) -> usize {
        self.opened().max_message()
    }

    pub(crate) fn look(&mut self) -> Seen {
        self.0.as_mut().map(|observer| observer.look().into()).unwrap_or_default()
    }
}

pub(crate) fn segments(place: &Place<'_>, outcome: &mut Outcome) -> Vec<Found> {
    let found = convert::domain(place).and_then(|domain| domain.segments());
    outcome.take(found).unwrap_or_default().into_iter().map(Found::from).collect()
}

pub(crate) fn remove_dead(place: &Place<'_>, left: &mut Vec<Found>, outcome: &mut Outcome) -> Vec<Found> {
    removal(convert::domain(place).and_then(|domain| domain.remove_dead()), left, outcome)
}

pub(crate) fn find_dead(place: &Place<'_>, left: &mut Vec<Found>, outcome: &mut Outcome) -> Vec<Found> {
    removal(convert::domain(place).and_then(|domain| domain.find_dead()), left, outcome)
}

/// Returns what was removed, and appends what was left to `left`.
fn removal(removal: eshm::Result<eshm::Removal>, left: &mut Vec<Found>, outcome: &mut Outcome) -> Vec<Found> {
    let Some(removal) = outcome.take(removal) else { return Vec::new() };
    left.extend(removal.left.into_iter().map(|one| Found { left_because: one.reason, ..one.segment.into() }));
    removal.removed.into_iter().map(Found::from).collect()
}

impl From<Segment> for Found {
    fn from(segment: Segment) -> Self {
        let since = segment.since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok());
        Found {
            name: segment.name,
            path: segment.path.as_os_str().as_bytes().to_vec(),
            kind: match segment.kind {
                SegmentKind::Current => Kind::current,
                SegmentKind::Legacy => Kind::legacy,
                SegmentKind::Unfinished => Kind::unfinished,
                SegmentKind::Unreadable => Kind::unreadable,
                _ => Kind::foreign,
            },
            reason: segment.reason,
            size: segment.size,
            owner: segment.owner,
            owner_name: segment.owner_name.unwrap_or_default(),
            mode: segment.mode,
            since: since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            has_view: segment.view.is_some(),
            view: segment.view.map(Seen::from).unwrap_or_default(),
            left_because: String::new(),
        }
    }
}

impl From<eshm::View> for Seen {
    fn from(view: eshm::View) -> Self {
        Seen {
            master: view.master.into(),
            slave: view.slave.into(),
            master_to_slave: view.master_to_slave.into(),
            slave_to_master: view.slave_to_master.into(),
        }
    }
}

impl From<eshm::SeatView> for SeenSeat {
    fn from(seat: eshm::SeatView) -> Self {
        let eshm::SeatView { state, pid, heartbeat, generation, is_legacy, .. } = seat;
        SeenSeat { state: state as u8, pid, heartbeat, generation, is_legacy }
    }
}

impl From<eshm::DirectionView> for SeenDirection {
    fn from(direction: eshm::DirectionView) -> Self {
        let eshm::DirectionView { written, read, waiting, high_water, slots, .. } = direction;
        SeenDirection { written, read, waiting, high_water, slots }
    }
}
