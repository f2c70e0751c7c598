//! How much memory is available for a segment. The check comes before the reservation.
//!
//! The kernel kills a process with SIGKILL if it exceeds the memory of its cgroup or of the machine. A limit that
//! cannot be read, for example without /proc, does not count.
//!
//! The files of the kernel take more time than everything else in `open`. A file is therefore only read if the result can
//! depend on it. No value is kept for the next check: a process can move to another cgroup, and limits can change.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

/// What the kernel reports about limits.
struct Sources {
    /// The directories of its files.
    proc: PathBuf,
    cgroups: PathBuf,
    /// The unused and the total memory of the machine, in bytes. 0: unknown.
    unused: u64,
    total: u64,
    /// From meminfo, once it was read.
    machine: OnceCell<Machine>,
}

/// What the machine has left, in bytes.
struct Machine {
    /// Without swap. `None`: unknown.
    available: Option<u64>,
    swap: u64,
}

/// A resource that is too small.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// The resource and its location.
    what: String,
    advice: &'static str,
    /// In bytes.
    left: u64,
    needed: u64,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shortage { what, advice, left, needed } = self;
        write!(f, "{what}: the segment takes {needed} bytes, and {left} are left; {advice}")
    }
}

/// Checks that the directory has `needed` more bytes for files.
///
/// # Errors
/// Returns the first resource that is too small.
pub(crate) fn check_memory(directory: &Path, needed: u64) -> Result<(), Shortage> {
    let Ok(system) = statfs(directory) else { return Ok(()) };
    let left = system.blocks_available().saturating_mul(system.block_size() as u64);
    // A tmpfs without a size limit reports 0 blocks.
    if system.blocks() > 0 && left < needed {
        return Err(Shortage {
            what: format!("{} is full", directory.display()),
            advice: "remove segments that nobody uses, choose a smaller size, or mount it larger (containers: --shm-size)",
            left,
            needed,
        });
    }
    if !is_memory(system.filesystem_type()) {
        return Ok(());
    }
    Sources::of_system().check(needed)
}

fn is_memory(kind: FsType) -> bool {
    // The type differs between C libraries.
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6_u32 as _);
    kind == TMPFS_MAGIC || kind == RAMFS_MAGIC
}

impl Sources {
    fn of_system() -> Sources {
        let (unused, total) = unused_and_total_memory();
        let machine = OnceCell::new();
        Sources { proc: "/proc".into(), cgroups: "/sys/fs/cgroup".into(), unused, total, machine }
    }

    fn check(&self, needed: u64) -> Result<(), Shortage> {
        self.check_machine(needed)?;
        let mut buffer = Buffer::default();
        let groups = buffer.read(&self.proc.join("self/cgroup")).unwrap_or_default();
        groups.lines().try_for_each(|line| self.check_group(line, needed))
    }

    fn check_machine(&self, needed: u64) -> Result<(), Shortage> {
        // Of its unused memory the kernel reserves a few percent. What it can reclaim comes on top.
        let reserved = self.total / 8;
        if self.unused > 0 && self.unused.saturating_sub(reserved) >= needed {
            return Ok(());
        }
        let Machine { available: Some(available), swap } = *self.machine() else { return Ok(()) };
        let left = available.saturating_add(swap);
        if left < needed {
            let what = "the machine's memory is used up (MemAvailable and SwapFree)".to_owned();
            return Err(Shortage {
                what,
                advice: "end what is not needed, or choose a smaller size",
                left,
                needed,
            });
        }
        Ok(())
    }

    fn machine(&self) -> &Machine {
        self.machine.get_or_init(|| {
            let mut buffer = Buffer::default();
            let meminfo = buffer.read(&self.proc.join("meminfo")).unwrap_or_default();
            let bytes = |name| field(meminfo, name).map(|kib| kib.saturating_mul(1024));
            Machine { available: bytes("MemAvailable:"), swap: bytes("SwapFree:").unwrap_or(0) }
        })
    }

    /// Checks one line of /proc/self/cgroup: that cgroup and all of its ancestors.
    fn check_group(&self, line: &str, needed: u64) -> Result<(), Shortage> {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(());
        };
        let version: &Version = match controllers {
            "" => &V2,
            list if list.split(',').any(|one| one == "memory") => &V1,
            _ => return Ok(()),
        };
        let root = self.cgroups.join(version.folder);
        // This mount may not show the path. Then only the root is checked.
        let parts = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_)));
        let folder: PathBuf =
            [root.clone()].into_iter().chain(parts.map(|part| part.as_os_str().into())).collect();
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&root)) {
            let Some(left) = version.left(folder, needed, || self.machine().swap) else { continue };
            if left < needed {
                return Err(Shortage {
                    what: format!(
                        "the memory limit of the cgroup is reached ({})",
                        folder.join(version.limit).display()
                    ),
                    advice: "raise it (containers: --memory), or choose a smaller size",
                    left,
                    needed,
                });
            }
        }
        Ok(())
    }
}

