//! Which segments there are, and what is removed of them: beside those that live, start, are foreign, or belong to ESHM 1.x.

#![allow(clippy::disallowed_types, reason = "flags and counters of the tests themselves")]

mod common;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::place::{Place, names};
use common::{WATCHDOG, poll, say, scenario, told};
use eshm::{Domain, Endpoint, Error, PeerState, Role, Segment, SegmentKind};
use nix::sys::stat::Mode;

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, directory)) = scenario() else { return };
    let domain = Domain::new(&directory, "t_").unwrap();
    let builder = Endpoint::builder("killed").domain(domain.clone()).role(Role::Master);
    match &*scenario {
        "be killed" => {
            let mut master = builder.open().unwrap();
            master.send(b"unread").unwrap();
            say("open");
            told();
        }
        "look as another user" => look_as_another_user(&domain),
        "die while making" => drop(builder.open()),
        "die while removing" => drop(domain.remove_dead()),
        other => panic!("no scenario {other}"),
    }
}

fn look_as_another_user(domain: &Domain) {
    nix::unistd::setuid(nix::unistd::Uid::from_raw(65534)).unwrap();
    let Segment { kind, owner, owner_name, reason, .. } = domain.segments().unwrap().remove(0);
    say(format!("{kind} {owner} {owner_name:?} {reason}"));
    let removal = domain.remove_dead().unwrap();
    say(format!("removed {}, left {}", removal.removed.len(), removal.left.len()));
}

/// A pid that no process has.
fn no_pid() -> i32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id() as i32
}

#[test]
fn a_segment_is_listed_with_who_sits_there_and_what_waits() {
    let place = Place::new();
    let mut master = place.builder("robot", Role::Master).mode(0o640).open().unwrap();
    master.send(b"one").unwrap();
    master.send(&[2; 1000]).unwrap();
    master.write(b"value").unwrap();
    let robot = place.segment("robot");
    assert_eq!((robot.kind, &*robot.reason), (SegmentKind::Current, ""));
    assert_eq!(robot.path, place.path("robot"));
    assert_eq!(robot.size, fs::metadata(place.path("robot")).unwrap().len());
    assert_eq!((robot.owner, robot.mode), (nix::unistd::geteuid().as_raw(), 0o640));
    assert!(robot.since.is_some_and(|since| since.elapsed().unwrap() < WATCHDOG));
    let view = robot.view.unwrap();
    assert_eq!((view.master.state, view.slave.state), (PeerState::Alive, PeerState::Absent));
    assert_eq!(view.master.pid as u32, std::process::id());
    assert_eq!((view.master_to_slave.waiting, view.slave_to_master.waiting), (2, 0));
    assert_eq!(view.master_to_slave.written, 1);
    assert!(view.master_to_slave.slots >= 2);

    let mut slave = place.builder("robot", Role::Slave).open().unwrap();
    slave.recv().unwrap();
    slave.try_recv().unwrap();
    slave.close().unwrap();
    let view = place.segment("robot").view.unwrap();
    assert_eq!(view.slave.state, PeerState::Closed);
    assert_eq!(
        view.master_to_slave.waiting,
        place.builder("robot", Role::Slave).observe().unwrap().look().master_to_slave.waiting
    );
}

#[test]
fn the_dead_are_removed_and_the_living_left() {
    let place = Place::new();
    let living = place.master("living");
    place.builder("closed", Role::Master).auto_cleanup(false).open().unwrap().close().unwrap();
    let attached = place.builder("attached", Role::Master).auto_cleanup(false).open().unwrap();
    let slave = place.builder("attached", Role::Slave).open().unwrap();
    attached.close().unwrap();
    place.leave_killed();
    let killed = place.segment("killed").view.unwrap();
    assert_eq!((killed.master.state, killed.slave.state), (PeerState::Dead, PeerState::Absent));
    assert_eq!(killed.master_to_slave.waiting, 1);

    let (removed, left) = place.remove_dead();
    assert_eq!(removed, ["closed", "killed"]);
    let pid = std::process::id();
    assert_eq!(
        left,
        [
            ("attached".to_owned(), format!("its slave lives (pid {pid})")),
            ("living".to_owned(), format!("its master lives (pid {pid})")),
        ]
    );
    drop((living, slave));
    assert_eq!(place.remove_dead().0, ["attached"]);
    assert_eq!(fs::read_dir(place.domain.directory()).unwrap().count(), 0);
}

