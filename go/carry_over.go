package eshm

import (
	"math"
	"sync/atomic"
	"time"
)

// The carry-over, PROTOCOL.md §5: messages that were accepted in a segment that was left, and not received there, go
// into the segment that has the name now.

// visitBytes and visitMessages bound what the background goroutine carries over per visit: heartbeats wait meanwhile.
const (
	visitBytes    = 1 << 20
	visitMessages = 1024
)

// source is the receiving end of what this endpoint has sent into a segment that it has left. The endpoint holds the
// peer's seat there.
type source struct {
	link  *link // retained
	queue recvQueue
	box   mailboxReader
	reads atomic.Uint64 // of box; unused

	// most is how many messages may still come out of the queue. A hostile peer that goes on writing marks could make
	// more.
	most int

	// pending is a copy of what was in the mailbox and is not carried over yet; nil if there is nothing.
	pending        []byte
	pendingMessage bool // pending is a message, not a value
}

// newSource makes a source of a link that is retained for it.
func newSource(l *link) *source {
	s := &source{link: l}
	if l.hasQueues() {
		s.queue = l.outQueue.receiver()
		s.most = len(l.outQueue.slots)
	}
	s.box = newMailboxReader(l.out, &s.reads)
	return s
}

// left returns how many messages are not carried over yet.
func (s *source) left() uint64 {
	left := uint64(0)
	if s.queue.control != nil {
		left = uint64(s.queue.depth())
	}
	if s.pending != nil && s.pendingMessage || s.link.messageInMailbox() {
		left++
	}
	return left
}

// takeMailbox takes what is in the mailbox, unless a message from it waits to be carried over.
func (s *source) takeMailbox() {
	// An ESHM 1.x reader does not say what it has received.
	if s.link.peerWasLegacy() || s.pending != nil && s.pendingMessage {
		return
	}
	message := s.link.holdsMessage.Load()
	// A size that is too great, written by a hostile peer, counts as nothing.
	if found, ok, err := s.box.take(message, 0); ok && err == nil {
		s.pending, s.pendingMessage = append([]byte{}, found.bytes...), message
	}
}

// everything is the budget of a caller that has nothing else to do.
const everything = math.MaxInt

// carryOver carries over as much as room and budget admit. It reports whether nothing is left; mu is held.
func (s *sender) carryOver(bytes, messages int) (bool, error) {
	for len(s.sources) > 0 {
		first := s.sources[0]
		if done, err := s.carryQueue(first, &bytes, &messages); !done {
			return false, err
		}
		if done, err := s.carryMailbox(first); !done {
			return false, err
		}
		first.link.release()
		s.sources = s.sources[1:]
	}
	return true, nil
}

func (s *sender) carryQueue(from *source, bytes, messages *int) (bool, error) {
	if from.queue.control == nil {
		return true, nil
	}
	for {
		message, ok, err := from.queue.take()
		if err != nil || ok && from.most == 0 {
			// The old peer overwrote what this endpoint had sent: the messages behind it cannot be found any more.
			s.undeliverable += uint64(from.queue.depth())
			from.queue = recvQueue{}
			return true, nil
		}
		if !ok {
			return true, nil
		}
		if *messages == 0 || *bytes < min(len(message), visitBytes) {
			from.queue.putBack()
			return false, nil
		}
		*bytes, *messages = max(0, *bytes-len(message)), *messages-1
		switch sent, err := s.forward(message); {
		case err != nil:
			from.queue.putBack()
			return false, err
		case !sent:
			from.queue.putBack()
			return false, nil
		}
		// Only now: at each moment the message is in at least one of the two segments.
		from.queue.release(from.queue.next)
		from.most--
	}
}

// carryMailbox carries over a message that was not taken, or the latest value.
func (s *sender) carryMailbox(from *source) (bool, error) {
	from.takeMailbox()
	if from.pending == nil {
		return true, nil
	}
	if from.pendingMessage {
		if sent, err := s.forward(from.pending); !sent {
			return false, err
		}
	} else if !s.forwardValue(from.pending) {
		return false, nil
	}
	from.pending = nil
	return true, nil
}

// forward sends a message that is carried over. It counts and drops one that the segment cannot hold.
func (s *sender) forward(message []byte) (bool, error) {
	if s.route != viaQueue {
		if len(message) > s.link.out.size {
			s.undeliverable++
			return true, nil
		}
		if !s.free() && !s.legacyReaderHadTime() {
			return false, nil
		}
		s.putMessage(message)
		s.forwarded = time.Now()
		return true, nil
	}
	if len(message) > s.queue.capacity {
		s.undeliverable++
		return true, nil
	}
	room, ok, err := s.queue.reserve(len(message))
	if err != nil || !ok {
		return false, err
	}
	copy(room.bytes, message)
	s.queue.publish(room)
	s.wakeReceiver()
	return true, nil
}

// legacyReaderHadTime tells whether an ESHM 1.x reader had enough time for the message that was carried over last. Such
// a reader never reads the first message that it sees.
func (s *sender) legacyReaderHadTime() bool {
	return s.route == viaLegacy && time.Since(s.forwarded) >= legacyLimit
}

// forwardValue writes the latest value of the segment that was left, if it fits. Without queues the mailbox holds
// messages, too, and none is overwritten.
func (s *sender) forwardValue(value []byte) bool {
	if len(value) > s.link.out.size {
		return true
	}
	if s.route != viaQueue && !s.free() {
		return false
	}
	s.putValue(value)
	return true
}

// unreceived returns how many messages were accepted and not received.
func (s *sender) unreceived() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.countUnreceived()
}

// countUnreceived is unreceived; mu is held.
func (s *sender) countUnreceived() uint64 {
	if s.link == nil {
		return s.unreceivedAtClose
	}
	count := s.link.outgoingDepth() + s.undeliverable
	for _, from := range s.sources {
		count += from.left()
	}
	return count
}

// continueCarryOver switches to the newest link and carries over, without a call of the user. It reports whether
// nothing is left.
func (s *sender) continueCarryOver() bool {
	if !s.mu.TryLock() {
		return false // a call that holds the mutex does the same
	}
	defer s.mu.Unlock()
	if s.link == nil {
		return true
	}
	if s.endpoint.current.Load() != s.link && s.switchSegment() != nil {
		return true // closed, or broken: the next call says so
	}
	done, err := s.carryOver(visitBytes, visitMessages)
	return done || err != nil
}
