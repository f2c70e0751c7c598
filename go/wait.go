package eshm

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// parkSlice is the longest sleep at a time. Nobody wakes a call for a peer that was killed, or a segment that was
	// replaced.
	parkSlice = 50 * time.Millisecond
	// restingParkSlice is the same for an endpoint at rest, whose calls the background goroutine wakes for that.
	restingParkSlice = time.Second
	// spinTime is how long a call spins before it parks, with [SpinThenPark].
	spinTime = 20 * time.Microsecond
	// spinSlice is how long a call spins before it checks whether waiting is still worthwhile, with [Spin].
	spinSlice = 200 * time.Microsecond
	// unorderedSlice is the longest sleep where the system has no barrier that rules a lost wake-up out.
	unorderedSlice = time.Millisecond
	// legacyPollInterval is the sleep where the peer is an ESHM 1.x process that wakes nobody.
	legacyPollInterval = 100 * time.Microsecond
	// legacyLimit is how long a call without a deadline waits for an ESHM 1.x process to read what it may never read.
	legacyLimit = time.Second
	// noMasterPollInterval is the sleep of a slave that has no master to send to.
	noMasterPollInterval = time.Millisecond
)

// waitPoint is what a call waits for: a word that changes with each event, or a time to sleep where there is no such
// word.
type waitPoint struct {
	link   *link          // retained
	kind   Interest       // of event
	polled *atomic.Uint32 // changes first
	seen   uint32         // the value of polled before the last attempt
	futex  *atomic.Uint32 // changes after polled; a call parks on it
	parked *parkedWord    // how many are parked
	legacy bool           // an ESHM 1.x process, or nobody yet, changes the word
	queue  *queueControl  // where to say which message is waited for, if it is one of a queue
	number uint32         // of that message
	sleep  time.Duration  // instead of parking, where it is not 0
	limit  time.Duration  // of a wait without a deadline, where it is not 0
}

// waitPoint returns the wait point of a word that a call can park on. It is called before an attempt.
func (l *link) waitPoint(kind Interest, word *atomic.Uint32, parked *parkedWord) waitPoint {
	return waitPoint{link: l, kind: kind, polled: word, seen: word.Load(), futex: word, parked: parked}
}

// changed tells whether the word has changed since the last attempt. The zero value never changes.
func (p *waitPoint) changed() bool { return p.polled != nil && p.polled.Load() != p.seen }

// attempt tries once. If it neither succeeds nor fails, it returns where to wait, with the link retained.
type attempt func() (at waitPoint, done bool, err error)

// await attempts until it succeeds, fails, or waiting is not worthwhile any more. It also returns when it began to
// sleep: the zero time if it did not.
func (e *Endpoint) await(ctx context.Context, what string, how wait, try attempt) (since time.Time, err error) {
	var verdict error
	for {
		at, done, err := try()
		if done || err != nil {
			return since, err
		}
		if verdict != nil {
			// That was the last attempt: it has seen what a peer did before it left.
			at.link.release()
			return since, verdict
		}
		if isOver(ctx) || !e.spin(&at, &how) {
			if since.IsZero() {
				since = time.Now()
			}
			verdict = e.whyStopWaiting(ctx, at.limit, what, since)
			if verdict == nil && e.settings.wait != Spin {
				how.slept = e.park(ctx, &at, how.slept)
				how.parked = true
			}
		}
		at.link.release()
	}
}

// isOver reports whether the context's deadline has passed: there is no time to spin then.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// spin polls for as long as the wait strategy says. It reports whether the word changed.
func (e *Endpoint) spin(at *waitPoint, how *wait) bool {
	if at.sleep > 0 {
		return false
	}
	switch e.settings.wait {
	case Spin:
		return at.spin(spinSlice)
	case SpinThenPark:
		return at.spin(spinTime)
	case Park:
		return false
	default:
		return how.spin(at.polled, at.seen)
	}
}

// spin polls for a while. It reports whether the word changed.
func (p *waitPoint) spin(limit time.Duration) bool {
	polled, seen := p.polled, p.seen
	var since time.Time
	for {
		for range mostPolls {
			if polled.Load() != seen {
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

// checkDeadline fails when a call's time is over. The zero deadline is none.
func (e *Endpoint) checkDeadline(ctx context.Context, deadline time.Time, what string, since time.Time) error {
	if ctx.Err() == nil && (deadline.IsZero() || time.Now().Before(deadline)) {
		return nil
	}
	e.counts.timeouts.Add(1)
	return failContext(ctx, e.name, what, since)
}

// whyStopWaiting returns why waiting is not worthwhile any more, or nil if it is. A call with a deadline waits until
// then, whatever the peer's state, since a peer may come back, unless the search for one has ended.
func (e *Endpoint) whyStopWaiting(ctx context.Context, limit time.Duration, what string, since time.Time) error {
	deadline, timed := ctx.Deadline()
	if !timed && limit > 0 {
		deadline, timed = since.Add(limit), true
	}
	if err := e.checkDeadline(ctx, deadline, what, since); err != nil {
		return err
	}
	switch state, gaveUp := e.examinePeer(); {
	case timed && !e.searchIsOver(gaveUp):
		return nil
	case state == Closed:
		return e.failPeerClosed(e.Unreceived())
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
