package eshm

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// PeerState examines the peer now. After Close it returns [Absent].
func (e *Endpoint) PeerState() PeerState {
	state, _ := e.examinePeer()
	return state
}

// PeerIsLegacy tells whether the peer is an ESHM 1.x process.
func (e *Endpoint) PeerIsLegacy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.link != nil && e.link.peerIdentity().legacy
}

// Generation grows each time the peer is restarted. It is 0 until there is a peer.
func (e *Endpoint) Generation() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return 0
	}
	return e.updateGeneration(e.link)
}

// generationOf returns the generation of the peer at the other end of a link.
func (e *Endpoint) generationOf(l *link) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.updateGeneration(l)
}

func (e *Endpoint) updateGeneration(l *link) uint64 {
	now := l.peerIdentity()
	if now != l.settledFor {
		l.settledFor = now
		e.lastLife++
		if !now.legacy {
			e.lastLife = max(e.lastLife, uint64(now.number))
		}
		l.generation = e.lastLife
	}
	return l.generation
}

// peerPollers counts the calls of WaitForPeer that poll.
var peerPollers atomic.Int32

// mostPeerPollers is how many calls of WaitForPeer poll. The others learn of a peer when the background goroutine next
// looks: at rest that takes up to 60 ms.
const mostPeerPollers = 8

// WaitForPeer waits until the peer is [Alive].
func (e *Endpoint) WaitForPeer(ctx context.Context) error {
	since := time.Now()
	for e.PeerState() != Alive {
		if e.current.Load() == nil {
			return e.usual.closed
		}
		if ctx.Err() != nil {
			return failContext(ctx, e.name, "the arrival of the peer", since)
		}
		e.awaitPeerChange(ctx)
	}
	return nil
}

// awaitPeerChange sleeps until the state of the peer may have changed.
func (e *Endpoint) awaitPeerChange(ctx context.Context) {
	if !e.settings.background {
		sleepUntil(ctx, pollInterval)
		return
	}
	polls := peerPollers.Add(1) <= mostPeerPollers
	if polls {
		sleepUntil(ctx, pollInterval)
	}
	peerPollers.Add(-1)
	if polls {
		return
	}
	call := newRungCall(ctx, waitPoint{})
	if e.parked.add(call) {
		defer e.parked.remove(call)
		e.awaitRing(call)
	}
}

// examinePeer judges the peer now. gaveUp tells that calls without a deadline do not wait for it any more.
func (e *Endpoint) examinePeer() (state PeerState, gaveUp bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return Absent, false
	}
	e.examine(time.Now(), e.isResting())
	return e.link.state, e.gaveUp
}

// examine judges the peer; mu is held. closely asks the kernel, without regard to the pulse, whether the peer's process
// has ended.
func (e *Endpoint) examine(now time.Time, closely bool) {
	l := e.link
	if closely {
		l.noteEndOfPeer(now)
	}
	before := l.state
	state := l.updatePeerState(now, e.settings.staleThreshold, e.isResting())
	if one := l.peerIdentity(); one != e.peer {
		if e.peer.number != 0 {
			e.counts.reconnects.Add(1)
		}
		e.peer = one
		e.activity.stir(now)
		// A predecessor that was killed may have woken nobody for its last message.
		e.wakeAll(now)
	}
	if state != before {
		e.noteEvent(slog.LevelInfo, "eshm: peer", "segment", e.name, "role", e.role, "was", before, "is", state)
		e.activity.stir(now)
		e.wakeAll(now)
	}
	if state == Alive || state == Absent {
		if !e.staleSince.IsZero() && l.peerIdentity() == e.staleIdentity {
			e.counts.stalls.Add(1)
		}
		e.staleSince, e.gaveUp = time.Time{}, false
	} else {
		if e.staleSince.IsZero() {
			e.staleSince, e.staleIdentity, e.searches = now, l.peerIdentity(), 0
		}
		gaveUp := e.gaveUp
		e.gaveUp = e.givesUp(now)
		if e.gaveUp && !gaveUp {
			e.wakeAll(now)
		}
	}
	e.noMaster.Store(e.role == Slave && (state == Dead || state == Closed || e.gaveUp || !e.settings.background))
}

// givesUp tells whether calls without a deadline have waited long enough for the stale peer; mu is held.
func (e *Endpoint) givesUp(now time.Time) bool {
	s := &e.settings
	switch s.disconnect {
	case Immediately:
		return true
	case Never:
		return false
	default:
		return now.Sub(e.staleSince) >= s.reconnectTimeout || e.role == Slave && e.searches >= s.reconnectAttempts
	}
}

// noMasterError returns why a slave cannot write now, or nil if its master is back.
func (e *Endpoint) noMasterError(unreceived func() uint64) error {
	switch state, gaveUp := e.examinePeer(); {
	case state != Dead && state != Closed && !gaveUp:
		return nil
	case !gaveUp:
		return e.usual.reconnecting
	case state == Closed:
		return e.failPeerClosed(unreceived())
	default:
		return failPeerStale(e.name, Master, state)
	}
}
