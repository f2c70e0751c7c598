//! What lies under a name: made with exact permissions, refused when it is not ours, and never changed then.

mod common;

use std::fs::{self, Metadata, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::time::Duration;

use common::{Child, Name, poll, say, scenario};
use eshm::{Endpoint, Error, MAX_DATA_SIZE, Role};
use nix::sys::stat::{Mode, umask};

const ROLES: [Option<Role>; 3] = [Some(Role::Master), Some(Role::Slave), None];

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match &*scenario {
        "umask decides" => let_the_umask_decide(&segment),
        "umask 0" => make_under_umask(&segment, 0),
        "umask 077" => make_under_umask(&segment, 0o077),
        "umask 0777" => make_under_umask(&segment, 0o777),
        other => panic!("no scenario {other}"),
    }
}

fn make_under_umask(segment: &str, mask: u32) {
    umask(Mode::from_bits_truncate(mask));
    for mode in [0o600, 0o660, 0o666, 0o777] {
        let master = Endpoint::builder(segment).role(Role::Master).mode(mode).open().unwrap();
        let found = fs::metadata(format!("/dev/shm/eshm_{segment}")).unwrap().mode() & 0o7777;
        say(if found == mode { "exact".to_owned() } else { format!("{found:#o} for {mode:#o}") });
        master.close().unwrap();
    }
}

#[test]
fn the_mode_is_exact_whatever_the_umask() {
    for mask in ["umask 0", "umask 077", "umask 0777"] {
        let name = Name::new("umask");
        let child = Child::start(mask, &name);
        (0..4).for_each(|_| child.expect("exact"));
        assert!(child.ended().success());
    }
}

fn let_the_umask_decide(segment: &str) {
    for mask in [0o022, 0, 0o027, 0o077] {
        umask(Mode::from_bits_truncate(mask));
        let master = Endpoint::builder(segment).role(Role::Master).mode_by_umask().open().unwrap();
        let mode = fs::metadata(format!("/dev/shm/eshm_{segment}")).unwrap().mode() & 0o7777;
        say(format!("{mask:#o} leaves {mode:#o}"));
        master.close().unwrap();
    }
}

#[test]
fn the_umask_decides_if_it_is_to() {
    let name = Name::new("by-umask");
    let child = Child::start("umask decides", &name);
    for said in ["0o22 leaves 0o644", "0o0 leaves 0o666", "0o27 leaves 0o640", "0o77 leaves 0o600"] {
        child.expect(said);
    }
    assert!(child.ended().success());
}

#[test]
fn the_mode_is_0600_by_default_and_a_take_over_sets_it() {
    let name = Name::new("mode");
    let mode = || fs::metadata(name.path()).unwrap().mode() & 0o7777;
    let builder = || Endpoint::builder(&name).role(Role::Master).auto_cleanup(false);
    builder().open().unwrap().close().unwrap();
    assert_eq!(mode(), 0o600);
    builder().mode(0o640).open().unwrap().close().unwrap();
    assert_eq!(mode(), 0o640);
    builder().mode_by_umask().open().unwrap().close().unwrap();
    assert_eq!(mode(), 0o640, "a take-over leaves it as it is");
}

#[test]
fn a_segment_is_given_to_its_group_and_a_take_over_does_so_too() {
    if !nix::unistd::geteuid().is_root() {
        println!(
            "SKIPPED: a_segment_is_given_to_its_group_and_a_take_over_does_so_too needs root, to name any group"
        );
        return;
    }
    let name = Name::new("group");
    let access = || {
        let meta = fs::metadata(name.path()).unwrap();
        (meta.gid(), meta.mode() & 0o7777)
    };
    let builder = || Endpoint::builder(&name).role(Role::Master).mode(0o660).auto_cleanup(false);
    builder().group(65534).open().unwrap().close().unwrap();
    assert_eq!(access(), (65534, 0o660));
    builder().group(1).open().unwrap().close().unwrap();
    assert_eq!(access(), (1, 0o660));
}

#[test]
fn bad_names_are_refused_and_nothing_is_made() {
    let before = || fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
    let long = "n".repeat(251);
    for role in ROLES {
        for name in ["", "a/b", "/a", "..", "../etc/passwd", "a\0b", &long] {
            match Endpoint::builder(name).role(role).open() {
                Err(error @ Error::InvalidName { .. }) => assert_eq!(error.code(), -1),
                other => panic!("{name:?}: {other:?}"),
            }
            assert!(before().all(|file| file.to_string_lossy() != format!("eshm_{name}")));
        }
    }
}

#[test]
fn the_longest_and_the_strangest_names_work() {
    let longest = format!("{:x<250}", &*Name::new("longest"));
    for name in [longest, format!("größe {}\n.", &*Name::new("strange"))] {
        let mut master = Endpoint::master(&name).unwrap();
        let mut slave = Endpoint::slave(&name).unwrap();
        master.send(b"hello").unwrap();
        assert_eq!(&*slave.recv().unwrap(), b"hello");
    }
}

