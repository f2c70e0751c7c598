//! Which segments there are in a domain: from the directory, and from the files as bytes.
//!
//! Nothing is mapped and nothing is written: the files may be anybody's.

mod look;
mod removal;

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::api::observer::View;
use crate::error::Result;
use crate::segment::domain::Domain;

pub use removal::{Left, Removal};

/// A file of a domain, as [`Domain::segments`] finds it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Segment {
    /// The name with which an endpoint opens it.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What the file is.
    pub kind: SegmentKind,
    /// What is wrong with it; empty for a segment that can be opened.
    pub reason: String,
    /// The file's size, in bytes.
    pub size: u64,
    /// The number of the user that the file belongs to.
    pub owner: u32,
    /// That user's name, if the system knows it.
    pub owner_name: Option<String>,
    /// The file's permission bits.
    pub mode: u32,
    /// When the file was made; where the file system does not say, when it was last written to by a system call, which is
    /// never later than the last message.
    pub since: Option<SystemTime>,
    /// Who sits in the seats, and how full the queues are; `None` if that cannot be read.
    ///
    /// [`PeerState::Alive`](crate::PeerState::Alive) is whoever holds its seat, frozen or not, or, of ESHM 1.x, whose heartbeat
    /// has moved within 20 ms; an ESHM 1.x process whose heartbeat has not is
    /// [`PeerState::Dead`](crate::PeerState::Dead) if no process has its pid, as far as this PID namespace knows.
    pub view: Option<View>,
}

/// What a file of a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SegmentKind {
    /// A segment that an endpoint of this library, in whatever language, has made or taken over.
    Current,
    /// A segment of ESHM 1.x.
    Legacy,
    /// An ESHM 1.x process, or one that needs a temporary name, is making it, or was killed while it did.
    Unfinished,
    /// No segment that this version knows.
    Foreign,
    /// This process may not read it.
    Unreadable,
}

impl fmt::Display for SegmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SegmentKind::Current => "current",
            SegmentKind::Legacy => "legacy",
            SegmentKind::Unfinished => "unfinished",
            SegmentKind::Foreign => "foreign",
            SegmentKind::Unreadable => "unreadable",
        })
    }
}

impl Domain {
    /// Returns the segments of this domain, in the order of their names: everything in the directory whose name begins with
    /// the prefix. What is no segment is listed as [`SegmentKind::Foreign`], since it takes the name, except for a name that
    /// no segment can have. Temporary files of segments that are being made are not listed.
    ///
    /// Only reads, and takes no part: neither endpoint notices. Waits for 20 ms if there is an ESHM 1.x process, whose life
    /// shows by its heartbeat only.
    ///
    /// # Errors
    /// [`Error::Directory`](crate::Error::Directory) when the directory cannot be read.
    ///
    /// ```
    /// let _master = eshm::Endpoint::master("doc-segments")?;
    /// for segment in eshm::segments()? {
    ///     println!("{} {} bytes, {}", segment.name, segment.size, segment.kind);
    /// }
    /// # Ok::<(), eshm::Error>(())
    /// ```
    pub fn segments(&self) -> Result<Vec<Segment>> {
        look::segments(self)
    }

    /// Removes the segments of this domain in which nobody sits, with all that is unread in them, and the temporary files
    /// that killed processes have left. With `dry_run`, only says which these are.
    ///
    /// A segment is removed while this call holds both of its seats, so that no endpoint can sit down meanwhile: one that
    /// has just opened the file finds its name gone, and starts again. ESHM 1.x processes hold no seats. A segment with the
    /// mark of one is left unless its heartbeat has stood still for the stale threshold and no process has its pid. An
    /// ESHM 1.x process that attaches at the very moment of the removal goes unnoticed, as with the clean-up of ESHM 1.x. What is no
    /// segment, or not finished, is left.
    ///
    /// Waits for up to a second if an ESHM 1.x process seems to be dead, and for some milliseconds at most otherwise.
    ///
    /// # Errors
    /// [`Error::Directory`](crate::Error::Directory) when the directory cannot be read. A file that cannot be removed is
    /// among those that were left.
    ///
    /// ```
    /// let domain = eshm::Domain::new("/dev/shm", "doc-remove_")?;
    /// let builder = eshm::Endpoint::builder("left").domain(domain.clone()).auto_cleanup(false);
    /// builder.open()?.close()?;
    /// let removal = domain.remove_dead(false)?;
    /// assert_eq!(removal.removed[0].name, "left");
    /// # Ok::<(), eshm::Error>(())
    /// ```
    pub fn remove_dead(&self, dry_run: bool) -> Result<Removal> {
        removal::remove_dead(self, dry_run)
    }
}

/// Returns the segments of the domain that the environment chooses: see [`Domain::segments`].
///
/// # Errors
/// As [`Domain::from_env`] and [`Domain::segments`].
pub fn segments() -> Result<Vec<Segment>> {
    Domain::from_env()?.segments()
}

/// Removes the dead segments of the domain that the environment chooses: see [`Domain::remove_dead`].
///
/// # Errors
/// As [`Domain::from_env`] and [`Domain::remove_dead`].
pub fn remove_dead(dry_run: bool) -> Result<Removal> {
    Domain::from_env()?.remove_dead(dry_run)
}
