//! Confines a process: system calls fail, limits apply, directories are missing.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// A kernel facility that a sandbox or an old kernel may lack: the calls that fail, and their error.
struct Facility {
    name: &'static str,
    calls: &'static [i64],
    /// Only calls whose argument of this index, under this mask, is one of these values.
    only: Option<(u8, u64, &'static [u64])>,
    error: Errno,
}

const TMPFILE: u64 = libc::O_TMPFILE as u64;
const OFD_LOCKS: &[u64] = &[libc::F_OFD_GETLK as u64, libc::F_OFD_SETLK as u64, libc::F_OFD_SETLKW as u64];
/// Waits and wake-ups of a futex that several processes share: without FUTEX_PRIVATE_FLAG.
const SHARED_FUTEX: &[u64] = &[libc::FUTEX_WAIT as u64, libc::FUTEX_WAKE as u64];

#[rustfmt::skip]
const FACILITIES: &[Facility] = &[
    Facility { name: "o_tmpfile", calls: &[libc::SYS_openat], only: Some((2, TMPFILE, &[TMPFILE])), error: Errno::EOPNOTSUPP },
    Facility { name: "ofd-locks", calls: &[libc::SYS_fcntl], only: Some((1, u32::MAX as u64, OFD_LOCKS)), error: Errno::EINVAL },
    Facility { name: "membarrier", calls: &[libc::SYS_membarrier], only: None, error: Errno::ENOSYS },
    Facility { name: "shared-futex", calls: &[libc::SYS_futex], only: Some((1, u32::MAX as u64, SHARED_FUTEX)), error: Errno::ENOSYS },
    Facility { name: "fallocate", calls: &[libc::SYS_fallocate], only: None, error: Errno::EOPNOTSUPP },
    Facility { name: "getrandom", calls: &[libc::SYS_getrandom], only: None, error: Errno::ENOSYS },
    Facility { name: "statx", calls: &[libc::SYS_statx], only: None, error: Errno::ENOSYS },
    Facility { name: "clone3", calls: &[libc::SYS_clone3], only: None, error: Errno::ENOSYS },
    Facility { name: "scheduling", calls: &[libc::SYS_sched_setaffinity, libc::SYS_sched_setscheduler, libc::SYS_sched_setattr, libc::SYS_sched_setparam], only: None, error: Errno::EPERM },
    Facility { name: "kill", calls: &[libc::SYS_kill], only: None, error: Errno::EPERM },
    Facility { name: "fchmod", calls: &[libc::SYS_fchmod, libc::SYS_fchown], only: None, error: Errno::EPERM },
];

/// Limits of `setrlimit`, with the names of `ulimit`.
#[rustfmt::skip]
const LIMITS: &[(&str, Resource)] = &[
    ("file-size", Resource::RLIMIT_FSIZE),
    ("address-space", Resource::RLIMIT_AS),
    ("files", Resource::RLIMIT_NOFILE),
    ("locked-memory", Resource::RLIMIT_MEMLOCK),
];

/// One restriction of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// A facility of the kernel.
    Without(&'static str),
    /// A resource limit: `ulimit`.
    Limit(&'static str, u64),
    /// /proc is not mounted.
    NoProc,
    /// /dev/shm is a tmpfs of its own, mounted with these options.
    Shm(String),
    /// There is no /dev/shm.
    NoShm,
    /// A control group, given by its folder, whose limits hold.
    Group(String),
    /// It is the first process of a PID namespace: `cell` stays outside, and waits for it.
    OwnPids,
    /// It is killed when its parent ends.
    Mortal,
}

impl Confinement {
    /// Returns every spelling of a restriction, for error messages.
    pub fn known() -> String {
        let facilities = FACILITIES.iter().map(|facility| format!("no-{}", facility.name));
        let limits = LIMITS.iter().map(|(name, _)| format!("{name}=NUMBER"));
        let places =
            ["no-proc", "no-shm", "shm=OPTIONS", "group=FOLDER", "own-pids", "mortal"].map(str::to_owned);
        facilities.chain(limits).chain(places).collect::<Vec<_>>().join(", ")
    }

    /// Returns whether it needs root or a new namespace.
    fn mounts(&self) -> bool {
        matches!(self, Confinement::NoProc | Confinement::Shm(_) | Confinement::NoShm)
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Confinement::Without(name) => write!(f, "no-{name}"),
            Confinement::Limit(name, number) => write!(f, "{name}={number}"),
            Confinement::NoProc => f.write_str("no-proc"),
            Confinement::Shm(options) => write!(f, "shm={options}"),
            Confinement::NoShm => f.write_str("no-shm"),
            Confinement::Group(folder) => write!(f, "group={folder}"),
            Confinement::OwnPids => f.write_str("own-pids"),
            Confinement::Mortal => f.write_str("mortal"),
        }
    }
}

impl FromStr for Confinement {
    type Err = anyhow::Error;

