package eshm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// route is how messages travel.
type route int

const (
	viaQueue   route = iota
	viaMailbox       // no queues, or a peer that does not use them
	viaLegacy        // an ESHM 1.x peer
)

const waitForRoom = "room for a message, or the reading of the one before,"

// sender is the sending half of an endpoint. Its mutex is never held while a call waits.
type sender struct {
	endpoint                *Endpoint
	mu                      sync.Mutex
	link                    *link // retained; nil after Close
	queue                   sendQueue
	pid                     int32 // of the peer that route belongs to
	route                   route
	loaned                  bool      // a message is being built in place; it is the next one
	refused                 bool      // the program's event descriptor is armed for room
	detour                  bool      // loaned or refused: messages do not take the shortest path
	sources                 []*source // segments that are to be carried over, in order
	forwarded               time.Time // when a message was last carried over into a mailbox
	undeliverable           uint64    // messages to be carried over that the segment could not hold
	unreceivedAtClose       uint64    // not received when the endpoint was closed
	waits                   waits
	backoff                 backoff
	sentMessages, sentBytes atomic.Uint64
	received                uint64 // messages that the endpoint had received when it last sent one
	owed                    bool   // an ESHM 1.x reader has not read the last message
	readBy                  uint64 // its readCount before that message
}

// Write replaces the latest value of the mailbox. It never waits.
//
// A slave whose master is dead or has closed gets [ErrReconnecting], since the next master may replace the segment.
func (e *Endpoint) Write(value []byte) error {
	s := &e.send
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	return s.write(value)
}

// write writes a value; mu is held. Messages that wait to be carried over do not delay it. It outdates the values of
// segments that were left.
func (s *sender) write(value []byte) error {
	if len(value) > s.link.out.size {
		return failTooLarge(s.endpoint.name, len(value), s.link.out.size)
	}
	for _, from := range s.sources {
		if from.takeMailbox(); from.pending != nil && !from.pendingMessage {
			from.pending = nil
		}
	}
	s.putValue(value)
	return nil
}

// busy tells whether another message goes first: one that is being built in place, or carried over.
func (s *sender) busy() bool { return s.loaned || len(s.sources) > 0 }

// count records that messages were sent; mu is held.
func (s *sender) count(messages, bytes int) {
	shm.Publish(&s.endpoint.sent, s.endpoint.sent.Load()+uint32(messages))
	shm.Store64(&s.sentMessages, s.sentMessages.Load()+uint64(messages))
	shm.Store64(&s.sentBytes, s.sentBytes.Load()+uint64(bytes))
}

// await attempts until it succeeds. It waits for room and for a master.
func (s *sender) await(ctx context.Context, attempt func(*sender) (bool, error)) error {
	how := wait{backoff: &s.backoff, delay: fullDelay}
	since, err := s.endpoint.await(ctx, waitForRoom, how, func() (at waitPoint, done bool, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err = s.ready(); err == nil {
			at = s.waitPoint()
			done, err = attempt(s)
		}
		if isNoMaster(err) {
			at, err = waitPoint{link: s.link, sleep: noMasterPollInterval}, nil
		}
		if !done && err == nil {
			at.link.retain()
		}
		return at, done, err
	})
	s.waits.note(since)
	if errors.Is(err, ErrTimeout) {
		// An ESHM 1.x reader never reads the first message that it sees: each message is waited for once.
		s.mu.Lock()
		s.owed = false
		s.mu.Unlock()
	}
	return err
}

// isNoMaster tells whether an error says that a slave has no master now. [Endpoint.whyStopWaiting] decides how long to
// wait for one.
func isNoMaster(err error) bool {
	known, ok := err.(*Error)
	if !ok {
		return false
	}
	kind := error(known.kind)
	return kind == ErrReconnecting || kind == ErrPeerClosed || kind == ErrPeerStale
}

// waits counts waits for room, and adds up their time.
type waits struct {
	count       atomic.Uint64
	nanoseconds atomic.Int64
}

// note counts a wait that began at this time and is over now. The zero time stands for a call that did not wait.
func (w *waits) note(since time.Time) {
	if !since.IsZero() {
		w.count.Add(1)
		w.nanoseconds.Add(int64(time.Since(since)))
	}
}

// ready makes sure that there is a segment to write to, and that the route is known.
func (s *sender) ready() error {
	e := s.endpoint
	if current := e.current.Load(); current == nil || current != s.link {
		if err := s.switchSegment(); err != nil {
			return err
		}
	}
	peer := &s.link.peer
	pid := peer.pid.Load()
	if pid != s.pid {
		s.adoptPeer(pid)
	}
	if e.displaced.Load() {
		return failDisplaced(e.name)
	}
	if e.role == Slave && (pid != 0 && peer.alive.Load() == 0 || e.noMaster.Load()) {
		return e.noMasterError(s.countUnreceived)
	}
	if len(s.sources) > 0 {
		if _, err := s.carryOver(everything, everything); err != nil {
			return failCorrupt(e.address, err)
		}
	}
	return nil
}

// switchSegment switches to the endpoint's current segment. It fails if the endpoint is closed.
func (s *sender) switchSegment() error {
	next := s.endpoint.retainCurrent()
	if next == nil {
		return s.endpoint.usual.closed
	}
	old := s.link
	old.retain()
	if err := s.attach(next); err != nil {
		old.release()
		next.release()
		return err
	}
	s.leave(old)
	return nil
}

