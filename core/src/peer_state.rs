//! What an endpoint knows of its peer.

use std::fmt;

/// What an endpoint knows of its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u32)]
pub enum PeerState {
    /// No process has taken the peer's role yet.
    Absent = 0,
    /// Its heartbeat moves.
    Alive = 1,
    /// Its heartbeat stands still, though the process exists: stopped, or starved.
    Frozen = 2,
    /// The process has ended without a close.
    Dead = 3,
    /// It has closed its endpoint.
    Closed = 4,
}

impl PeerState {
    pub(crate) fn from_u32(value: u32) -> Self {
        match value {
            1 => PeerState::Alive,
            2 => PeerState::Frozen,
            3 => PeerState::Dead,
            4 => PeerState::Closed,
            _ => PeerState::Absent,
        }
    }

    /// Returns whether no process is left that reads what is written.
    pub(crate) fn is_gone(self) -> bool {
        matches!(self, PeerState::Dead | PeerState::Closed)
    }
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PeerState::Absent => "absent",
            PeerState::Alive => "alive",
            PeerState::Frozen => "frozen",
            PeerState::Dead => "dead",
            PeerState::Closed => "closed",
        })
    }
}
