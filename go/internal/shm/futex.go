package shm

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	futexWait = 0 // FUTEX_WAIT, not FUTEX_PRIVATE_FLAG: the word is shared between processes
	futexWake = 1 // FUTEX_WAKE

	// rest is how long to rest between two looks where a shared futex cannot be had: as long as ESHM 1.0 does.
	rest = 100 * time.Microsecond

	barrierQuery    = 0      // MEMBARRIER_CMD_QUERY
	barrierGlobal   = 1 << 1 // MEMBARRIER_CMD_GLOBAL_EXPEDITED
	barrierRegister = 1 << 2 // MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
)

// Wait sleeps while the word is expected, until it is woken or the time is over. It may return early. Where a sandbox
// does not have shared futexes, it is a short rest.
func Wait(word *atomic.Uint32, expected uint32, limit time.Duration) {
	if limit <= 0 {
		return
	}
	timeout := unix.NsecToTimespec(limit.Nanoseconds())
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(expected),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	switch errno {
	case 0, unix.EAGAIN, unix.EINTR, unix.ETIMEDOUT:
		// Reasons to look again: it was woken, the word changed, a signal came, the time is over.
	default:
		// A sandbox without shared futexes: it may only look now and then.
		time.Sleep(min(limit, rest))
	}
}

// Wake wakes all who sleep on the word.
func Wake(word *atomic.Uint32) {
	// It fails only for memory that is no longer mapped, on which nobody sleeps.
	_, _, _ = unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, math.MaxInt32)
}

// barrierWorks tells whether the system has the barrier, and lets this process call it.
var barrierWorks = sync.OnceValue(func() bool {
	commands, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, barrierQuery, 0, 0)
	return errno == 0 && commands&barrierGlobal != 0
})

// registered tells whether the barriers of other processes reach this one. [Register] writes it once, before there is
// anything to publish.
var registered bool

var register = sync.OnceFunc(func() {
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, barrierRegister, 0, 0)
	registered = errno == 0
})

// Register lets the barriers of other processes reach this one: who parks orders its store of "I am parked" and the
// loads that [Publish] is followed by here, so that Publish need not. Where the system cannot, Publish is a
// full fence. It is to be called before the first Publish to memory that is shared.
func Register() { register() }

// Barrier runs a full memory barrier on every core that runs a registered process. It reports whether it could.
func Barrier() bool {
	if !barrierWorks() {
		return false
	}
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, barrierGlobal, 0, 0)
	return errno == 0
}
