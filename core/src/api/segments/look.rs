//! Describes a file by its metadata, its header and the marks of its queues. System calls read each of them.

use std::fs::Metadata;
use std::mem::offset_of;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::{Segment, SegmentKind};
use crate::api::observer::{DirectionView, SeatView, View};
use crate::channel::queue::count_published;
use crate::error::{Error, Result};
use crate::peer_state::PeerState;
use crate::role::Role;
use crate::segment::domain::Domain;
use crate::segment::file::{Entry, user_name};
use crate::segment::layout::{ChannelTail, Direction, Header, QueueControl, QueueGeometry, Slot};
use crate::segment::name::SegmentName;
use crate::segment::seat::Pulse;
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::validate::{Mismatch, validate};
use crate::segment::view::{HeaderCopy, Memory};
use crate::sys::Ordering;

/// How long the heartbeat of an ESHM 1.x process is watched. Its interval is one millisecond.
const SEVERAL_HEARTBEATS: Duration = Duration::from_millis(20);
pub(super) const SEATS: [Role; 2] = [Role::Master, Role::Slave];

/// A file, its description, and what is needed to read it again.
pub(super) struct Looked {
    pub(super) segment: Segment,
    /// `None` if it could not be opened.
    pub(super) entry: Option<Entry>,
    /// `None` if it is not a finished segment.
    pub(super) header: Option<HeaderCopy>,
}

/// As [`Domain::segments`].
pub(super) fn segments(domain: &Domain) -> Result<Vec<Segment>> {
    let mut found = look_at_all(domain, false)?;
    if found.iter().any(|looked| SEATS.into_iter().any(|seat| looked.has_mark_of_stranger(seat))) {
        std::thread::sleep(SEVERAL_HEARTBEATS);
        found.iter_mut().for_each(Looked::judge_strangers);
    }
    Ok(found.into_iter().map(|looked| looked.segment).collect())
}

/// Describes all files that have the name of a segment.
pub(super) fn look_at_all(domain: &Domain, for_removal: bool) -> Result<Vec<Looked>> {
    let named = |file: &str| SegmentName::new(file.strip_prefix(domain.prefix())?, domain.clone()).ok();
    let mut found: Vec<Looked> = files(domain)?
        .iter()
        .filter_map(|file| named(file))
        .filter_map(|name| look_at(name.as_str().to_owned(), name.path().to_path_buf(), for_removal))
        .collect();
    found.sort_by(|one, other| one.segment.name.cmp(&other.segment.name));
    Ok(found)
}

