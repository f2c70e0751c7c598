package main

import "encoding/binary"

const (
	// stop is the number of the message that ends a run.
	stop = 1<<64 - 1
	// reply is what the echo adds to the number of the ramp that it answers.
	reply = 100

	period = 251
	word   = 8
)

// writeRamp writes message seq of the check: see src/payload.rs.
func writeRamp(bytes []byte, seq uint64) {
	for i := range bytes {
		bytes[i] = byte((seq + uint64(i)) % period)
	}
}

func isRamp(bytes []byte, seq uint64) bool {
	for i := range bytes {
		if bytes[i] != byte((seq+uint64(i))%period) {
			return false
		}
	}
	return true
}

// write numbers a message; touched: writes all of it.
func write(bytes []byte, seq uint64, touched bool) {
	if !touched {
		binary.NativeEndian.PutUint64(bytes, seq)
		return
	}
	for ; len(bytes) >= word; bytes = bytes[word:] {
		binary.NativeEndian.PutUint64(bytes, seq)
	}
}

// read is a message's number, and whether a touched payload, all of which is read, holds together.
func read(bytes []byte, touched bool) (seq uint64, whole bool) {
	if len(bytes) < word {
		return 0, false
	}
	seq = binary.NativeEndian.Uint64(bytes)
	if !touched {
		return seq, true
	}
	var sum, count uint64
	for ; len(bytes) >= word; bytes = bytes[word:] {
		sum += binary.NativeEndian.Uint64(bytes)
		count++
	}
	return seq, sum == seq*count
}

// arrivals are the numbers that arrive, which shall be 0, 1, 2 …
type arrivals struct {
	expected, count, lost uint64
}

// next takes a number, and tells whether the run goes on.
func (a *arrivals) next(seq uint64, whole bool) bool {
	switch {
	case whole && seq == a.expected:
		a.expected++
		a.count++
	case !whole:
		a.lost++
		a.expected++
	case seq == stop:
		return false
	case seq > a.expected:
		a.lost += seq - a.expected
		a.expected = seq + 1
		a.count++
	default:
		a.lost++
	}
	return true
}
