//go:build amd64 && !race

package shm

import (
	"sync/atomic"
	"unsafe"
)

// On amd64 stores become visible in the order of the program, and so are loads carried out: a plain copy between the
// two stores, or the two loads, of a sequence lock is ordered as words that are copied atomically would be, and a
// copied value that tears is discarded by the lock. sync/atomic has no store cheaper than XCHG, which would
// make a copy twenty times slower, and each message wait for its own store. The race detector, which cannot know
// this, gets what is in words_atomic.go.

// StoreWords copies bytes into words, of which there are enough, and fills the last one up with zeros.
func StoreWords(words []atomic.Uint64, bytes []byte) {
	memory := plain(words)
	filled := copy(memory, bytes)
	clear(memory[filled : (filled+7)&^7])
}

// LoadWords fills bytes from words, of which there are enough.
func LoadWords(bytes []byte, words []atomic.Uint64) {
	copy(bytes, plain(words))
}

// Store stores a value: who sees it sees what was stored before.
func Store(word *atomic.Uint32, value uint32) {
	// An atomic.Uint32 is four bytes without a header.
	*(*uint32)(unsafe.Pointer(word)) = value
}

// Store64 is [Store] for eight bytes.
func Store64(word *atomic.Uint64, value uint64) {
	*(*uint64)(unsafe.Pointer(word)) = value
}

// Publish is [Store] before a load that tells whether to wake somebody: see [Register].
func Publish(word *atomic.Uint32, value uint32) {
	if !registered {
		word.Store(value) // XCHG, a full fence
		return
	}
	Store(word, value)
}

func plain(words []atomic.Uint64) []byte {
	// An atomic.Uint64 is eight bytes without a header.
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
}
