//! How a call waits, as the user chooses it.

/// How an endpoint waits for data or space. docs/waiting.md has the measurements behind each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitStrategy {
    /// Polls for about a microsecond, then offers the processor to others, then parks until woken. How long each lasts
    /// follows from the waits before: where the peer runs on the same processor, it gets the processor at once; where it
    /// runs on another one, the endpoint polls.
    #[default]
    Adaptive,
    /// Polls without ever leaving the core. For dedicated cores and the steadiest latency.
    Spin,
    /// Polls for about ten microseconds, less if recent polls found nothing, then parks until woken. Never offers the
    /// processor to others without a park.
    SpinThenPark,
    /// Parks at once. For slow peers.
    Park,
}
