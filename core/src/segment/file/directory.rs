//! Tells whether names in a directory may have changed, with one system call for all names in it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A directory whose last change is younger than this may change again without a trace: file systems record times in
/// steps of some milliseconds.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// The identity of a directory and the times of its last change. Each creation, removal or renaming of a name in it
/// changes the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    directory: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Returns `None` if a further change may leave the times as they are, or if the clock was set back.
    fn of(found: &Metadata, now: Duration) -> Option<Stamp> {
        let stamp = Stamp {
            directory: (found.dev(), found.ino()),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        };
        let (seconds, nanoseconds) = stamp.modified.max(stamp.changed);
        let last = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
        (last + SETTLED_AFTER < now).then_some(stamp)
    }
}

/// The stamps of directories, each read once in a round.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    /// The outer `None`: not read in this round.
    read: Vec<(PathBuf, Option<Option<Stamp>>)>,
}

impl Directories {
    /// Begins a round: the stamps are read again.
    pub(crate) fn begin_round(&mut self) {
        for (_, stamp) in &mut self.read {
            *stamp = None;
        }
    }

    /// Returns the stamp of a directory. Two equal stamps mean that no name has changed from the first to the second.
    /// Returns `None` where that cannot be told.
    pub(crate) fn stamp(&mut self, directory: &Path) -> Option<Stamp> {
        let index = self.read.iter().position(|(path, _)| path == directory).unwrap_or_else(|| {
            self.read.push((directory.to_owned(), None));
            self.read.len() - 1
        });
        *self.read[index].1.get_or_insert_with(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            Stamp::of(&std::fs::metadata(directory).ok()?, now)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    /// Returns the stamp that the directory has once its last change is old enough.
    fn settled(directory: &Path) -> Stamp {
        loop {
            if let Some(stamp) = Directories::default().stamp(directory) {
                return stamp;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_stamp_changes_with_each_name_and_not_with_the_content() {
        let directory = std::env::temp_dir().join(format!("eshm-stamp-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let (one, two) = (directory.join("one"), directory.join("two"));
        let empty = settled(&directory);
        File::create(&one).unwrap();
        let created = settled(&directory);
        assert_ne!(empty, created);
        fs::write(&one, "content").unwrap();
        assert_eq!(settled(&directory), created);
        fs::rename(&one, &two).unwrap();
        let renamed = settled(&directory);
        assert_ne!(renamed, created);
        fs::remove_file(&two).unwrap();
        assert_ne!(settled(&directory), renamed);
        fs::remove_dir(&directory).unwrap();
        assert_eq!(Directories::default().stamp(&directory), None);
    }

    #[test]
    fn a_directory_that_has_just_changed_has_no_stamp() {
        let found = fs::metadata("/").unwrap();
        let (seconds, nanoseconds) =
            (found.mtime(), found.mtime_nsec()).max((found.ctime(), found.ctime_nsec()));
        let changed = Duration::new(seconds as u64, nanoseconds as u32);
        assert_eq!(Stamp::of(&found, changed), None);
        assert_eq!(Stamp::of(&found, changed + SETTLED_AFTER), None);
        assert!(Stamp::of(&found, changed + SETTLED_AFTER + Duration::from_nanos(1)).is_some());
        assert_eq!(Stamp::of(&found, changed - Duration::from_secs(1)), None, "the clock was set back");
    }

    #[test]
    fn a_directory_is_read_once_in_a_round() {
        let directory = std::env::temp_dir().join(format!("eshm-round-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        settled(&directory);
        let mut directories = Directories::default();
        let before = directories.stamp(&directory);
        assert!(before.is_some());
        fs::remove_dir(&directory).unwrap();
        assert_eq!(directories.stamp(&directory), before);
        directories.begin_round();
        assert_eq!(directories.stamp(&directory), None);
    }
}
