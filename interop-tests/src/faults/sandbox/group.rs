//! A control group with a memory limit for a test. It is removed after its processes have ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The folders for control groups with a memory limit, by version, and the file of the limit.
const ROOTS: &[(&str, &str)] =
    &[("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A control group without processes. Dropping it removes it.
pub(super) struct Group(PathBuf);

impl Group {
    /// Creates a group whose processes share this many bytes of memory.
    ///
    /// # Errors
    /// If the machine has no memory controller, or this user may not create a group.
    pub(super) fn with_memory(bytes: u64) -> Result<Group> {
        let mut why = Vec::new();
        for (root, limit) in ROOTS {
            match Group::make(Path::new(root), limit, bytes) {
                Ok(group) => return Ok(group),
                Err(error) => why.push(format!("{root}: {error:#}")),
            }
        }
        bail!("no control group with a memory limit (it needs root): {}", why.join("; "))
    }

    fn make(root: &Path, limit: &str, bytes: u64) -> Result<Group> {
        let folder = root.join(format!("eshm-cell-{}", process::id()));
        fs::create_dir(&folder).context("making a group")?;
        let group = Group(folder);
        // Without the controller, or in a folder that is no control group, the file is not there.
        let file = group.0.join(limit);
        if !file.exists() {
            bail!("{limit} is missing");
        }
        fs::write(file, bytes.to_string()).context("limiting it")?;
        Ok(group)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Busy for a moment after its last process was reaped; nothing signals the end of that.
        let since = Instant::now();
        while fs::remove_dir(&self.0).is_err() && since.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