// leave puts a link that was left first among the sources of the carry-over. The link is retained for it.
func (s *sender) leave(old *link) {
	s.sources = append([]*source{newSource(old)}, s.sources...)
}

// attach makes a link the one to send through. The link is retained for it.
func (s *sender) attach(next *link) error {
	if next.hasQueues() {
		queue, err := next.outQueue.resume()
		if err != nil {
			return failCorrupt(s.endpoint.address, err)
		}
		s.queue = queue
	}
	if s.link != nil {
		s.link.release()
	}
	s.link = next
	s.adoptPeer(next.peer.pid.Load())
	return nil
}

// adoptPeer decides how messages reach the endpoint with this pid.
func (s *sender) adoptPeer(pid int32) {
	s.pid, s.owed = pid, false
	switch l := s.link; {
	case l.peer.legacy(pid):
		s.route = viaLegacy
	case l.speaksQueue(pid):
		s.route = viaQueue
	default:
		s.route = viaMailbox
	}
}

// attempt sends a message if there is room now.
func (s *sender) attempt(message []byte) (bool, error) {
	if s.route != viaQueue {
		return s.attemptMailbox(message)
	}
	if len(message) > s.queue.capacity {
		return false, failTooLarge(s.endpoint.name, len(message), s.queue.capacity)
	}
	if s.busy() {
		return false, nil
	}
	room, ok, err := s.queue.reserve(len(message))
	if err != nil {
		return false, failCorrupt(s.endpoint.address, err)
	}
	if !ok {
		return false, nil
	}
	copy(room.bytes, message)
	s.publish(room)
	return true, nil
}

func (s *sender) publish(room reservation) {
	s.queue.publish(room)
	s.wakeReceiver()
	s.count(1, len(room.bytes))
	if s.refused {
		s.endRefusal()
	}
}

// endRefusal ends the wait for room of the program's event descriptor, because a message went.
func (s *sender) endRefusal() {
	s.refused, s.detour = false, s.loaned
	s.endpoint.source.Load().endRefusal()
}

func (s *sender) wakeReceiver() {
	control := s.queue.control
	if control.receiversParked.any() {
		// Not the slot that was just published: after several messages the receiver may wait for a later one.
		s.endpoint.wake(s.link, &control.receiversParked, &s.queue.slot(control.parkedNumber.Load()).mark)
	}
}

func (s *sender) attemptMailbox(message []byte) (bool, error) {
	box := &s.link.out
	if len(message) > box.size {
		return false, failTooLarge(s.endpoint.name, len(message), box.size)
	}
	if s.busy() || !s.free() {
		return false, nil
	}
	s.putMessage(message)
	s.count(1, len(message))
	if s.refused {
		s.endRefusal()
	}
	return true, nil
}

// putMessage puts a message into the mailbox. It must fit, and the mailbox must be free.
func (s *sender) putMessage(message []byte) {
	if box := &s.link.out; s.route == viaLegacy {
		s.readBy, s.owed = box.tail.readCount.Load(), true
	}
	s.link.holdsMessage.Store(true)
	s.put(message)
}

// putValue makes a value the mailbox's latest one. It must fit.
func (s *sender) putValue(value []byte) {
	s.link.holdsMessage.Store(false)
	s.put(value)
	shm.Publish(&s.endpoint.sent, s.endpoint.sent.Load()+1)
}

// free tells whether the message before was read.
func (s *sender) free() bool {
	box := &s.link.out
	if s.route == viaLegacy {
		return !s.owed || box.tail.readCount.Load() != s.readBy
	}
	return box.free()
}

// put writes to the mailbox.
func (s *sender) put(value []byte) {
	box := &s.link.out
	box.put(value)
	tail := box.tail
	if s.route == viaLegacy {
		tail.wakeSeq.Add(1) // a full fence: an ESHM 1.x process does not fence for its writer
		if tail.waiters.anyLegacy() {
			s.endpoint.wake(s.link, &tail.waiters, &tail.wakeSeq)
		}
		return
	}
	shm.Publish(&tail.wakeSeq, tail.wakeSeq.Load()+1)
	s.endpoint.wakeIfParked(s.link, &tail.waiters, &tail.wakeSeq)
}

// waitPoint returns where to wait for room.
func (s *sender) waitPoint() waitPoint {
	switch l := s.link; {
	case len(s.sources) > 0:
		return waitPoint{link: l, sleep: noMasterPollInterval}
	case s.route == viaQueue:
		control := s.queue.control
		return l.waitPoint(InterestWritable, &control.consumed, &control.sender.parked)
	case s.route == viaMailbox:
		return l.waitPoint(InterestWritable, &l.out.tail.taken, &l.out.tail.takenWaiters)
	default:
		return waitPoint{link: l, sleep: legacyPollInterval, limit: legacyLimit}
	}
}

// close releases the link.
func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return
	}
	_, _ = s.carryOver(everything, everything)
	s.unreceivedAtClose = s.countUnreceived()
	for _, from := range s.sources {
		from.link.release()
	}
	s.sources = nil
	s.link.release()
	s.link = nil
}
