//! The event descriptor of an endpoint, for poll, epoll and event loops.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use crate::api::endpoint::Endpoint;
use crate::api::inspector::Inspector;
use crate::api::receiver::Receiver;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::peer::events::{EventSource, Interest};
use crate::peer::link::Link;
use crate::peer_state::PeerState;

/// A descriptor that is readable while a verb of an endpoint is worth a call: for poll, epoll and event loops. Made by
/// [`Endpoint::events`].
///
/// It is level-triggered: it stays readable until a verb has found nothing, such as [`Endpoint::try_recv`] with
/// `Ok(None)`. It can be readable although there is nothing. Call only verbs of the endpoint, and do not read the
/// descriptor, nor close it: it belongs to the endpoint. It is readable, too, once the endpoint is stopped, closed or
/// displaced, and the next verb says which.
///
/// The handle may go to another thread. It does not keep the endpoint open, and keeps the descriptor open when it outlives
/// the endpoint. All handles of an endpoint have the same descriptor, also after the endpoint has moved to another segment.
///
/// ```
/// use eshm::{Endpoint, Interest};
/// let mut master = Endpoint::master("doc-events")?;
/// let mut slave = Endpoint::slave("doc-events")?;
/// let events = slave.events(Interest::READABLE)?;
/// while slave.try_recv()?.is_some() {}
/// // Now the descriptor is armed. Here an event loop waits for it.
/// master.send(b"wakes the loop")?;
/// # let _ = events;
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "the descriptor is for an event loop"]
pub struct Events(Arc<Link>);

impl Events {
    fn open(link: &Arc<Link>, interest: Interest) -> Result<Events> {
        link.open_events(interest)?;
        Ok(Events(Arc::clone(link)))
    }

    /// Returns the state of the peer, and takes note of it: for [`Interest::PEER`] the descriptor becomes readable when the
    /// state differs from the one that this method returned last.
    ///
    /// ```
    /// # use eshm::{Endpoint, Interest, PeerState};
    /// let master = Endpoint::master("doc-events-peer")?;
    /// let events = master.events(Interest::PEER)?;
    /// assert_eq!(events.peer_state(), PeerState::Absent);
    /// # Ok::<(), eshm::Error>(())
    /// ```
    pub fn peer_state(&self) -> PeerState {
        self.0.notice_peer()
    }

    /// Returns whether the descriptor is still that of the endpoint: the program may have closed it.
    pub(crate) fn is_open(&self) -> bool {
        self.source().descriptor.is_open()
    }

    /// Chooses the interest of the tasks that wait now. `has_waited`: whether any has waited before. The next verb that finds
    /// nothing arms the descriptor.
    #[cfg(any(feature = "async", feature = "tokio"))]
    pub(crate) fn await_events(&self, interest: Interest, has_waited: bool) {
        self.source().set_interest(interest);
        self.0.count_waiting_tasks(has_waited, interest != Interest::NONE);
    }

    /// Returns whether the peer is alive. Otherwise the descriptor is armed for a change of the peer.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Forked`].
    #[cfg(any(feature = "async", feature = "tokio"))]
    pub(crate) fn poll_for_peer(&self) -> Result<bool> {
        self.0.poll_for_peer()
    }

    /// Returns the error of an event loop that does not take the descriptor.
    #[cfg(any(feature = "async", feature = "tokio"))]
    #[cold]
    pub(crate) fn not_registered(&self, source: std::io::Error) -> crate::error::Error {
        let (segment, path) = (self.0.segment(), self.0.name.shown_path());
        let action = "registering its event descriptor with the event loop";
        let hint = "the event loop must run, and have room for one descriptor more".to_owned();
        crate::error::Error::Attach { segment, path, action, source, hint }
    }

    fn source(&self) -> &EventSource {
        self.0.events().expect("it was made with the handle")
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source().descriptor.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Endpoint {
    /// Returns the event descriptor of the endpoint, and makes it at the first call. The interest of the last call holds.
    ///
    /// If the directory of the segment admits no FIFO, events reach the descriptor with the next heartbeat.
    ///
    /// # Errors
    /// - [`Error::Attach`]: this process can have no descriptor more, or it has closed that of the endpoint. The endpoint works
    ///   without.
    /// - [`Error::Closed`], [`Error::Forked`]: the endpoint is closed, or belongs to the parent process.
    pub fn events(&self, interest: Interest) -> Result<Events> {
        Events::open(self.link(), interest)
    }
}

impl Inspector {
    /// As [`Endpoint::events`], for an endpoint whose halves other threads use.
    ///
    /// # Errors
    /// As [`Endpoint::events`].
    pub fn events(&self, interest: Interest) -> Result<Events> {
        Events::open(&self.0, interest)
    }

    /// As [`Events::peer_state`], also where there are no events.
    pub fn notice_peer(&self) -> PeerState {
        self.0.notice_peer()
    }
}

impl Receiver {
    /// As [`Endpoint::events`]. The descriptor is that of the endpoint, which has one.
    ///
    /// # Errors
    /// As [`Endpoint::events`].
    pub fn events(&self, interest: Interest) -> Result<Events> {
        Events::open(&self.side.link, interest)
    }
}
