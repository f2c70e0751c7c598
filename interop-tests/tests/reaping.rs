//! Promise of the kit itself: it ends the processes it started, whatever happens, and no others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use interop_tests::language::{Language, Pairing};
use interop_tests::life::{Plan, hunt};
use interop_tests::scenario::{Side, Stage};
use interop_tests::segment::Segment;
use interop_tests::toolchain::Peers;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn rust_with_rust(test: impl FnOnce(&Stage<'_>)) {
    let rust = Language::named("rust").unwrap();
    let peers = Peers::prepare(&[rust]).unwrap();
    test(&Stage { pairing: Pairing { master: rust, slave: rust }, peers: &peers });
}

fn exists(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

#[test]
fn a_panic_leaves_no_process_and_no_segment() {
    rust_with_rust(|stage| {
        let mut seen = None;
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let segment = Segment::fresh("reaping");
            let mut peer = stage.start(Side::Master, &segment, "commands", &[]).unwrap();
            peer.ask("open").unwrap();
            // A process that reacts only to SIGKILL.
            peer.signal(Signal::SIGSTOP).unwrap();
            assert!(exists(peer.pid()) && segment.exists());
            seen = Some((peer.pid(), segment.path()));
            panic!("as a test that fails does");
        }));
        assert!(panicked.is_err());
        let (pid, path) = seen.unwrap();
        assert!(!exists(pid), "process {pid} is left");
        assert!(!path.exists(), "{} is left", path.display());
    });
}

#[test]
fn a_peer_that_ends_early_is_an_error_that_says_how() {
    rust_with_rust(|stage| {
        let segment = Segment::fresh("reaping");
        let mut peer = stage.start(Side::Master, &segment, "commands", &[]).unwrap();
        peer.ask("open").unwrap();
        peer.signal(Signal::SIGKILL).unwrap();
        let error = format!("{:#}", peer.answer().unwrap_err());
        assert!(error.contains("rust master ended early") && error.contains("SIGKILL"), "{error}");
        let error =
            stage.start(Side::Master, &segment, "commands", &[]).unwrap().ask("no-such-command").unwrap_err();
        assert!(format!("{error:#}").contains("no endpoint is open"), "{error:#}");
    });
}

#[test]
fn a_failed_life_leaves_nothing_behind() {
    let rust = Language::named("rust").unwrap();
    // A peer program that answers `open` with an invalid line.
    let peers =
        Peers::prepare(&[rust]).unwrap().replaced(rust, &["sh", "-c", "read line; echo nonsense; cat >&2"]);
    let pairings = vec![Pairing { master: rust, slave: rust }];
    let program = "master open\nmaster kill\n".parse().unwrap();
    let plan = Plan { pairings, replay: Some(("nonsense".to_owned(), program)), ..Plan::default() };
    let report = hunt(&plan, &peers, |_| {}).unwrap();
    let found = report.found.first().expect("it failed").to_string();
    assert!(found.contains("nonsense") && found.contains("> open-with role=master"), "{found}");
    let prefix = format!("eshm_interop-life-{}-", std::process::id());
    let left = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let left: Vec<_> =
        left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).collect();
    assert!(left.is_empty(), "{left:?}");
}
