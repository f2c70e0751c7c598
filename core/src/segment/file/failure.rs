//! What to do when the system refuses.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};

use crate::error::Error;
use crate::segment::name::SegmentName;
use crate::sys::memory_limits::{self, Shortage};

pub(crate) fn attach_error(name: &SegmentName, action: &'static str, error: nix::Error) -> Error {
    attach_error_with(name, action, error, hint(name, error))
}

fn attach_error_with(name: &SegmentName, action: &'static str, error: nix::Error, hint: String) -> Error {
    let (segment, path) = (name.as_str().to_owned(), name.shown_path());
    Error::Attach { segment, path, action, source: error.into(), hint }
}

pub(crate) fn create_error(name: &SegmentName, action: &'static str, error: nix::Error) -> Error {
    create_error_with(name, action, error, hint(name, error))
}

fn create_error_with(name: &SegmentName, action: &'static str, error: nix::Error, hint: String) -> Error {
    let (segment, path) = (name.as_str().to_owned(), name.shown_path());
    Error::Create { segment, path, action, source: error.into(), hint }
}

/// Why memory could not be reserved: the system's error, or too little of something.
pub(super) enum Unreserved {
    Short(Shortage),
    Failed(nix::Error),
}

impl Unreserved {
    const ACTION: &str = "reserving its memory";

    pub(super) fn create_error(self, name: &SegmentName) -> Error {
        let (error, hint) = self.explain(name);
        create_error_with(name, Self::ACTION, error, hint)
    }

    pub(super) fn attach_error(self, name: &SegmentName) -> Error {
        let (error, hint) = self.explain(name);
        attach_error_with(name, Self::ACTION, error, hint)
    }

    fn explain(self, name: &SegmentName) -> (nix::Error, String) {
        match self {
            Unreserved::Short(shortage) => (nix::Error::ENOSPC, shortage.to_string()),
            Unreserved::Failed(error) => (error, hint(name, error)),
        }
    }
}

/// A file of `len` bytes could not be mapped, of a new segment or of one that was there.
pub(super) fn mapping_error(name: &SegmentName, len: usize, is_new: bool, error: nix::Error) -> Error {
    let limit = (error == nix::Error::ENOMEM).then(|| memory_limits::address_space(len)).flatten();
    let hint = match error {
        nix::Error::ENOMEM => limit.unwrap_or_else(|| {
            format!(
                "there is no room of {len} bytes in the address space of this process: choose a smaller size"
            )
        }),
        error => hint(name, error),
    };
    let with = if is_new { create_error_with } else { attach_error_with };
    with(name, "mapping it", error, hint)
}

/// The name of a segment that was left could not be removed.
pub(crate) fn remove_error(name: &SegmentName, error: nix::Error) -> Error {
    let (segment, path) = (name.as_str().to_owned(), name.shown_path());
    let hint = sticky(name.path()).unwrap_or_else(|| hint(name, error));
    Error::Remove { segment, path, source: error.into(), hint }
}

/// A segment that is to be replaced could not be removed.
pub(crate) fn replace_error(name: &SegmentName, error: nix::Error) -> Error {
    let hint = sticky(name.path()).unwrap_or_else(|| hint(name, error));
    create_error_with(name, "removing the segment that it replaces", error, hint)
}

/// The file system knows neither files without a name nor a second name for a file.
pub(super) fn without_links(name: &SegmentName) -> Error {
    let directory = name.domain().directory().display();
    Error::Create {
        segment: name.as_str().to_owned(),
        path: name.shown_path(),
        action: "giving it its name",
        source: nix::Error::EOPNOTSUPP.into(),
        hint: format!(
            "the file system of {directory} has no hard links: choose a directory on another, such as a tmpfs"
        ),
    }
}

pub(crate) fn errno(error: &io::Error) -> nix::Error {
    nix::Error::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// What a user can do about a system error.
fn hint(name: &SegmentName, error: nix::Error) -> String {
    use nix::Error;
    let directory = name.domain().directory();
    let shown = directory.display();
    match error {
        Error::ENOSPC | Error::ENOMEM => format!(
            "{shown} is full: remove segments that nobody uses, choose a smaller data size, or mount it larger \
             (containers: --shm-size)"
        ),
        Error::EACCES | Error::EPERM => match std::fs::symlink_metadata(name.path()) {
            Ok(meta) => format!(
                "it belongs to {} and group {}, with mode {:04o}: open it as its owner, or have the master create it with \
                 a wider `mode` or another `group`",
                shown_user(meta.uid()),
                meta.gid(),
                meta.mode() & 0o7777
            ),
            Err(_) => {
                format!("this user may not do so in {shown}: choose another directory, or another name")
            }
        },
        Error::EFBIG => {
            "the file size limit of this process (ulimit -f) is smaller than the segment: raise it".to_owned()
        }
        Error::EMFILE | Error::ENFILE => {
            "no file descriptors are left: close some, or raise the limit (ulimit -n)".to_owned()
        }
        Error::EROFS => format!("{shown} is mounted read-only: mount it writable"),
        Error::ENOTDIR => format!("{shown} is no directory: choose another"),
        Error::ENOENT if !directory.exists() => {
            format!("{shown} is missing: mount a tmpfs there, or choose another directory")
        }
        _ => "see the system's message".to_owned(),
    }
}

/// A user's name, if the system knows it.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// A user, for people: by number, and by name if the system knows it.
fn shown_user(uid: u32) -> String {
    user_name(uid).map_or_else(|| format!("user {uid}"), |name| format!("user {uid} ({name})"))
}

/// Why a file's name could not be removed, and who can.
pub(crate) fn why_not_removed(path: &Path, error: nix::Error) -> String {
    let reason = format!("cannot remove it: {}", error.desc());
    match sticky(path) {
        Some(sticky) if matches!(error, nix::Error::EPERM | nix::Error::EACCES) => {
            format!("{reason}; {sticky}")
        }
        _ => reason,
    }
}

/// Whether the sticky bit of its directory keeps this user from removing a file; then, who can.
fn sticky(path: &Path) -> Option<String> {
    const STICKY: u32 = 0o1000;
    let file = path.symlink_metadata().ok()?;
    let directory = path.parent()?;
    let meta = directory.metadata().ok()?;
    let me = nix::unistd::geteuid().as_raw();
    (meta.mode() & STICKY != 0 && ![file.uid(), meta.uid()].contains(&me)).then(|| {
        let (owner, directory) = (shown_user(file.uid()), directory.display());
        format!(
            "it belongs to {owner}, and {directory} has the sticky bit (mode {:o}), so that only its owner or root can \
             remove it",
            meta.mode() & 0o7777
        )
    })
}
