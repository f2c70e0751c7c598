package eshm

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"eshm/internal/shm"
)

// eventSource is the event descriptor of an endpoint, and what it is armed for: protocol/events.md. It has two uses:
// goroutines of this process that sleep without a thread, and a program that waits for the descriptor: see [Events].
type eventSource struct {
	endpoint   *Endpoint
	descriptor *shm.EventDescriptor

	// These are hints of one goroutine for another: a wrong one costs a ring in vain, or the time until the next look.
	interest  atomic.Uint32 // of the program; 0 if it does not wait for the descriptor
	peerState atomic.Int32  // as last judged
	noticed   atomic.Int32  // the state of the peer that the program has asked for last

	mu     sync.Mutex // guards the rest, and is held while the descriptor is used
	closed bool
	polled bool    // the poller reports rings
	events *Events // nil until the program asks for it
	armed  [len(kinds)]arming
}

// kinds are the kinds of interest that have a word with a bell bit. Each is one bit, whose number is its index.
var kinds = [...]Interest{InterestReadable, InterestValue, InterestWritable}

// arming is what was armed after a verb of a kind has found nothing.
type arming struct {
	link     *link       // retained; nil if the kind is not armed
	word     *parkedWord // with the bell bit; nil if the peer does not ring
	progress uint64      // how far the peer was with what this endpoint has sent
	begun    bool        // at the last look the peer had begun to ring
	found    bool        // a look has found an event since
	refused  bool        // it was a Try call of the program, and not only a call that waits
}

func (s *eventSource) arming(kind Interest) *arming {
	return &s.armed[bits.TrailingZeros32(uint32(kind))]
}

// wants tells whether the program waits for this kind of event.
func (s *eventSource) wants(kind Interest) bool { return Interest(s.interest.Load())&kind != 0 }

// slowCalls admits one goroutine at a time to system calls that may take long. Otherwise thousands that begin to wait
// would need a thread each for a moment, and the runtime keeps its threads.
var slowCalls sync.Mutex

// eventSource returns the event descriptor. The first call makes it.
func (e *Endpoint) eventSource() (*eventSource, error) {
	if s := e.source.Load(); s != nil {
		return s, nil
	}
	l := e.retainCurrent()
	if l == nil {
		return nil, e.usual.closed
	}
	defer l.release()
	slowCalls.Lock()
	defer slowCalls.Unlock()
	if s := e.source.Load(); s != nil {
		return s, nil
	}
	descriptor, err := l.file.NewEventDescriptor(e.fifoPath(e.role))
	if err != nil {
		return nil, failAttach(e.address, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		descriptor.Close()
		return nil, e.usual.closed
	}
	s := &eventSource{endpoint: e, descriptor: descriptor}
	s.peerState.Store(int32(e.link.state))
	s.noticed.Store(int32(e.link.state))
	e.source.Store(s)
	return s, nil
}

// wantsEvents tells whether the program waits for the descriptor with this kind of interest.
func (e *Endpoint) wantsEvents(kind Interest) bool {
	s := e.source.Load()
	return s != nil && s.wants(kind)
}

// poll has the poller report rings to the goroutines that sleep without a thread. It reports false if it cannot.
func (s *eventSource) poll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.polled && !s.closed {
		s.polled = addToPoller(s)
	}
	return s.polled
}

// arm asks for a ring at the next event of a kind, for the program. The caller looks for the event after it. If it finds
// none, it calls ringForOthers, and otherwise ring.
func (s *eventSource) arm(kind Interest, at *waitPoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.armLocked(kind, at)
		s.arming(kind).refused = true
	}
}

func (s *eventSource) armLocked(kind Interest, at *waitPoint) {
	if s.descriptor.Drain() {
		// The byte may have been for a goroutine that the poller has not woken yet.
		s.endpoint.parked.ring()
	}
	s.armKind(kind, at)
}

// armKind is arm without reading the descriptor; mu is held.
func (s *eventSource) armKind(kind Interest, at *waitPoint) {
	one := s.arming(kind)
	at.link.retain()
	refused := one.refused
	one.release()
	*one = arming{link: at.link, word: s.bellWord(at), progress: at.link.progress(), refused: refused}
	if one.word != nil {
		one.word.arm()
	}
}

// armForCall is arm for a goroutine that sleeps without a thread. It does nothing if what it waits for is armed: its own
// channel tells it of each ring, so it need not read the descriptor empty. It reports whether it has done something.
func (s *eventSource) armForCall(at *waitPoint) bool {
	word := s.bellWord(at)
	if word == nil {
		return false // the background goroutine looks for each call
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Whoever has armed the word has also run the barrier, under mu.
	if s.closed || s.arming(at.kind).word == word && word.isArmed() {
		return false
	}
	s.armLocked(at.kind, at)
	return true
}

// bellWord returns the word by which the peer learns that it has to ring, or nil if the peer does not ring.
func (s *eventSource) bellWord(at *waitPoint) *parkedWord {
	if at.legacy || at.sleep > 0 || !s.descriptor.HasFIFO() {
		return nil
	}
	return at.parked
}

// ring makes the descriptor readable, and wakes the goroutines that sleep without a thread.
func (s *eventSource) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ringLocked()
}

