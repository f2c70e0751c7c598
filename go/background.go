package eshm

import (
	"slices"
	"sync"
	"time"
)

// background keeps the heartbeats of all endpoints of the process, judges their peers, and moves slaves to new
// segments. It is one goroutine, which runs as long as there is an endpoint.
//
// It has no thread of its own. A thread that sleeps in the kernel needs two thirds of the time per tick, but each tick
// then needs a processor of the Go scheduler, or a hand-over by it.
var background = struct {
	mu        sync.Mutex
	endpoints []*Endpoint
	running   bool
	kick      chan struct{} // begins a round at once
}{kick: make(chan struct{}, 1)}

// addToBackground has the background goroutine visit an endpoint.
func addToBackground(e *Endpoint) {
	background.mu.Lock()
	defer background.mu.Unlock()
	// A new slice each time, so that a round in progress is not disturbed.
	background.endpoints = append(slices.Clone(background.endpoints), e)
	if !background.running {
		background.running = true
		go runBackground()
		return
	}
	// It may be in the middle of a long pause between the visits to slower endpoints.
	select {
	case background.kick <- struct{}{}:
	default:
	}
}

// removeFromBackground ends the visits to an endpoint. One that is in progress goes on.
func removeFromBackground(e *Endpoint) {
	background.mu.Lock()
	defer background.mu.Unlock()
	isThis := func(one *Endpoint) bool { return one == e }
	background.endpoints = slices.DeleteFunc(slices.Clone(background.endpoints), isThis)
}

// runBackground visits all endpoints at the rate of the one that beats fastest, until there is none.
func runBackground() {
	const slowest = time.Second
	ticker := time.NewTicker(slowest)
	defer ticker.Stop()
	period := slowest
	var directories directoryStamps
	for {
		endpoints := backgroundRound()
		directories.beginRound()
		if len(endpoints) == 0 {
			return
		}
		now, fastest := time.Now(), slowest
		for _, e := range endpoints {
			e.tick(now, period, &directories)
			// After the visit, which sets the interval: a new peer may expect heartbeats sooner.
			fastest = min(fastest, time.Duration(e.interval.Load()))
		}
		if fastest != period {
			period = fastest
			ticker.Reset(period)
		}
		select {
		case <-ticker.C:
		case <-background.kick:
		}
	}
}

// backgroundRound returns which endpoints to visit. If there is none, the goroutine ends.
func backgroundRound() []*Endpoint {
	background.mu.Lock()
	defer background.mu.Unlock()
	background.running = len(background.endpoints) > 0
	return background.endpoints
}
