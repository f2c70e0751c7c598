package eshm

// Role is an endpoint's part in a segment. It is an option of [Open].
type Role int

const (
	// Auto is the slave of a live master if there is one, and the master otherwise. It is the default.
	Auto Role = iota
	// Master creates the segment, or takes over the one that a dead master has left. It removes the segment when it
	// closes.
	Master
	// Slave attaches to the segment. It waits for a master that has not come yet.
	Slave
)

// String returns "auto", "master" or "slave", and "Role(N)" for any other number.
func (r Role) String() string {
	return nameOf(int(r), "Role", "auto", "master", "slave")
}

// MarshalText returns what [Role.String] returns, for logs and JSON.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// peer returns the role at the other end. The role must not be Auto.
func (r Role) peer() Role {
	if r == Master {
		return Slave
	}
	return Master
}

// out returns the direction in which the role sends.
func (r Role) out() direction {
	if r == Master {
		return masterToSlave
	}
	return slaveToMaster
}

// PeerState is what an endpoint knows of its peer.
type PeerState int

const (
	// Absent means that there has been no peer yet.
	Absent PeerState = iota
	// Alive means that the peer's heartbeat changes.
	Alive
	// Frozen means that the peer's heartbeat has stopped, though its process may exist: it was stopped, or does not get
	// a processor.
	Frozen
	// Dead means that the peer's process has ended without closing its endpoint.
	Dead
	// Closed means that the peer has closed its endpoint.
	Closed
)

// String returns "absent", "alive", "frozen", "dead" or "closed", and "PeerState(N)" for any other number.
func (s PeerState) String() string {
	return nameOf(int(s), "PeerState", "absent", "alive", "frozen", "dead", "closed")
}

// MarshalText returns what [PeerState.String] returns, for logs and JSON.
func (s PeerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
