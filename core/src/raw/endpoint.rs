//! Both halves of an endpoint, shared by threads.

use std::time::Duration;

use super::{Error, Host, SharedReceiver, SharedSender};
use crate::api::endpoint::Endpoint;
use crate::api::inspector::Inspector;
use crate::wait::TurnLock;

/// An endpoint that threads share: its two halves.
///
/// Each half has a lock of its own, so a thread that sends never waits for one that receives.
///
/// ```
/// use eshm::raw::{Plain, SharedEndpoint};
/// let master = SharedEndpoint::new(eshm::Endpoint::master("doc-shared-endpoint")?);
/// let closed = master.close(&mut Plain).expect("nobody has closed it before");
/// assert_eq!(closed.unreceived, 0);
/// closed.removed?;
/// assert!(master.close(&mut Plain).is_none());
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Debug)]
pub struct SharedEndpoint {
    sender: SharedSender,
    receiver: SharedReceiver,
    /// Held by the thread that closes both halves.
    closing: TurnLock<()>,
}

/// How long a thread parks at most while another one closes.
const CLOSING: Duration = Duration::from_secs(1);

/// What became of an endpoint that was closed.
#[derive(Debug)]
#[must_use = "the segment's name may not have been removed"]
pub struct Closed {
    /// How many of the messages that it sent were not received: see [`Endpoint::close`].
    pub unreceived: u64,
    /// Whether the segment's name was removed, if it was to be: [`Error::Remove`](crate::Error::Remove) if not.
    pub removed: crate::error::Result<()>,
}

impl SharedEndpoint {
    /// Shares the endpoint.
    pub fn new(endpoint: Endpoint) -> Self {
        let (sender, receiver) = endpoint.into_split();
        SharedEndpoint {
            sender: SharedSender::new(sender),
            receiver: SharedReceiver::new(receiver),
            closing: TurnLock::new(()),
        }
    }

    /// Returns the half that writes and sends.
    #[inline]
    pub fn sender(&self) -> &SharedSender {
        &self.sender
    }

    /// Returns the half that reads and receives.
    #[inline]
    pub fn receiver(&self) -> &SharedReceiver {
        &self.receiver
    }

    /// Returns a handle for questions, and to stop the endpoint. It needs no lock, and answers after the close, too.
    #[inline]
    pub fn inspector(&self) -> &Inspector {
        self.sender.inspector()
    }

    /// Checks that the endpoint belongs to this process.
    ///
    /// # Errors
    /// [`Error::Forked`](crate::Error::Forked) in a forked child.
    #[inline]
    pub fn check_process(&self) -> Result<(), Error> {
        self.sender.shared().check_process()
    }

    /// Closes the endpoint: calls that wait in other threads end at once, with
    /// [`Error::Closed`](crate::Error::Closed). A half whose memory is retained stays until nobody retains it, and
    /// with it the endpoint's seat.
    ///
    /// Returns `None` if the endpoint was closed before, or belongs to the parent of this process, whose endpoint
    /// stays open.
    pub fn close<H: Host>(&self, host: &mut H) -> Option<Closed> {
        if self.check_process().is_err() {
            return None;
        }
        self.inspector().stop();
        // Of two threads that close, the second returns after the first.
        let _closing = host.block(|| {
            loop {
                if let Some(guard) = self.closing.try_lock_for(CLOSING) {
                    return guard;
                }
            }
        });
        let closed = self.sender.close(host);
        self.receiver.close(host);
        closed.then(|| Closed {
            unreceived: self.inspector().unreceived(),
            removed: self.inspector().check_removed(),
        })
    }
}
