package shm

import "sync/atomic"

// PrefetchWrite asks for the word's cache line, to write to it soon. It delays nothing: a store in its place would delay
// the next operation of sync/atomic, and so the unlocking of a mutex, until the line has come.
//
//go:noescape
func PrefetchWrite(word *atomic.Uint32)

// PrefetchRead asks for the word's cache line, to read it soon.
//
//go:noescape
func PrefetchRead(word *atomic.Uint32)
