//! Which segments there are: the core's list for the facade's.

use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use eshm::{PeerState, Segment, SegmentKind};

use crate::handles::told;
use crate::{convert, ffi};

pub(crate) fn segments(place: &ffi::Place<'_>, found: &mut Vec<ffi::Found>, failure: &mut String) -> i32 {
    let listed = convert::domain(place).and_then(|domain| domain.segments());
    told(listed.map(|segments| found.extend(segments.into_iter().map(ffi::Found::from))), failure)
}

pub(crate) fn remove_dead(
    place: &ffi::Place<'_>,
    dry_run: bool,
    removed: &mut Vec<ffi::Found>,
    left: &mut Vec<ffi::Found>,
    failure: &mut String,
) -> i32 {
    let removal = convert::domain(place).and_then(|domain| domain.remove_dead(dry_run));
    let done = removal.map(|removal| {
        removed.extend(removal.removed.into_iter().map(ffi::Found::from));
        left.extend(
            removal.left.into_iter().map(|one| ffi::Found { left_because: one.reason, ..one.segment.into() }),
        );
    });
    told(done, failure)
}

impl From<Segment> for ffi::Found {
    fn from(segment: Segment) -> Self {
        let since = segment.since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok());
        ffi::Found {
            name: segment.name,
            path: segment.path.as_os_str().as_bytes().to_vec(),
            kind: match segment.kind {
                SegmentKind::Current => ffi::SegmentKind::Current,
                SegmentKind::Legacy => ffi::SegmentKind::Legacy,
                SegmentKind::Unfinished => ffi::SegmentKind::Unfinished,
                SegmentKind::Unreadable => ffi::SegmentKind::Unreadable,
                _ => ffi::SegmentKind::Foreign,
            },
            reason: segment.reason,
            size: segment.size,
            owner: segment.owner,
            owner_name: segment.owner_name.unwrap_or_default(),
            mode: segment.mode,
            since: since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            has_view: segment.view.is_some(),
            view: segment.view.map_or_else(nothing, ffi::Seen::from),
            left_because: String::new(),
        }
    }
}

/// What is seen of a file that is no segment.
fn nothing() -> ffi::Seen {
    let seat = || ffi::SeenSeat {
        state: PeerState::Absent.into(),
        pid: 0,
        heartbeat: 0,
        generation: 0,
        is_legacy: false,
    };
    let direction = || ffi::SeenDirection { written: 0, read: 0, waiting: 0, high_water: 0, slots: 0 };
    ffi::Seen { master: seat(), slave: seat(), master_to_slave: direction(), slave_to_master: direction() }
}
