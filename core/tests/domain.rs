//! Domains: which directory and which prefix, and what a file system or a sandbox lacks.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::{Child, Name, WATCHDOG, say, scenario};
use eshm::{Builder, Domain, Endpoint, Error, Role};
use tempfile::TempDir;

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match &*scenario {
        "environment" => use_the_environment(&segment),
        "no nameless files" => live_in(Sandbox { nameless: false, proc: true, root: true }, &segment),
        "no /proc" => live_in(Sandbox { nameless: true, proc: false, root: true }, &segment),
        "no /proc, no root" => live_in(Sandbox { nameless: true, proc: false, root: false }, &segment),
        "neither" => live_in(Sandbox { nameless: false, proc: false, root: false }, &segment),
        "die" => drop(builder(&segment, &domain_of(&segment)).role(Role::Master).open()),
        other => panic!("no scenario {other}"),
    }
}

fn builder(name: &str, domain: &Domain) -> Builder {
    Endpoint::builder(name).domain(domain.clone())
}

/// A directory of its own, and the domain there.
fn own_directory(prefix: &str) -> (TempDir, Domain) {
    let directory = tempfile::tempdir().unwrap();
    let domain = Domain::new(directory.path(), prefix).unwrap();
    (directory, domain)
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn assert_exchange(master: &mut Endpoint, slave: &mut Endpoint, text: &[u8]) {
    master.send(text).unwrap();
    // With a limit: a slave that has not moved yet takes its master for closed.
    assert_eq!(&*slave.recv_timeout(WATCHDOG).unwrap().unwrap(), text);
    slave.write(text).unwrap();
    assert_eq!(&*master.read_timeout(WATCHDOG).unwrap().unwrap(), text);
}

#[test]
fn one_name_in_two_domains_is_two_segments() {
    let (directory, here) = own_directory("a_");
    let domains = [
        here.clone(),
        Domain::new(here.directory(), "b_").unwrap(),
        Domain::new(here.directory(), "").unwrap(),
    ];
    let (_other, there) = own_directory("a_");
    let mut pairs: Vec<(Endpoint, Endpoint)> = domains
        .iter()
        .chain([&there])
        .map(|domain| {
            let open = |role| builder("robot", domain).role(role).open().unwrap();
            (open(Role::Master), open(Role::Slave))
        })
        .collect();
    assert_eq!(files(directory.path()), ["a_robot", "b_robot", "robot"]);
    for (number, (master, slave)) in pairs.iter_mut().enumerate() {
        assert_exchange(master, slave, format!("in {number}").as_bytes());
    }
    let mut observer = builder("robot", &there).observe().unwrap();
    assert_eq!(observer.look().master_to_slave.written, 0);
    assert_eq!(observer.look().slave_to_master.written, 1);
    drop(pairs);
    assert_eq!(files(directory.path()), [""; 0], "a clean close removes the name in its domain");
}

/// Says where a segment is, each time with another environment.
fn use_the_environment(segment: &str) {
    let directory = std::env::var("TEST_DIRECTORY").unwrap();
    let set = |variable: &str, value: &str| {
        // SAFETY: nothing else in this process reads or writes the environment meanwhile: the test's thread waits for this
        // one, and the heartbeat thread does not use it.
        unsafe { std::env::set_var(variable, value) };
    };
    for (variables, path) in [
        (["", ""], format!("/dev/shm/eshm_{segment}")),
        ([&directory, ""], format!("{directory}/eshm_{segment}")),
        (["", "other_"], format!("/dev/shm/other_{segment}")),
        ([&directory, "other_"], format!("{directory}/other_{segment}")),
    ] {
        set("ESHM_DIRECTORY", variables[0]);
        set("ESHM_PREFIX", variables[1]);
        let master = Endpoint::master(segment).unwrap();
        let observer = eshm::Observer::open(segment).unwrap();
        say(fs::exists(path).unwrap() && observer.is_current());
        // What an endpoint was opened with, it keeps.
        set("ESHM_PREFIX", "unused_");
        set("ESHM_DIRECTORY", "/nowhere");
        let explicit = Domain::new(&directory, "explicit_").unwrap();
        let _explicit = builder(segment, &explicit).role(Role::Master).open().unwrap();
        say(fs::exists(format!("{directory}/explicit_{segment}")).unwrap());
        master.close().unwrap();
        say(files(Path::new(&directory)) == [format!("explicit_{segment}")]);
    }
    set("ESHM_DIRECTORY", "dev/shm");
    say(Endpoint::master(segment).unwrap_err());
    say(eshm::Observer::open(segment).unwrap_err().code());
}

#[test]
fn the_environment_chooses_at_each_opening() {
    let name = Name::new("environment");
    let directory = tempfile::tempdir().unwrap();
    let variables = [("TEST_DIRECTORY", directory.path().to_str().unwrap())];
    let child = Child::start_with("environment", &name, &variables);
    (0..12).for_each(|_| child.expect("true"));
    child.expect("domain: ESHM_DIRECTORY is \"dev/shm\"; expected an absolute path without NUL");
    child.expect("-1");
    assert!(child.ended().success());
    assert_eq!(files(directory.path()), [""; 0]);
}

#[test]
fn the_prefix_leaves_its_part_of_a_name() {
    let (directory, domain) = own_directory("a-prefix-of-20-bytes");
    let longest = "n".repeat(235);
    let _master = builder(&longest, &domain).role(Role::Master).open().unwrap();
    assert_eq!(files(directory.path())[0].len(), 255);
    let error = builder(&format!("{longest}n"), &domain).open().unwrap_err();
    assert!(error.to_string().contains("is too long; expected 1 to 235 bytes"), "{error}");
    let error = builder(&format!("{longest}n"), &domain).observe().unwrap_err();
    assert_eq!(error.code(), -1, "{error}");
}

#[test]
fn what_is_unread_in_another_directory_survives_its_master() {
    let (directory, domain) = own_directory("mine_");
    let master = || builder("robot", &domain).role(Role::Master).auto_cleanup(false);
    let mut first = master().open().unwrap();
    first.send(b"unread").unwrap();
    first.close().unwrap();
    let mut second = master().open().unwrap();
    let mut slave = builder("robot", &domain).role(Role::Slave).open().unwrap();
    assert_eq!(&*slave.recv().unwrap(), b"unread");
    // A replaced segment, a removed name: both are looked for in the domain.
    second.send(b"also unread").unwrap();
    second.close().unwrap();
    let mut third = master().queue_capacity(8192).open().unwrap();
    assert_eq!(&*slave.recv().unwrap(), b"also unread");
    fs::remove_file(directory.path().join("mine_robot")).unwrap();
    common::poll("the stand-in", || (files(directory.path()) == ["mine_robot"]).then_some(()));
    assert_exchange(&mut third, &mut slave, b"still here");
}

#[test]
fn errors_name_the_real_path() {
    let (directory, domain) = own_directory("mine_");
    let path = directory.path().join("mine_robot").display().to_string();
    let open = |domain: &Domain, role: Option<Role>| {
        builder("robot", domain).role(role).connect_timeout(Duration::ZERO).open().unwrap_err().to_string()
    };
    let says = |text: String, parts: &[&str]| {
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} not in {text:?}");
        assert!(!text.contains("/dev/shm"), "{text}");
    };
    says(open(&domain, Some(Role::Slave)), &["there is no such segment", &path]);
    says(builder("robot", &domain).observe().unwrap_err().to_string(), &[&path]);
    fs::write(&path, "nonsense").unwrap();
    says(open(&domain, None), &["the size is 8 bytes", &format!("needs {path}, remove it")]);
    fs::remove_file(&path).unwrap();

    let missing = Domain::new(directory.path().join("missing"), "mine_").unwrap();
    let shown = missing.directory().display().to_string();
    says(open(&missing, Some(Role::Master)), &["cannot create", &format!("{shown} is missing")]);
    fs::write(missing.directory(), "a file").unwrap();
    says(open(&missing, Some(Role::Master)), &["cannot attach", &format!("{shown} is not a directory")]);
}

