package eshm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// parkedCall is a goroutine that sleeps in the kernel.
type parkedCall struct {
	ctx  context.Context
	word *atomic.Uint32
}

// parkedCalls are the goroutines of an endpoint that sleep in the kernel. The endpoint wakes them for events that no
// peer wakes them for: a context that is done, a peer that has left, a close.
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
// is just about to sleep may miss the call: call it again later.
func (s *parkedCalls) wake(all bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.all {
		if all || one.ctx.Err() != nil {
			shm.Wake(one.word)
		}
	}
	return len(s.all)
}
