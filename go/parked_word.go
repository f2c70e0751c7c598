package eshm

import (
	"sync/atomic"

	"eshm/internal/shm"
)

// parkedWord is the word in shared memory that counts the threads that are parked on another word: PROTOCOL.md §9.
//
// The side that rings changes the other word, and then loads this one; the side that parks raises the count, and then
// has the kernel compare the other word. Each side needs a full barrier between its two steps. At first the side that
// parks has the kernel run one on both sides ([shm.Barrier]), which interrupts other processors. Then it sets a flag:
// the side that rings finds a word other than 0, and orders its steps by an atomic operation on it.
type parkedWord struct{ atomic.Uint32 }

const (
	// parkedCount is the bits with the number of threads that are parked, or about to park.
	parkedCount = 0xFFFF
	// parkedOrdered is set while the side that rings orders its accesses itself.
	parkedOrdered = 1 << 16
	// parkedBell is set while the side that parks asks for a ring of its event descriptor: protocol/events.md.
	parkedBell = 1 << 17
	// parkedInVain is one ring of an ordered word for which nobody was parked. The bits from here on count them since the
	// last park.
	parkedInVain = 1 << 20
	// mostInVain is how many rings in vain cost as much as one barrier.
	mostInVain = 256
)

// any tells the side that rings whether a thread is parked, or a ring is asked for. A waiter that it misses sees the
// changed word. The caller has changed that by an operation of sync/atomic, a full fence, or by [shm.Publish].
func (w *parkedWord) any() bool { return w.Load() != 0 && w.anyForCertain() }

// anyForCertain is any for a word that is not 0.
func (w *parkedWord) anyForCertain() bool {
	// Pairs with the Add in enter. One of the two is first. If it is that one, this one sees the count, and the number of
	// the message that the waiter stored before. Otherwise the waiter sees the changed word.
	after := w.Add(parkedInVain)
	before := after - parkedInVain
	if before&(parkedCount|parkedBell) != 0 {
		return true
	}
	if before/parkedInVain >= mostInVain {
		// It fails if a thread parks meanwhile, which has seen the changed word. A thread that parks later sees that the flag
		// is gone, and has the barrier run.
		w.CompareAndSwap(after, 0)
	}
	return false
}

// anyLegacy is any for the word of an ESHM 1.x process, which expects a count there, and orders its own accesses.
func (w *parkedWord) anyLegacy() bool { return w.Load()&parkedCount != 0 }

// arm asks for one ring of the event descriptor, at the next event. The caller looks for the event again after it. Calls
// for one word do not overlap.
func (w *parkedWord) arm() {
	// Pairs with the And in takeBell, and with the Add in anyForCertain as in enter.
	before := w.Or(parkedBell)
	switch {
	case before&parkedBell != 0:
	case before&parkedOrdered != 0:
		// Begins to count anew.
		w.And(parkedCount | parkedOrdered | parkedBell)
	case barrierForArm():
		// As in enter: if the bell bit is still set, the word was other than 0 since before the barrier. If not, the next
		// call tries again. Without a barrier the background goroutine finds what this misses.
		if word := w.Load(); word&parkedBell != 0 {
			w.CompareAndSwap(word, word|parkedOrdered)
		}
	}
}

func barrierForArm() bool {
	slowCalls.Lock()
	defer slowCalls.Unlock()
	return shm.Barrier()
}

// isArmed tells whether a ring is asked for, and has not begun.
func (w *parkedWord) isArmed() bool { return w.Load()&parkedBell != 0 }

// takeBell ends what arm began. It reports whether the caller is the one who has to ring.
func (w *parkedWord) takeBell() bool { return w.And(^uint32(parkedBell))&parkedBell != 0 }

// enter counts a thread that is about to park. It reports whether any sees this thread, or this thread the changed word:
// if not, a wake-up can be lost. legacy tells that the other side is, or may be, an ESHM 1.x process, to which each word
// other than 0 is a parked thread.
func (w *parkedWord) enter(legacy bool) (ordered bool) {
	// Pairs with the Add in anyForCertain.
	before := w.Add(1) - 1
	if legacy {
		w.And(parkedCount)
		return shm.Barrier()
	}
	if before&parkedOrdered != 0 {
		// Begins to count anew.
		w.And(parkedCount | parkedOrdered | parkedBell)
		return true
	}
	// Pairs with the load in any: the barrier falls before the other side's store, or behind its load, or between them.
	ordered = shm.Barrier()
	if ordered {
		// After the barrier, and while this thread is counted. So each load that the barrier did not order finds a word other
		// than 0, until the side that rings clears the flag.
		w.Or(parkedOrdered)
	}
	return ordered
}

// leave ends what enter began.
func (w *parkedWord) leave() { w.Add(^uint32(0)) }
