package eshm

import "fmt"

// Role is an endpoint's part in a segment. It is an option of [Open].
type Role int

const (
	// Auto is the slave of a live master, and otherwise the master: whoever comes first. It is the default.
	Auto Role = iota
	// Master creates the segment, or takes over the one that a dead master has left. It removes it when it closes.
	Master
	// Slave attaches to the segment, and waits for its master if there is none yet.
	Slave
)

// String returns "auto", "master" or "slave", and for any other number "Role(N)".
func (r Role) String() string {
	switch r {
	case Auto:
		return "auto"
	case Master:
		return "master"
	case Slave:
		return "slave"
	default:
		return fmt.Sprintf("Role(%d)", int(r))
	}
}

// MarshalText is [Role.String], for logs and JSON.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// peer is the role at the other end. The role is settled: not Auto.
func (r Role) peer() Role {
	if r == Master {
		return Slave
	}
	return Master
}

// out is the direction in which the role sends.
func (r Role) out() direction {
	if r == Master {
		return masterToSlave
	}
	return slaveToMaster
}

// PeerState is what an endpoint knows of the one at the other end.
type PeerState int

const (
	// Absent is a peer that has never been there.
	Absent PeerState = iota
	// Alive is a peer whose heartbeat moves.
	Alive
	// Frozen is a peer whose heartbeat stands still though its process may exist: stopped, or starved.
	Frozen
	// Dead is a peer whose process has ended without closing its endpoint.
	Dead
	// Closed is a peer that has closed its endpoint.
	Closed
)

// String returns "absent", "alive", "frozen", "dead" or "closed", and for any other number "PeerState(N)".
func (s PeerState) String() string {
	names := [...]string{"absent", "alive", "frozen", "dead", "closed"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("PeerState(%d)", int(s))
	}
	return names[s]
}

// MarshalText is [PeerState.String], for logs and JSON.
func (s PeerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
