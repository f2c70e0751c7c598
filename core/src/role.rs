//! Which end of a segment.

use std::fmt;

/// Which end of a segment an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Creates the segment, or takes it over from a dead master.
    Master,
    /// Attaches to the segment.
    Slave,
    /// Slave where a live master is, master otherwise. An open endpoint's role is never `Auto`.
    Auto,
}

impl Role {
    /// The other end.
    ///
    /// # Panics
    /// For [`Role::Auto`], which has no other end.
    pub fn peer(self) -> Role {
        match self {
            Role::Master => Role::Slave,
            Role::Slave => Role::Master,
            Role::Auto => panic!("Role::Auto has no peer: ask an open endpoint for its role"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Master => "master",
            Role::Slave => "slave",
            Role::Auto => "auto",
        })
    }
}
