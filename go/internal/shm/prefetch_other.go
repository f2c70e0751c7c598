//go:build !amd64

package shm

import "sync/atomic"

// PrefetchWrite does nothing here.
func PrefetchWrite(*atomic.Uint32) {}

// PrefetchRead does nothing here.
func PrefetchRead(*atomic.Uint32) {}
