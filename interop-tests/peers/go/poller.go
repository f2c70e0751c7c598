package main

import (
	"sync/atomic"
	_ "unsafe" // for go:linkname
)

// threadLimit is the library's: how many goroutines of a process sleep in threads. The others wait in the poller of the
// runtime. A peer has too few goroutines to get there by itself.
//
//go:linkname threadLimit eshm.threadLimit
var threadLimit *atomic.Int32
