//! Removes unused segments, while other processes may start.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::look::{Looked, SEATS, describe, files, is_gone, look_at_all, seat_of};
use super::{Segment, SegmentKind};
use crate::error::Result;
use crate::peer_state::PeerState;
use crate::segment::domain::Domain;
use crate::segment::file::{Entry, remove_bell, why_not_removed};
use crate::segment::layout::EVENT_FIFO;
use crate::segment::name::{SegmentName, TEMPORARY};
use crate::segment::view::Memory;
use crate::sys::Ordering;

/// How long the pulse is watched on the seat of a killed process of ESHM 2: a 1.x process of another PID namespace may
/// have taken the seat with the same pid.
const SEVERAL_HEARTBEATS: Duration = Duration::from_millis(5);
/// The bounds, in milliseconds, of the stale threshold that the header of an ESHM 1.x process has.
const THRESHOLDS: [u64; 2] = [100, 1000];

/// What [`Domain::remove_dead`] has done, or would do: see [`Domain::find_dead`].
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Removal {
    /// What was removed, as it was found before; of `find_dead`, what would be.
    pub removed: Vec<Segment>,
    /// What was left.
    pub left: Vec<Left>,
}

/// A segment that was not removed.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Left {
    /// The segment, as it was found.
    pub segment: Segment,
    /// Why it was left.
    pub reason: String,
}

/// As [`Domain::remove_dead`]; with `dry_run`, as [`Domain::find_dead`].
pub(super) fn remove_dead(domain: &Domain, dry_run: bool) -> Result<Removal> {
    let mut removal = Removal::default();
    let found = look_at_all(domain, true)?;
    if let Some(time) = found.iter().filter_map(time_to_watch).max() {
        std::thread::sleep(time);
    }
    for looked in found {
        let verdict = remove(&looked, dry_run);
        removal.note(looked.segment, verdict);
    }
    let files = files(domain)?;
    if !dry_run {
        remove_bells(domain, &files);
    }
    for file in files {
        let begins = |prefix: &str| file.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(TEMPORARY));
        if begins(domain.prefix()) || file.starts_with(TEMPORARY) {
            remove_temporary(&mut removal, domain.directory().join(&file), file, dry_run);
        }
    }
    Ok(removal)
}

impl Removal {
    /// `Err(None)`: the file is gone already.
    fn note(&mut self, segment: Segment, verdict: std::result::Result<(), Option<String>>) {
        match verdict {
            Ok(()) => self.removed.push(segment),
            Err(Some(reason)) => self.left.push(Left { segment, reason }),
            Err(None) => {}
        }
    }
}

/// Returns how long to watch the pulses of the dead seats.
fn time_to_watch(looked: &Looked) -> Option<Duration> {
    let view = looked.segment.view.as_ref()?;
    let header = looked.header.as_ref()?.header();
    let of_seat = |role| {
        if seat_of(view, role).state != PeerState::Dead {
            return None;
        }
        let [least, most] = THRESHOLDS;
        let threshold = u64::from(header.stale_threshold.load(Ordering::Relaxed)).clamp(least, most);
        let is_stranger = looked.has_mark_of_stranger(role);
        Some(if is_stranger { Duration::from_millis(threshold) } else { SEVERAL_HEARTBEATS })
    };
    SEATS.into_iter().filter_map(of_seat).max()
}

/// Removes a segment if its seats are free. The error says why not.
fn remove(looked: &Looked, dry_run: bool) -> std::result::Result<(), Option<String>> {
    let segment = &looked.segment;
    let (Some(entry), Some(view)) = (&looked.entry, &segment.view) else {
        return Err(Some(segment.reason.clone()));
    };
    // Before this call locks a seat: other observers would take a locked seat for that of an endpoint.
    for role in SEATS {
        if entry.is_locked(role) {
            return Err(Some(format!("its {role} lives (pid {})", seat_of(view, role).pid)));
        }
    }
    if dry_run {
        return check_pulses(looked);
    }
    let locked = entry.lock_both();
    crash_point!("remove.locked");
    match locked {
        Ok(true) => {}
        Ok(false) => return Err(Some("somebody has just opened it".to_owned())),
        Err(error) => return Err(Some(format!("its seats cannot be locked: {}", error.desc()))),
    }
    check_pulses(looked)?;
    let removed = unlink(entry, segment);
    crash_point!("remove.unlinked");
    removed
}