/// Returns the names of the files in the directory, those that are UTF-8.
pub(super) fn files(domain: &Domain) -> Result<Vec<String>> {
    let failed = |source| Error::Directory { path: domain.directory().display().to_string(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(domain.directory()).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

/// Describes a file. `None`: it is gone.
fn look_at(name: String, path: PathBuf, for_removal: bool) -> Option<Looked> {
    let meta = path.symlink_metadata().ok()?;
    let mut segment = describe(name, path, &meta);
    if !meta.is_file() {
        segment.reason = format!("it is {}, not a regular file", kind_of(&meta));
        return Some(Looked { segment, entry: None, header: None });
    }
    let entry = match Entry::open(&segment.path, for_removal) {
        Ok(entry) => entry,
        Err(nix::Error::ENOENT) => return None,
        Err(error) => {
            segment.kind = SegmentKind::Unreadable;
            segment.reason = format!("cannot open it: {}", error.desc());
            return Some(Looked { segment, entry: None, header: None });
        }
    };
    let header = read_segment(&entry, &mut segment);
    Some(Looked { segment, entry: Some(entry), header })
}

/// Describes a file by its metadata, as foreign until its content is read.
pub(super) fn describe(name: String, path: PathBuf, meta: &Metadata) -> Segment {
    Segment {
        name,
        path,
        kind: SegmentKind::Foreign,
        reason: String::new(),
        size: meta.len(),
        owner: meta.uid(),
        owner_name: user_name(meta.uid()),
        mode: meta.mode() & 0o7777,
        since: meta.created().or_else(|_| meta.modified()).ok(),
        view: None,
    }
}

fn kind_of(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else {
        "a special file"
    }
}

/// Reads the header and the queues. `None`: the file is not a segment, or not finished.
fn read_segment(entry: &Entry, segment: &mut Segment) -> Option<HeaderCopy> {
    // The name may lead to another file by now.
    match entry.metadata() {
        Ok(meta) => segment.size = meta.len(),
        Err(error) => {
            segment.reason = error.to_string();
            return None;
        }
    }
    if segment.size == 0 {
        segment.kind = SegmentKind::Unfinished;
        segment.reason = "its file is empty: another process may be creating it".to_owned();
        return None;
    }
    let header = entry.read(0).ok().map(|bytes| HeaderCopy::new(&bytes));
    let len = usize::try_from(segment.size).unwrap_or(usize::MAX);
    match validate(header.as_ref().map(Memory::header), len, None) {
        Ok(Some(layout)) => {
            segment.kind = if layout.legacy { SegmentKind::Legacy } else { SegmentKind::Current };
            let header = header?;
            segment.view = Some(view(entry, header.header(), layout));
            Some(header)
        }
        Ok(None) => {
            segment.kind = SegmentKind::Unfinished;
            segment.reason = "its header is empty: another process may be creating it".to_owned();
            None
        }
        Err(Mismatch { what, found, expected }) => {
            segment.reason = format!("{what} is {found}, expected {expected}");
            None
        }
    }
}

fn view(entry: &Entry, header: &Header, layout: SegmentLayout) -> View {
    View {
        master: seat(entry, header, Role::Master),
        slave: seat(entry, header, Role::Slave),
        master_to_slave: direction(entry, layout, Direction::MasterToSlave),
        slave_to_master: direction(entry, layout, Direction::SlaveToMaster),
    }
}

fn seat(entry: &Entry, header: &Header, role: Role) -> SeatView {
    let seat = header.seat(role);
    let Pulse { heartbeat, pid, alive } = seat.pulse();
    let state = match (entry.is_locked(role), alive, pid) {
        (true, ..) => PeerState::Alive,
        // Of a process of ESHM 1.x it is not settled yet.
        (false, true, _) => PeerState::Dead,
        (false, false, 0) => PeerState::Absent,
        (false, false, _) => PeerState::Closed,
    };
    let generation = seat.generation.load(Ordering::Relaxed);
    SeatView { state, pid, heartbeat, generation, is_legacy: pid != 0 && !seat.is_ours() }
}

fn direction(entry: &Entry, layout: SegmentLayout, direction: Direction) -> DirectionView {
    let tail = layout.geometry.channel(direction) + layout.geometry.tail();
    let count = |field| entry.read(tail + field).map_or(0, u64::from_ne_bytes);
    let (waiting, high_water, slots) = layout.queues.map_or((0, 0, 0), |queues| {
        let at = queues.control(direction) + offset_of!(QueueControl, sender) + 4;
        let slots = queues.slots as u32;
        (depth(entry, queues, direction), word(entry, at).unwrap_or(0).min(slots), slots)
    });
    DirectionView {
        written: count(offset_of!(ChannelTail, write_count)),
        read: count(offset_of!(ChannelTail, read_count)),
        waiting,
        high_water,
        slots,
    }
}

fn word(entry: &Entry, offset: usize) -> Option<u32> {
    entry.read(offset).ok().map(u32::from_ne_bytes)
}

/// As [`QueueMemory::depth`](crate::channel::queue::QueueMemory::depth); what cannot be read counts as not published.
fn depth(entry: &Entry, queues: QueueGeometry, direction: Direction) -> u32 {
    let Some(first) = word(entry, queues.control(direction)) else { return 0 };
    let slots = queues.slots as u32;
    count_published(slots, first, |number| {
        let slot = queues.slots(direction) + (number % slots) as usize * size_of::<Slot>();
        // Published is the number and one.
        word(entry, slot).unwrap_or(number)
    })
}

impl Looked {
    /// Returns whether the header has the mark of an ESHM 1.x process that may be alive.
    pub(super) fn has_mark_of_stranger(&self, role: Role) -> bool {
        let (Some(header), Some(view)) = (&self.header, &self.segment.view) else { return false };
        let seat = header.header().seat(role);
        seat.pulse().alive && !seat.is_ours() && seat_of(view, role).state == PeerState::Dead
    }

    /// Returns the pulse as it was read first.
    pub(super) fn first_pulse(&self, role: Role) -> Option<Pulse> {
        Some(self.header.as_ref()?.header().seat(role).pulse())
    }

    /// Returns the header as it is now; `None` if it cannot be read any more.
    pub(super) fn header_now(&self) -> Option<HeaderCopy> {
        Some(HeaderCopy::new(&self.entry.as_ref()?.read(0).ok()?))
    }

    /// Settles the state of ESHM 1.x processes by what their pulse has done since.
    fn judge_strangers(&mut self) {
        for role in SEATS {
            if !self.has_mark_of_stranger(role) {
                continue;
            }
            let Some(now) = self.header_now() else { return };
            let pulse = now.header().seat(role).pulse();
            let state = match self.first_pulse(role) {
                Some(first) if first != pulse => PeerState::Alive,
                _ if is_gone(pulse.pid) => PeerState::Dead,
                _ => PeerState::Frozen,
            };
            if let Some(view) = &mut self.segment.view {
                let seat = if role == Role::Master { &mut view.master } else { &mut view.slave };
                seat.state = state;
            }
        }
    }
}

pub(super) fn seat_of(view: &View, role: Role) -> &SeatView {
    if role == Role::Master { &view.master } else { &view.slave }
}

/// Returns whether no process of this PID namespace has this pid.
pub(super) fn is_gone(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) == Err(nix::Error::ESRCH)
}
