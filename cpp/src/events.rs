//! Event descriptors, and wait sets.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process;
use std::time::Duration;

use eshm::Interest;
use eshm::raw::{Limit, wait_set_error};

use crate::convert::{INVALID, limit};
use crate::ffi::{self, Errc, Outcome};
use crate::inspect::Inspector;

/// The event descriptor of an endpoint; empty if it could not be made.
pub(crate) struct Events(Option<eshm::Events>);

pub(crate) fn events(inspector: &Inspector, interest: u32, outcome: &mut Outcome) -> Box<Events> {
    let Some(interest) = Interest::from_bits(interest).filter(|_| interest != 0) else {
        let text = format!(
            "the interest is {interest:#x}; expected some of Interest::readable, value, writable and peer"
        );
        *outcome = Outcome { code: INVALID, text };
        return Box::new(Events(None));
    };
    Box::new(Events(outcome.take(inspector.0.events(interest))))
}

impl Events {
    fn made(&self) -> &eshm::Events {
        self.0.as_ref().expect("the facade drops events that were not made")
    }

    pub(crate) fn descriptor(&self) -> i32 {
        self.made().as_raw_fd()
    }

    pub(crate) fn peer_state(&self) -> ffi::PeerState {
        ffi::PeerState { repr: self.made().peer_state() as u8 }
    }
}

/// A wait set; empty if it could not be made.
pub(crate) struct WaitSet {
    set: Option<eshm::WaitSet>,
    /// The process that made it. A child shares the kernel's side of the set.
    owner: u32,
}

pub(crate) fn wait_set(outcome: &mut Outcome) -> Box<WaitSet> {
    let set = eshm::WaitSet::new().map_err(|error| refuse(&error, outcome)).ok();
    Box::new(WaitSet { set, owner: process::id() })
}

impl WaitSet {
    /// Runs a call of the set, unless this is a forked child.
    fn run<T: Default>(
        &self,
        outcome: &mut Outcome,
        call: impl FnOnce(&eshm::WaitSet) -> std::io::Result<T>,
    ) -> T {
        let set = self.set.as_ref().expect("the facade drops a set that was not made");
        if self.owner != process::id() {
            let text = "the wait set belongs to the parent of this process; make a new one".to_owned();
            *outcome = Outcome { code: Errc::forked.repr, text };
            return T::default();
        }
        call(set).map_err(|error| refuse(&error, outcome)).unwrap_or_default()
    }

    pub(crate) fn add(&self, events: &Events, token: u64, outcome: &mut Outcome) {
        self.run(outcome, |set| set.add(events.made(), token));
    }

    pub(crate) fn add_descriptor(&self, fd: i32, token: u64, outcome: &mut Outcome) {
        if fd < 0 {
            let text = format!("the descriptor is {fd}, expected an open one");
            *outcome = Outcome { code: INVALID, text };
            return;
        }
        // SAFETY: it is not -1. It is only duplicated, which fails if it is not open.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        self.run(outcome, |set| set.add_fd(fd, token));
    }

    pub(crate) fn remove(&self, token: u64, outcome: &mut Outcome) {
        self.run(outcome, |set| set.remove(token));
    }

    /// Stores the tokens of what is ready. Returns how many.
    pub(crate) fn wait(&self, wait: i64, tokens: &mut [u64], outcome: &mut Outcome) -> usize {
        let timeout = match limit(wait) {
            Limit::Forever => None,
            Limit::For(time) => Some(time),
            Limit::Now | Limit::Poll => Some(Duration::ZERO),
        };
        self.run(outcome, |set| {
            let ready = set.wait_for_some(tokens.len(), timeout)?;
            Ok(tokens.iter_mut().zip(ready).map(|(place, token)| *place = token).count())
        })
    }

    pub(crate) fn descriptor(&self) -> i32 {
        self.set.as_ref().map_or(-1, |set| set.as_fd().as_raw_fd())
    }
}

/// Keeps an error of a wait set.
fn refuse(error: &std::io::Error, outcome: &mut Outcome) {
    let (code, text) = wait_set_error(error);
    *outcome = Outcome { code, text };
}
