package eshm

import (
	"context"
	"errors"
	"time"
)

// batchChunk is how many messages of a batch go between two checks of its context.
const batchChunk = 1024

// TrySend sends a message if there is room now. Otherwise it fails with [ErrFull], or, on a slave without a master,
// with [ErrReconnecting], [ErrPeerStale] or [ErrPeerClosed].
func (e *Endpoint) TrySend(message []byte) error {
	sent, err := e.send.try(message)
	if !sent && e.wantsEvents(InterestWritable) && (err == nil || errors.Is(err, ErrReconnecting)) {
		sent, err = e.send.armAndTry(message)
	}
	if err == nil && !sent {
		return e.usual.full
	}
	return err
}

// armAndTry arms the program's event descriptor after a message was refused, and tries again.
func (s *sender) armAndTry(message []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return false, s.endpoint.usual.closed
	}
	s.refused, s.detour = true, true
	return s.endpoint.source.Load().armAndTry(InterestWritable, s.waitPoint,
		func() (bool, error) { return s.tryLocked(message) })
}

// Send sends a message. The peer, or its successor, receives it once and in order. Send waits while there is no room,
// and while a slave has no master.
//
// With a deadline it waits until then, and fails with [ErrTimeout]. Without one it waits as long as the peer may still
// come, and fails with [ErrPeerClosed] or [ErrPeerStale]. A call that need not wait does not check the context.
//
// On a segment without queues, and to an ESHM 1.x peer, one message is in flight: Send waits until the peer has read
// the one before.
func (e *Endpoint) Send(ctx context.Context, message []byte) error {
	if sent, err := e.send.try(message); sent || err != nil && !isNoMaster(err) {
		return err
	}
	e.send.backoff.delayPoll(fullDelay)
	return e.send.await(ctx, func(s *sender) (bool, error) { return s.attempt(message) })
}

// SendMany sends messages in order, and waits as [Endpoint.Send] does. It returns how many were sent, also beside an
// error.
//
// The context bounds the whole batch: room that keeps coming does not prolong it. If the deadline has passed before the
// call, the first messages are sent if they fit. If the process is killed meanwhile, the peer receives the messages
// that were sent before, and no part of another.
func (e *Endpoint) SendMany(ctx context.Context, messages [][]byte) (int, error) {
	sent, since := 0, time.Now()
	err := e.send.await(ctx, func(s *sender) (bool, error) {
		for sent < len(messages) {
			if sent > 0 {
				deadline, _ := ctx.Deadline()
				if err := e.checkDeadline(ctx, deadline, waitForRoom, since); err != nil {
					return false, err
				}
			}
			if short := s.directMany(messages[sent:min(sent+batchChunk, len(messages))]); short > 0 {
				sent += short
				continue
			}
			if done, err := s.attempt(messages[sent]); !done {
				return false, err
			}
			sent++
		}
		return true, nil
	})
	return sent, err
}

// TrySendMany sends messages in order, as many as there is room for now, and returns how many. If these are not all, it
// also returns [ErrFull], or why the next one could not be sent.
func (e *Endpoint) TrySendMany(messages [][]byte) (int, error) {
	for sent := range messages {
		if err := e.TrySend(messages[sent]); err != nil {
			return sent, err
		}
	}
	return len(messages), nil
}

func (s *sender) try(message []byte) (bool, error) {
	s.mu.Lock() // not deferred: that takes a tenth of the call
	sent, err := s.tryLocked(message)
	s.mu.Unlock()
	return sent, err
}

// tryLocked is try; mu is held.
func (s *sender) tryLocked(message []byte) (bool, error) {
	if err := s.ready(); err != nil {
		return false, err
	}
	if !s.direct(message) {
		return s.attempt(message)
	}
	s.wakeReceiver()
	s.count(1, len(message))
	s.queue.prefetchSlots(s.inExchange())
	return true, nil
}

// inExchange tells whether this endpoint has received a message since the last one that was sent.
func (s *sender) inExchange() bool {
	received := s.endpoint.recv.messages.Load()
	exchange := received != s.received
	s.received = received
	return exchange
}

// direct publishes a message on the shortest path, if that is possible.
func (s *sender) direct(message []byte) bool {
	if len(message) > slotPayload || s.route != viaQueue || s.detour || len(s.sources) > 0 || !s.queue.hasKnownSlot() {
		return false
	}
	s.queue.pushShort(message)
	return true
}

// directMany publishes messages as long as [sender.direct] can, and then checks once for a parked receiver.
func (s *sender) directMany(messages [][]byte) int {
	count, bytes := 0, 0
	for count < len(messages) && s.direct(messages[count]) {
		bytes += len(messages[count])
		count++
	}
	if count > 0 {
		s.wakeReceiver()
		s.count(count, bytes)
	}
	return count
}
