package eshm

import "context"

// Loan is a message that is built in place, in the segment, so that it is sent without a copy.
//
// It is the endpoint's next message. Until it is sent or dropped, other calls of Send wait, and TrySend returns
// [ErrFull].
type Loan struct {
	sender  *sender
	link    *link // retained; nil once the loan is settled
	room    reservation
	inPlace bool
}

// Loan lends room for a message of this length. It waits for room as [Endpoint.Send] does. The bytes hold what the
// segment held there before. The caller must send or drop the message.
func (e *Endpoint) Loan(ctx context.Context, length int) (*Loan, error) {
	if length < 0 {
		return nil, fail(ErrInvalidOption, e.name, nil, "a message of %d bytes; expected 0 or more", length)
	}
	var loan *Loan
	err := e.send.await(ctx, func(s *sender) (done bool, err error) {
		loan, err = s.lend(length)
		return loan != nil, err
	})
	return loan, err
}

// lend lends room if there is some now, and returns nil otherwise.
func (s *sender) lend(length int) (*Loan, error) {
	inPlace := s.route == viaQueue
	limit := s.link.out.size
	if inPlace {
		limit = s.queue.capacity
	}
	if length > limit {
		return nil, failTooLarge(s.endpoint.name, length, limit)
	}
	if s.busy() || !inPlace && !s.free() {
		return nil, nil
	}
	room, ok := reservation{}, true
	if inPlace {
		var err error
		if room, ok, err = s.queue.reserve(length); err != nil {
			return nil, failCorrupt(s.endpoint.address, err)
		}
	} else {
		room.bytes = make([]byte, length)
	}
	if !ok {
		return nil, nil
	}
	s.loaned, s.detour = true, true
	s.link.retain()
	return &Loan{sender: s, link: s.link, room: room, inPlace: inPlace}, nil
}

// Bytes returns the room for the message. It must not be used after the loan was sent or dropped.
func (l *Loan) Bytes() []byte { return l.room.bytes }

// Truncate shortens the message. It ignores a length that is negative or longer than the message.
func (l *Loan) Truncate(length int) {
	if length >= 0 && length <= len(l.room.bytes) {
		l.room.bytes = l.room.bytes[:length]
	}
}

// Send sends the message. It does not wait. If the segment was replaced or closed meanwhile, it drops the message and
// fails.
func (l *Loan) Send() error {
	s := l.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.link == nil {
		return fail(ErrInvalidOption, s.endpoint.name, nil, "a loan was settled already; a loan is sent or dropped once")
	}
	defer l.settle()
	if err := s.ready(); err != nil {
		return err
	}
	if s.link != l.link || l.inPlace != (s.route == viaQueue) {
		return s.endpoint.usual.reconnecting
	}
	if l.inPlace {
		s.publish(l.room)
		return nil
	}
	s.loaned = false
	if sent, err := s.attemptMailbox(l.room.bytes); sent || err != nil {
		return err
	}
	return s.endpoint.usual.full
}

// Drop returns the room unused. It does nothing after Send, so that it can be deferred.
func (l *Loan) Drop() {
	l.sender.mu.Lock()
	defer l.sender.mu.Unlock()
	if l.link != nil {
		l.settle()
	}
}

// settle ends the loan; the sender's mutex is held.
func (l *Loan) settle() {
	l.sender.loaned, l.sender.detour = false, l.sender.refused
	l.link.release()
	l.link, l.room = nil, reservation{}
	// The calls that wait for the loan park on a word that its end does not change.
	l.sender.endpoint.parked.wake(true)
	l.sender.endpoint.ringProgram()
}
