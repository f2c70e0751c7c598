package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"eshm"
)

const (
	// valuesPerRead is how many values a reader of latest-value lets pass between two reads.
	valuesPerRead = 100
	// turn is how long one side of both-directions or stream waits for one message before it does something else.
	turn = time.Millisecond
)

// echo sends numbered messages from the master, and expects each back. The slave sends each back.
func echo(endpoint *eshm.Endpoint, args *arguments) error {
	longest := endpoint.DataSize()
	for number := range args.count {
		if endpoint.Role() == eshm.Master {
			if err := send(endpoint, args, payload(args.seed, number, longest)); err != nil {
				return err
			}
		}
		message, err := within(args.timeout, endpoint.Recv)
		if err != nil {
			return err
		}
		if err := expect(message.Bytes(), longest, number); err != nil {
			return err
		}
		if endpoint.Role() == eshm.Slave {
			if err := send(endpoint, args, message.Bytes()); err != nil {
				return err
			}
		}
	}
	observe("done", "sent", args.count, "received", args.count)
	return nil
}

func send(endpoint *eshm.Endpoint, args *arguments, message []byte) error {
	_, err := within(args.timeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, endpoint.Send(ctx, message)
	})
	return err
}

// latestValue writes values as fast as possible while the slave reads, and then the other way round.
func latestValue(endpoint *eshm.Endpoint, args *arguments) error {
	_, err := within(args.timeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, endpoint.WaitForPeer(ctx)
	})
	if err != nil {
		return err
	}
	first, second := writeValues, readValues
	if endpoint.Role() == eshm.Slave {
		first, second = second, first
	}
	if err := first(endpoint, args); err != nil {
		return err
	}
	return second(endpoint, args)
}

func writeValues(endpoint *eshm.Endpoint, args *arguments) error {
	longest := endpoint.DataSize()
	for number := range args.count {
		if err := endpoint.Write(payload(args.seed, number, longest)); err != nil {
			return err
		}
	}
	observe("written", "count", args.count)
	return nil
}

// readValues reads until the last value. At least valuesPerRead values are written from one read to the next.
func readValues(endpoint *eshm.Endpoint, args *arguments) error {
	longest := endpoint.DataSize()
	for {
		value, err := within(args.timeout, endpoint.Read)
		if err != nil {
			return err
		}
		_, number, err := check(value.Bytes(), longest)
		if err != nil {
			return err
		}
		observe("value", "number", number, "skipped", value.Skipped)
		if number+1 >= args.count {
			return nil
		}
		deadline := time.Now().Add(args.timeout)
		for written(endpoint) < min(number+1+valuesPerRead, args.count) {
			if time.Now().After(deadline) {
				return fmt.Errorf("nothing was written after value %d", number)
			}
			runtime.Gosched()
		}
	}
}

// written returns how many values the peer has written.
func written(endpoint *eshm.Endpoint) uint64 {
	if endpoint.Role() == eshm.Master {
		return endpoint.Stats().S2MWriteCount
	}
	return endpoint.Stats().M2SWriteCount
}

// bothDirections sends and receives at once.
func bothDirections(endpoint *eshm.Endpoint, args *arguments) error {
	longest := endpoint.DataSize()
	var sent, received uint64
	for sent < args.count || received < args.count {
		if sent < args.count {
			ok, err := trySend(endpoint, payload(args.seed, sent, longest))
			if err != nil {
				return err
			}
			if ok {
				sent++
			}
		}
		if received < args.count {
			message, ok, err := recvInTurn(endpoint)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := expect(message.Bytes(), longest, received); err != nil {
				return err
			}
			received++
		}
	}
	observe("done", "sent", sent, "received", received)
	return nil
}

// streamer is one side of stream: it sends and receives at once, and observes each message.
type streamer struct {
	endpoint          *eshm.Endpoint
	args              *arguments
	longest           int
	stop              chan struct{} // closed when the kit asks to stop
	sent, received    uint64
	endSent, endTaken bool
}

// stream runs until a line or the end of stdin asks it to stop. Then each side sends an empty message, and leaves when
// it has received the peer's.
func stream(endpoint *eshm.Endpoint, args *arguments) error {
	s := &streamer{endpoint: endpoint, args: args, longest: endpoint.DataSize(), stop: make(chan struct{})}
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		close(s.stop)
	}()
	last := ""
	for !s.endSent || !s.endTaken {
		if state := endpoint.PeerState().String(); state != last {
			last = state
			observe("peer", "state", state)
		}
		if err := s.sendNext(); err != nil {
			return err
		}
		if s.endSent && s.endTaken {
			break // The other side may have left, and a receive would say so.
		}
		if err := s.receiveNext(); err != nil {
			return err
		}
	}
	observe("done", "sent", s.sent, "received", s.received)
	return nil
}

func (s *streamer) sendNext() error {
	if s.endSent {
		return nil
	}
	select {
	case <-s.stop:
		ok, err := trySend(s.endpoint, nil)
		if ok {
			s.endSent = true
			observe("end-sent")
		}
		return err
	default:
	}
	ok, err := trySend(s.endpoint, payload(s.args.seed, s.sent, s.longest))
	if ok {
		observe("sent", "number", s.sent)
		s.sent++
	}
	return err
}

func (s *streamer) receiveNext() error {
	received, ok, err := recvInTurn(s.endpoint)
	if !ok || err != nil {
		return err
	}
	// It is released before it is observed, so that a killed process never leaves a message that it has observed.
	message := received.Bytes()
	if len(message) == 0 {
		s.endTaken = true
		observe("end-received")
		return nil
	}
	seed, number, err := check(message, s.longest)
	if err != nil {
		return err
	}
	observe("received", "seed", seed, "number", number, "generation", received.Generation)
	s.received++
	return nil
}

// trySend reports whether the message was accepted. It is not if there is no room or no master.
func trySend(endpoint *eshm.Endpoint, message []byte) (bool, error) {
	err := endpoint.TrySend(message)
	var failure *eshm.Error
	if errors.As(err, &failure) && failure.Transient() {
		return false, nil
	}
	return err == nil, err
}

// recvInTurn receives. ok is false if nothing came within a turn.
func recvInTurn(endpoint *eshm.Endpoint) (eshm.Message, bool, error) {
	message, err := within(turn, endpoint.Recv)
	if errors.Is(err, eshm.ErrTimeout) {
		return eshm.Message{}, false, nil
	}
	return message, err == nil, err
}

// expect compares a message with the one that is due.
func expect(message []byte, longest int, due uint64) error {
	_, number, err := check(message, longest)
	if err == nil && number != due {
		err = fmt.Errorf("message %d came, expected %d", number, due)
	}
	return err
}
