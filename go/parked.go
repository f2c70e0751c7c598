package eshm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// parkedCall is a goroutine that sleeps: in a thread of its own on a word, or without one until something comes from a
// channel.
type parkedCall struct {
	ctx  context.Context
	word *atomic.Uint32 // that a thread sleeps on; nil for a goroutine that waits for rung
	rung chan struct{}  // has room for one
	at   waitPoint      // what the goroutine waits for; the zero value stands for a change of the peer's state
}

// newRungCall returns a call that sleeps without a thread.
func newRungCall(ctx context.Context, at waitPoint) *parkedCall {
	return &parkedCall{ctx: ctx, rung: make(chan struct{}, 1), at: at}
}

// parkedCalls are the goroutines of an endpoint that sleep. The endpoint wakes them for events that no peer wakes them
// for: a context that is done, a peer that has left, a close.
type parkedCalls struct {
	mu     sync.Mutex
	all    map[*parkedCall]struct{}
	closed bool
}

// add registers a goroutine that is about to sleep. It reports false after close.
func (s *parkedCalls) add(one *parkedCall) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.all == nil {
		s.all = make(map[*parkedCall]struct{})
	}
	s.all[one] = struct{}{}
	return true
}

// close refuses further goroutines, and waits until all have left. A goroutine that parks raises a count in the
// segment, and lowers it when it wakes: that must happen before a successor takes the seat and clears the count.
func (s *parkedCalls) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for s.wake(true) > 0 {
		time.Sleep(pollInterval)
	}
}

func (s *parkedCalls) remove(one *parkedCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, one)
}

// count returns how many goroutines are registered.
func (s *parkedCalls) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// wake wakes all goroutines, or only those whose context is done, and returns how many are registered. A goroutine that
// is just about to sleep in a thread may miss the call: call it again later.
func (s *parkedCalls) wake(all bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.all {
		switch {
		case one.word == nil:
			if all {
				one.ring()
			}
		case all || one.ctx.Err() != nil:
			shm.Wake(one.word)
		}
	}
	return len(s.all)
}

// ring wakes the goroutines that sleep without a thread.
func (s *parkedCalls) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ringLocked()
}

func (s *parkedCalls) ringLocked() {
	for one := range s.all {
		if one.word == nil {
			one.ring()
		}
	}
}

// look finds the events that no peer has rung for. If there is one, it wakes the goroutines that sleep without a
// thread, and reports true.
func (s *parkedCalls) look() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for one := range s.all {
		if one.word == nil && one.at.changed() {
			found = true
			// A peer that does not know the bit would make a system call for each further event.
			if one.at.parked.isArmed() {
				one.at.parked.takeBell()
			}
		}
	}
	if found {
		// All of them: another one may just have found the bit set.
		s.ringLocked()
	}
	return found
}

// ring wakes a goroutine that sleeps without a thread.
func (c *parkedCall) ring() {
	select {
	case c.rung <- struct{}{}:
	default:
	}
}
