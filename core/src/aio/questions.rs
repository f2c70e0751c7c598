//! What can be asked of an async endpoint and of its halves.

/// Implements the questions for a type. `$half` leads to a half of `api`.
macro_rules! questions {
    ($type:ident, $($half:tt).+) => {
        impl<R: $crate::aio::Reactor> $type<R> {
            /// Returns a handle that answers questions, such as [`Inspector::stats`](crate::Inspector::stats), and stops the
            /// endpoint, from other tasks and threads: a verb that waits then ends with
            /// [`Error::Closed`](crate::Error::Closed).
            pub fn inspector(&self) -> $crate::api::inspector::Inspector {
                $crate::api::inspector::Inspector::of(&self.$($half).+.side)
            }

            /// Returns the segment's name.
            pub fn name(&self) -> &str {
                self.$($half).+.name()
            }

            /// Returns the endpoint's role.
            pub fn role(&self) -> $crate::role::Role {
                self.$($half).+.role()
            }

            /// Returns the greatest value of `write`, in bytes.
            pub fn data_size(&self) -> usize {
                self.$($half).+.data_size()
            }

            /// Returns the greatest message of `send`, in bytes.
            pub fn max_message(&self) -> usize {
                self.$($half).+.max_message()
            }

            /// Returns what is known of the peer.
            pub fn peer_state(&self) -> $crate::peer_state::PeerState {
                self.$($half).+.peer_state()
            }

            /// Returns the statistics of the segment and of the endpoint.
            ///
            /// # Errors
            /// [`Error::Forked`](crate::Error::Forked); [`Error::Closed`](crate::Error::Closed).
            pub fn stats(&self) -> $crate::error::Result<$crate::peer::stats::Stats> {
                self.$($half).+.stats()
            }
        }
    };
}
pub(super) use questions;
