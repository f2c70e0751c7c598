//go:build !race

package eshm

// crowdSize is how many goroutines wait at a time.
const crowdSize = 10_000
