package eshm

import (
	"bytes"
	"context"
)

// Recv waits for the next message and receives it. The message belongs to the caller.
//
// With a deadline it waits until then, and fails with [ErrTimeout]. Without one it waits as long as the peer may still
// come, and fails with [ErrPeerClosed] or [ErrPeerStale] when nothing is unread. A call that need not wait does not
// check the context. Any number of goroutines may receive at once; each message goes to one of them.
func (e *Endpoint) Recv(ctx context.Context) (message Message, err error) {
	ok, err := e.recv.spinForMessage(&message, own)
	if !ok && err == nil {
		message, err = e.recv.awaitMessage(ctx, own)
	}
	return message, err
}

// Borrow receives the next message in place, without a copy. It waits as [Endpoint.Recv] does.
//
// The bytes stay as they are until the message is released or the endpoint is closed. Until then no other message can
// be received: calls fail with [ErrBorrowed]. If the process is killed before the release, its successor receives the
// message again. A peer that breaks the protocol can change the bytes: see SECURITY.md.
func (e *Endpoint) Borrow(ctx context.Context) (message Message, err error) {
	ok, err := e.recv.spinForMessage(&message, borrowed)
	if !ok && err == nil {
		message, err = e.recv.awaitMessage(ctx, borrowed)
	}
	return message, err
}

// holding is who holds the bytes of a message that is handed out.
type holding bool

const (
	own      holding = false // the caller: a copy, the message is released
	borrowed holding = true  // the segment
)

// spinForMessage takes the next message of the queue as soon as it is there. It polls for the time of an answer.
//
// It writes to the caller's result. A Message that is returned from call to call is copied each time, by loads that wait
// for the stores before them: three copies take as long as the rest of a call.
func (r *receiver) spinForMessage(message *Message, how holding) (ok bool, err error) {
	r.mu.Lock()
	if ok, err = r.spinAndTake(message); ok {
		r.handOut(message, how)
	}
	r.mu.Unlock()
	return ok, err
}

func (r *receiver) spinAndTake(message *Message) (bool, error) {
	if err := r.ready(); err != nil {
		r.releaseClosedLink()
		return false, err
	}
	if !r.link.hasQueues() {
		return false, nil
	}
	if polls := r.backoff.polls.Load(); polls > 0 {
		r.timing.waitForFirstPoll(r.endpoint.sent.Load())
		if r.queue.arrived() {
			r.timing.firstPollHit()
		} else if !r.spinOnMark(polls) {
			return false, nil
		}
	}
	return r.take(message)
}

// handOut makes a message that was taken the caller's own, unless it is to be borrowed.
func (r *receiver) handOut(message *Message, how holding) {
	if how == borrowed && message.borrowedFrom != nil {
		return
	}
	message.bytes = bytes.Clone(message.bytes)
	if message.borrowedFrom != nil {
		message.borrowedFrom = nil
		r.releaseTo(r.queue.next)
	}
}

// spinOnMark polls the mark of the next message, after a first poll that found nothing. It reports whether the message
// came.
func (r *receiver) spinOnMark(polls uint32) bool {
	r.timing.firstPollMissed()
	for range polls {
		if r.queue.arrived() {
			r.timing.laterPollHit()
			r.backoff.pollsPaid()
			return true
		}
	}
	r.timing.allPollsMissed()
	r.backoff.pollsFailed()
	return false
}

func (r *receiver) awaitMessage(ctx context.Context, how holding) (Message, error) {
	var message Message
	err := r.untilMessage(ctx, true, func(r *receiver) (bool, error) {
		return r.receive(&message, how)
	})
	return message, err
}

// receive takes the next message if it is there now, and hands it out.
func (r *receiver) receive(message *Message, how holding) (bool, error) {
	ok, err := r.attempt(message)
	if ok {
		r.handOut(message, how)
	}
	return ok, err
}

// TryRecv receives the next message if it is there now: see [Endpoint.Recv].
func (e *Endpoint) TryRecv() (message Message, ok bool, err error) { return e.recv.try(own) }

// TryBorrow receives the next message in place if it is there now: see [Endpoint.Borrow].
func (e *Endpoint) TryBorrow() (message Message, ok bool, err error) { return e.recv.try(borrowed) }

func (r *receiver) try(how holding) (message Message, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(); err != nil {
		r.releaseClosedLink()
		return Message{}, false, err
	}
	ok, err = r.receive(&message, how)
	if !ok && err == nil && r.endpoint.wantsEvents(InterestReadable) {
		ok, err = r.endpoint.source.Load().armAndTry(InterestReadable, r.messageWaitPoint,
			func() (bool, error) { return r.receive(&message, how) })
	}
	return message, ok, err
}

// RecvAppend receives the next message as [Endpoint.Recv] does, and appends it to the buffer. It allocates nothing if
// the buffer has room. For short messages it takes less time than a Borrow and a Release, which lock twice.
func (e *Endpoint) RecvAppend(ctx context.Context, buffer []byte) ([]byte, error) {
	buffer, ok, err := e.recv.spinForAppend(buffer)
	if ok || err != nil {
		return buffer, err
	}
	err = e.recv.untilMessage(ctx, true, func(r *receiver) (bool, error) {
		var message Message
		ok, err := r.attempt(&message)
		if ok {
			buffer = r.appendAndRelease(buffer, &message)
		}
		return ok, err
	})
	return buffer, err
}

