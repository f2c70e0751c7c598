package eshm

import (
	"context"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

const (
	// slice is the longest sleep at a time, for what nobody rings: a killed peer, a replaced segment.
	slice = 50 * time.Millisecond
	// stint is for how long a call spins before it looks whether to wait is still worth while.
	stint = 200 * time.Microsecond
	// unfenced is the longest sleep where the system has no barrier to make a ring certain.
	unfenced = time.Millisecond
	// legacyNap is the sleep where the peer is an ESHM 1.x process that rings nobody.
	legacyNap = 100 * time.Microsecond
	// legacyLimit is how long a call without a deadline waits for an ESHM 1.x process to read what it may never read.
	legacyLimit = time.Second
	// awayNap is the sleep of a slave that has no master to send to.
	awayNap = time.Millisecond
)

// spot is what a call waits for: a sign that changes with each event, or nothing that could be watched.
type spot struct {
	link   *link // retained
	sign   *atomic.Uint32
	seen   uint32         // the sign before the last look
	word   *atomic.Uint32 // changes after the sign, and is what to park on
	parked *atomic.Uint32
	queue  *queueControl // where to say that message number is waited for, if it is one of a queue
	number uint32
	nap    time.Duration // instead of parking, where it is not 0
	limit  time.Duration // of a wait without a deadline, where it is not 0
}

// watch makes the spot of a sign that can be parked on; it is called before a look.
func (l *link) watch(sign, parked *atomic.Uint32) spot {
	return spot{link: l, sign: sign, seen: sign.Load(), word: sign, parked: parked}
}

// attempt looks once. If it neither succeeds nor fails, it returns where to wait, with its link retained.
type attempt func() (at spot, done bool, err error)

// await attempts until it succeeds, fails, or is not worth waiting for any more. It returns also when it began to sleep: the
// zero time, if it did not.
func (e *Endpoint) await(ctx context.Context, what string, try attempt) (since time.Time, err error) {
	var verdict error
	for {
		at, done, err := try()
		if done || err != nil {
			return since, err
		}
		if verdict != nil {
			// That was the last look: what a peer did before it went is seen.
			at.link.release()
			return since, verdict
		}
		if !at.spin(min(e.settings.spin, stint)) {
			if since.IsZero() {
				since = time.Now()
			}
			verdict = e.futile(ctx, at.limit, what, since)
			if verdict == nil && time.Since(since) >= e.settings.spin-stint {
				e.park(ctx, at)
			}
		}
		at.link.release()
	}
}

// spin watches the sign for a while. It reports whether the sign changed.
func (s *spot) spin(limit time.Duration) bool {
	if limit == 0 || s.nap > 0 {
		return false
	}
	sign, seen := s.sign, s.seen
	var since time.Time
	for {
		for range looks {
			if sign.Load() != seen {
				return true
			}
		}
		switch now := time.Now(); {
		case since.IsZero():
			since = now
		case now.Sub(since) >= limit:
			return false
		}
	}
}

// park sleeps until the sign changes, but not for long.
func (e *Endpoint) park(ctx context.Context, at spot) {
	if at.nap > 0 {
		pause(ctx, at.nap)
		return
	}
	limit := slice
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	sample := at.word.Load()
	if at.sign.Load() != at.seen {
		return
	}
	sleeper := &sleeper{ctx: ctx, word: at.word}
	if !e.sleepers.add(sleeper) {
		return // the endpoint is closing: its count of parked threads is not to be touched any more
	}
	defer e.sleepers.remove(sleeper)
	if !e.settings.background {
		// Otherwise the keeper wakes those whose context is done.
		stop := context.AfterFunc(ctx, func() { e.sleepers.wake(false) })
		defer stop()
	}
	if at.queue != nil {
		at.queue.parkedNumber.Store(at.number)
	}
	at.parked.Add(1)
	// Who rings may not fence each message, and leave that to the barrier: no wake-up is lost between the two.
	if !shm.Barrier() {
		limit = min(limit, unfenced)
	}
	shm.Wait(at.word, sample, limit)
	if testHookAwake != nil {
		testHookAwake()
	}
	at.parked.Add(^uint32(0))
}

// testHookAwake, where a test has set it, is called by a goroutine that has woken up and is still counted as parked.
var testHookAwake func()

// ring wakes who is parked on a word that was just changed. The change was a full fence, as all of sync/atomic are, or
// [shm.Publish] of a word whose parkers fence for both.
func (e *Endpoint) ring(parked, word *atomic.Uint32) {
	if parked.Load() != 0 {
		e.wake(word)
	}
}

func (e *Endpoint) wake(word *atomic.Uint32) {
	shm.Wake(word)
	e.counts.wakeups.Add(1)
}

// overdue says so when a call's time is over; the zero deadline is none.
func (e *Endpoint) overdue(ctx context.Context, deadline time.Time, what string, since time.Time) error {
	if ctx.Err() == nil && (deadline.IsZero() || time.Now().Before(deadline)) {
		return nil
	}
	e.counts.timeouts.Add(1)
	return failContext(ctx, e.name, what, since)
}

// futile says why it is not worth waiting any longer, if it is not. A call with a deadline waits until then, whatever
// becomes of the peer, for a peer may come back, unless the search for one has ended.
func (e *Endpoint) futile(ctx context.Context, limit time.Duration, what string, since time.Time) error {
	deadline, timed := ctx.Deadline()
	if !timed && limit > 0 {
		deadline, timed = since.Add(limit), true
	}
	if err := e.overdue(ctx, deadline, what, since); err != nil {
		return err
	}
	switch state, gaveUp := e.examinePeer(); {
	case timed && !e.searchIsOver(gaveUp):
		return nil
	case state == Closed:
		return failPeerClosed(e.name, e.role.peer(), e.Unreceived())
	case gaveUp:
		return failPeerStale(e.name, e.role.peer(), state)
	default:
		return nil
	}
}

// searchIsOver tells whether a slave that has given its master up does not search for another one.
func (e *Endpoint) searchIsOver(gaveUp bool) bool {
	return gaveUp && e.role == Slave && e.settings.searchEnds()
}
