//! Questions that any thread may ask of an endpoint, and the stop.

use std::sync::Arc;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::receiver::Receiver;
use super::sender::Sender;
use super::side::Side;
use crate::error::{Error, Result};
use crate::peer::link::Link;
use crate::peer::stats::Stats;
use crate::peer_state::PeerState;
use crate::role::Role;

/// Answers questions about an endpoint, and stops it, from any thread, while others send and receive. Made by
/// [`Endpoint::inspector`]; outlives the endpoint, which is not kept open by it.
#[derive(Clone, Debug)]
pub struct Inspector(pub(super) Arc<Link>);

impl Inspector {
    /// The inspector of a half.
    pub(crate) fn of(side: &Side) -> Self {
        Inspector(Arc::clone(&side.link))
    }

    /// The name, for an error.
    pub(crate) fn segment(&self) -> Arc<str> {
        self.0.segment()
    }

    /// Whether the endpoint belongs to the parent of this process.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.0.is_forked()
    }

    /// Ends every call of the endpoint that waits, in any thread, with [`Error::Closed`]: at once as a rule, within 50 ms
    /// at the latest. Every later call of the endpoint and its halves fails so, too; questions are still answered.
    ///
    /// The endpoint keeps its seat, and its heartbeat, until both of its halves are dropped, so the thread that waited
    /// has the last word. No message is lost by it: one that was not received stays in the queue for a successor. Stopping
    /// again, or what is closed, does nothing; so does a forked child, whose parent the endpoint belongs to.
    ///
    /// ```
    /// let mut master = eshm::Endpoint::master("doc-stop")?;
    /// let inspector = master.inspector();
    /// let receiver = std::thread::spawn(move || master.recv().map(drop));
    /// inspector.stop();
    /// assert!(matches!(receiver.join().unwrap(), Err(eshm::Error::Closed { .. })));
    /// # Ok::<(), eshm::Error>(())
    /// ```
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Checks, after the close, that the segment's name was removed, if it was to be.
    ///
    /// # Errors
    /// [`Error::Remove`].
    pub fn check_removed(&self) -> Result<()> {
        self.0.check_removed()
    }
}

/// What can be asked of an endpoint, of either half, and of an inspector.
macro_rules! inspection {
    ($type:ident, $($link:tt).+) => {
        impl $type {
            /// The segment's name.
            pub fn name(&self) -> &str {
                self.$($link).+.name.as_str()
            }

            /// Master or slave, as it was settled.
            pub fn role(&self) -> Role {
                self.$($link).+.role
            }

            /// The greatest value of `write`, in bytes.
            pub fn data_size(&self) -> usize {
                self.$($link).+.limits().0
            }

            /// The greatest message of `send`, in bytes: the queue's capacity, or, on a segment without queues, the
            /// data size.
            pub fn max_message(&self) -> usize {
                self.$($link).+.limits().1
            }

            /// What is known of the peer.
            pub fn peer_state(&self) -> PeerState {
                self.$($link).+.peer_state()
            }

            /// The peer's generation: greater after each restart of the peer.
            pub fn generation(&self) -> u64 {
                self.$($link).+.generation()
            }

            /// Whether the peer is an ESHM 1.x process.
            pub fn peer_is_legacy(&self) -> bool {
                self.$($link).+.peer_is_legacy()
            }

            /// Waits until the peer is there and alive.
            ///
            /// # Errors
            /// [`Error::Timeout`]; [`Error::Forked`]; [`Error::Closed`].
            pub fn wait_for_peer(&self, timeout: Duration) -> Result<()> {
                let link = &self.$($link).+;
                if link.wait_for_peer(timeout)? {
                    return Ok(());
                }
                let what = "the arrival of the peer";
                Err(Error::Timeout { segment: link.segment(), what, waited: timeout })
            }

            /// Returns how many of the messages that this endpoint sent were not received: not released by a receiver.
            /// After the close: how many that were then.
            pub fn unreceived(&self) -> u64 {
                self.$($link).+.unreceived()
            }

            /// The segment's and the endpoint's counts.
            ///
            /// # Errors
            /// [`Error::Forked`]; [`Error::Closed`].
            pub fn stats(&self) -> Result<Stats> {
                self.$($link).+.stats()
            }

            /// Shows one sign of life: for endpoints opened with [`Builder::background`](crate::Builder::background)`(false)`.
            ///
            /// # Errors
            /// [`Error::Forked`]; [`Error::Closed`].
            pub fn update_heartbeat(&self) -> Result<()> {
                self.$($link).+.update_heartbeat()
            }
        }
    };
}
inspection!(Inspector, 0);
inspection!(Endpoint, sender.side.link);
inspection!(Sender, side.link);
inspection!(Receiver, side.link);