#[test]
fn what_is_no_segment_is_listed_and_left() {
    let place = Place::new();
    fs::write(place.path("a-text"), "a text").unwrap();
    fs::write(place.path("b-empty"), "").unwrap();
    fs::write(place.path("c-zeros"), [0; 8576]).unwrap();
    symlink("/etc/passwd", place.path("d-link")).unwrap();
    fs::create_dir(place.path("e-directory")).unwrap();
    nix::unistd::mkfifo(&place.path("f-fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    fs::write(place.domain.directory().join("another"), "not of this domain").unwrap();
    fs::write(place.path("g..dots"), "no segment's name").unwrap();
    let found: Vec<_> = place.domain.segments().unwrap();
    let kinds: Vec<_> = found.iter().map(|segment| (&*segment.name, segment.kind)).collect();
    use SegmentKind::{Foreign, Unfinished};
    assert_eq!(
        kinds,
        [
            ("a-text", Foreign),
            ("b-empty", Unfinished),
            ("c-zeros", Unfinished),
            ("d-link", Foreign),
            ("e-directory", Foreign),
            ("f-fifo", Foreign),
        ]
    );
    assert!(found.iter().all(|segment| segment.view.is_none() && !segment.reason.is_empty()));
    assert!(found[0].reason.contains("the size is 6 bytes"), "{}", found[0].reason);
    let (removed, left) = place.remove_dead();
    assert_eq!(removed, [""; 0]);
    let reasons: Vec<(String, String)> =
        found.into_iter().map(|segment| (segment.name, segment.reason)).collect();
    assert_eq!(left, reasons);
}

/// A header that says anything is read without a panic, and so is a file that is shorter than it was.
#[test]
fn hostile_files_are_listed() {
    let place = Place::new();
    place.builder("model", Role::Master).auto_cleanup(false).open().unwrap().close().unwrap();
    let model = fs::read(place.path("model")).unwrap();
    for offset in (0..128).step_by(4) {
        for value in [1u32, 2, 3, 128, 1 << 20, 1 << 31, u32::MAX - 127, u32::MAX] {
            let mut bytes = model.clone();
            bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
            fs::write(place.path("hostile"), &bytes).unwrap();
            place.segment("hostile");
            place.domain.find_dead().unwrap();
        }
    }
    // Marks and counts that promise more than there is.
    let mut bytes = model.clone();
    bytes[8576..].fill(0xff);
    fs::write(place.path("hostile"), &bytes).unwrap();
    let view = place.segment("hostile").view.unwrap();
    assert!(view.master_to_slave.waiting <= view.master_to_slave.slots);
    // A sparse file as long as a file can be.
    let file = File::options().write(true).open(place.path("hostile")).unwrap();
    file.set_len(1 << 60).or_else(|_| file.set_len(1 << 40)).unwrap();
    place.segment("hostile");

    let stop = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while stop.load(Ordering::Relaxed) == 0 {
                file.set_len(0).unwrap();
                file.set_len(64).unwrap();
                file.set_len(model.len() as u64).unwrap();
                file.write_all_at(&model[..8576], 0).unwrap();
            }
        });
        for _ in 0..200 {
            place.domain.segments().unwrap();
            place.domain.find_dead().unwrap();
        }
        stop.store(1, Ordering::Relaxed);
    });
}

