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

// slowest is the longest pause between two rounds.
const slowest = time.Second

// mostLate is how late a beat may be. Between two beats at rest the peer has 40 ms left until it takes the endpoint for
// frozen.
const mostLate = restInterval / 4

// runBackground visits all endpoints at the rate of the one that beats fastest, until there is none.
func runBackground() {
	pause, rounds := slowest, rounds{period: slowest}
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		endpoints := backgroundRound()
		if len(endpoints) == 0 {
			return
		}
		if next := rounds.visit(endpoints, time.Now()); next != pause {
			pause = next
			ticker.Reset(pause)
		}
		select {
		case <-ticker.C:
		case <-background.kick:
		}
	}
}

// rounds are the rounds of the background goroutine.
type rounds struct {
	period      time.Duration // the interval of the endpoint that beats fastest
	directories directoryStamps
}

// visit visits the endpoints, and returns the pause before the next round.
func (r *rounds) visit(endpoints []*Endpoint, now time.Time) time.Duration {
	r.directories.beginRound()
	fastest, due := slowest, slowest
	for _, e := range endpoints {
		nextBeat := e.tick(now, r.period, &r.directories)
		due = min(due, nextBeat.Sub(now))
		// After the visit, which sets the interval: a new peer may expect heartbeats sooner.
		fastest = min(fastest, time.Duration(e.interval.Load()))
	}
	r.period = fastest
	// When the fastest endpoint has slowed down, its next beat may be too late for the others.
	if fastest-due > mostLate {
		return max(due, time.Millisecond)
	}
	return fastest
}

// backgroundRound returns which endpoints to visit. If there is none, the goroutine ends.
func backgroundRound() []*Endpoint {
	background.mu.Lock()
	defer background.mu.Unlock()
	background.running = len(background.endpoints) > 0
	return background.endpoints
}
