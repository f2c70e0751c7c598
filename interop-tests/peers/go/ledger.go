package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"eshm"
)

const (
	// replyTurn is how long a turn of ledger waits for a message if it has sent one, so that a reply is due.
	replyTurn = 100 * time.Millisecond
	// most is how many messages one turn receives.
	most = 8
)

// longestOf is the longest message or value, by its number: most fit a slot, some are long.
func longestOf(number uint64) int { return [...]int{56, 200, 56, 3000}[number%4] }

// ledgerShare is one process's share of a traffic whose processes may be killed. Each process learns from its journal
// what its predecessors have done.
type ledgerShare struct {
	endpoint     *eshm.Endpoint
	journal      *journal
	orders       chan struct{} // one per line of stdin; closed at its end
	last         uint64        // the greatest number received in this life; at first, the one released last
	peerLife     uint64        // as the last message of the peer says
	peerState    string
	peerHasEnded bool
	value        uint64 // the last one read
	turn         uint64
}

// ledger streams until it is told to stop, and then goes on or leaves.
func ledger(args *arguments) error {
	journal, err := openJournal(args.journal)
	if err != nil {
		return err
	}
	if err := beginLife(journal); err != nil {
		return err
	}
	observe("opening")
	options := []eshm.Option{args.role, eshm.WithConnectTimeout(args.timeout)}
	if args.queue > 0 {
		options = append(options, eshm.WithQueueCapacity(args.queue))
	}
	endpoint, err := eshm.Open(context.Background(), args.name, options...)
	if err != nil {
		return err
	}
	ready()
	share := &ledgerShare{endpoint: endpoint, journal: journal, orders: make(chan struct{}), last: journal.words[released]}
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			share.orders <- struct{}{}
		}
		close(share.orders)
	}()
	for {
		if on, err := share.stream(); err != nil {
			return errors.Join(err, endpoint.Close())
		} else if !on {
			return endpoint.Close()
		}
	}
}

// beginLife marks as doubtful what a killed predecessor had begun to send and not acknowledged.
func beginLife(j *journal) error {
	if j.words[intended] > j.words[sent] {
		if err := j.record(doubtful, j.words[sent]+1, j.words[intended]); err != nil {
			return err
		}
		if err := j.set(sent, j.words[intended]); err != nil {
			return err
		}
	}
	return j.set(lives, j.words[lives]+1)
}

// stream takes turns until both sides have said that they stop. It tells whether to go on after that.
func (s *ledgerShare) stream() (bool, error) {
	stopping, endSent := false, false
	s.peerHasEnded = false
	for !endSent || !s.peerHasEnded {
		s.sayPeerState()
		if err := s.writeValue(); err != nil {
			return false, err
		}
		if !stopping {
			select {
			case <-s.orders:
				stopping = true
			default:
			}
		}
		count, err := 0, error(nil)
		switch {
		case !stopping:
			count, err = s.send()
		case !endSent:
			endSent, err = trySend(s.endpoint, nil)
		}
		if err == nil {
			err = s.receiveAndRead(count > 0)
		}
		if err != nil {
			return false, err
		}
		s.turn++
	}
	observe("done", "sent", s.journal.words[sent], "received", s.journal.words[received])
	for {
		select {
		case _, on := <-s.orders:
			return on, nil
		case <-time.After(turn):
			s.sayPeerState()
		}
	}
}

func (s *ledgerShare) message(number uint64) []byte {
	return payload(s.journal.words[lives], number, longestOf(number))
}

// send sends the next messages, in one of four ways, and returns how many.
func (s *ledgerShare) send() (int, error) {
	before := s.journal.words[sent]
	messages := [][]byte{s.message(before + 1)}
	if s.turn%4 == 0 {
		messages = append(messages, s.message(before+2), s.message(before+3))
	}
	if err := s.journal.set(intended, before+uint64(len(messages))); err != nil {
		return 0, err
	}
	count, err := s.sendAs(s.turn%4, messages)
	if err == nil && count > 0 {
		err = s.journal.set(sent, before+uint64(count))
	}
	return count, err
}

