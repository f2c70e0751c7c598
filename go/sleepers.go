package eshm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// sleeper is a goroutine that is parked.
type sleeper struct {
	ctx  context.Context
	word *atomic.Uint32
}

// sleepers are the goroutines of an endpoint that are parked, so that the keeper can wake them for what no peer
// rings: a context that is done, a peer that left, a close.
type sleepers struct {
	mu     sync.Mutex
	all    map[*sleeper]struct{}
	closed bool
}

// add takes a goroutine in that is about to park. It reports false after close.
func (s *sleepers) add(one *sleeper) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.all == nil {
		s.all = make(map[*sleeper]struct{})
	}
	s.all[one] = struct{}{}
	return true
}

// close lets nobody in any more, and waits until all have left: who parks has raised a count in the segment, and lowers it
// when it wakes, which must be before a successor counts there.
func (s *sleepers) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for s.wake(true) > 0 {
		time.Sleep(glance)
	}
}

func (s *sleepers) remove(one *sleeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, one)
}

// wake wakes all, or only those whose context is done, and returns how many sleep. One that is just about to sleep may
// miss it: call it again later.
func (s *sleepers) wake(all bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.all {
		if all || one.ctx.Err() != nil {
			shm.Wake(one.word)
		}
	}
	return len(s.all)
}
