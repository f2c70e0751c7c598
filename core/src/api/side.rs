//! What the two halves of an endpoint have in common.

use std::sync::Arc;

use crate::channel::queue::Broken;
use crate::error::Error;
use crate::peer::attachment::Attachment;
use crate::peer::link::{Link, Origin};
use crate::wait::Deadline;

/// What the halves have in common.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) link: Arc<Link>,
    _open: Arc<Open>,
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) epoch: u32,
    /// The link's status word while nothing needs attention: see [`Link::is_settled`].
    settled: u32,
}

/// Closes the link when the last half is gone.
#[derive(Debug)]
pub(crate) struct Open(pub(super) Arc<Link>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Side {
    pub(super) fn new(open: Arc<Open>, Origin { attachment, epoch }: Origin) -> Self {
        let link = Arc::clone(&open.0);
        let settled = link.settled_status(epoch);
        Side { link, _open: open, attachment, epoch, settled }
    }

    /// Returns whether the half is settled and may take the fast path.
    #[inline(always)]
    pub(crate) fn is_settled(&self) -> bool {
        self.link.is_settled(self.settled)
    }

    /// Keeps this half from the fast path until [`Side::return_to_fast_path`].
    pub(crate) fn leave_fast_path(&mut self) {
        // As of a link without the monitor: no status word has this value.
        self.settled = u32::MAX;
    }

    pub(crate) fn return_to_fast_path(&mut self) {
        self.settled = self.link.settled_status(self.epoch);
    }

    /// Continues in the segment of this attachment.
    pub(crate) fn switch(&mut self, attachment: Arc<Attachment>, epoch: u32) {
        (self.attachment, self.epoch, self.settled) = (attachment, epoch, self.link.settled_status(epoch));
    }

    /// Returns whether messages go through the queues, if there are any. Reads the header, which may be ahead of the monitor.
    pub(crate) fn peer_has_queue(&self) -> bool {
        !self.attachment.peer_is_legacy()
    }

    /// Returns whether the link has switched to another segment. Then nothing more arrives through this one.
    pub(crate) fn is_left_behind(&self) -> bool {
        self.link.epoch() != self.epoch
    }

    #[cold]
    pub(crate) fn timeout(&self, what: &'static str, deadline: Deadline) -> Error {
        self.link.counters.timeouts.add(1);
        Error::Timeout { segment: self.link.segment(), what, waited: deadline.elapsed() }
    }

    #[cold]
    pub(crate) fn broken(&self, broken: Broken) -> Error {
        let Broken { what, found, most } = broken;
        Error::Corrupt { segment: self.link.segment(), what, found, expected: format!("at most {most}") }
    }
}
