package eshm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// Endpoint is one end of a segment. All of its methods may be called from any number of goroutines; [Endpoint.Recv]
// says what they must know of each other's messages.
type Endpoint struct {
	name     string
	role     Role
	settings settings
	send     sender
	recv     receiver
	sleepers sleepers
	counts   counts

	// current is the newest link, and nil from Close on: who sees that it is not the one he has moves over.
	current atomic.Pointer[link]
	// sent counts the messages that were sent; the sender writes it.
	sent atomic.Uint32
	// clock is the time of the keeper's last visit, in nanoseconds since some moment.
	clock atomic.Int64
	// away tells that a slave's master is dead, closed or given up, as was last seen.
	away atomic.Bool

	mu          sync.Mutex
	link        *link // as current, but until the end of Close
	closing     bool
	lastLife    uint64    // the highest generation told
	trouble     time.Time // since when the peer is stale, or zero
	gaveUp      bool      // the patience with a stale peer is over
	nextBeat    time.Time
	nextAttempt time.Time // to find another master
	urgent      int       // ticks for which all sleepers are woken
}

// Open attaches to a segment, in the role that is among the options, or [Auto]. The context bounds the attaching
// only; what comes first, its end or the connect timeout, ends the wait for a segment that does not exist.
//
// The endpoint must be closed: until then it shows its peer, by its heartbeat, that this process lives.
func Open(ctx context.Context, name string, options ...Option) (*Endpoint, error) {
	settings, err := newSettings(name, options)
	if err != nil {
		return nil, err
	}
	shm.Register()
	opener := opener{name: name, settings: &settings, patient: true}
	l, err := opener.open(ctx, settings.role)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{name: name, role: l.role, settings: settings, link: l}
	e.send.endpoint, e.recv.endpoint = e, e
	e.current.Store(l)
	if err := e.attach(); err != nil {
		_ = e.Close()
		return nil, err
	}
	keep(e)
	settings.logger.Info("eshm: attached", "segment", name, "role", l.role, "peer", e.PeerState())
	return e, nil
}

// attach gives both directions their link.
func (e *Endpoint) attach() error {
	e.recv.attach(e.retainCurrent())
	e.recv.attachBox(e.retainCurrent())
	next := e.retainCurrent()
	if err := e.send.attach(next); err != nil {
		next.release()
		return err
	}
	return nil
}

// Close leaves the segment, and removes it if this is its master, unless [WithKeep] was given. What was sent can
// still be received by the peer. What was received is released, and its bytes must not be used any more. Calls that
// wait return [ErrClosed]. Closing again does nothing.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	closing := e.closing
	e.closing = true
	e.mu.Unlock()
	if closing {
		return nil
	}
	e.current.Store(nil)
	e.send.close()
	e.recv.close()
	dismiss(e)
	e.mu.Lock()
	l := e.link
	e.link = nil
	err := l.leave(e.role == Master && !e.settings.keep)
	e.mu.Unlock()
	l.release()
	for e.sleepers.wake(true) > 0 {
		time.Sleep(glance)
	}
	e.settings.logger.Info("eshm: closed", "segment", e.name, "role", e.role)
	if err != nil {
		return fail(ErrAttach, e.name, err, "closed, but %s cannot be removed: %v", path(e.name), err)
	}
	return nil
}

// retainCurrent returns the current link, retained, or nil after Close.
func (e *Endpoint) retainCurrent() *link {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return nil
	}
	e.link.retain()
	return e.link
}

// Name is the segment's name.
func (e *Endpoint) Name() string { return e.name }

// Role is [Master] or [Slave], also of an endpoint that was opened as [Auto].
func (e *Endpoint) Role() Role { return e.role }

// DataSize is the longest value of a mailbox, in bytes, and 0 after Close.
func (e *Endpoint) DataSize() int {
	size, _ := e.sizes()
	return size
}

// QueueCapacity is the longest message of a queue, in bytes; 0 on a segment without queues, and after Close.
func (e *Endpoint) QueueCapacity() int {
	_, capacity := e.sizes()
	return capacity
}

func (e *Endpoint) sizes() (dataSize, queueCapacity int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return 0, 0
	}
	return int(e.link.geometry.dataSize), int(e.link.geometry.queueCapacity)
}

// PeerState is what is known of the peer now. After Close it is [Absent].
func (e *Endpoint) PeerState() PeerState {
	state, _ := e.examinePeer()
	return state
}

