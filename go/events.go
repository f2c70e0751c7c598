package eshm

import (
	"errors"
	"os"

	"eshm/internal/shm"
)

// Interest is a set of events for which an event descriptor becomes readable. Combine them with |.
type Interest uint32

const (
	// InterestReadable: a message. [Endpoint.TryRecv] may find one.
	InterestReadable Interest = 1 << iota
	// InterestValue: a new value. [Endpoint.TryRead] may find one.
	InterestValue
	// InterestWritable: room. [Endpoint.TrySend] was refused for lack of room or of a master, and may succeed now. The
	// wait for room ends when a message is sent, by whatever call.
	InterestWritable
	// InterestPeer: a change of the peer's state since the last [Events.PeerState].
	InterestPeer

	allInterests = InterestReadable | InterestValue | InterestWritable | InterestPeer
)

// Events is the event descriptor of an endpoint, for programs that wait with epoll or poll, or with an event loop.
// Others need none of this: the calls that wait, such as [Endpoint.Recv], can be made in any number of goroutines.
//
// The descriptor is level-triggered: it is readable until a Try call of that kind has found nothing, which arms it for
// the next event. It can be readable although there is nothing to do. After each wake-up call TryRecv, TryRead or TrySend
// until it finds nothing, and PeerState for [InterestPeer]. Who stops waiting has taken nothing: a message is received
// only by a call that returns it.
//
// The descriptor is also readable after a Close; the next call says so. It stays open until the endpoint is closed and the
// program has dropped the Events.
type Events struct {
	source *eventSource
	file   *os.File
}

// Events returns the endpoint's event descriptor. A first call makes it; a further one changes what it is for. It fails
// with [ErrClosed], with [ErrInvalidOption] for an interest that is none, and with [ErrAttach] if the process can have no
// descriptor more.
//
// The peer rings the descriptor. For a peer that cannot, such as one of ESHM 1.x, the endpoint looks at each of its own
// heartbeats; with [WithBackground](false), in [Endpoint.UpdateHeartbeat].
func (e *Endpoint) Events(interest Interest) (*Events, error) {
	if interest == 0 || interest&^allInterests != 0 {
		return nil, fail(ErrInvalidOption, e.name, nil, "an interest of %#x; expected at least one of the four", uint32(interest))
	}
	s, err := e.eventSource()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, e.usual.closed
	}
	if s.events == nil {
		file, err := s.descriptor.Duplicate()
		if err != nil {
			return nil, failAttach(e.address, err)
		}
		s.events = &Events{s, file}
	}
	s.interest.Store(uint32(interest))
	// The first calls arm it.
	s.ringLocked()
	return s.events, nil
}

// SyscallConn gives access to the descriptor: Control to register it with epoll, and Read to wait for it in a goroutine
// that needs no thread:
//
//	err := conn.Read(func(uintptr) bool {
//		message, ok, err = robot.TryRecv()
//		return ok || err != nil
//	})
//
// Do not read from the descriptor, write to it, or change its flags. Close has such a Read call its function once more.
func (v *Events) SyscallConn() (shm.RawConn, error) { return v.file.SyscallConn() }

// PeerState returns what [Endpoint.PeerState] does, and takes note of it: for [InterestPeer] the descriptor becomes
// readable when the state differs from the one that this method has returned last.
func (v *Events) PeerState() PeerState {
	s := v.source
	s.drain()
	state := s.endpoint.PeerState()
	// Not peerState: a state that was judged meanwhile is still to be told.
	s.noticed.Store(int32(state))
	// It has read the bytes of all kinds.
	if l := s.endpoint.retainCurrent(); l != nil {
		s.ringForOthers(InterestPeer, l)
		l.release()
	}
	return state
}

// drain reads the descriptor empty.
func (s *eventSource) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.descriptor.Drain() {
		s.endpoint.parked.ring()
	}
}

// armAndTry arms the event descriptor for the program after an attempt that found nothing, and attempts again. where
// tells where the kind waits; refused tells whether an error stands for "nothing".
func (s *eventSource) armAndTry(kind Interest, where func() waitPoint, attempt func() (bool, error)) (bool, error) {
	for {
		at := where()
		s.arm(kind, &at)
		done, err := attempt()
		waits := !done && (err == nil || errors.Is(err, ErrReconnecting))
		switch {
		case !waits:
			// There may be more, or another goroutine waits for the error.
			s.ring()
			return done, err
		case where().link == at.link:
			s.ringForOthers(kind, at.link)
			return done, err
		}
		// The endpoint has moved to another segment, which is not armed.
	}
}