func (s *ledgerShare) sendAs(way uint64, messages [][]byte) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), turn)
	defer cancel()
	switch way {
	case 0:
		count, err := s.endpoint.SendMany(ctx, messages)
		return count, lasting(err)
	case 1:
		return counted(s.endpoint.Send(ctx, messages[0]))
	case 2:
		loan, err := s.endpoint.Loan(ctx, len(messages[0]))
		if err != nil {
			return 0, lasting(err)
		}
		copy(loan.Bytes(), messages[0])
		return counted(loan.Send())
	default:
		return counted(s.endpoint.TrySend(messages[0]))
	}
}

// receiveAndRead receives what is there, and reads the peer's value.
func (s *ledgerShare) receiveAndRead(answerDue bool) error {
	wait := turn
	// In every second turn, so that the peer may wait for a value meanwhile.
	if answerDue && !s.peerHasEnded && s.turn%2 == 0 {
		wait = replyTurn
	}
	if err := s.receive(wait); err != nil {
		return err
	}
	if value, ok, err := s.endpoint.TryRead(); err != nil {
		return err
	} else if ok {
		if err := s.see(value); err != nil {
			return err
		}
	}
	if s.turn%16 != 0 {
		return nil
	}
	value, err := within(5*turn, s.endpoint.Read)
	if err != nil {
		return lasting(err)
	}
	return s.see(value)
}

// receive waits for the first message, and takes what is there, one by one or all at once. It releases each message
// only when it is in the journal.
func (s *ledgerShare) receive(wait time.Duration) error {
	batch := make([]eshm.Message, 1)
	if s.turn%2 == 0 {
		batch = make([]eshm.Message, most)
	}
	for range most / len(batch) {
		count, err := within(wait, func(ctx context.Context) (int, error) { return s.endpoint.BorrowMany(ctx, batch) })
		if err != nil {
			return lasting(err)
		}
		for _, message := range batch[:count] {
			if err := s.take(message); err != nil {
				return err
			}
		}
		batch[count-1].Release()
		if err := s.journal.set(released, s.journal.words[received]); err != nil {
			return err
		}
		wait = 0
	}
	return nil
}

// take enters a message that is not released yet.
func (s *ledgerShare) take(message eshm.Message) error {
	if len(message.Bytes()) == 0 {
		s.peerHasEnded = true
		return nil
	}
	life, number, err := checked(message.Bytes())
	if err != nil {
		return err
	}
	had := s.journal.words[received]
	switch {
	case number <= s.last:
		err = s.journal.record(duplicate, number, number)
	case number <= had:
		err = s.journal.record(again, number, number)
	default:
		if number > had+1 {
			err = s.journal.record(missing, had+1, number-1)
		}
		if err == nil {
			err = s.journal.set(received, number)
		}
	}
	s.last = max(s.last, number)
	if life != s.peerLife {
		s.peerLife = life
		observe("received", "seed", life, "number", number, "generation", s.endpoint.Generation())
	}
	return err
}

func (s *ledgerShare) sayPeerState() {
	if state := s.endpoint.PeerState().String(); state != s.peerState {
		s.peerState = state
		observe("peer", "state", state)
	}
}

func (s *ledgerShare) writeValue() error {
	number := s.journal.words[lastValue] + 1
	if err := s.journal.set(lastValue, number); err != nil {
		return err
	}
	return lasting(s.endpoint.Write(s.message(number)))
}

// see checks a value: whole, and newer than the one before.
func (s *ledgerShare) see(value eshm.Message) error {
	_, number, err := checked(value.Bytes())
	if err == nil && number <= s.value {
		err = fmt.Errorf("value %d came after %d", number, s.value)
	}
	s.value = number
	return err
}

// checked checks that a message is whole, and returns its life and its number.
func checked(message []byte) (life, number uint64, err error) {
	if len(message) >= shortest {
		number = binary.LittleEndian.Uint64(message)
	}
	return check(message, longestOf(number))
}

// lasting returns nil for an error that may not occur again.
func lasting(err error) error {
	var failure *eshm.Error
	if errors.As(err, &failure) && failure.Transient() {
		return nil
	}
	return err
}

func counted(err error) (int, error) {
	if err != nil {
		return 0, lasting(err)
	}
	return 1, nil
}