// spinForAppend is spinForMessage for RecvAppend.
func (r *receiver) spinForAppend(buffer []byte) (_ []byte, ok bool, err error) {
	var message Message
	r.mu.Lock()
	if ok, err = r.spinAndTake(&message); ok {
		buffer = r.appendAndRelease(buffer, &message)
	}
	r.mu.Unlock()
	return buffer, ok, err
}

func (r *receiver) appendAndRelease(buffer []byte, message *Message) []byte {
	buffer = append(buffer, message.bytes...)
	if message.borrowedFrom != nil {
		r.releaseTo(r.queue.next)
	}
	return buffer
}

// RecvMany waits for a message, and fills the slice with it and those behind it that are there. It returns how many.
// They belong to the caller.
func (e *Endpoint) RecvMany(ctx context.Context, messages []Message) (int, error) {
	return e.recv.awaitMany(ctx, messages, own)
}

// BorrowMany is [Endpoint.RecvMany] without copies: see [Endpoint.Borrow]. Releasing one message releases those before
// it.
func (e *Endpoint) BorrowMany(ctx context.Context, messages []Message) (int, error) {
	return e.recv.awaitMany(ctx, messages, borrowed)
}

func (r *receiver) awaitMany(ctx context.Context, messages []Message, how holding) (int, error) {
	if len(messages) == 0 {
		return 0, nil
	}
	count := 0
	err := r.untilMessage(ctx, false, func(r *receiver) (bool, error) {
		if ok, err := r.attempt(&messages[0]); !ok {
			return false, err
		}
		count = 1
		if messages[0].borrowedFrom == nil {
			r.handOut(&messages[0], how)
			return true, nil
		}
		count += r.more(messages[1:])
		if how == own {
			for i := range messages[:count] {
				messages[i].bytes, messages[i].borrowedFrom = bytes.Clone(messages[i].bytes), nil
			}
			r.releaseTo(r.queue.next)
		}
		return true, nil
	})
	return count, err
}

// attempt takes the next message if it is there now.
func (r *receiver) attempt(message *Message) (bool, error) {
	for {
		// Before the poll: what came before the switch is still found.
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
		if !left || !r.switchSegment() {
			return false, r.whyNothing()
		}
	}
}

// messagesInBox tells whether the mailbox may hold the next message. That is the mailbox of the segment where messages
// are received: unread values of older segments are out of date then.
func (r *receiver) messagesInBox() bool {
	if r.boxLink.epoch < r.link.epoch {
		r.boxLink.release()
		r.link.retain()
		r.attachBox(r.link)
		r.endpoint.noteValues(r.link.epoch)
	}
	// Values that are ahead have read this segment's mailbox already.
	return r.boxLink == r.link
}

// take takes the next message of the queue if it is there now.
func (r *receiver) take(message *Message) (bool, error) {
	bytes, ok, err := r.queue.take()
	if err != nil {
		return false, failCorrupt(r.endpoint.address, err)
	}
	if ok {
		r.notePeer()
		r.borrowedBytes += len(bytes)
		// Field by field: the compiler makes and copies a composite literal.
		message.bytes, message.Skipped, message.Generation = bytes, 0, r.generation
		message.borrowedFrom, message.next = r.borrowedFrom, r.queue.next
	}
	return ok, nil
}

// more takes the further messages of the queue that are there, and returns how many. The next call reports what is
// wrong with one.
func (r *receiver) more(messages []Message) int {
	for count := range messages {
		if ok, err := r.take(&messages[count]); !ok || err != nil {
			return count
		}
	}
	return len(messages)
}

// releaseTo releases the messages before this number.
func (r *receiver) releaseTo(next uint32) {
	r.countReleased(next)
	r.released = next
	r.queue.release(next)
	control := r.queue.control
	r.endpoint.wakeIfParked(r.link, &control.sender.parked, &control.consumed)
}

// countReleased counts the messages that are about to be released.
func (r *receiver) countReleased(next uint32) {
	messages := next - r.released
	bytes := r.borrowedBytes
	if next != r.queue.next {
		// Only some of the borrowed messages: adds up their lengths.
		bytes = 0
		for number := r.released; number != next; number++ {
			bytes += r.queue.length(number)
		}
	}
	r.borrowedBytes -= bytes
	r.count(int(messages), bytes)
}

// messageWaitPoint returns where to wait for a message.
func (r *receiver) messageWaitPoint() waitPoint {
	if r.usesBox || !r.link.hasQueues() {
		at := r.valueWaitPoint()
		at.kind = InterestReadable
		return at
	}
	control := r.queue.control
	at := r.link.waitPoint(InterestReadable, &r.queue.slot(r.queue.next).mark, &control.receiversParked)
	at.queue, at.number = control, r.queue.next
	return at
}
