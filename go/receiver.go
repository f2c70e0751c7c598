package eshm

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"eshm/internal/shm"
)

const (
	waitForMessage = "the arrival of a message"
	waitForValue   = "the arrival of a value"
)

// receiver is the receiving half of an endpoint. Its mutex is never held while a call waits.
//
// Messages and values have a link each: a slave that switches to a new segment first takes what is unread in the old
// one, of either kind.
type receiver struct {
	endpoint *Endpoint
	mu       sync.Mutex

	link          *link         // retained; nil after Close
	borrowedFrom  *borrowedFrom // of the messages of link
	queue         recvQueue
	timing        pollTiming
	backoff       backoff
	released      uint32 // number of the first borrowed message, or of the next message if none is borrowed
	borrowedBytes int    // of the borrowed messages

	messages, bytes atomic.Uint64 // received, and released

	boxLink *link // retained; nil after Close
	box     mailboxReader

	boxBackoff backoff

	pid         int32  // of the peer that epoch, generation, usesBox and legacyWakes describe
	epoch       uint32 // the peer's generation in the header
	generation  uint64 // the generation that messages report
	usesBox     bool   // the peer sends messages through the mailbox
	legacyWakes legacyWakes

	lentLink        *link           // after a Close with borrowed messages: where they are; retained
	borrowedCleanup runtime.Cleanup // releases lentLink when the program drops the endpoint
}

// legacyWakes tells whether an ESHM 1.x peer wakes readers. Version 1.0 does not.
type legacyWakes struct {
	legacy  bool
	wakeSeq uint32 // when the peer came
	seen    bool   // it has changed since then
}

// untilMessage attempts until it succeeds. polled tells whether the call has polled for a message already.
func (r *receiver) untilMessage(ctx context.Context, polled bool, attempt func(*receiver) (bool, error)) error {
	how := wait{backoff: &r.backoff, polled: polled}
	return r.await(ctx, waitForMessage, how, (*receiver).messageWaitPoint, attempt)
}

// untilValue is untilMessage for a value.
func (r *receiver) untilValue(ctx context.Context, polled bool, attempt func(*receiver) (bool, error)) error {
	how := wait{backoff: &r.boxBackoff, polled: polled}
	return r.await(ctx, waitForValue, how, (*receiver).valueWaitPoint, attempt)
}

// await attempts until it succeeds. It decides on the wait point before each attempt.
func (r *receiver) await(ctx context.Context, what string, how wait, where func(*receiver) waitPoint,
	attempt func(*receiver) (bool, error),
) error {
	_, err := r.endpoint.await(ctx, what, how, func() (at waitPoint, done bool, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err = r.ready(); err != nil {
			r.releaseClosedLink()
		} else {
			at, done, err = r.pollOnce(where, attempt)
		}
		if !done && err == nil {
			at.link.retain()
		}
		return at, done, err
	})
	return err
}

// pollOnce attempts once, and returns where to wait. It decides on the wait point before the attempt. If that is in
// another segment after it, pollOnce tries again, since the old one may be unmapped.
func (r *receiver) pollOnce(where func(*receiver) waitPoint, attempt func(*receiver) (bool, error),
) (waitPoint, bool, error) {
	for {
		at := where(r)
		done, err := attempt(r)
		if done || err != nil || where(r).link == at.link {
			return at, done, err
		}
	}
}

// ready checks that the endpoint is open and no message is borrowed. After an error, the caller calls releaseClosedLink.
func (r *receiver) ready() error {
	if r.link == nil { // not endpoint.current, which is nil before close was called
		return r.endpoint.usual.closed
	}
	if r.released != r.queue.next {
		return fail(ErrBorrowed, r.endpoint.name, nil, "a borrowed message is not released; release it first")
	}
	return nil
}

// whyNothing returns why nothing will come any more, if that is known.
func (r *receiver) whyNothing() error {
	if r.endpoint.displaced.Load() {
		return failDisplaced(r.endpoint.name)
	}
	return nil
}

// notePeer records that another peer has followed the one before. A caller that has seen a message of a peer sees the
// peer's generation, too.
func (r *receiver) notePeer() {
	peer := &r.link.peer
	if pid := peer.pid.Load(); pid != r.pid || peer.generation.Load() != r.epoch {
		r.adoptPeer(pid)
	}
}

// adoptPeer records what the receiver knows of the peer with this pid: its generation, whether it sends through the
// mailbox, and whether it wakes readers. The pid is 0 if no peer is attached.
func (r *receiver) adoptPeer(pid int32) {
	l := r.link
	r.pid, r.epoch = pid, l.peer.generation.Load()
	r.generation = r.endpoint.generationOf(l)
	r.usesBox = !l.speaksQueue(pid)
	r.legacyWakes = legacyWakes{legacy: l.peer.legacy(pid), wakeSeq: l.in.tail.wakeSeq.Load()}
}

// switchSegment switches to the next segment with messages. It reports false if there is none.
func (r *receiver) switchSegment() bool {
	e := r.endpoint
	if e.current.Load() == r.link {
		return false
	}
	next := e.retainNextSegment(r.link.epoch, &e.messagesAt)
	if next == nil {
		return false
	}
	r.link.release()
	r.attach(next)
	return true
}

// attach makes a link the one to receive messages from. The link is retained for it.
func (r *receiver) attach(next *link) {
	r.link, r.borrowedFrom, r.queue = next, &borrowedFrom{r, next}, recvQueue{}
	if next.hasQueues() {
		r.queue = next.inQueue.receiver()
	}
	r.released = r.queue.next
	r.adoptPeer(next.peer.pid.Load())
}

// count records that messages were received. A load and a store suffice: mu is held, so that no other goroutine writes
// the counters. They are atomic for Stats, which reads them without the mutex.
func (r *receiver) count(messages, bytes int) {
	shm.Store64(&r.messages, r.messages.Load()+uint64(messages))
	shm.Store64(&r.bytes, r.bytes.Load()+uint64(bytes))
}

// close releases the links. If messages are borrowed, their memory stays mapped until the next call, or until the
// program drops the endpoint.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link == nil {
		return // it was never attached
	}
	l := r.link
	r.boxLink.release()
	r.boxLink, r.link = nil, nil
	if r.released == r.queue.next {
		l.release()
		return
	}
	r.lentLink = l
	r.borrowedCleanup = runtime.AddCleanup(r.endpoint, (*link).release, l)
}

// releaseClosedLink releases the memory of messages that were borrowed when the endpoint was closed. It does nothing
// while the endpoint is open.
func (r *receiver) releaseClosedLink() {
	if r.lentLink != nil {
		r.borrowedCleanup.Stop()
		r.lentLink.release()
		r.lentLink = nil
	}
}
