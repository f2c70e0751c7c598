package eshm

import (
	"slices"
	"sync"
	"time"
)

// keeper beats the hearts of all endpoints of the process, judges their peers, and reconnects slaves: one goroutine,
// for as long as there is an endpoint.
//
// It is no thread of its own. Ticks of a thread that sleeps in the kernel cost two thirds as much, but need a
// processor of the Go scheduler, or a hand-over by it, each time.
var keeper struct {
	mu        sync.Mutex
	endpoints []*Endpoint
	running   bool
}

// keep puts an endpoint into the keeper's care.
func keep(e *Endpoint) {
	keeper.mu.Lock()
	defer keeper.mu.Unlock()
	// A new slice each time, so that a visit in progress is not disturbed.
	keeper.endpoints = append(slices.Clone(keeper.endpoints), e)
	if !keeper.running {
		keeper.running = true
		go visit()
	}
}

// dismiss takes an endpoint out of the keeper's care.
func dismiss(e *Endpoint) {
	keeper.mu.Lock()
	defer keeper.mu.Unlock()
	keeper.endpoints = slices.DeleteFunc(slices.Clone(keeper.endpoints), func(one *Endpoint) bool { return one == e })
}

// visit visits all endpoints at the pace of the one that beats fastest, until there is none.
func visit() {
	const slowest = time.Second
	ticker := time.NewTicker(slowest)
	defer ticker.Stop()
	for period := time.Duration(0); ; <-ticker.C {
		endpoints, fastest := visited(slowest)
		if len(endpoints) == 0 {
			return
		}
		if fastest != period {
			period = fastest
			ticker.Reset(period)
		}
		now := time.Now()
		for _, e := range endpoints {
			e.tick(now, period)
		}
	}
}

// visited returns whom to visit, and how often. If there is nobody, the visits have ended.
func visited(slowest time.Duration) (endpoints []*Endpoint, fastest time.Duration) {
	keeper.mu.Lock()
	defer keeper.mu.Unlock()
	fastest = slowest
	for _, e := range keeper.endpoints {
		fastest = min(fastest, time.Duration(e.interval.Load()))
	}
	keeper.running = len(keeper.endpoints) > 0
	return keeper.endpoints, fastest
}
