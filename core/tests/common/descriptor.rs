//! Helpers for tests of event descriptors.

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use eshm::layout::event_fifo;
use eshm::{Endpoint, Events};
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::{WATCHDOG, poll};

pub fn is_readable(events: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
}

/// Waits until the descriptor is readable.
#[track_caller]
pub fn wait(events: &impl AsFd) {
    let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(WATCHDOG).unwrap();
    assert_eq!(nix::poll::poll(&mut fds, timeout).unwrap(), 1, "the descriptor should be readable");
}

/// Returns the number of rings that nobody has read.
pub fn rings(events: &Events) -> i32 {
    let mut count = 0;
    // SAFETY: FIONREAD stores one number in `count`.
    let done = unsafe { libc::ioctl(events.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    assert_eq!(done, 0);
    count
}

/// Receives nothing until the descriptor stays unreadable: a change of the peer's state may still come in.
pub fn quiet(events: &Events, endpoint: &mut Endpoint) {
    poll("quiet", || {
        events.peer_state();
        assert!(endpoint.try_recv().unwrap().is_none());
        (!is_readable(events)).then_some(())
    });
}

/// Waits for the next message as an event loop does.
#[track_caller]
pub fn receive(events: &Events, endpoint: &mut Endpoint, expected: &[u8]) {
    loop {
        wait(events);
        if let Some(message) = endpoint.try_recv().unwrap() {
            return assert_eq!(&*message, expected);
        }
    }
}

/// Master and slave of a segment, in this process.
pub fn pair(name: &str) -> (Endpoint, Endpoint) {
    let (master, slave) = (Endpoint::master(name).unwrap(), Endpoint::slave(name).unwrap());
    master.wait_for_peer(WATCHDOG).unwrap();
    slave.wait_for_peer(WATCHDOG).unwrap();
    (master, slave)
}

/// The event FIFO of an endpoint in the default domain.
pub fn fifo(segment: &str, role: char) -> PathBuf {
    Path::new("/dev/shm").join(event_fifo("eshm_", role, segment))
}
