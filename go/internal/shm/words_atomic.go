//go:build !amd64 || race

package shm

import (
	"encoding/binary"
	"sync/atomic"
)

// StoreWords copies bytes into words, and fills the last word up with zeros. There must be enough words.
func StoreWords(words []atomic.Uint64, bytes []byte) {
	for len(bytes) >= 8 {
		words[0].Store(binary.NativeEndian.Uint64(bytes))
		words, bytes = words[1:], bytes[8:]
	}
	if len(bytes) > 0 {
		var last [8]byte
		copy(last[:], bytes)
		words[0].Store(binary.NativeEndian.Uint64(last[:]))
	}
}

// Store stores a value. A reader that sees it sees what was stored before.
func Store(word *atomic.Uint32, value uint32) { word.Store(value) }

// Store64 is [Store] for eight bytes.
func Store64(word *atomic.Uint64, value uint64) { word.Store(value) }

// Publish is [Store] before a load that tells whether to wake somebody. It is a full fence, as all stores of
// sync/atomic are.
func Publish(word *atomic.Uint32, value uint32) { word.Store(value) }

// LoadWords fills bytes from words. There must be enough words.
func LoadWords(bytes []byte, words []atomic.Uint64) {
	for len(bytes) >= 8 {
		binary.NativeEndian.PutUint64(bytes, words[0].Load())
		words, bytes = words[1:], bytes[8:]
	}
	if len(bytes) > 0 {
		var last [8]byte
		binary.NativeEndian.PutUint64(last[:], words[0].Load())
		copy(bytes, last[:])
	}
}
