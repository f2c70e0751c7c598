//! Two endpoints that open a segment at the same time.

mod common;

use std::sync::Barrier;
use std::thread;

use common::{Name, WATCHDOG};
use eshm::{Endpoint, Error, Role};

/// Opens two endpoints at the same instant.
fn at_once(name: &str, role: Option<Role>) -> [eshm::Result<Endpoint>; 2] {
    let barrier = Barrier::new(2);
    let open = || {
        barrier.wait();
        Endpoint::builder(name).role(role).open()
    };
    thread::scope(|scope| [scope.spawn(open), scope.spawn(open)].map(|thread| thread.join().unwrap()))
}

fn assert_talk(one: &mut Endpoint, other: &mut Endpoint) {
    one.send(b"ping").unwrap();
    assert_eq!(&*other.recv_timeout(WATCHDOG).unwrap().unwrap(), b"ping");
    other.send(b"pong").unwrap();
    assert_eq!(&*one.recv_timeout(WATCHDOG).unwrap().unwrap(), b"pong");
}

#[test]
fn two_autos_at_once_are_one_master_and_one_slave() {
    for _ in 0..50 {
        let name = Name::new("autos");
        let [one, other] = at_once(&name, None).map(Result::unwrap);
        let (mut master, mut slave) = if one.role() == Role::Master { (one, other) } else { (other, one) };
        assert_eq!((master.role(), slave.role()), (Role::Master, Role::Slave));
        assert_talk(&mut master, &mut slave);
        drop(slave);
        drop(master);
        assert!(!name.exists());
    }
}

#[test]
fn two_autos_at_once_take_over_what_a_master_left() {
    for _ in 0..20 {
        let name = Name::new("autos-left");
        let mut old = Endpoint::builder(&name).role(Role::Master).auto_cleanup(false).open().unwrap();
        old.send(b"left").unwrap();
        old.close().unwrap();
        let [one, other] = at_once(&name, None).map(Result::unwrap);
        let (mut master, mut slave) = if one.role() == Role::Master { (one, other) } else { (other, one) };
        assert_eq!((master.role(), slave.role()), (Role::Master, Role::Slave));
        assert_eq!(&*slave.recv_timeout(WATCHDOG).unwrap().unwrap(), b"left");
        assert_talk(&mut master, &mut slave);
    }
}

#[test]
fn two_masters_at_once_are_one_master_and_one_refusal() {
    for _ in 0..50 {
        let name = Name::new("masters");
        let results = at_once(&name, Some(Role::Master));
        let refused: Vec<i32> =
            results.iter().filter_map(|result| result.as_ref().err().map(Error::code)).collect();
        assert_eq!(refused, [-15]);
    }
}