/// Checks that the processes that the seats name are dead.
fn check_pulses(looked: &Looked) -> std::result::Result<(), Option<String>> {
    let now = looked.header_now().ok_or(Some("it cannot be read any more".to_owned()))?;
    for role in SEATS {
        let seat = now.header().seat(role);
        let pulse = seat.pulse();
        if !pulse.alive {
            continue;
        }
        if looked.first_pulse(role) != Some(pulse) {
            return Err(Some(format!("its {role} shows signs of life (pid {})", pulse.pid)));
        }
        if !seat.is_ours() && !is_gone(pulse.pid) {
            let pid = pulse.pid;
            return Err(Some(format!("its {role}, of ESHM 1.x, may be alive: there is a process {pid}")));
        }
    }
    Ok(())
}

fn unlink(entry: &Entry, segment: &Segment) -> std::result::Result<(), Option<String>> {
    match entry.unlink() {
        Ok(true) => Ok(()),
        Ok(false) | Err(nix::Error::ENOENT) => Err(None),
        Err(error) => Err(Some(why_not_removed(&segment.path, error))),
    }
}

/// Removes the event FIFOs of segments that do not exist any more, but those that a process has open: a slave may wait
/// for its next master, with a segment that has no name. If one of these was about to be made, its endpoint works without.
fn remove_bells(domain: &Domain, files: &[String]) {
    let rests = || files.iter().filter_map(|file| file.strip_prefix(domain.prefix()));
    let named = |name: &str| SegmentName::new(name, domain.clone()).ok();
    let used: HashSet<String> = rests().filter_map(named).map(|name| name.bell_hash()).collect();
    for rest in rests() {
        // Behind the prefix there are the role, a hyphen and the hash.
        let hash = rest.strip_prefix(EVENT_FIFO).and_then(|rest| rest.get(2..));
        if hash.is_some_and(|hash| !used.contains(hash)) {
            remove_bell(&domain.directory().join(format!("{}{rest}", domain.prefix())));
        }
    }
}

/// Removes the temporary name of a file that has become a segment, or whose creator is dead.
fn remove_temporary(removal: &mut Removal, path: PathBuf, file: String, dry_run: bool) {
    let Ok(meta) = path.symlink_metadata() else { return };
    if !meta.is_file() {
        return;
    }
    let mut segment = describe(file, path, &meta);
    segment.kind = SegmentKind::Unfinished;
    segment.reason = "it is a temporary file".to_owned();
    let verdict = try_temporary(&segment, dry_run);
    removal.note(segment, verdict);
}

fn try_temporary(segment: &Segment, dry_run: bool) -> std::result::Result<(), Option<String>> {
    let entry = match Entry::open(&segment.path, true) {
        Ok(entry) => entry,
        Err(nix::Error::ENOENT) => return Err(None),
        Err(error) => return Err(Some(format!("cannot open it: {}", error.desc()))),
    };
    // A file with a second name is a segment, which does not need this name.
    let has_become_segment = entry.metadata().is_ok_and(|meta| meta.nlink() > 1);
    let is_free = if dry_run {
        !SEATS.into_iter().any(|role| entry.is_locked(role))
    } else {
        has_become_segment || entry.lock_both() == Ok(true)
    };
    match (has_become_segment || is_free, dry_run) {
        (false, _) => Err(Some("somebody is making a segment of it".to_owned())),
        (true, true) => Ok(()),
        (true, false) => unlink(&entry, segment),
    }
}
