package eshm

import (
	"context"
	"math"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"eshm/internal/shm"
)

// parkOnce parks for no time.
func (w *parkedWord) parkOnce(legacy bool) {
	w.enter(legacy)
	w.leave()
}

func newParkedWord(value uint32) *parkedWord {
	w := &parkedWord{}
	w.Store(value)
	return w
}

func (w *parkedWord) expect(t *testing.T, what string, value uint32) {
	t.Helper()
	if found := w.Load(); found != value {
		t.Errorf("%s: %#x, expected %#x", what, found, value)
	}
}

// orderedHere is the flag where the system has a barrier, and nothing elsewhere.
func orderedHere() uint32 {
	if shm.Barrier() {
		return parkedOrdered
	}
	return 0
}

func TestParkingSetsTheFlagWhereTheSystemCanOrderBothSides(t *testing.T) {
	w := newParkedWord(0)
	w.parkOnce(false)
	w.expect(t, "after a park", orderedHere())
}

func TestRingsInVainAreCountedAndAtLastClearTheFlag(t *testing.T) {
	w := newParkedWord(parkedOrdered)
	for ring := uint32(1); ring <= mostInVain; ring++ {
		if w.any() {
			t.Fatal("nobody is parked")
		}
		w.expect(t, "a ring in vain", parkedOrdered+ring*parkedInVain)
	}
	for range 2 {
		if w.any() {
			t.Fatal("nobody is parked")
		}
		w.expect(t, "nobody parks any more", 0)
	}
}

func TestParkingBeginsToCountAnew(t *testing.T) {
	w := newParkedWord(parkedOrdered + 200*parkedInVain)
	w.parkOnce(false)
	w.expect(t, "after a park", parkedOrdered)
}

func TestTheFlagStaysWhileAThreadIsParked(t *testing.T) {
	w := newParkedWord(1 + parkedOrdered + mostInVain*parkedInVain)
	if !w.any() {
		t.Error("a thread is parked")
	}
	if found := w.Load() & (parkedCount | parkedOrdered); found != 1+parkedOrdered {
		t.Errorf("%#x is left", found)
	}
}

func TestTheWordIsACountTowardsALegacyPeer(t *testing.T) {
	w := newParkedWord(parkedOrdered + 7*parkedInVain)
	w.enter(true)
	w.expect(t, "parked", 1)
	w.leave()
	w.expect(t, "left", 0)
}

func TestALegacyReaderIsAskedForItsCountOnly(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithQueueCapacity(0))
	startLegacy(t, name, Slave, os.Getpid(), true)
	until(t, "it is seen", master.PeerIsLegacy)
	waiters := &master.link.out.tail.waiters
	waiters.Store(1) // as an ESHM 1.x reader does that sleeps
	mustWrite(t, master, "value")
	waiters.expect(t, "a write to a reader that sleeps", 1)
	if wakeups := master.Stats().Wakeups; wakeups != 1 {
		t.Errorf("%d wake-ups, expected one", wakeups)
	}
}

func TestArmingAsksForOneRing(t *testing.T) {
	w := newParkedWord(0)
	for range 2 {
		w.arm()
		w.expect(t, "armed", parkedBell|orderedHere())
	}
	if first, second := w.any(), w.any(); !first || !second || !w.isArmed() {
		t.Error("a ring is asked for")
	}
	if !w.takeBell() || w.takeBell() || w.isArmed() {
		t.Error("one ring is taken")
	}
	w.arm()
	w.expect(t, "armed by the flag", parkedBell|orderedHere())
	w.parkOnce(false)
	w.expect(t, "beside a thread that parks", parkedBell|orderedHere())
	w.parkOnce(true)
	w.expect(t, "towards a legacy peer", 0)
}

// TestNoParkedWordMakesACallFail: a peer may store anything there.
func TestNoParkedWordMakesACallFail(t *testing.T) {
	for _, value := range []uint32{
		0, 1, parkedCount, parkedOrdered - 1, parkedOrdered, 1 << 17, 1 << 19, math.MaxUint32 - 1, math.MaxUint32,
	} {
		for _, legacy := range []bool{false, true} {
			w := newParkedWord(value)
			w.any()
			w.parkOnce(legacy)
			w.arm()
			w.any()
			w.takeBell()
		}
	}
}

// TestOrderedRingsLoseNoWakeUp passes a token to and fro. Only the word of parked threads orders the two sides.
func TestOrderedRingsLoseNoWakeUp(t *testing.T) {
	shm.Register()
	var token atomic.Uint32
	var parked [2]parkedWord // who waits for an even token, and who for an odd one
	const rounds = 20_000
	failed := make(chan string, 2)
	run := func(me uint32) {
		for turn := me; turn < rounds; turn += 2 {
			for sample := token.Load(); sample != turn; sample = token.Load() {
				begun := time.Now()
				parked[me].enter(false)
				// It may return early: the runtime interrupts threads by signals.
				shm.Wait(&token, sample, soon)
				parked[me].leave()
				if token.Load() == sample && time.Since(begun) >= soon {
					failed <- "slept until the time was over"
					return
				}
			}
			shm.Publish(&token, turn+1)
			if parked[1-me].any() {
				shm.Wake(&token)
			}
		}
		failed <- ""
	}
	go run(0)
	go run(1)
	for range 2 {
		if why := <-failed; why != "" {
			t.Fatal(why)
		}
	}
}

// TestOneBarrierServesManyParks: the flag stays set while a call parks again and again.
func TestOneBarrierServesManyParks(t *testing.T) {
	master, slave := pair(t, WithWait(Park))
	parked := &slave.link.inQueue.control.receiversParked
	for range 100 {
		received := make(chan error, 1)
		go func() {
			_, err := slave.Recv(context.Background())
			received <- err
		}()
		until(t, "it is parked", func() bool { return parked.Load() == 1+orderedHere() })
		mustSend(t, master, "message")
		if err := <-received; err != nil {
			t.Fatal(err)
		}
		if left := parked.Load() & (parkedCount | parkedOrdered); left != orderedHere() {
			t.Fatalf("%#x is left", left)
		}
	}
	for range 2 * mostInVain {
		mustSend(t, master, "message")
	}
	parked.expect(t, "nobody parks any more", 0)
	if wakeups := master.Stats().Wakeups; wakeups > 100 {
		t.Errorf("%d wake-ups for 100 parks", wakeups)
	}
}