/// What must not change of a file that is refused.
fn state(meta: &Metadata) -> (u64, u32, u32, u64, i64, i64, i64) {
    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime_nsec());
    (meta.ino(), meta.mode(), meta.uid(), meta.len(), times.0, times.1, times.2)
}

/// Every role refuses what lies under the name, at once and with this `what` or action, and leaves it as it is.
#[track_caller]
fn assert_refused(name: &Name, what: &str) -> String {
    let before = state(&name.path().symlink_metadata().unwrap());
    let bytes = || name.path().symlink_metadata().unwrap().is_file().then(|| fs::read(name.path()).unwrap());
    let content = bytes();
    let mut text = String::new();
    for role in ROLES {
        let error = Endpoint::builder(name).role(role).connect_timeout(Duration::ZERO).open().unwrap_err();
        assert_eq!(error.code(), -3, "{role:?}: {error}");
        text = error.to_string();
        assert!(text.contains(what) && text.contains(&**name), "{role:?}: {what:?} not in {text:?}");
        assert_eq!(state(&name.path().symlink_metadata().unwrap()), before, "{role:?} changed it");
        assert!(bytes() == content, "{role:?} changed its bytes");
    }
    text
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let name = Name::new("symlink");
    let victim = tempfile::NamedTempFile::new().unwrap();
    fs::write(victim.path(), "precious").unwrap();
    symlink(victim.path(), name.path()).unwrap();
    assert_refused(&name, "symbolic link");
    assert_eq!(fs::read(victim.path()).unwrap(), b"precious");

    let name = Name::new("dangling");
    symlink("/nowhere", name.path()).unwrap();
    assert_refused(&name, "symbolic link");

    let name = Name::new("directory");
    fs::create_dir(name.path()).unwrap();
    assert_refused(&name, "a directory");

    let name = Name::new("fifo");
    nix::unistd::mkfifo(&name.path(), Mode::from_bits_truncate(0o600)).unwrap();
    assert_refused(&name, "a FIFO");

    let name = Name::new("socket");
    let _socket = std::os::unix::net::UnixListener::bind(name.path()).unwrap();
    assert_refused(&name, "opening it");
}

/// The queue capacity of [`left_behind`].
const QUEUE: usize = 4096;

/// A segment that a master left, with a message in it.
fn left_behind(test: &str) -> Name {
    let name = Name::new(test);
    let builder = Endpoint::builder(&name).role(Role::Master).queue_capacity(QUEUE);
    let mut master = builder.auto_cleanup(false).open().unwrap();
    master.send(b"unread").unwrap();
    master.close().unwrap();
    name
}

fn overwrite(name: &Name, offset: u64, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(name.path()).unwrap().write_all_at(bytes, offset).unwrap();
}

#[test]
fn a_foreign_header_is_refused_and_named() {
    let cases: [(&str, u64, u32, &str); 15] = [
        ("magic", 0, 0x4D48_5345, "0x4d485345"),
        ("magic", 0, 0, "the magic"),
        ("version", 4, 0, "the version is 0"),
        ("version", 4, 1, "the version is 1"),
        ("version", 4, 4, "the version is 4"),
        ("version", 4, u32::MAX, "expected 2 or 3"),
        ("layout", 52, 0, "the layout size is 0 bytes"),
        ("layout", 52, u32::MAX, "the layout size"),
        ("extension", 56, 2, "the extension is 2"),
        ("data-size", 60, 0, "the data size is 0"),
        ("data-size", 60, MAX_DATA_SIZE as u32 + 1, "67108865"),
        ("slots", 84, 3, "3"),
        ("slots", 84, u32::MAX, "4294967295"),
        ("offset", 88, 64, "queue offset"),
        ("capacity", 96, 0, "queue capacity"),
    ];
    for (field, offset, value, what) in cases {
        let name = left_behind(field);
        overwrite(&name, offset, &value.to_ne_bytes());
        let text = assert_refused(&name, what);
        assert!(text.contains("expected"), "{text}");
    }
}

#[test]
fn a_header_that_promises_more_than_the_file_holds_is_refused() {
    let name = left_behind("promise");
    let layout = 128 + 2 * (128 + 65536);
    overwrite(&name, 52, &(layout as u32).to_ne_bytes());
    overwrite(&name, 60, &65536u32.to_ne_bytes());
    overwrite(&name, 84, &0u32.to_ne_bytes());
    assert_refused(&name, &format!("expected at least {layout} bytes"));
    for (offset, what) in [(88, "queue offset"), (96, "queue capacity")] {
        for value in [u64::MAX, u64::MAX - 127, 1 << 63, 1 << 40] {
            let name = left_behind("queue-promise");
            overwrite(&name, offset, &value.to_ne_bytes());
            let text = assert_refused(&name, "expected");
            assert!(text.contains(what) || text.contains("the size is"), "{text}");
        }
    }
}

