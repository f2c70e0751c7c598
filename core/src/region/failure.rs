//! What to do when the system refuses.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};

use crate::error::Error;
use crate::name::SegmentName;

pub(crate) fn attach_error(name: &SegmentName, action: &'static str, error: nix::Error) -> Error {
    let (segment, path, hint) = (name.as_str().to_owned(), name.shown_path(), hint(name, error));
    Error::Attach { segment, path, action, source: error.into(), hint }
}

pub(crate) fn create_error(name: &SegmentName, action: &'static str, error: nix::Error) -> Error {
    let (segment, path, hint) = (name.as_str().to_owned(), name.shown_path(), hint(name, error));
    Error::Create { segment, path, action, source: error.into(), hint }
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
        Error::EACCES | Error::EPERM => {
            "it belongs to another user, or to a group that this one is not in, or its permissions do not let this one \
             in: open it as its owner, or have the master create it with a wider `mode` or another `group`"
                .to_owned()
        }
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
