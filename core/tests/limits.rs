//! Too little memory, too little address space, and files that only others can remove: errors that say so.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use common::{Child, Name, say, scenario, told};
use eshm::{Builder, Domain, Endpoint, Error, Role};
use nix::sys::resource::{Resource, setrlimit};

const MIB: usize = 1 << 20;

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match &*scenario {
        "address space" => open_in_a_small_address_space(&segment),
        "cgroup" => open_in_a_small_cgroup(&segment),
        "sticky" => open_what_belongs_to_another(&segment),
        other => panic!("no scenario {other}"),
    }
}

fn open_in_a_small_address_space(segment: &str) {
    setrlimit(Resource::RLIMIT_AS, 512 * MIB as u64, 512 * MIB as u64).unwrap();
    let builder = Endpoint::builder(segment).role(Role::Master);
    match builder.clone().queue_capacity(256 * MIB).open() {
        Err(error @ Error::Create { .. }) => say(error),
        other => say(format!("{:?}", other.map(|master| master.role()))),
    }
    say(fs::exists(format!("/dev/shm/eshm_{segment}")).unwrap());
    say(builder.open().map(|master| master.data_size()).unwrap());
    // A segment that was there.
    told();
    match Endpoint::slave(segment) {
        Err(error @ Error::Attach { .. }) => say(error),
        other => say(format!("{:?}", other.map(|master| master.role()))),
    }
}

#[test]
fn too_little_address_space_is_named() {
    let name = Name::new("address-space");
    let mut child = Child::start("address space", &name);
    let names_the_limit = |error: &str| {
        let parts =
            ["mapping it", "RLIMIT_AS, ulimit -v) is 536870912 bytes, of which ", "are used", "raise it"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(!error.contains("full"), "{error}");
    };
    names_the_limit(&child.line());
    child.expect("false");
    child.expect("4096");
    // A sparse file takes the address space, and no memory.
    let file = fs::File::create(name.path()).unwrap();
    file.set_len(1024 * MIB as u64).unwrap();
    child.tell("open it");
    names_the_limit(&child.line());
    assert!(child.ended().success());
}

/// A cgroup that admits 80 MiB; `None` where none can be made.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Cgroup> {
        for (root, limit) in
            [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]
        {
            let folder = Path::new(root).join(name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let cgroup = Cgroup(folder);
            // It is one only if the file is there by itself.
            let file = cgroup.0.join(limit);
            if fs::exists(&file).unwrap() && fs::write(file, "83886080").is_ok() {
                return Some(cgroup);
            }
        }
        None
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn open_in_a_small_cgroup(segment: &str) {
    let master = || Endpoint::builder(segment).role(Role::Master);
    let procs = fs::File::options().write(true).open(format!("/sys/fs/cgroup/{}/cgroup.procs", told()));
    procs.and_then(|mut procs| procs.write_all(b"0")).unwrap();
    match master().queue_capacity(100 * MIB).open() {
        Err(error @ Error::Create { .. }) => say(error),
        other => say(format!("{:?}", other.map(|master| master.role()))),
    }
    say(master().open().is_ok());
}

#[test]
fn a_segment_that_is_too_large_for_the_cgroup_is_an_error_and_no_kill() {
    let name = Name::new("cgroup");
    let Some(cgroup) = Cgroup::new(&name) else {
        println!(
            "SKIPPED: a_segment_that_is_too_large_for_the_cgroup_is_an_error_and_no_kill needs to make a cgroup (root)"
        );
        return;
    };
    let mut child = Child::start("cgroup", &name);
    child.tell(cgroup.0.strip_prefix("/sys/fs/cgroup").unwrap().to_str().unwrap());
    let error = child.line();
    assert!(
        error.contains("reserving its memory") && error.contains("the memory limit of the cgroup"),
        "{error}"
    );
    child.expect("true");
    assert!(child.ended().success());
}

/// The directory of a child: it has the name of the segment.
fn directory(segment: &str) -> PathBuf {
    format!("/dev/shm/{segment}").into()
}

fn builder(segment: &str) -> Builder {
    Endpoint::builder("left").domain(Domain::new(directory(segment), "t_").unwrap()).role(Role::Master)
}

fn open_what_belongs_to_another(segment: &str) {
    nix::unistd::setuid(nix::unistd::Uid::from_raw(65534)).unwrap();
    let builder = || builder(segment).any_owner(true).mode(0o666);
    let master = builder().open().unwrap();
    let inspector = master.inspector();
    say(inspector.check_removed().is_ok());
    match master.close() {
        Err(error @ Error::Remove { .. }) => say(format!("{} {error}", error.code())),
        other => say(format!("{other:?}")),
    }
    say(inspector.check_removed().is_ok());
    say(builder().queue_capacity(8192).open().unwrap_err());
    let removal = builder_domain(segment).remove_dead().unwrap();
    say(&removal.left[0].reason);
    say(builder().any_owner(false).open().unwrap_err().code());
    told();
    say(builder().open().unwrap_err());
}

fn builder_domain(segment: &str) -> Domain {
    Domain::new(directory(segment), "t_").unwrap()
}

#[test]
fn a_file_that_only_its_owner_can_remove_is_told_at_the_close() {
    if !nix::unistd::geteuid().is_root() {
        println!(
            "SKIPPED: a_file_that_only_its_owner_can_remove_is_told_at_the_close needs root, to give a file away"
        );
        return;
    }
    let name = Name::new("sticky");
    let (folder, file) = (directory(&name), directory(&name).join("t_left"));
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
    builder(&name).mode(0o666).auto_cleanup(false).open().unwrap().close().unwrap();
    chown(&file, Some(1), Some(1)).unwrap();
    let mut child = Child::start("sticky", &name);
    child.expect("true");
    let names_the_owner = |said: &str, what: &str| {
        let sticky =
            format!("it belongs to user 1 (daemon), and {} has the sticky bit (mode 1777)", folder.display());
        let anonymous = sticky.replace(" (daemon)", "");
        assert!(said.contains(what) && (said.contains(&sticky) || said.contains(&anonymous)), "{said}");
    };
    names_the_owner(&child.line(), "-5 segment 'left': the endpoint is closed, but ");
    child.expect("false");
    names_the_owner(&child.line(), "removing the segment that it replaces");
    names_the_owner(&child.line(), "cannot remove it: Operation not permitted");
    child.expect("-3");
    // One that cannot even be opened.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    child.tell("open it");
    let said = child.line();
    assert!(said.contains("it belongs to user 1") && said.contains("with mode 0600"), "{said}");
    assert!(child.ended().success());
    fs::remove_dir_all(folder).unwrap();
}
