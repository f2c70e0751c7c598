package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"eshm"
)

const (
	// runLength is how many messages are sent one at a time before as many are sent in a batch, in turns.
	runLength = 100
	// starts is the number of places in the block where messages start.
	starts = 1 << 16
)

// messages are those of a series: slices of one block of pseudo-random bytes. They are many, of each size, cheap to
// make and to compare, and the same in every language.
type messages struct {
	seed    uint64
	longest int
	block   []byte
}

func newMessages(seed uint64, longest int) *messages {
	words := splitMix(seed)
	block := make([]byte, 0, longest+starts+8)
	for len(block) < longest+starts {
		block = binary.LittleEndian.AppendUint64(block, words.next())
	}
	return &messages{seed: seed, longest: longest, block: block}
}

func (m *messages) at(number uint64) []byte {
	state := splitMix(m.seed ^ number)
	word := state.next()
	upTo := func(most int) int { return int((word >> 12) % uint64(most+1)) }
	length := 0
	switch {
	case number == 0:
	case number == 1:
		length = m.longest
	case word%4096 == 0:
		length = upTo(m.longest)
	case word%64 == 0:
		length = upTo(min(4096, m.longest))
	default:
		length = upTo(64)
	}
	start := word >> 48
	return m.block[start : start+uint64(length)]
}

func (m *messages) expect(number uint64, found []byte) error {
	expected := m.at(number)
	if bytes.Equal(found, expected) {
		return nil
	}
	at := 0
	for at < min(len(found), len(expected)) && found[at] == expected[at] {
		at++
	}
	return fmt.Errorf("message %d differs at byte %d: %d bytes, expected %d", number, at, len(found), len(expected))
}

// inBatch tells whether the run of this number is sent in a batch, and where it ends.
func inBatch(number, count uint64) (batch bool, end uint64) {
	first := number - number%runLength
	return first/runLength%2 == 1, min(first+runLength, count)
}

// flood sends the messages of the master and then receives those of the slave, or the other way round on a slave.
func flood(endpoint *eshm.Endpoint, args *arguments) error {
	series := newMessages(args.seed, endpoint.QueueCapacity())
	first, second := floodOut, floodIn
	if endpoint.Role() == eshm.Slave {
		first, second = second, first
	}
	if err := first(endpoint, args, series); err != nil {
		return err
	}
	if err := second(endpoint, args, series); err != nil {
		return err
	}
	observe("done", "sent", args.count, "received", args.count)
	return nil
}

func floodOut(endpoint *eshm.Endpoint, args *arguments, series *messages) error {
	for number := uint64(0); number < args.count; {
		batch, end := inBatch(number, args.count)
		if !batch {
			if err := send(endpoint, args, series.at(number)); err != nil {
				return err
			}
			number++
			continue
		}
		var run [][]byte
		for ; number < end; number++ {
			run = append(run, series.at(number))
		}
		_, err := within(args.timeout, func(ctx context.Context) (int, error) { return endpoint.SendMany(ctx, run) })
		if err != nil {
			return err
		}
	}
	return nil
}

func floodIn(endpoint *eshm.Endpoint, args *arguments, series *messages) error {
	run := make([]eshm.Message, runLength)
	for due := uint64(0); due < args.count; {
		most := uint64(1)
		if batch, end := inBatch(due, args.count); batch {
			most = end - due
		}
		count, err := within(args.timeout, func(ctx context.Context) (int, error) {
			if most == 1 {
				message, err := endpoint.Recv(ctx)
				run[0] = message
				return 1, err
			}
			return endpoint.RecvMany(ctx, run[:most])
		})
		if err != nil {
			return err
		}
		for _, message := range run[:count] {
			if err := series.expect(due, message.Bytes()); err != nil {
				return err
			}
			due++
		}
	}
	return nil
}
