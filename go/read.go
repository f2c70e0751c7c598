package eshm

import (
	"bytes"
	"context"
)

// Read waits for a value that is newer than the last one read, and reads it. The first call reads the current value, if
// there is one. The value belongs to the caller. Otherwise Read behaves as [Endpoint.Recv].
func (e *Endpoint) Read(ctx context.Context) (Message, error) {
	if value, ok, err := e.recv.spinForValue(); ok || err != nil {
		return value, err
	}
	return e.recv.awaitValue(ctx)
}

// spinForValue takes the latest value as soon as it is there. It polls for the time of an answer.
func (r *receiver) spinForValue() (value Message, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(); err != nil {
		r.releaseClosedLink()
		return Message{}, false, err
	}
	r.spinForArrival()
	ok, err = r.readValue(&value)
	return value, ok, err
}

// spinForArrival polls until a new value is there, or for the time of an answer.
func (r *receiver) spinForArrival() {
	for range r.boxBackoff.polls.Load() {
		if r.box.arrived() {
			return
		}
	}
	r.boxBackoff.pollsFailed()
}

// readValue takes the latest value if it is new, and makes it the caller's own.
func (r *receiver) readValue(value *Message) (bool, error) {
	ok, err := r.attemptBox(value)
	value.bytes = bytes.Clone(value.bytes)
	return ok, err
}

// ReadAppend reads the latest value as [Endpoint.Read] does, and appends it to the buffer. It allocates nothing if the
// buffer has room.
func (e *Endpoint) ReadAppend(ctx context.Context, buffer []byte) ([]byte, error) {
	err := e.recv.untilValue(ctx, false, func(r *receiver) (bool, error) {
		var value Message
		ok, err := r.attemptBox(&value)
		buffer = append(buffer, value.bytes...)
		return ok, err
	})
	return buffer, err
}

func (r *receiver) awaitValue(ctx context.Context) (Message, error) {
	var value Message
	err := r.untilValue(ctx, true, func(r *receiver) (bool, error) {
		return r.readValue(&value)
	})
	return value, err
}

// TryRead reads the latest value if it is newer than the last one read: see [Endpoint.Read].
func (e *Endpoint) TryRead() (value Message, ok bool, err error) {
	r := &e.recv
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(); err != nil {
		r.releaseClosedLink()
		return Message{}, false, err
	}
	ok, err = r.readValue(&value)
	if !ok && err == nil && r.endpoint.wantsEvents(InterestValue) {
		ok, err = r.endpoint.source.Load().armAndTry(InterestValue, r.valueWaitPoint,
			func() (bool, error) { return r.readValue(&value) })
	}
	return value, ok, err
}

// attemptBox takes the latest value if it is new.
func (r *receiver) attemptBox(value *Message) (bool, error) {
	for {
		// Before the poll: what came before the switch is still found.
		left := r.endpoint.current.Load() != r.boxLink
		if ok, err := r.takeBox(value, false); ok || err != nil {
			return ok, err
		}
		if !left || !r.switchValueSegment() {
			return false, r.whyNothing()
		}
	}
}

// takeBox takes what is in the mailbox if it is new.
func (r *receiver) takeBox(message *Message, lossless bool) (bool, error) {
	found, ok, err := r.box.take(lossless, r.endpoint.clock.Load())
	if err != nil {
		return false, failCorrupt(r.endpoint.address, err)
	}
	r.notePeer()
	if !ok {
		return false, nil
	}
	tail := r.boxLink.in.tail
	r.endpoint.wakeIfParked(r.boxLink, &tail.takenWaiters, &tail.taken)
	if found.skipped > 0 {
		r.endpoint.counts.skipped.Add(found.skipped)
	}
	*message = Message{bytes: found.bytes, Skipped: found.skipped, Generation: r.boxGeneration()}
	if lossless {
		r.count(1, len(found.bytes))
	}
	return true, nil
}

// boxGeneration returns the generation of the peer that wrote a value. Values may be a segment ahead of messages, or
// behind.
func (r *receiver) boxGeneration() uint64 {
	if r.boxLink == r.link {
		return r.generation
	}
	return r.endpoint.generationOf(r.boxLink)
}

func (r *receiver) switchValueSegment() bool {
	e := r.endpoint
	if e.current.Load() == r.boxLink {
		return false
	}
	next := e.retainNextSegment(r.boxLink.epoch, &e.valuesAt)
	if next == nil {
		return false
	}
	r.boxLink.release()
	r.attachBox(next)
	return true
}

func (r *receiver) attachBox(next *link) {
	r.boxLink = next
	r.box = newMailboxReader(next.in, next.readCounter())
	if next.countsReads {
		r.box.trusted = 0 // the endpoint's clock stands still
	}
}

// valueWaitPoint returns where to wait for a value.
func (r *receiver) valueWaitPoint() waitPoint {
	l := r.boxLink
	tail := l.in.tail
	if r.legacyWakes.legacy && !r.legacyWakes.seen {
		r.legacyWakes.seen = tail.wakeSeq.Load() != r.legacyWakes.wakeSeq
		if !r.legacyWakes.seen {
			return waitPoint{link: l, sleep: legacyPollInterval}
		}
	}
	// Polling the value's own cache line brings the value along. The line of wakeSeq stays with the writer until
	// somebody parks on it.
	at := l.waitPoint(InterestValue, &l.in.head.sequence, &tail.waiters)
	at.futex, at.legacy = &tail.wakeSeq, !l.peer.ours(l.peer.pid.Load())
	return at
}
