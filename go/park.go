package eshm

import (
	"context"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// A goroutine sleeps in one of two ways. In a thread, which the kernel wakes when a word changes: that is the fastest.
// Or without one, until the event descriptor is rung: see poller.go. At most mostThreads goroutines of the process sleep
// in threads, and the others without. So a few endpoints that are busy have the speed of the former, and thousands that
// wait do not need thousands of threads. A goroutine that has slept in vain for long leaves its thread to another one that
// may be busier, if it would be the last to get one.

// mostThreads is how many goroutines of the process sleep in threads.
const mostThreads = 8

// threads counts the goroutines that sleep in threads.
var threads atomic.Int32

// takeThread admits a goroutine to those that sleep in threads. slept tells that it has slept in vain for a whole slice.
func takeThread(slept bool) bool {
	most := threadLimit.Load()
	if slept {
		most--
	}
	if threads.Add(1) <= most {
		return true
	}
	threads.Add(-1)
	return false
}

// threadLimit is mostThreads, except in tests.
var threadLimit = func() *atomic.Int32 {
	limit := new(atomic.Int32)
	limit.Store(mostThreads)
	return limit
}()

// park sleeps until the word changes, for a limited time. It reports whether a sleep in a thread has taken the whole of a
// slice; slept is its last result.
func (e *Endpoint) park(ctx context.Context, at *waitPoint, slept bool) bool {
	if at.sleep > 0 {
		sleepUntil(ctx, at.sleep)
		return false
	}
	if !takeThread(slept) {
		if e.parkWithoutThread(ctx, at) {
			return false
		}
		threads.Add(1) // there is no other way
	}
	defer threads.Add(-1)
	return e.parkInThread(ctx, at)
}

// parkInThread reports whether it has slept for the whole of a slice.
func (e *Endpoint) parkInThread(ctx context.Context, at *waitPoint) bool {
	// At rest the background goroutine looks rarely, and wakes for all that nobody else wakes for, but for a context
	// that is cancelled.
	limit, resting := parkSlice, e.settings.background && e.isResting()
	if resting {
		limit = restingParkSlice
	}
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	sample := at.futex.Load()
	if at.changed() {
		return false
	}
	call := &parkedCall{ctx: ctx, word: at.futex}
	if !e.parked.add(call) {
		return false // the endpoint is closing: the count of parked threads must not change any more
	}
	defer e.parked.remove(call)
	if !e.settings.background || resting {
		// Otherwise the background goroutine wakes the calls whose context is done.
		stop := context.AfterFunc(ctx, func() { e.parked.wake(false) })
		defer stop()
	}
	if at.queue != nil {
		at.queue.parkedNumber.Store(at.number)
	}
	if !at.parked.enter(at.legacy) {
		limit = min(limit, unorderedSlice)
	}
	over := shm.Wait(at.futex, sample, limit)
	if testHookAwake != nil {
		testHookAwake()
	}
	at.parked.leave()
	return over && limit >= parkSlice
}

// parkWithoutThread reports false if this endpoint can have no event descriptor.
func (e *Endpoint) parkWithoutThread(ctx context.Context, at *waitPoint) bool {
	s, err := e.eventSource()
	if err != nil || !s.poll() {
		return e.current.Load() == nil // it is closing
	}
	call := newRungCall(ctx, *at)
	if !e.parked.add(call) {
		return true
	}
	defer e.parked.remove(call)
	armed := s.armForCall(at)
	switch {
	case at.changed():
		if armed {
			s.ringProgram() // there may be more
		}
		return true
	case armed && s.interest.Load() != 0:
		s.ringForOthers(at.kind, at.link)
	}
	e.awaitRing(call)
	return true
}

// awaitRing sleeps until the call is rung, its context is done, or, without the background goroutine, for a slice.
func (e *Endpoint) awaitRing(call *parkedCall) {
	// The background goroutine wakes for all that nobody else wakes for.
	var over <-chan time.Time
	if !e.settings.background {
		timer := time.NewTimer(parkSlice)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-call.rung:
	case <-call.ctx.Done():
	case <-over:
	}
}

// testHookAwake is called, where a test has set it, by a goroutine that has woken up and is still counted as parked.
var testHookAwake func()

// wakeIfParked wakes the calls that are parked on a word that was just changed, as [parkedWord.any] asks for.
func (e *Endpoint) wakeIfParked(l *link, parked *parkedWord, word *atomic.Uint32) {
	if parked.any() {
		e.wake(l, parked, word)
	}
}

func (e *Endpoint) wake(l *link, parked *parkedWord, word *atomic.Uint32) {
	l.wake(parked, word)
	e.counts.wakeups.Add(1)
}
