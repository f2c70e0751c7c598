//! Errors of the system, with hints for the user.

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
    let (segment, path) = (name.shared(), name.shown_path());
    Error::Attach { segment, path, action, source: error.into(), hint }
}

pub(crate) fn create_error(name: &SegmentName, action: &'static str, error: nix::Error) -> Error {
    create_error_with(name, action, error, hint(name, error))
}

fn create_error_with(name: &SegmentName, action: &'static str, error: nix::Error, hint: String) -> Error {
    let (segment, path) = (name.shared(), name.shown_path());
    Error::Create { segment, path, action, source: error.into(), hint }
}

/// Why memory could not be reserved: an error of the system, or a resource that is too small.
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

/// Returns the error of a failed mapping of `len` bytes, of a new segment or of an existing one.
pub(super) fn mapping_error(name: &SegmentName, len: usize, is_new: bool, error: nix::Error) -> Error {
    let limit = (error == nix::Error::ENOMEM).then(|| memory_limits::address_space(len)).flatten();
    let hint = match error {
        nix::Error::ENOMEM => limit.unwrap_or_else(|| {
            format!(
                "the address space of this process has no free range of {len} bytes: choose a smaller size"
            )
        }),
        error => hint(name, error),
    };
    let with = if is_new { create_error_with } else { attach_error_with };
    with(name, "mapping it", error, hint)
}

/// Returns the error for a segment name that could not be removed at the close.
pub(crate) fn remove_error(name: &SegmentName, error: nix::Error) -> Error {
    let (segment, path) = (name.shared(), name.shown_path());
    let hint = sticky(name.path()).unwrap_or_else(|| hint(name, error));
    Error::Remove { segment, path, source: error.into(), hint }
}

/// Returns the error for a segment that could not be removed in order to be replaced.
pub(crate) fn replace_error(name: &SegmentName, error: nix::Error) -> Error {
    let hint = sticky(name.path()).unwrap_or_else(|| hint(name, error));
    create_error_with(name, "removing the segment that it replaces", error, hint)
}

/// Returns the error for a file system that supports neither files without a name nor hard links.
pub(super) fn without_links(name: &SegmentName) -> Error {
    let directory = name.domain().directory().display();
    Error::Create {
        segment: name.shared(),
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

/// Returns what a user can do about an error of the system.
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
        Error::EBADF => "the program has closed the descriptor, which belongs to the endpoint: leave it to the endpoint, and \
                         open the endpoint anew"
            .to_owned(),
        Error::EROFS => format!("{shown} is mounted read-only: mount it writable"),
        Error::ENOTDIR => format!("{shown} is not a directory: choose another"),
        Error::ENOENT if !directory.exists() => {
            format!("{shown} is missing: mount a tmpfs there, or choose another directory")
        }
        _ => "see the system's message".to_owned(),
    }
}

/// Returns the name of a user, if the system knows it.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// Describes a user for an error text: by number, and by name if the system knows it.
fn shown_user(uid: u32) -> String {
    user_name(uid).map_or_else(|| format!("user {uid}"), |name| format!("user {uid} ({name})"))
}

/// Describes why the name of a file could not be removed, and who can remove it.
pub(crate) fn why_not_removed(path: &Path, error: nix::Error) -> String {
    let reason = format!("cannot remove it: {}", error.desc());
    match sticky(path) {
        Some(sticky) if matches!(error, nix::Error::EPERM | nix::Error::EACCES) => {
            format!("{reason}; {sticky}")
        }
        _ => reason,
    }
}

/// Returns who can remove a file, if the sticky bit of its directory forbids it to this user.
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
