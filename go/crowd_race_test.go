//go:build race

package eshm

// crowdSize is how many goroutines wait at a time. The race detector has a limit of 8128.
const crowdSize = 5000
