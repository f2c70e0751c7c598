//! Questions that any thread may ask of an endpoint, and the stop.

use std::sync::Arc;

use super::side::Side;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::peer::link::Link;

/// Answers questions about an endpoint, and stops it. Any thread may use it while others send and receive. Made by
/// [`Endpoint::inspector`](crate::Endpoint::inspector). It does not keep the endpoint open, and may outlive it.
#[derive(Clone, Debug)]
pub struct Inspector(pub(super) Arc<Link>);

impl Inspector {
    /// Returns the inspector of a half.
    pub(crate) fn of(side: &Side) -> Self {
        Inspector(Arc::clone(&side.link))
    }

    /// Returns the name, for an error.
    pub(crate) fn segment(&self) -> Arc<str> {
        self.0.segment()
    }

    /// Returns whether the endpoint belongs to the parent of this process.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.0.is_forked()
    }

    /// Stops the endpoint: every call that waits, in any thread, returns [`Error::Closed`], usually at once and within 50 ms
    /// at the latest. Every later call that sends or receives fails so, too. Questions are still answered.
    ///
    /// The endpoint keeps its seat and its heartbeat until both of its halves are dropped. No message is lost: a message that
    /// was not received stays in the queue. The call does nothing if the endpoint is stopped or closed, and in a forked
    /// child, because the endpoint belongs to the parent.
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

    /// Returns, after the close, whether the removal of the segment's name failed. Use it where the endpoint was dropped:
    /// [`Endpoint::close`](crate::Endpoint::close) returns the same error.
    ///
    /// # Errors
    /// [`Error::Remove`]: the name could not be removed.
    pub fn check_removed(&self) -> Result<()> {
        self.0.check_removed()
    }
}

/// What can be asked of an endpoint, of either half, and of an inspector.
macro_rules! inspection {
    ($type:ident, $($link:tt).+) => {
        impl $type {
            /// Returns the segment's name.
            pub fn name(&self) -> &str {
                self.$($link).+.name.as_str()
            }

            /// Returns the endpoint's role.
            pub fn role(&self) -> $crate::role::Role {
                self.$($link).+.role
            }

            /// Returns the greatest value of `write`, in bytes.
            pub fn data_size(&self) -> usize {
                self.$($link).+.limits().0
            }

            /// Returns the greatest message of `send`, in bytes: the queue's capacity, or the data size on a segment
            /// without queues.
            pub fn max_message(&self) -> usize {
                self.$($link).+.limits().1
            }

            /// Returns what is known of the peer.
            pub fn peer_state(&self) -> $crate::peer_state::PeerState {
                self.$($link).+.peer_state()
            }

            /// Returns the peer's generation, which is greater after each restart of the peer.
            pub fn generation(&self) -> u64 {
                self.$($link).+.generation()
            }

            /// Returns whether the peer is an ESHM 1.x process.
            pub fn peer_is_legacy(&self) -> bool {
                self.$($link).+.peer_is_legacy()
            }

            /// Waits until the peer is attached and alive, but no longer than `timeout`.
            ///
            /// # Errors
            /// [`Error::Timeout`](crate::Error::Timeout): it was not in time. [`Error::Forked`](crate::Error::Forked), [`Error::Closed`](crate::Error::Closed).
            pub fn wait_for_peer(&self, timeout: std::time::Duration) -> $crate::error::Result<()> {
                let link = &self.$($link).+;
                if link.wait_for_peer(timeout)? {
                    return Ok(());
                }
                let what = "the arrival of the peer";
                Err($crate::error::Error::Timeout { segment: link.segment(), what, waited: timeout })
            }

            /// Returns how many messages that this endpoint sent no receiver has released. After the close: the number at
            /// the close.
            pub fn unreceived(&self) -> u64 {
                self.$($link).+.unreceived()
            }

            /// Returns the statistics of the segment and of the endpoint.
            ///
            /// # Errors
            /// [`Error::Forked`](crate::Error::Forked); [`Error::Closed`](crate::Error::Closed).
            pub fn stats(&self) -> $crate::error::Result<$crate::peer::stats::Stats> {
                self.$($link).+.stats()
            }

            /// Updates the heartbeat once: for endpoints opened with
            /// [`Builder::background`](crate::Builder::background)`(false)`.
            ///
            /// # Errors
            /// [`Error::Forked`](crate::Error::Forked); [`Error::Closed`](crate::Error::Closed).
            pub fn update_heartbeat(&self) -> $crate::error::Result<()> {
                self.$($link).+.update_heartbeat()
            }
        }
    };
}
pub(super) use inspection;
inspection!(Inspector, 0);