func (s *eventSource) ringLocked() {
	if !s.closed {
		s.descriptor.Ring()
	}
}

// ringProgram makes the descriptor readable if the program waits for it.
func (s *eventSource) ringProgram() {
	if s.interest.Load() != 0 {
		s.ring()
	}
}

// ringForOthers makes the descriptor readable for the program's other kinds than this one, whose bytes arm may have
// read. The caller retains the link, which the endpoint has now.
func (s *eventSource) ringForOthers(kind Interest, l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	due := s.wants(InterestPeer) && s.noticed.Load() != s.peerState.Load()
	for _, other := range kinds {
		if other != kind && s.wants(other) {
			due = s.isDue(other, l) || due
		}
	}
	if due {
		s.ringLocked()
	}
}

// isDue tells whether there may be something to do for a verb of this kind; mu is held. It arms a kind for which no verb
// has looked.
func (s *eventSource) isDue(kind Interest, l *link) bool {
	one := s.arming(kind)
	if kind == InterestWritable && !one.refused {
		return false // the program does not wait for room before a message was refused
	}
	if one.link == nil {
		at := l.arrivalPoint(kind)
		s.armKind(kind, &at)
		return one.hasEvent(kind)
	}
	return one.found || one.word != nil && !one.word.isArmed() ||
		kind == InterestWritable && one.link.progress() != one.progress
}

// arrivalPoint returns where a message or a value arrives.
func (l *link) arrivalPoint(kind Interest) waitPoint {
	pid := l.peer.pid.Load()
	if kind == InterestReadable && l.speaksQueue(pid) {
		return waitPoint{link: l, parked: &l.inQueue.control.receiversParked}
	}
	return waitPoint{link: l, parked: &l.in.tail.waiters, legacy: !l.peer.ours(pid)}
}

// endRefusal ends the program's wait for room, after a message was sent. Otherwise the descriptor of a program that has
// nothing more to send would stay readable.
func (s *eventSource) endRefusal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.arming(InterestWritable)
	if one.word != nil && one.word.takeBell() {
		// The peer has not rung. Others may still wait for room: goroutines, or the program with a longer message.
		s.ringLocked()
	}
	one.release()
}

// look makes the descriptor readable for the events that the peer has not rung for. It reports whether there was one.
func (s *eventSource) look() bool {
	if s.interest.Load() == 0 {
		return false // see parkedCalls.look
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, rings := false, false
	for _, kind := range kinds {
		one := s.arming(kind)
		if one.link == nil || one.found || !s.wants(kind) || !one.hasEvent(kind) {
			continue
		}
		found = true
		if one.word != nil && !one.word.isArmed() && !one.begun {
			// A peer that has begun to ring has rung by the next look, unless it cannot.
			one.begun = true
			continue
		}
		one.found, rings = true, true
		if one.word != nil {
			one.word.takeBell()
		}
	}
	if rings {
		s.ringLocked()
	}
	return found
}

// hasEvent tells whether the event that is armed has happened.
func (a *arming) hasEvent(kind Interest) bool {
	l := a.link
	switch {
	case kind == InterestWritable:
		return l.progress() != a.progress
	case kind == InterestReadable && l.hasQueues() && l.inQueue.depth() > 0:
		return true
	default:
		return (kind == InterestValue || !l.speaksQueue(l.peer.pid.Load())) && !l.in.free()
	}
}

// release ends the arming.
func (a *arming) release() {
	if a.link != nil {
		a.link.release()
	}
	*a = arming{}
}

// disarm forgets what is armed, in a segment that the endpoint leaves.
func (s *eventSource) disarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disarmLocked()
}

func (s *eventSource) disarmLocked() {
	for i := range s.armed {
		if word := s.armed[i].word; word != nil {
			word.takeBell()
		}
		s.armed[i].release()
	}
}

// close gives the descriptor up. That of a program stays readable.
func (s *eventSource) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disarmLocked()
	s.ringLocked()
	s.closed = true
	if s.polled {
		removeFromPoller(s)
	}
	s.descriptor.Close()
}

// progress changes whenever the peer has made room for a message.
func (l *link) progress() uint64 {
	if l.speaksQueue(l.peer.pid.Load()) {
		return uint64(l.outQueue.control.consumed.Load())
	}
	return uint64(l.out.tail.taken.Load()) + l.out.tail.readCount.Load()
}