/// What a hostile peer leaves behind stops nobody for good.
#[test]
fn a_master_that_finds_a_corrupt_queue_starts_anew_the_next_time() {
    let name = left_behind("corrupt");
    let header = fs::read(name.path()).unwrap();
    let queue = u64::from_ne_bytes(header[88..96].try_into().unwrap());
    // The length in the first slot, of the message that is unread.
    overwrite(&name, queue + 384 + 4, &57u32.to_ne_bytes());
    let error = Endpoint::master(&name).unwrap_err();
    assert_eq!(error.code(), -17, "{error}");
    assert!(!name.exists());
    let mut master = Endpoint::master(&name).unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    master.send(b"anew").unwrap();
    assert_eq!(&*slave.recv().unwrap(), b"anew");
}

#[test]
fn a_truncated_file_is_refused() {
    let whole = fs::metadata(left_behind("whole").path()).unwrap().len();
    for len in [1, 4, 127, 128, 383, 384, 4352, 8575, 8576, 8703, whole - 128, whole - 1] {
        let name = left_behind("truncated");
        let file = fs::OpenOptions::new().write(true).open(name.path()).unwrap();
        file.set_len(len).unwrap();
        assert_refused(&name, &format!("{len} bytes"));
    }
}

#[test]
fn a_file_of_random_bytes_is_refused() {
    use std::hash::{BuildHasher, Hasher, RandomState};
    for len in [200, 8576, 100_000] {
        let name = Name::new("random");
        let random = std::iter::repeat_with(|| RandomState::new().build_hasher().finish() as u8 | 1);
        fs::write(name.path(), random.take(len).collect::<Vec<u8>>()).unwrap();
        assert_refused(&name, "expected");
    }
}

/// An ESHM 1.x master that was killed while it made its segment leaves a file without content.
#[test]
fn an_empty_or_zero_file_is_refused_in_time() {
    for len in [0, 8576] {
        let name = Name::new("empty");
        fs::write(name.path(), vec![0; len]).unwrap();
        assert_refused(&name, "may be creating it");
    }
}

/// A master is not told to start its master.
#[test]
fn a_master_that_finds_an_empty_file_is_told_what_to_do() {
    let name = Name::new("empty-master");
    fs::write(name.path(), "").unwrap();
    let error =
        Endpoint::builder(&name).role(Role::Master).connect_timeout(Duration::ZERO).open().unwrap_err();
    assert!(error.to_string().contains("remove"), "{error}");
}

#[test]
fn another_users_segment_is_refused_unless_accepted() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: another_users_segment_is_refused_unless_accepted needs root, to give a file away");
        return;
    }
    let name = left_behind("owner");
    std::os::unix::fs::chown(name.path(), Some(65534), Some(65534)).unwrap();
    let text = assert_refused(&name, "user 65534");
    assert!(text.contains("any_owner"), "{text}");
    let mut slave = Endpoint::builder(&name).role(Role::Slave).any_owner(true).open().unwrap();
    assert_eq!(&*slave.recv().unwrap(), b"unread");
}

#[test]
fn a_file_that_may_not_be_opened_is_an_error_with_a_hint() {
    let name = Name::new("forbidden");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(name.path()).unwrap();
    file.write_all(&[1; 100]).unwrap();
    fs::set_permissions(name.path(), Permissions::from_mode(0o000)).unwrap();
    // Root may open everything, and then finds that it is too small.
    assert_refused(&name, if nix::unistd::geteuid().is_root() { "100 bytes" } else { "permissions" });
}

/// The name appears only when the segment is complete: whoever sees it can attach.
#[test]
fn a_name_never_leads_to_half_a_segment() {
    let name = Name::new("complete");
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| poll("the segment", || fs::read(name.path()).ok()));
        let _master = Endpoint::builder(&name).role(Role::Master).data_size(1 << 20).open().unwrap();
        let seen = looker.join().unwrap();
        assert_eq!(seen.len() as u64, fs::metadata(name.path()).unwrap().len());
        assert_eq!(seen[..4], 0x4553_484Du32.to_ne_bytes());
    });
}

/// Where no peer was there to remove the event descriptor of a killed process, the next endpoint in its seat does.
#[test]
fn an_opening_removes_the_event_descriptor_of_a_killed_predecessor() {
    let name = Name::new("files-event-descriptor");
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let fifos = ["m", "s"].map(|role| format!("/dev/shm/eshm_.eshm-tmp-bell-{role}-{hash:016x}"));
    for fifo in &fifos {
        nix::unistd::mkfifo(fifo.as_str(), Mode::S_IRWXU).unwrap();
    }
    let _master = Endpoint::master(&name).unwrap();
    let _slave = Endpoint::slave(&name).unwrap();
    for fifo in &fifos {
        assert!(fs::symlink_metadata(fifo).is_err(), "{fifo} is left");
    }
}
