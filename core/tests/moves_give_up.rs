//! A segment that was left is given up when nothing in it is unread. In a process of its own: it counts open files.

mod common;

use std::fs;
use std::time::Duration;

use common::Name;
use eshm::{Endpoint, Role};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn what_was_read_out_is_given_up_though_no_value_is_read() {
    let segment = Name::new("give-up-files");
    let files = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter(|entry| {
                let target = fs::read_link(entry.as_ref().unwrap().path()).unwrap_or_default();
                target.to_string_lossy().contains("/dev/shm")
            })
            .count()
    };
    let first = Endpoint::master(&segment).unwrap();
    let mut slave = Endpoint::builder(&segment)
        .role(Role::Slave)
        .reconnect_interval(Duration::from_millis(1))
        .open()
        .unwrap();
    drop(first);
    for write in [false, true] {
        for round in 0..20u8 {
            let mut master = Endpoint::master(&segment).unwrap();
            master.wait_for_peer(SOON).unwrap();
            master.send(&[round]).unwrap();
            if write {
                master.write(&[round]).unwrap();
            }
            drop(master);
            let next = Endpoint::master(&segment).unwrap();
            next.wait_for_peer(SOON).unwrap();
            let received = slave.recv_timeout(SOON).unwrap().unwrap()[0];
            assert_eq!(received, round);
        }
        println!("write {write}: {} files", files());
        assert!(files() < 8, "{}", files());
    }
}
