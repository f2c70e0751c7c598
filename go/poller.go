package eshm

import (
	"sync"

	"eshm/internal/shm"
)

// poller wakes the goroutines that sleep without a thread, when their endpoint's descriptor is rung. It is one goroutine
// for all endpoints of the process, which runs as long as there is a descriptor to wait for.
var poller struct {
	mu      sync.Mutex
	poller  *shm.Poller // nil while there is nothing to wait for
	sources map[int32]*eventSource
}

// addToPoller reports false where the system does not let this process wait for descriptors.
func addToPoller(s *eventSource) bool {
	poller.mu.Lock()
	defer poller.mu.Unlock()
	if poller.poller == nil {
		made, err := shm.NewPoller()
		if err != nil {
			return false
		}
		poller.poller, poller.sources = made, map[int32]*eventSource{}
		go runPoller(made)
	}
	number, err := poller.poller.Add(s.descriptor)
	if err == nil {
		poller.sources[number] = s
	}
	closeIdlePoller()
	return err == nil
}

// removeFromPoller ends the waiting. The descriptor is still open.
func removeFromPoller(s *eventSource) {
	poller.mu.Lock()
	defer poller.mu.Unlock()
	delete(poller.sources, poller.poller.Remove(s.descriptor))
	closeIdlePoller()
}

func closeIdlePoller() {
	if len(poller.sources) == 0 {
		poller.poller.Close()
		poller.poller = nil
	}
}

// runPoller passes each ring on.
func runPoller(p *shm.Poller) {
	for p.Wait(wakeRung) == nil {
	}
}

func wakeRung(number int32) {
	poller.mu.Lock()
	s := poller.sources[number]
	poller.mu.Unlock()
	if s != nil {
		s.endpoint.parked.ring()
	}
}