/// What is taken from a process.
#[derive(Clone, Copy)]
struct Sandbox {
    /// Whether files without a name can be made.
    nameless: bool,
    proc: bool,
    root: bool,
}

/// Has the kernel answer EOPNOTSUPP to each `openat` with O_TMPFILE, for this thread and those that it starts.
fn forbid_nameless_files() {
    const TMPFILE_BIT: u32 = 0o20_000_000;
    let (number, flags) = (std::mem::offset_of!(libc::seccomp_data, nr) as u32, 16 + 2 * 8);
    let flags = if cfg!(target_endian = "big") { flags + 4 } else { flags };
    let step =
        |code: u32, yes: u8, no: u8, k: u32| libc::sock_filter { code: code as u16, jt: yes, jf: no, k };
    let filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, number),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 3, libc::SYS_openat as u32),
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, flags),
        step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, TMPFILE_BIT),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program and its steps live until the kernel has copied them.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0);
}

/// Gives this process a mount namespace without /proc; whether that is permitted.
fn unmount_proc() -> bool {
    // SAFETY: takes no pointers; other threads of this process, which share nothing with it then, do not care.
    let private = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
    let run = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
    };
    private && run("mount", &["--make-rprivate", "/"]) && run("umount", &["-l", "/proc"])
}