    fn from_str(words: &str) -> Result<Self> {
        if let Some((key, value)) = words.split_once('=') {
            match key {
                "shm" => return Ok(Confinement::Shm(value.to_owned())),
                "group" => return Ok(Confinement::Group(value.to_owned())),
                _ => {}
            }
            if let Some((name, _)) = LIMITS.iter().find(|(name, _)| *name == key) {
                let number =
                    value.parse().with_context(|| format!("{value:?} is no number, in {words:?}"))?;
                return Ok(Confinement::Limit(name, number));
            }
        }
        match words {
            "no-proc" => return Ok(Confinement::NoProc),
            "no-shm" => return Ok(Confinement::NoShm),
            "own-pids" => return Ok(Confinement::OwnPids),
            "mortal" => return Ok(Confinement::Mortal),
            _ => {}
        }
        let facility = words.strip_prefix("no-");
        match FACILITIES.iter().find(|known| Some(known.name) == facility) {
            Some(known) => Ok(Confinement::Without(known.name)),
            None => bail!("there is no confinement {words:?}; expected one of {}", Confinement::known()),
        }
    }
}

/// Applies the restrictions to this process and to what it executes. A PID namespace begins with its next child.
///
/// # Errors
/// If the system refuses.
pub fn confine(all: &[Confinement]) -> Result<()> {
    if all.iter().any(Confinement::mounts) {
        unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace (it needs root)")?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).context("making mounts private")?;
    }
    for one in all {
        match one {
            Confinement::NoProc => umount2("/proc", MntFlags::MNT_DETACH).context("unmounting /proc")?,
            Confinement::Shm(options) => {
                let (flags, options) = match options.as_str() {
                    "ro" => (MsFlags::MS_RDONLY, ""),
                    options => (MsFlags::empty(), options),
                };
                mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), flags, Some(options))
                    .with_context(|| format!("mounting a /dev/shm with {options:?}"))?;
            }
            Confinement::NoShm => {
                mount(Some("tmpfs"), "/dev", Some("tmpfs"), MsFlags::empty(), None::<&str>)
                    .context("hiding /dev")?;
            }
            Confinement::Group(folder) => {
                std::fs::write(format!("{folder}/cgroup.procs"), "0")
                    .with_context(|| format!("joining {folder}"))?;
            }
            Confinement::Limit(name, number) => {
                let (_, resource) = LIMITS.iter().find(|(known, _)| known == name).expect("from the table");
                setrlimit(*resource, *number, *number).with_context(|| format!("limiting {name}"))?;
            }
            Confinement::OwnPids => {
                unshare(CloneFlags::CLONE_NEWPID).context("a PID namespace (it needs root)")?;
            }
            Confinement::Mortal => set_pdeathsig(Signal::SIGKILL).context("dying with the parent")?,
            Confinement::Without(_) => {}
        }
    }
    // Last, since a filter may forbid what the others need.
    for one in all {
        if let Confinement::Without(name) = one {
            let facility = FACILITIES.iter().find(|known| known.name == *name).expect("from the table");
            apply_filter(&filter(facility)?).with_context(|| format!("a filter without {name}"))?;
        }
    }
    Ok(())
}

/// Returns a filter that fails the facility's calls with its error.
fn filter(facility: &Facility) -> Result<BpfProgram> {
    let rules = match facility.only {
        None => Vec::new(),
        Some((argument, mask, values)) => {
            let rule = |value: &u64| {
                let compare = SeccompCmpOp::MaskedEq(mask);
                let length = SeccompCmpArgLen::Dword;
                SeccompRule::new(vec![SeccompCondition::new(argument, length, compare, *value)?])
            };
            values.iter().map(rule).collect::<Result<_, _>>()?
        }
    };
    let rules: BTreeMap<_, _> = facility.calls.iter().map(|call| (*call, rules.clone())).collect();
    let refuse = SeccompAction::Errno(facility.error as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confinement_is_read_as_it_is_written() {
        for words in Confinement::known().split(", ") {
            let words = words.replace("NUMBER", "9").replace("OPTIONS", "size=64k").replace("FOLDER", "/a/b");
            assert_eq!(words.parse::<Confinement>().unwrap().to_string(), words);
        }
    }

    #[test]
    fn an_unknown_one_is_refused_with_what_there_is() {
        for words in ["", "no-", "no-luck", "files=many", "luck=3"] {
            let text = format!("{:#}", words.parse::<Confinement>().unwrap_err());
            assert!(text.contains(words), "{text}");
        }
        assert!("no-luck".parse::<Confinement>().unwrap_err().to_string().contains("no-membarrier"));
    }

    #[test]
    fn every_facility_has_a_filter() {
        for facility in FACILITIES {
            assert!(!filter(facility).unwrap().is_empty(), "{}", facility.name);
        }
    }
}