#[test]
fn a_missing_directory_is_an_error() {
    let place = Place::new();
    fs::remove_dir(place.domain.directory()).unwrap();
    let errors = [place.domain.segments().unwrap_err(), place.domain.remove_dead().unwrap_err()];
    for error in errors {
        assert!(matches!(error, Error::Directory { .. }) && error.code() == -3, "{error}");
        assert!(error.to_string().contains(place.domain.directory().to_str().unwrap()), "{error}");
    }
}

#[test]
fn what_this_user_may_not_open_is_listed_and_left() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: what_this_user_may_not_open_is_listed_and_left needs root, to be another user");
        return;
    }
    let place = Place::new();
    let _master = place.master("private");
    fs::set_permissions(place.domain.directory(), fs::Permissions::from_mode(0o1777)).unwrap();
    let child = place.child("look as another user", &[]);
    child.expect("unreadable 0 Some(\"root\") cannot open it: Permission denied");
    child.expect("removed 0, left 1");
    assert!(child.ended().success());
}

#[test]
fn a_segment_of_eshm_1x_is_dead_when_its_process_is_and_its_heartbeat_stands() {
    let place = Place::new();
    let gone = no_pid();
    place.make_legacy("dead", gone);
    place.make_legacy("frozen", std::process::id() as i32);
    let beating = place.make_legacy("beating", gone);
    place.make_legacy("closed", gone).write_all_at(&0u32.to_ne_bytes(), 32).unwrap();
    let stop = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It may be stopped for long on a loaded machine: it beats as fast as it can.
            for beat in 0u64.. {
                beating.write_all_at(&beat.to_ne_bytes(), 8).unwrap();
                if stop.load(Ordering::Relaxed) == 1 {
                    break;
                }
                std::thread::yield_now();
            }
        });
        let state = |name| {
            let segment = place.segment(name);
            assert_eq!(segment.kind, SegmentKind::Legacy);
            segment.view.unwrap().master.state
        };
        assert_eq!(state("dead"), PeerState::Dead);
        assert_eq!(state("frozen"), PeerState::Frozen);
        assert_eq!(state("closed"), PeerState::Closed);
        poll("a heartbeat", || (state("beating") == PeerState::Alive).then_some(()));
        let (removed, left) = names(place.domain.remove_dead().unwrap());
        stop.store(1, Ordering::Relaxed);
        assert_eq!(removed, ["closed", "dead"]);
        assert_eq!(left[0], ("beating".to_owned(), format!("its master shows signs of life (pid {gone})")));
        let pid = std::process::id();
        let reason = format!("its master, of ESHM 1.x, may be alive: there is a process {pid}");
        assert_eq!(left[1], ("frozen".to_owned(), reason));
    });
}

/// Temporary files: of a creator that was killed, of one that was killed when the segment had its name, and of one that lives.
#[test]
fn temporary_files_are_removed_unless_somebody_uses_them() {
    let place = Place::new();
    let _master = place.master("robot");
    let file = |name: &str| place.domain.directory().join(name);
    fs::write(file("t_.eshm-tmp-1-a"), "").unwrap();
    fs::write(file(".eshm-tmp-2-b"), "").unwrap();
    fs::hard_link(place.path("robot"), file("t_.eshm-tmp-3-c")).unwrap();
    symlink(place.path("robot"), file("t_.eshm-tmp-4-d")).unwrap();
    let used = File::create(file("t_.eshm-tmp-5-e")).unwrap();
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 24,
        l_len: 4,
        l_pid: 0,
    };
    // SAFETY: a descriptor and a lock of this function's.
    assert_eq!(unsafe { libc::fcntl(used.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);

    assert_eq!(place.domain.segments().unwrap().len(), 1, "temporary files are not listed");
    let (mut removed, left) = place.remove_dead();
    removed.sort();
    assert_eq!(removed, [".eshm-tmp-2-b", "t_.eshm-tmp-1-a", "t_.eshm-tmp-3-c"]);
    assert_eq!(left.len(), 2);
    assert!(left.contains(&("t_.eshm-tmp-5-e".to_owned(), "somebody is making a segment of it".to_owned())));
    assert!(place.path("robot").exists() && file("t_.eshm-tmp-4-d").is_symlink());
    drop(used);
    assert_eq!(place.remove_dead().0, ["t_.eshm-tmp-5-e"]);
}

/// Ends the race when one of its threads fails.
struct Ending<'a>(&'a AtomicUsize);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.fetch_max(OPENINGS, Ordering::Relaxed);
    }
}

