//! Which end of a segment.

use std::fmt;

/// Which end of a segment an endpoint is.
///
/// [`Builder::role`](crate::Builder::role) asks for one, or leaves the choice to what is there.
///
/// ```
/// let master = eshm::Endpoint::auto("doc-role")?;
/// assert_eq!(master.role(), eshm::Role::Master);
/// assert_eq!(eshm::Endpoint::auto("doc-role")?.role(), master.role().peer());
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Role {
    /// The endpoint that creates the segment, or takes it over from a dead master.
    Master,
    /// The endpoint that attaches to the segment.
    Slave,
}

impl Role {
    /// Returns the role of the other end.
    pub fn peer(self) -> Role {
        match self {
            Role::Master => Role::Slave,
            Role::Slave => Role::Master,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Master => "master",
            Role::Slave => "slave",
        })
    }
}