/// From this size on a limit is none. Version 1 reports the largest number of pages where there is no limit.
const UNLIMITED: u64 = 1 << 60;

/// The files of one cgroup version.
struct Version {
    /// The folder below the mount point of all cgroups.
    folder: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// Fields of `memory.stat` that the kernel reclaims when memory is short.
    reclaimable: [&'static str; 2],
    /// The swap limit and the swap usage. `None`: only the swap of the machine counts.
    swap: Option<[&'static str; 2]>,
}

const V1: Version = Version {
    folder: "memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: ["total_inactive_file", "total_active_file"],
    swap: None,
};
const V2: Version = Version {
    folder: "",
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: ["inactive_file", "active_file"],
    swap: Some(["memory.swap.max", "memory.swap.current"]),
};

impl Version {
    /// Returns how many more bytes this cgroup can use. Returns `None` without a limit, and if `needed` bytes are free
    /// even without a reclaim: the kernel then need not sum up `memory.stat`.
    fn left(&self, folder: &Path, needed: u64, swap: impl FnOnce() -> u64) -> Option<u64> {
        let number = |file: &str| Buffer::default().read(&folder.join(file))?.trim().parse::<u64>().ok();
        // "max" does not parse as a number.
        let limit = number(self.limit).filter(|limit| *limit < UNLIMITED)?;
        let used = number(self.usage)?;
        if limit.saturating_sub(used) >= needed {
            return None;
        }
        let mut buffer = Buffer::default();
        let stat = buffer.read(&folder.join("memory.stat")).unwrap_or_default();
        let reclaimable: u64 = self.reclaimable.iter().filter_map(|name| field(stat, name)).sum();
        let swap = match self.swap {
            Some([limit, used]) => match number(limit) {
                Some(limit) => swap().min(limit.saturating_sub(number(used).unwrap_or(0))),
                None => swap(),
            },
            None => swap(),
        };
        Some(limit.saturating_sub(used).saturating_add(reclaimable).saturating_add(swap))
    }
}

/// Space for a file of the kernel, so that it is read in one piece: std reads a file of unknown length in many.
struct Buffer {
    bytes: [u8; 4096],
    /// A file that is longer.
    long: String,
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer { bytes: [0; 4096], long: String::new() }
    }
}

impl Buffer {
    /// Reads a file. Returns `None` if that fails.
    fn read(&mut self, path: &Path) -> Option<&str> {
        let mut file = File::open(path).ok()?;
        let mut filled = 0;
        while filled < self.bytes.len() {
            match file.read(&mut self.bytes[filled..]) {
                Ok(0) => return std::str::from_utf8(&self.bytes[..filled]).ok(),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        self.long = fs::read_to_string(path).ok()?;
        Some(&self.long)
    }
}

/// Returns the unused and the total memory of the machine, or 0 if the system does not report it.
fn unused_and_total_memory() -> (u64, u64) {
    let mut info = std::mem::MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: the call writes a `sysinfo`, for which there is space.
    if unsafe { libc::sysinfo(info.as_mut_ptr()) } != 0 {
        return (0, 0);
    }
    // SAFETY: the struct has only integer fields, for which zero is valid.
    let info = unsafe { info.assume_init() };
    let bytes = |units: u64| units.saturating_mul(info.mem_unit.into());
    (bytes(info.freeram), bytes(info.totalram))
}

/// Returns the number after a word at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut words = text
        .lines()
        .map(str::split_whitespace)
        .find_map(|mut words| (words.next()? == name).then_some(words))?;
    words.next()?.parse().ok()
}

/// Returns a hint if a mapping of `len` bytes fails because of the address space limit of this process.
pub(crate) fn address_space(len: usize) -> Option<String> {
    let (limit, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    if limit == RLIM_INFINITY {
        return None;
    }
    let used = fs::read_to_string("/proc/self/status").ok().and_then(|status| field(&status, "VmSize:"));
    let used =
        used.map_or_else(String::new, |kib| format!(", of which {} are used", kib.saturating_mul(1024)));
    Some(format!(
        "the address space limit of this process (RLIMIT_AS, ulimit -v) is {limit} bytes{used}, and the segment takes \
         {len}: raise it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn sources_in(folder: &Path) -> Sources {
        let (proc, cgroups) = (folder.join("proc"), folder.join("cgroup"));
        Sources { proc, cgroups, unused: 0, total: 0, machine: OnceCell::new() }
    }

    /// Creates a machine with 1000 MiB and these files.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources_in(folder.path());
        let meminfo = ("proc/meminfo", "MemTotal:  2048000 kB\nMemAvailable:  1024000 kB\nSwapFree:  0 kB\n");
        for (name, content) in [meminfo].iter().chain(files) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        (folder, sources)
    }

    #[track_caller]
    fn assert_left(sources: &Sources, left: u64, what: &str) {
        assert_eq!(sources.check(left), Ok(()));
        let shortage = sources.check(left + 1).unwrap_err();
        assert_eq!((shortage.left, shortage.needed), (left, left + 1));
        let text = shortage.to_string();
        assert!(
            text.contains(what) && text.contains(&format!("takes {} bytes, and {left} are left", left + 1)),
            "{text}"
        );
    }

    #[test]
    fn the_machine_has_what_is_available_and_swap() {
        let (_folder, sources) = machine(&[]);
        assert_left(&sources, 1000 * MIB, "the machine's memory");
        let (_folder, sources) = machine(&[("proc/meminfo", "MemAvailable: 1024 kB\nSwapFree: 1024 kB\n")]);
        assert_left(&sources, 2 * MIB, "the machine's memory");
    }

    #[test]
    fn meminfo_decides_unless_an_eighth_of_the_machine_stays_unused() {
        for (unused, total, kind) in [
            (11, 80, "enough unused"),
            (10, 80, "reads meminfo"),
            (10, 81, "reads meminfo"),
            (0, 0, "reads meminfo"),
        ] {
            let (_folder, mut sources) = machine(&[("proc/meminfo", "MemAvailable: 0 kB\n")]);
            (sources.unused, sources.total) = (unused * MIB, total * MIB);
            assert_eq!(sources.check(MIB).is_ok(), kind == "enough unused", "{unused} of {total} MiB");
        }
        // A cgroup counts also if the machine has enough.
        let (_folder, mut sources) = machine(&[
            ("proc/self/cgroup", "0::/\n"),
            ("cgroup/memory.max", "1048576\n"),
            ("cgroup/memory.current", "0\n"),
        ]);
        (sources.unused, sources.total) = (500 * MIB, 1000 * MIB);
        assert_left(&sources, MIB, "cgroup/memory.max");
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the system for its memory")]
    fn the_machine_has_no_more_unused_memory_than_memory() {
        let (unused, total) = unused_and_total_memory();
        assert!(0 < unused && unused < total, "{unused} of {total}");
    }

    #[test]
    fn files_longer_than_the_buffer_are_read_whole() {
        let groups = format!("{}4:memory:/inner\n", "9:name=systemd:/long\n".repeat(500));
        let (_folder, sources) = machine(&[
            ("proc/self/cgroup", &groups),
            ("cgroup/memory/inner/memory.limit_in_bytes", "1048576\n"),
            ("cgroup/memory/inner/memory.usage_in_bytes", "0\n"),
        ]);
        assert_left(&sources, MIB, "inner/memory.limit_in_bytes");
    }

    #[test]
    fn the_smallest_limit_up_to_the_root_counts() {
        let (_folder, sources) = machine(&[
            ("proc/self/cgroup", "0::/outer/inner\n"),
            ("cgroup/outer/inner/memory.max", "max\n"),
            ("cgroup/outer/inner/memory.current", "5\n"),
            ("cgroup/outer/memory.max", "104857600\n"),
            ("cgroup/outer/memory.current", "62914560\n"),
            ("cgroup/outer/memory.stat", "anon 1\ninactive_file 1048576\nactive_file 1048576\n"),
            ("cgroup/outer/memory.high", "1\n"),
        ]);
        assert_left(&sources, 42 * MIB, "outer/memory.max");
    }

    #[test]
    fn swap_of_a_cgroup_counts_up_to_the_free_swap() {
        let files = |most: &'static str| {
            machine(&[
                ("proc/meminfo", "MemAvailable: 1024000 kB\nSwapFree: 10240 kB\n"),
                ("proc/self/cgroup", "0::/\n"),
                ("cgroup/memory.max", "1048576\n"),
                ("cgroup/memory.current", "2097152\n"),
                ("cgroup/memory.swap.max", most),
                ("cgroup/memory.swap.current", "1048576\n"),
            ])
        };
        assert_left(&files("max\n").1, 10 * MIB, "cgroup/memory.max");
        assert_left(&files("5242880\n").1, 4 * MIB, "cgroup/memory.max");
        assert_left(&files("0\n").1, 0, "cgroup/memory.max");
    }

    #[test]
    fn a_version_1_cgroup_is_found_without_its_path() {
        let (_folder, sources) = machine(&[
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/unified\n"),
            ("cgroup/memory/memory.limit_in_bytes", "83886080\n"),
            ("cgroup/memory/memory.usage_in_bytes", "20971520\n"),
            ("cgroup/memory/memory.stat", "total_inactive_file 1048576\n"),
            // No limit. The usage need not be read.
            ("cgroup/memory/docker/0123/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_left(&sources, 61 * MIB, "memory.limit_in_bytes");
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the system for its limits")]
    fn unreadable_limits_do_not_count() {
        let sources = sources_in(Path::new("/nowhere"));
        assert_eq!(sources.check(u64::MAX), Ok(()));
        for line in ["", "nonsense", "0::", "1:memory:", "0::/../../..", "9:memory:relative"] {
            let (_folder, sources) = machine(&[("proc/self/cgroup", line), ("cgroup/memory.max", "none")]);
            assert_eq!(sources.check(MIB), Ok(()), "{line:?}");
        }
        assert_eq!(check_memory(Path::new("/nowhere"), u64::MAX), Ok(()));
    }
}