/// The domain of a child: its directory is the segment's name.
fn domain_of(segment: &str) -> Domain {
    Domain::new(format!("/dev/shm/{segment}"), "mine_").unwrap()
}

fn live_in(sandbox: Sandbox, segment: &str) {
    if !sandbox.proc && !unmount_proc() {
        return say("no mount namespace");
    }
    if !sandbox.root {
        nix::unistd::setuid(nix::unistd::Uid::from_raw(65534)).unwrap();
    }
    if !sandbox.nameless {
        forbid_nameless_files();
    }
    say("in the sandbox");
    assert_eq!(fs::exists("/proc/self").unwrap(), sandbox.proc);
    let domain = domain_of(segment);
    let here = || files(domain.directory());
    let open = |role, queue| builder("robot", &domain).role(role).mode(0o640).queue_capacity(queue).open();
    let mut master = open(Role::Master, 8192).unwrap();
    say(here().join(" "));
    say(format!(
        "{:o}",
        fs::metadata(domain.directory().join("mine_robot")).unwrap().permissions().mode() & 0o777
    ));
    let mut slave = builder("robot", &domain).role(Role::Slave).open().unwrap();
    assert_exchange(&mut master, &mut slave, b"hello");
    say(open(Role::Master, 8192).unwrap_err().code());
    master.close().unwrap();
    let mut master = open(Role::Master, 16384).unwrap();
    assert_exchange(&mut master, &mut slave, b"hello again");
    say(here().join(" "));
    master.close().unwrap();
    say(format!("{} files", here().len()));
}

#[test]
fn segments_are_made_without_what_a_sandbox_lacks() {
    let is_root = nix::unistd::geteuid().is_root();
    for scenario in ["no nameless files", "no /proc", "no /proc, no root", "neither"] {
        if scenario != "no nameless files" && !is_root {
            println!(
                "SKIPPED: {scenario}: segments_are_made_without_what_a_sandbox_lacks needs root, to unmount /proc"
            );
            continue;
        }
        let name = Name::new("sandbox");
        let domain = domain_of(&name);
        fs::create_dir(domain.directory()).unwrap();
        fs::set_permissions(domain.directory(), fs::Permissions::from_mode(0o777)).unwrap();
        let child = Child::start(scenario, &name);
        let said = child.line();
        if said == "in the sandbox" {
            for said in ["mine_robot", "640", "-15", "mine_robot", "0 files"] {
                child.expect(said);
            }
            assert!(child.ended().success(), "{scenario}");
        } else {
            println!("SKIPPED: {scenario}: {said}");
        }
        fs::remove_dir_all(domain.directory()).unwrap();
    }
}

/// A name of those that are for temporary files is nobody's.
#[test]
fn names_of_temporary_files_are_refused() {
    let (_directory, domain) = own_directory("");
    for prefix in ["", "mine_"] {
        let domain = Domain::new(domain.directory(), prefix).unwrap();
        match builder(".eshm-tmp-1", &domain).open() {
            Err(error @ Error::InvalidName { .. }) => {
                assert!(error.to_string().contains("temporary"), "{error}")
            }
            other => panic!("{other:?}"),
        }
    }
}
