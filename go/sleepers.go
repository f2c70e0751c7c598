package eshm

import (
	"context"
	"sync"
	"sync/atomic"

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
	mu  sync.Mutex
	all map[*sleeper]struct{}
}

func (s *sleepers) add(one *sleeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*sleeper]struct{})
	}
	s.all[one] = struct{}{}
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
