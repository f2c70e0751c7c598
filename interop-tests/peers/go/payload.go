package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// shortest is the length of the shortest numbered message: its number and its seed.
const shortest = 16

// splitMix is SplitMix64: a stream of pseudo-random words.
type splitMix uint64

func (s *splitMix) next() uint64 {
	*s += 0x9E37_79B9_7F4A_7C15
	word := uint64(*s)
	word = (word ^ word>>30) * 0xBF58_476D_1CE4_E5B9
	word = (word ^ word>>27) * 0x94D0_49BB_1331_11EB
	return word ^ word>>31
}

// payload returns message number of the series seed, shortest to longest bytes: both numbers, then pseudo-random bytes.
func payload(seed, number uint64, longest int) []byte {
	words := splitMix(seed)
	words = splitMix(words.next() ^ number)
	length := shortest + int(words.next()%uint64(longest-shortest+1))
	message := make([]byte, 0, length+8)
	message = binary.LittleEndian.AppendUint64(message, number)
	message = binary.LittleEndian.AppendUint64(message, seed)
	for len(message) < length {
		message = binary.LittleEndian.AppendUint64(message, words.next())
	}
	return message[:length]
}

// check compares all of a message with what its seed and its number imply, and returns these.
func check(message []byte, longest int) (seed, number uint64, err error) {
	if len(message) < shortest {
		return 0, 0, fmt.Errorf("a numbered message has %d bytes, expected %d or more", len(message), shortest)
	}
	number, seed = binary.LittleEndian.Uint64(message), binary.LittleEndian.Uint64(message[8:])
	expected := payload(seed, number, longest)
	if !bytes.Equal(message, expected) {
		at := 0
		for at < min(len(message), len(expected)) && message[at] == expected[at] {
			at++
		}
		return 0, 0, fmt.Errorf("message %d of series %d is torn at byte %d: %d bytes, expected %d",
			number, seed, at, len(message), len(expected))
	}
	return seed, number, nil
}