/// How many openings a race lasts.
const OPENINGS: usize = 2000;

/// Those who open and those who remove race. An open that succeeds has the segment that the name leads to, and there is never
/// more than one master.
#[test]
fn nobody_opens_what_is_being_removed() {
    let place = Place::new();
    let (opened, removed, masters) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let is_over = || opened.load(Ordering::Relaxed) >= OPENINGS;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _ending = Ending(&opened);
                while !is_over() {
                    let removal = place.domain.remove_dead().unwrap();
                    removed.fetch_add(removal.removed.len(), Ordering::Relaxed);
                }
            });
        }
        for number in 0..2 {
            let (place, opened, masters) = (&place, &opened, &masters);
            scope.spawn(move || {
                let _ending = Ending(opened);
                while opened.load(Ordering::Relaxed) < OPENINGS {
                    let builder = place.builder("robot", Role::Master).auto_cleanup(false);
                    let mut master = match builder.background(number == 0).open() {
                        Ok(master) => master,
                        // The other one has it; or one that removes it, or tries to, for a moment.
                        Err(Error::SeatTaken { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    assert_eq!(masters.fetch_add(1, Ordering::SeqCst), 0, "a second master");
                    // Its segment has its name: whoever opens the name meets it.
                    let slave = place.builder("robot", Role::Slave).connect_timeout(Duration::ZERO);
                    let mut slave = slave.open().unwrap();
                    master.send(b"hello").unwrap();
                    assert_eq!(&*slave.recv_timeout(WATCHDOG).unwrap().unwrap(), b"hello");
                    masters.fetch_sub(1, Ordering::SeqCst);
                    drop(slave);
                    master.close().unwrap();
                    opened.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(removed.into_inner() > 0, "they have met");
}

/// A process that is killed while it makes a segment by a temporary name, or while it removes one, leaves nothing that lasts.
#[cfg(feature = "crash-points")]
#[test]
fn a_kill_at_each_step_leaves_what_the_next_one_removes() {
    let files = |place: &Place| {
        let entries = fs::read_dir(place.domain.directory()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let die = |place: &Place, scenario, point| {
        let child = place.child(scenario, &[("ESHM_CRASH", point)]);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.ended()), Some(libc::SIGKILL));
    };
    for (point, left) in [("create.temporary", 1), ("create.doubled", 2)] {
        let place = Place::new();
        die(&place, "die while making", point);
        assert_eq!(files(&place).len(), left, "{point}");
        // What the killed one has left stops nobody.
        let mut master = place.master("killed");
        let mut slave = place.builder("killed", Role::Slave).open().unwrap();
        master.send(b"hello").unwrap();
        assert_eq!(&*slave.recv().unwrap(), b"hello");
        place.domain.remove_dead().unwrap();
        assert_eq!(files(&place), ["t_killed"], "{point}");
    }
    for (point, left) in [("remove.locked", 1), ("remove.unlinked", 0)] {
        let place = Place::new();
        place.leave_killed();
        die(&place, "die while removing", point);
        assert_eq!(files(&place).len(), left, "{point}");
        let mut slave = place.builder("killed", Role::Slave).connect_timeout(Duration::ZERO).open();
        assert_eq!(slave.is_ok(), left == 1, "{point}");
        if let Ok(slave) = &mut slave {
            assert_eq!(&*slave.recv().unwrap(), b"unread");
        }
        place.master("killed").close().unwrap();
        assert_eq!(files(&place).len(), 0, "{point}");
    }
}
