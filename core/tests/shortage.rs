//! A file system that is full or read-only, a limit of file sizes, no descriptors: errors that say so, and nothing half made.

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use common::{Child, Name, poll, say, scenario, told};
use eshm::{Endpoint, Error, Role};
use nix::sys::resource::{Resource, setrlimit};

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match &*scenario {
        "limited" => make_under_a_limit(&segment),
        "replace" => replace_under_a_limit(&segment),
        "small shm" => use_a_small_shm(&segment),
        "read-only shm" => use_a_read_only_shm(&segment),
        "no descriptors" => run_out_of_descriptors(&segment),
        other => panic!("no scenario {other}"),
    }
}

fn limit_file_size() {
    setrlimit(Resource::RLIMIT_FSIZE, 100_000, 100_000).unwrap();
}

fn make_under_a_limit(segment: &str) {
    limit_file_size();
    let builder = Endpoint::builder(segment).role(Role::Master);
    match builder.clone().data_size(1 << 20).open() {
        Err(error @ Error::Create { .. }) => say(error),
        other => say(format!("{other:?}")),
    }
    say(format!("exists: {}", fs::exists(format!("/dev/shm/eshm_{segment}")).unwrap()));
    say(format!("a small one: {:?}", builder.queue_capacity(0).open().map(|master| master.data_size()).ok()));
}

#[test]
fn no_memory_is_an_error_and_nothing_is_made() {
    let name = Name::new("limited");
    let child = Child::start("limited", &name);
    let error = child.line();
    assert!(error.contains("reserving its memory") && error.contains("ulimit -f"), "{error}");
    child.expect("exists: false");
    child.expect("a small one: Some(4096)");
    assert!(child.ended().success());
}

fn replace_under_a_limit(segment: &str) {
    limit_file_size();
    let larger = Endpoint::builder(segment).role(Role::Master).data_size(1 << 20).open();
    say(larger.unwrap_err().code());
}

/// A master that cannot make the segment it wants leaves the one that is there, and what is unread in it.
#[test]
fn a_replacement_that_fails_loses_nothing() {
    let name = Name::new("replace");
    let mut master = Endpoint::builder(&name).role(Role::Master).auto_cleanup(false).open().unwrap();
    master.send(b"unread").unwrap();
    master.close().unwrap();
    let child = Child::start("replace", &name);
    child.expect("-2");
    assert!(child.ended().success());
    assert!(name.exists(), "the old segment is gone, and no new one was made");
    assert_eq!(&*Endpoint::slave(&name).unwrap().recv().unwrap(), b"unread");
}

/// Gives this process a /dev/shm of its own, mounted with these options; whether that is permitted.
fn mount_own_shm(options: &str) -> bool {
    let mount = |arguments: &[&str]| {
        std::process::Command::new("mount").args(arguments).status().is_ok_and(|status| status.success())
    };
    // SAFETY: takes no pointers; other threads of this process, which share nothing with it then, do not care.
    let private = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
    private && mount(&["--make-rprivate", "/"]) && mount(&["-t", "tmpfs", "-o", options, "tmpfs", "/dev/shm"])
}

/// In a mount namespace of its own, with a /dev/shm of 64 KiB.
fn use_a_small_shm(segment: &str) {
    if !mount_own_shm("size=64k") {
        return say("no mount namespace");
    }
    say("mounted");
    let error = Endpoint::builder(segment).role(Role::Master).data_size(1 << 20).open().unwrap_err();
    say(error);
    say(format!("files: {}", fs::read_dir("/dev/shm").unwrap().count()));

    // As ESHM 1.x makes one: never reserved, so that its memory may be missing when it is used.
    let path = format!("/dev/shm/eshm_{segment}");
    let sparse = fs::File::create(&path).unwrap();
    sparse.set_len(128 + 2 * (128 + 65536)).unwrap();
    let header = [0x4553_484Du32, 3, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1, 1, 128 + 2 * (128 + 65536)];
    sparse.write_all_at(&header.map(u32::to_ne_bytes).concat(), 0).unwrap();
    // Fails when the space is used up.
    let _ = fs::write("/dev/shm/filler", vec![1; 1 << 20]);
    match Endpoint::slave(segment) {
        Err(error) => say(error.code()),
        Ok(mut slave) => say(format!("{:?}", slave.write(&[1; 65536]))),
    }
    told();
}

#[test]
fn a_full_shm_is_an_error_and_never_a_bus_error() {
    let name = Name::new("full");
    let child = Child::start("small shm", &name);
    if child.line() != "mounted" {
        println!("SKIPPED: a_full_shm_is_an_error_and_never_a_bus_error needs to mount a tmpfs (root)");
        return;
    }
    let error = child.line();
    assert!(error.contains("/dev/shm is full"), "{error}");
    child.expect("files: 0");
    child.expect("-3");
    assert!(child.ended().success());
}

fn use_a_read_only_shm(segment: &str) {
    if !mount_own_shm("ro") {
        return say("no mount namespace");
    }
    say("mounted");
    say(Endpoint::master(segment).unwrap_err());
    let slave = Endpoint::builder(segment).role(Role::Slave).connect_timeout(Duration::ZERO).open();
    say(slave.unwrap_err().code());
    say(format!("files: {}", fs::read_dir("/dev/shm").unwrap().count()));
}

#[test]
fn a_read_only_shm_is_an_error_that_says_so() {
    let name = Name::new("read-only");
    let child = Child::start("read-only shm", &name);
    if child.line() != "mounted" {
        println!("SKIPPED: a_read_only_shm_is_an_error_that_says_so needs to mount a tmpfs (root)");
        return;
    }
    let error = child.line();
    assert!(error.contains("mounted read-only: mount it writable"), "{error}");
    child.expect("-3");
    child.expect("files: 0");
    assert!(child.ended().success());
}

/// Opens endpoints until no descriptor is left for one more.
fn run_out_of_descriptors(segment: &str) {
    setrlimit(Resource::RLIMIT_NOFILE, 40, 40).unwrap();
    let open = |number| Endpoint::master(&format!("{segment}-{number}"));
    let mut masters = Vec::new();
    let error = loop {
        match open(masters.len()) {
            Ok(master) => masters.push(master),
            Err(error) => break error,
        }
        assert!(masters.len() < 40, "there is a limit");
    };
    say(&error);
    let made = masters.len();
    let exists = |number: &usize| fs::exists(format!("/dev/shm/eshm_{segment}-{number}")).unwrap();
    say(format!("half-made: {}", exists(&made)));
    let slave = Endpoint::slave(&format!("{segment}-0"));
    say(slave.unwrap_err());
    // What is open works, and what is closed gives its descriptor back.
    masters[0].send(b"still here").unwrap();
    masters.pop().unwrap().close().unwrap();
    // The background thread may have been looking after it, and lets it go a moment later.
    drop(poll("a free descriptor", || open(made).ok()));
    say("again");
    drop(masters);
    poll("the last name's end", || (0..=made).all(|number| !exists(&number)).then_some(()));
    say("nothing is left");
}

#[test]
fn no_descriptors_are_an_error_and_nothing_is_half_made() {
    let name = Name::new("descriptors");
    let child = Child::start("no descriptors", &name);
    let error = child.line();
    assert!(error.contains("no file descriptors are left: close some"), "{error}");
    child.expect("half-made: false");
    let error = child.line();
    assert!(error.contains("no file descriptors are left: close some"), "{error}");
    child.expect("again");
    child.expect("nothing is left");
    assert!(child.ended().success());
}
