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

	// rest is the time between two polls where shared futexes are missing. ESHM 1.0 uses the same.
	rest = 100 * time.Microsecond

	barrierQuery    = 0      // MEMBARRIER_CMD_QUERY
	barrierGlobal   = 1 << 1 // MEMBARRIER_CMD_GLOBAL_EXPEDITED
	barrierRegister = 1 << 2 // MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
)

// Wait sleeps while the word has the expected value, until it is woken or the time is over. It may return early. Where
// a sandbox has no shared futexes, it sleeps for a moment. It reports whether the time is over.
func Wait(word *atomic.Uint32, expected uint32, limit time.Duration) bool {
	if limit <= 0 {
		return true
	}
	timeout := unix.NsecToTimespec(limit.Nanoseconds())
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(expected),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	switch errno {
	case 0, unix.EAGAIN, unix.EINTR:
		// Reasons to poll again: it was woken, the word changed, a signal came.
		return false
	case unix.ETIMEDOUT:
		return true
	default:
		// A sandbox without shared futexes: polling from time to time is all that is left.
		time.Sleep(min(limit, rest))
		return limit <= rest
	}
}

// Wake wakes all calls that sleep on the word.
func Wake(word *atomic.Uint32) {
	// It fails only for memory that is no longer mapped, on which nobody sleeps.
	_, _, _ = unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, math.MaxInt32)
}

// Yield lets the other threads of this processor run. The Go scheduler gives this goroutine's processor to others if
// that takes long.
func Yield() { _, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// barrierWorks tells whether the system has the barrier, and lets this process call it.
var barrierWorks = sync.OnceValue(func() bool {
	commands, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, barrierQuery, 0, 0)
	return errno == 0 && commands&barrierGlobal != 0
})

// registered tells whether the barriers of other processes reach this one. [Register] sets it.
var registered atomic.Bool

var register = sync.OnceFunc(func() {
	go func() {
		_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, barrierRegister, 0, 0)
		registered.Store(errno == 0)
	}()
})

// Register lets the barriers of other processes reach this one. A call that parks orders its own store of "parked" and
// the loads that follow a [Publish] here, so that Publish need not. Until the registration is done, and where the system
// refuses it, Publish is a full fence.
//
// It is done in the background: in a process with several threads, as every Go program is one, the kernel waits until
// each processor has passed through its scheduler, for 10 to 30 ms.
func Register() { register() }

// Barrier runs a full memory barrier on every processor that runs a registered process. It reports whether it could.
func Barrier() bool {
	if !barrierWorks() {
		return false
	}
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, barrierGlobal, 0, 0)
	return errno == 0
}
