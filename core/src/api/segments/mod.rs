//! Lists the segments of a domain. Reads the directory and the bytes of the files.
//!
//! Maps nothing and writes nothing, because the files may belong to anybody.

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
    /// The name under which an endpoint opens it.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What the file is.
    pub kind: SegmentKind,
    /// Why it cannot be opened; empty if it can.
    pub reason: String,
    /// The file's size, in bytes.
    pub size: u64,
    /// The number of the user that the file belongs to.
    pub owner: u32,
    /// That user's name, if the system knows it.
    pub owner_name: Option<String>,
    /// The file's permission bits.
    pub mode: u32,
    /// When the file was created. If the file system does not record that: the last write by a system call, which is never
    /// later than the last message.
    pub since: Option<SystemTime>,
    /// The seats and the queues. `None` if they cannot be read.
    ///
    /// An endpoint that holds its seat is [`PeerState::Alive`](crate::PeerState::Alive), even if it is frozen. An ESHM 1.x
    /// process is alive if its heartbeat has changed within 20 ms. Otherwise it is
    /// [`PeerState::Dead`](crate::PeerState::Dead) if no process of this PID namespace has its pid.
    pub view: Option<View>,
}

/// What a file of a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SegmentKind {
    /// A segment that an endpoint of ESHM 2, in any language, has created or taken over.
    Current,
    /// A segment of ESHM 1.x.
    Legacy,
    /// An ESHM 1.x process, or one that needs a temporary name, is creating it, or was killed while it did.
    Unfinished,
    /// Not a segment that this version knows.
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
    /// Returns the segments of this domain, in the order of their names: all files of the directory whose name begins with
    /// the prefix. A file that is not a segment is listed as [`SegmentKind::Foreign`], because it occupies the name, unless
    /// no segment can have its name. Temporary files of segments that are being created are not listed.
    ///
    /// Only reads; neither endpoint notices. Waits for 20 ms if there is an ESHM 1.x process, because only its heartbeat
    /// tells whether it is alive.
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

    /// Removes the segments of this domain whose seats are free, with all that is unread in them, and the temporary files
    /// that killed processes have left. [`Domain::find_dead`] only reports which these are.
    ///
    /// The call holds both seats of a segment while it removes it, so that no endpoint can take one. An endpoint that has
    /// just opened the file finds that its name is gone, and starts again. ESHM 1.x processes lock no seats. A segment that
    /// shows one is left, unless its heartbeat has stood still for the stale threshold and no process has its pid. An ESHM
    /// 1.x process that attaches at the moment of the removal is not noticed, as with the clean-up of ESHM 1.x. Files that
    /// are no segment, or not finished, are left.
    ///
    /// Waits for up to a second if an ESHM 1.x process seems to be dead, and otherwise for a few milliseconds at most.
    ///
    /// # Errors
    /// [`Error::Directory`](crate::Error::Directory) when the directory cannot be read. A file that cannot be removed is
    /// among those that were left.
    ///
    /// ```
    /// let domain = eshm::Domain::new("/dev/shm", "doc-remove_")?;
    /// let builder = eshm::Endpoint::builder("left").domain(domain.clone()).auto_cleanup(false);
    /// builder.open()?.close()?;
    /// assert_eq!(domain.find_dead()?.removed[0].name, "left");
    /// assert_eq!(domain.remove_dead()?.removed[0].name, "left");
    /// assert!(domain.find_dead()?.removed.is_empty());
    /// # Ok::<(), eshm::Error>(())
    /// ```
    pub fn remove_dead(&self) -> Result<Removal> {
        removal::remove_dead(self, false)
    }

    /// Returns what [`Domain::remove_dead`] would remove and leave, and removes nothing. Waits as long.
    ///
    /// # Errors
    /// As [`Domain::remove_dead`].
    pub fn find_dead(&self) -> Result<Removal> {
        removal::remove_dead(self, true)
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
pub fn remove_dead() -> Result<Removal> {
    Domain::from_env()?.remove_dead()
}

/// Returns what [`remove_dead`] would remove and leave, and removes nothing: see [`Domain::find_dead`].
///
/// # Errors
/// As [`remove_dead`].
pub fn find_dead() -> Result<Removal> {
    Domain::from_env()?.find_dead()
}
