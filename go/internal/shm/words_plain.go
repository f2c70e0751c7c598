//go:build amd64 && !race

package shm

import (
	"sync/atomic"
	"unsafe"
)

// On amd64 stores become visible in program order, and loads are carried out in program order. So plain accesses give
// the order that a sequence lock, or the publication of a message, needs; a value that tears is discarded by the lock.
// sync/atomic has no store cheaper than XCHG, which would make a copy twenty times slower and each message wait for its
// own store. MEMORY.md explains this in detail. The race detector cannot know it, and gets words_atomic.go.

// StoreWords copies bytes into words, and fills the last word up with zeros. There must be enough words.
func StoreWords(words []atomic.Uint64, bytes []byte) {
	memory := plain(words)
	filled := copy(memory, bytes)
	clear(memory[filled : (filled+7)&^7])
}

// LoadWords fills bytes from words. There must be enough words.
func LoadWords(bytes []byte, words []atomic.Uint64) {
	copy(bytes, plain(words))
}

// Store stores a value. A reader that sees it sees what was stored before.
func Store(word *atomic.Uint32, value uint32) {
	// An atomic.Uint32 is four bytes and nothing else.
	*(*uint32)(unsafe.Pointer(word)) = value
}

// Store64 is [Store] for eight bytes.
func Store64(word *atomic.Uint64, value uint64) {
	*(*uint64)(unsafe.Pointer(word)) = value
}

// Publish is [Store] before a load that tells whether to wake somebody: see [Register].
func Publish(word *atomic.Uint32, value uint32) {
	if !registered.Load() {
		word.Store(value) // XCHG, a full fence
		return
	}
	Store(word, value)
}

func plain(words []atomic.Uint64) []byte {
	// An atomic.Uint64 is eight bytes and nothing else.
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
}
