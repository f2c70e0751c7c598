//! The life of an endpoint beside its peer: it attaches, judges its peer, switches to another segment, and closes.

pub(crate) mod attachment;
pub(crate) mod carry_over;
pub(crate) mod counters;
pub(crate) mod events;
pub(crate) mod link;
pub(crate) mod liveness;
pub(crate) mod monitor;
pub(crate) mod notice;
pub(crate) mod open;
pub(crate) mod outgoing;
pub(crate) mod settings;
pub(crate) mod stats;