// PeerIsLegacy tells whether the peer is an ESHM 1.x process.
func (e *Endpoint) PeerIsLegacy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.link != nil && e.link.peerLife().legacy
}

// Generation tells the lives of the peer apart: it grows each time the peer is restarted. It is 0 as long as there
// was none.
func (e *Endpoint) Generation() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return 0
	}
	return e.settleGeneration(e.link)
}

// noteGeneration is the generation of the peer at the other end of a link.
func (e *Endpoint) noteGeneration(l *link) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.settleGeneration(l)
}

func (e *Endpoint) settleGeneration(l *link) uint64 {
	now := l.peerLife()
	if now != l.life {
		l.life = now
		e.lastLife++
		if !now.legacy {
			e.lastLife = max(e.lastLife, uint64(now.number))
		}
		l.generation = e.lastLife
	}
	return l.generation
}

// WaitForPeer waits until the peer is [Alive].
func (e *Endpoint) WaitForPeer(ctx context.Context) error {
	since := time.Now()
	for e.PeerState() != Alive {
		if e.current.Load() == nil {
			return failClosed(e.name)
		}
		if ctx.Err() != nil {
			return failContext(ctx, e.name, "the arrival of the peer", since)
		}
		pause(ctx, glance)
	}
	return nil
}

// examinePeer judges the peer now, and tells whether the patience with it is over.
func (e *Endpoint) examinePeer() (state PeerState, gaveUp bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return Absent, false
	}
	e.examine(time.Now())
	return e.link.state, e.gaveUp
}

// examine judges the peer; mu is held.
func (e *Endpoint) examine(now time.Time) {
	l := e.link
	before := l.state
	state := l.look(now, e.settings.staleThreshold)
	if state != before {
		e.settings.logger.Info("eshm: peer", "segment", e.name, "role", e.role, "was", before, "is", state)
		// Twice, for those who were just about to sleep.
		e.urgent = 2
	}
	if state == Alive || state == Absent {
		e.trouble, e.gaveUp = time.Time{}, false
	} else {
		if e.trouble.IsZero() {
			e.trouble = now
		}
		e.gaveUp = now.Sub(e.trouble) >= e.settings.patience
	}
	e.away.Store(e.role == Slave && (state == Dead || state == Closed || e.gaveUp))
}

// whyAway says why a slave does not write now; nil if its master is back.
func (e *Endpoint) whyAway() error {
	switch state, gaveUp := e.examinePeer(); {
	case state != Dead && state != Closed && !gaveUp:
		return nil
	case !gaveUp:
		return failReconnecting(e.name)
	case state == Closed:
		return failPeerClosed(e.name, Master)
	default:
		return failPeerStale(e.name, Master, state)
	}
}

// begun is when clocks began.
var begun = time.Now()

// tick is the keeper's visit.
func (e *Endpoint) tick(now time.Time, period time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return
	}
	// Ticks are not exact: one that comes a little early counts.
	if now.Add(period / 2).After(e.nextBeat) {
		e.link.self.heartbeat.Add(1)
		e.nextBeat = now.Add(e.settings.heartbeatInterval)
	}
	e.clock.Store(now.Sub(begun).Nanoseconds())
	e.link.publishReads()
	e.examine(now)
	if e.role == Slave && !e.trouble.IsZero() && !e.gaveUp && !now.Before(e.nextAttempt) {
		e.nextAttempt = now.Add(e.settings.reconnectInterval)
		e.reconnect()
	}
	e.sleepers.wake(e.urgent > 0)
	e.urgent = max(0, e.urgent-1)
}

// reconnect attaches a slave to the segment that has the name now, if it is another one; mu is held. It never waits:
// a seat that is not free is tried again at the next attempt.
func (e *Endpoint) reconnect() {
	if found, err := shm.Stat(path(e.name)); err != nil || found.ID == e.link.id {
		return
	}
	opener := opener{name: e.name, settings: &e.settings}
	next, err := opener.slave()
	if err != nil {
		e.settings.logger.Warn("eshm: cannot attach to the new segment", "segment", e.name, "error", err)
		return
	}
	old := e.link
	e.link = next
	e.current.Store(next)
	old.release()
	e.trouble, e.gaveUp = time.Time{}, false
	e.away.Store(false)
	e.urgent = 2
	e.counts.reconnects.Add(1)
	e.settings.logger.Info("eshm: moved to the new segment", "segment", e.name)
}
