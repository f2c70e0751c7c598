package eshm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// Endpoint is one end of a segment. All of its methods may be called from any number of goroutines.
type Endpoint struct {
	address
	role     Role
	settings settings
	send     sender
	recv     receiver
	parked   parkedCalls
	counts   counts
	usual    usualErrors

	// source is the event descriptor; nil until somebody needs it.
	source atomic.Pointer[eventSource]
	// current is the newest link, and nil from Close on. A direction whose link is another one switches to it.
	current atomic.Pointer[link]
	// sent counts the messages and values that this endpoint has sent. Only the sender writes it.
	sent atomic.Uint32
	// clock is the time of the last visit of the background goroutine, in nanoseconds since clockStart.
	clock atomic.Int64
	// interval is the time between two heartbeats, in nanoseconds. Only the background goroutine writes it.
	interval atomic.Int64
	// noMaster tells that a slave's master was dead, closed or given up when last examined. It is always set without
	// the background goroutine: then each call examines the peer.
	noMaster atomic.Bool
	// displaced tells that a master's name leads to another segment.
	displaced atomic.Bool
	// carryPending tells that the sender may have something to carry over.
	carryPending atomic.Bool

	mu            sync.Mutex
	link          *link    // as current, but until the end of Close
	peer          identity // last seen
	closing       bool
	unread        []*link   // retained: segments that were left with something unread, oldest first
	messagesAt    int       // epoch of the segment where messages are received
	valuesAt      int       // epoch of the segment where values are read
	standIn       *link     // the second segment of a master whose name was removed
	lastLife      uint64    // the highest generation that was reported
	staleSince    time.Time // since when the peer is stale; zero if it is not
	staleIdentity identity  // of the peer that became stale
	searches      int       // how many searches for another master since then
	gaveUp        bool      // calls without a deadline do not wait for the stale peer any more
	activity      activity
	lastStats     [2]uint64 // heartbeats (master's, slave's) at the last call of Stats
	nextBeat      time.Time
	nextAttempt   time.Time // when a slave next searches for another master
	nextNameCheck time.Time
	nextNameLook  time.Time // at the name itself, when its directory has not changed
	nameStamp     shm.Stamp // of the directory at the last look; the zero stamp if that shows nothing
	wakeUntil     time.Time // ticks wake all parked calls until then; zero if they do not
	events        []event
}

// Open attaches to a segment in the role that is among the options, or in the role [Auto]. The context bounds the
// attaching only. Waiting for a segment that does not exist ends with the context or the connect timeout, whichever
// comes first.
//
// The caller must close the endpoint. Until then its heartbeat shows the peer that this process is alive.
func Open(ctx context.Context, name string, options ...Option) (*Endpoint, error) {
	settings, at, err := newSettings(name, options)
	if err != nil {
		return nil, err
	}
	shm.Register()
	opener := opener{address: at, ctx: ctx, since: time.Now(), settings: &settings, mayWait: true}
	l, err := opener.open(settings.role)
	if err != nil {
		return nil, err
	}
	// Of a killed predecessor, if no peer was there to remove it. A slave that waits for its next master has its own open.
	shm.RemoveUnusedFIFO(at.fifoPath(l.role))
	now := time.Now()
	e := &Endpoint{
		address: at, role: l.role, settings: settings, link: l,
		activity: newActivity(now), nextNameCheck: now.Add(nameInterval),
	}
	e.usual.init(at.name)
	e.send.endpoint, e.recv.endpoint = e, e
	for _, one := range []*backoff{&e.send.backoff, &e.recv.backoff, &e.recv.boxBackoff} {
		one.init(e)
	}
	e.current.Store(l)
	e.interval.Store(int64(settings.heartbeatInterval))
	l.self.publishThreshold(settings.staleThreshold)
	l.judge = judgePresentPeer(l.peer.pulse(), now, settings.staleThreshold)
	err = e.attach(opener.replaced)
	if opener.replaced != nil {
		opener.replaced.release()
	}
	if err != nil {
		_ = e.Close()
		return nil, err
	}
	if settings.background {
		addToBackground(e)
	}
	settings.logger.Info("eshm: attached", "segment", name, "role", l.role, "peer", e.PeerState())
	return e, nil
}

// attach gives both directions their link. A segment that this master has replaced comes first.
func (e *Endpoint) attach(replaced *link) error {
	next := e.retainCurrent()
	if err := e.send.attach(next); err != nil {
		next.release()
		return err
	}
	first := e.link
	// The messages of a broken segment cannot be found.
	if replaced != nil && replaced.outQueueIsSound() {
		first = replaced
		e.link.epoch = first.epoch + 1
		first.retain()
		e.send.leave(first)
		e.carryPending.Store(true)
	}
	first.retain()
	e.recv.attach(first)
	first.retain()
	e.recv.attachBox(first)
	return nil
}

// Close leaves the segment. A master removes it, unless [WithAutoCleanup] says otherwise. The peer can still receive
// what was sent; what it has not received counts as [Endpoint.Unreceived]. A borrowed message is not released: a
// successor receives it again. Calls that wait fail with [ErrClosed]. Closing again does nothing.
//
// An [ErrRemove] says that the endpoint is closed and the segment's file stays: in a directory with the sticky bit, for
// example, only the owner of a file can remove it.
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
	removeFromBackground(e)
	// Before the seat is left: see there.
	e.parked.close()
	e.mu.Lock()
	l, unlink := e.link, e.role == Master && e.settings.autoCleanup
	e.link = nil
	if s := e.source.Load(); s != nil {
		s.close()
	} else {
		shm.RemoveUnusedFIFO(e.fifoPath(e.role)) // which the peer still had open when this endpoint was opened
	}
	l.removeUnusedFIFO()
	err := l.leave(unlink)
	l.wakePeer()
	if e.standIn != nil {
		err = errors.Join(err, e.standIn.leave(unlink))
		e.dropStandIn()
	}
	for _, one := range e.unread {
		one.release()
	}
	e.unread = nil
	e.mu.Unlock()
	l.release()
	e.logEvents()
	e.settings.logger.Info("eshm: closed", "segment", e.name, "role", e.role)
	if err != nil {
		return fail(ErrRemove, e.name, err, "the endpoint is closed, but %s could not be removed (%v); %s", e.path, err,
			shm.Hint(e.domain.Directory, e.path, err))
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

// Unreceived returns how many of the messages that this endpoint has sent no receiver has released. After Close it
// returns how many there were then.
func (e *Endpoint) Unreceived() uint64 { return e.send.unreceived() }

// Name returns the segment's name.
func (e *Endpoint) Name() string { return e.name }

// Role returns [Master] or [Slave], also for an endpoint that was opened as [Auto].
func (e *Endpoint) Role() Role { return e.role }

// DataSize returns the size of the longest value, in bytes; 0 after Close.
func (e *Endpoint) DataSize() int {
	size, _ := e.sizes()
	return size
}

// QueueCapacity returns the size of the longest message of a queue, in bytes; 0 on a segment without queues, and after
// Close.
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
