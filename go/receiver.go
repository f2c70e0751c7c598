package eshm

import (
	"bytes"
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

// receiver is the receiving half of an endpoint. Its mutex is held for moments only, never while waiting.
//
// Messages and values have a link each, because a slave that moves to a new segment first takes what is unread in the
// old one, of either kind.
type receiver struct {
	endpoint *Endpoint
	mu       sync.Mutex

	link      *link // retained; nil after Close
	lease     *lease
	queue     recvQueue
	pace      pace
	released  uint32 // number of the first message that is lent, or of the next if none is
	lentBytes int    // of the messages that are lent

	messages, bytes atomic.Uint64 // received, and released

	boxLink *link // retained; nil after Close
	box     mailboxReader

	pid        int32  // of the peer that the next four were settled for
	epoch      uint32 // its generation in the header
	generation uint64 // and as messages tell it
	usesBox    bool   // it sends messages through the mailbox
	rings      rings

	lingering runtime.Cleanup // of link, after Close
}

// rings tells whether an ESHM 1.x peer wakes readers: version 1.0 does not.
type rings struct {
	legacy  bool
	wakeSeq uint32 // when the peer came
	seen    bool   // it has changed since
}

// Recv receives the next message, waiting for it. The message belongs to the caller.
//
// With a deadline it waits until then, and fails with [ErrTimeout]. Without one it waits as long as the peer may
// still come, and fails with [ErrPeerClosed] or [ErrPeerStale] when nothing is unread. A call that need not wait does
// not look at the context. Any number of goroutines may receive at once; each message goes to one of them.
func (e *Endpoint) Recv(ctx context.Context) (Message, error) {
	message, ok, err := e.recv.watch(own)
	if !ok && err == nil {
		message, err = e.recv.awaitMessage(ctx, own)
	}
	return message, err
}

// Borrow receives the next message where it lies, without a copy, and waits as [Endpoint.Recv] does.
//
// Its bytes stay as they are until it is released, or the endpoint is closed. Until then no other message can be received:
// calls fail with [ErrBorrowed]. A process that is killed before the release is followed by one that receives the message
// again. A peer that breaks the protocol can change the bytes: see SECURITY.md.
func (e *Endpoint) Borrow(ctx context.Context) (Message, error) {
	message, ok, err := e.recv.watch(borrowed)
	if !ok && err == nil {
		message, err = e.recv.awaitMessage(ctx, borrowed)
	}
	return message, err
}

// holding is how a message is handed out.
type holding bool

const (
	own      holding = false // copied, and released
	borrowed holding = true  // lent
)

// looks is for how long a receiver watches a mark: some 2 µs, which most answers take no longer than.
const looks = 2048

// watch takes the next message of the queue as soon as it is there, for the time of an answer.
func (r *receiver) watch(how holding) (message Message, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, err = r.watchFor(&message); ok {
		r.hand(&message, how)
	}
	return message, ok, err
}

func (r *receiver) watchFor(message *Message) (bool, error) {
	if err := r.ready(); err != nil {
		return false, err
	}
	if !r.link.hasQueues() {
		return false, nil
	}
	if r.endpoint.settings.spin > 0 {
		r.pace.hold(r.endpoint.sent.Load())
		if r.queue.arrived() {
			r.pace.wasNotEarly()
		} else if !r.watchMark() {
			return false, nil
		}
	}
	return r.take(message)
}

// hand makes a message that was taken the caller's own, unless it is to be lent.
func (r *receiver) hand(message *Message, how holding) {
	if how == borrowed && message.lease != nil {
		return
	}
	message.bytes = bytes.Clone(message.bytes)
	if message.lease != nil {
		message.lease = nil
		r.releaseTo(r.queue.next)
	}
}

// watchMark watches the mark of the next message, whose first look was in vain. It reports whether the message came.
func (r *receiver) watchMark() bool {
	r.pace.wasEarly()
	for range looks {
		if r.queue.arrived() {
			r.pace.hasCome()
			return true
		}
	}
	r.pace.wasInVain()
	return false
}

func (r *receiver) awaitMessage(ctx context.Context, how holding) (Message, error) {
	var message Message
	err := r.await(ctx, waitForMessage, (*receiver).spot, func(r *receiver) (bool, error) {
		return r.receive(&message, how)
	})
	return message, err
}

// receive takes the next message if it is there, and hands it out.
func (r *receiver) receive(message *Message, how holding) (bool, error) {
	ok, err := r.attempt(message)
	if ok {
		r.hand(message, how)
	}
	return ok, err
}

// TryRecv receives the next message if it is there: see [Endpoint.Recv].
func (e *Endpoint) TryRecv() (message Message, ok bool, err error) { return e.recv.try(own) }

// TryBorrow receives the next message where it lies, if it is there: see [Endpoint.Borrow].
func (e *Endpoint) TryBorrow() (message Message, ok bool, err error) { return e.recv.try(borrowed) }

func (r *receiver) try(how holding) (message Message, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(); err != nil {
		return Message{}, false, err
	}
	ok, err = r.receive(&message, how)
	return message, ok, err
}

// RecvAppend receives the next message as [Endpoint.Recv] does, and appends it to the buffer: it allocates nothing where that has
// room.
func (e *Endpoint) RecvAppend(ctx context.Context, buffer []byte) ([]byte, error) {
	buffer, ok, err := e.recv.watchAppend(buffer)
	if ok || err != nil {
		return buffer, err
	}
	err = e.recv.await(ctx, waitForMessage, (*receiver).spot, func(r *receiver) (bool, error) {
		var message Message
		ok, err := r.attempt(&message)
		if ok {
			buffer = r.appendAndRelease(buffer, &message)
		}
		return ok, err
	})
	return buffer, err
}

// watchAppend is watch for RecvAppend.
func (r *receiver) watchAppend(buffer []byte) (_ []byte, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var message Message
	if ok, err = r.watchFor(&message); ok {
		buffer = r.appendAndRelease(buffer, &message)
	}
	return buffer, ok, err
}

func (r *receiver) appendAndRelease(buffer []byte, message *Message) []byte {
	buffer = append(buffer, message.bytes...)
	if message.lease != nil {
		r.releaseTo(r.queue.next)
	}
	return buffer
}

// RecvMany waits for a message, and fills the slice with it and those behind it that are there. It returns how many
// these are. They belong to the caller.
func (e *Endpoint) RecvMany(ctx context.Context, messages []Message) (int, error) {
	return e.recv.awaitMany(ctx, messages, own)
}

// BorrowMany is [Endpoint.RecvMany] without copies: see [Endpoint.Borrow]. To release one message releases those before
// it.
func (e *Endpoint) BorrowMany(ctx context.Context, messages []Message) (int, error) {
	return e.recv.awaitMany(ctx, messages, borrowed)
}

func (r *receiver) awaitMany(ctx context.Context, messages []Message, how holding) (int, error) {
	if len(messages) == 0 {
		return 0, nil
	}
	count := 0
	err := r.await(ctx, waitForMessage, (*receiver).spot, func(r *receiver) (bool, error) {
		if ok, err := r.attempt(&messages[0]); !ok {
			return false, err
		}
		count = 1
		if messages[0].lease == nil {
			r.hand(&messages[0], how)
			return true, nil
		}
		count += r.more(messages[1:])
		if how == own {
			for i := range messages[:count] {
				messages[i].bytes, messages[i].lease = bytes.Clone(messages[i].bytes), nil
			}
			r.releaseTo(r.queue.next)
		}
		return true, nil
	})
	return count, err
}

// Read reads the latest value, waiting for one that is newer than the last one read. The first one is the current
// value, if there is any. It belongs to the caller. Otherwise it is as [Endpoint.Recv].
func (e *Endpoint) Read(ctx context.Context) (Message, error) {
	if value, ok, err := e.recv.watchBox(); ok || err != nil {
		return value, err
	}
	return e.recv.awaitValue(ctx)
}

// watchBox takes the latest value as soon as it is there, for the time of an answer.
func (r *receiver) watchBox() (value Message, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(); err != nil {
		return Message{}, false, err
	}
	if r.endpoint.settings.spin > 0 {
		for left := looks; left > 0 && !r.box.arrived(); left-- {
		}
	}
	ok, err = r.readValue(&value)
	return value, ok, err
}

// readValue takes the latest value if it is new, and makes it the caller's own.
func (r *receiver) readValue(value *Message) (bool, error) {
	ok, err := r.attemptBox(value)
	value.bytes = bytes.Clone(value.bytes)
	return ok, err
}

// ReadAppend reads the latest value as [Endpoint.Read] does, and appends it to the buffer: it allocates nothing where that has
// room.
func (e *Endpoint) ReadAppend(ctx context.Context, buffer []byte) ([]byte, error) {
	err := e.recv.await(ctx, waitForValue, (*receiver).boxSpot, func(r *receiver) (bool, error) {
		var value Message
		ok, err := r.attemptBox(&value)
		buffer = append(buffer, value.bytes...)
		return ok, err
	})
	return buffer, err
}

func (r *receiver) awaitValue(ctx context.Context) (Message, error) {
	var value Message
	err := r.await(ctx, waitForValue, (*receiver).boxSpot, func(r *receiver) (bool, error) {
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
		return Message{}, false, err
	}
	ok, err = r.readValue(&value)
	return value, ok, err
}

// await attempts until it succeeds. The spot is settled before each look.
func (r *receiver) await(ctx context.Context, what string, where func(*receiver) spot,
	attempt func(*receiver) (bool, error),
) error {
	_, err := r.endpoint.await(ctx, what, func() (at spot, done bool, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err = r.ready(); err == nil {
			at, done, err = r.look(where, attempt)
		}
		if !done && err == nil {
			at.link.retain()
		}
		return at, done, err
	})
	return err
}

// look attempts, and returns where to wait: the spot was settled before the attempt. If that has moved to another segment, it
// looks again, since the spot may lie in memory that is unmapped.
func (r *receiver) look(where func(*receiver) spot, attempt func(*receiver) (bool, error)) (spot, bool, error) {
	for {
		at := where(r)
		done, err := attempt(r)
		if done || err != nil || where(r).link == at.link {
			return at, done, err
		}
	}
}

// ready makes sure that the endpoint is open, and nothing is borrowed.
func (r *receiver) ready() error {
	if r.endpoint.current.Load() == nil {
		r.forget()
		return failClosed(r.endpoint.name)
	}
	if r.released != r.queue.next {
		return fail(ErrBorrowed, r.endpoint.name, nil, "a borrowed message is not released; release it first")
	}
	return nil
}

// attempt takes the next message if it is there.
func (r *receiver) attempt(message *Message) (bool, error) {
	for {
		// Asked before the look: what came before the endpoint moved is still found.
		left := r.endpoint.current.Load() != r.link
		if r.link.hasQueues() {
			if ok, err := r.take(message); ok || err != nil {
				return ok, err
			}
		}
		if r.notePeer(); r.usesBox && r.messagesInBox() {
			if ok, err := r.takeBox(message, true); ok || err != nil {
				return ok, err
			}
		}
		if !left || !r.move() {
			return false, r.whyNothing()
		}
	}
}

// messagesInBox tells whether the mailbox may hold the next message. It is that of the segment where messages are received:
// values that are unread in older ones are out of date then.
func (r *receiver) messagesInBox() bool {
	if r.boxLink.epoch < r.link.epoch {
		r.boxLink.release()
		r.link.retain()
		r.attachBox(r.link)
		r.endpoint.noteValues(r.link.epoch)
	}
	// Values that are ahead have read this segment's mailbox out.
	return r.boxLink == r.link
}

// whyNothing says why nothing will come any more, where that is known.
func (r *receiver) whyNothing() error {
	if r.endpoint.displaced.Load() {
		return failDisplaced(r.endpoint.name)
	}
	return nil
}

// take takes the next message of the queue if it is there.
func (r *receiver) take(message *Message) (bool, error) {
	bytes, ok, err := r.queue.take()
	if err != nil {
		return false, failCorrupt(r.endpoint.name, err)
	}
	if ok {
		r.notePeer()
		r.lentBytes += len(bytes)
		*message = Message{bytes: bytes, Generation: r.generation, lease: r.lease, next: r.queue.next}
	}
	return ok, nil
}

// more takes what further messages of the queue are there, and returns how many. What is wrong with one, if
// something is, the next call tells.
func (r *receiver) more(messages []Message) int {
	for count := range messages {
		if ok, err := r.take(&messages[count]); !ok || err != nil {
			return count
		}
	}
	return len(messages)
}

// attemptBox takes the latest value if it is new.
func (r *receiver) attemptBox(value *Message) (bool, error) {
	for {
		// Asked before the look, as above.
		left := r.endpoint.current.Load() != r.boxLink
		if ok, err := r.takeBox(value, false); ok || err != nil {
			return ok, err
		}
		if !left || !r.moveBox() {
			return false, r.whyNothing()
		}
	}
}

// takeBox takes what is in the mailbox if it is new.
func (r *receiver) takeBox(message *Message, lossless bool) (bool, error) {
	found, ok, err := r.box.take(lossless, r.endpoint.clock.Load())
	if err != nil {
		return false, failCorrupt(r.endpoint.name, err)
	}
	r.notePeer()
	if !ok {
		return false, nil
	}
	tail := r.boxLink.in.tail
	r.endpoint.ring(&tail.takenWaiters, &tail.taken)
	if found.skipped > 0 {
		r.endpoint.counts.skipped.Add(found.skipped)
	}
	*message = Message{bytes: found.bytes, Skipped: found.skipped, Generation: r.boxGeneration()}
	if lossless {
		r.count(1, len(found.bytes))
	}
	return true, nil
}

// boxGeneration is the generation of who wrote a value: values may be ahead of messages by a segment, or behind.
func (r *receiver) boxGeneration() uint64 {
	if r.boxLink == r.link {
		return r.generation
	}
	return r.endpoint.noteGeneration(r.boxLink)
}

// notePeer notices a peer that another one has followed. Whoever has seen a message of a peer sees its generation, too.
func (r *receiver) notePeer() {
	peer := &r.link.peer
	if pid := peer.pid.Load(); pid != r.pid || peer.generation.Load() != r.epoch {
		r.settle(pid)
	}
}

func (r *receiver) settle(pid int32) {
	l := r.link
	r.pid, r.epoch = pid, l.peer.generation.Load()
	r.generation = r.endpoint.noteGeneration(l)
	r.usesBox = !l.speaksQueue(pid)
	r.rings = rings{legacy: l.peer.legacy(pid), wakeSeq: l.in.tail.wakeSeq.Load()}
}

// move goes over to the segment that the endpoint has moved to, if there is another one.
func (r *receiver) move() bool {
	e := r.endpoint
	if e.current.Load() == r.link {
		return false
	}
	next := e.retainNext(r.link.epoch, &e.messagesAt)
	if next == nil {
		return false
	}
	r.link.release()
	r.attach(next)
	return true
}

// attach makes a retained link the one to receive messages from.
func (r *receiver) attach(next *link) {
	r.link, r.lease, r.queue = next, &lease{r, next}, recvQueue{}
	if next.hasQueues() {
		r.queue = next.inQueue.receiver()
	}
	r.released = r.queue.next
	r.settle(next.peer.pid.Load())
}

func (r *receiver) moveBox() bool {
	e := r.endpoint
	if e.current.Load() == r.boxLink {
		return false
	}
	next := e.retainNext(r.boxLink.epoch, &e.valuesAt)
	if next == nil {
		return false
	}
	r.boxLink.release()
	r.attachBox(next)
	return true
}

func (r *receiver) attachBox(next *link) {
	r.boxLink = next
	r.box = newMailboxReader(next.in, &next.reads)
}

// releaseTo releases the messages before this number.
func (r *receiver) releaseTo(next uint32) {
	r.countReleased(next)
	r.released = next
	r.queue.release(next)
	control := r.queue.control
	r.endpoint.ring(&control.sender.parked, &control.consumed)
}

// countReleased counts the messages that are about to be released.
func (r *receiver) countReleased(next uint32) {
	messages := next - r.released
	bytes := r.lentBytes
	if next != r.queue.next {
		// A part of what is lent: as many bytes as these messages have.
		bytes = 0
		for number := r.released; number != next; number++ {
			bytes += r.queue.length(number)
		}
	}
	r.lentBytes -= bytes
	r.count(int(messages), bytes)
}

// count notes that messages were received.
func (r *receiver) count(messages, bytes int) {
	shm.Store64(&r.messages, r.messages.Load()+uint64(messages))
	shm.Store64(&r.bytes, r.bytes.Load()+uint64(bytes))
}

// spot is where to wait for a message.
func (r *receiver) spot() spot {
	if r.usesBox || !r.link.hasQueues() {
		return r.boxSpot()
	}
	control := r.queue.control
	at := r.link.watch(&r.queue.slot(r.queue.next).mark, &control.receiversParked)
	at.queue, at.number = control, r.queue.next
	return at
}

// boxSpot is where to wait for a value.
func (r *receiver) boxSpot() spot {
	l := r.boxLink
	tail := l.in.tail
	if r.rings.legacy && !r.rings.seen {
		r.rings.seen = tail.wakeSeq.Load() != r.rings.wakeSeq
		if !r.rings.seen {
			return spot{link: l, nap: legacyNap}
		}
	}
	// The value's own cache line tells, and brings it along; the one of wakeSeq is the writer's, until it is parked on.
	at := l.watch(&l.in.head.sequence, &tail.waiters)
	at.word = &tail.wakeSeq
	return at
}

// close gives back what is lent, and the links. The memory of messages that somebody may still be looking at stays
// until the next call, or until nobody can look any more.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link == nil {
		return // it was never attached
	}
	r.boxLink.release()
	r.boxLink = nil
	if r.released == r.queue.next {
		r.link.release()
		r.link = nil
		return
	}
	r.lingering = runtime.AddCleanup(r.endpoint, (*link).release, r.link)
}

// forget gives up the memory of messages that were lent when the endpoint was closed.
func (r *receiver) forget() {
	if r.link != nil {
		r.lingering.Stop()
		r.link.release()
		r.link = nil
	}
}
