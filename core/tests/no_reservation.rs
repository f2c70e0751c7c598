//! Where the system does not reserve memory for files, a new segment is written to instead. A segment that others use is not:
//! such a write could undo one of theirs.

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;

use common::{Child, Name, say, scenario};
use eshm::{Endpoint, Error, Role};

#[test]
fn child() {
    let Some((_, segment)) = scenario() else { return };
    forbid_reservations();
    let name = format!("{segment}-new");
    let mut master = Endpoint::master(&name).unwrap();
    let mut slave = Endpoint::slave(&name).unwrap();
    master.send(b"hello").unwrap();
    say(slave.recv().unwrap().len());
    match Endpoint::builder(&segment).role(Role::Slave).any_owner(true).open() {
        Err(Error::Attach { action, source, .. }) => say(format!("{action}: {source}")),
        other => say(format!("{:?}", other.err())),
    }
}

/// Has the kernel answer EOPNOTSUPP to each `fallocate` of this thread and those that it starts.
fn forbid_reservations() {
    let number = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
    let step =
        |code: u32, yes: u8, no: u8, k: u32| libc::sock_filter { code: code as u16, jt: yes, jf: no, k };
    let filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, number),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_fallocate as u32),
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

/// Makes a segment as a living master of ESHM 1.2 does, without memory behind it.
fn make_legacy(name: &Name) -> File {
    let file = File::create_new(name.path()).unwrap();
    file.set_len(8576).unwrap();
    let fields = [
        (4, 3),
        (24, std::process::id()),
        (32, 1),
        (40, 100),
        (44, 1),
        (48, 1),
        (52, 8576),
        (0, 0x4553_484D),
    ];
    for (offset, value) in fields {
        file.write_all_at(&value.to_ne_bytes(), offset).unwrap();
    }
    file
}

#[test]
fn memory_of_a_segment_in_use_is_reserved_or_refused() {
    let name = Name::new("reservation");
    let file = make_legacy(&name);
    let child = Child::start("a system without reservations", &name);
    child.expect("5");
    let refusal = child.line();
    assert!(refusal.starts_with("reserving its memory: Operation not supported"), "{refusal}");
    assert!(child.ended().success());
    // Nobody sits down.
    let mut alive = [0; 4];
    file.read_exact_at(&mut alive, 36).unwrap();
    assert_eq!(alive, [0; 4]);
}
