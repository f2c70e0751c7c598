package eshm

import (
	"bytes"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"eshm/internal/shm"
)

func heapMailbox(size uint64) mailbox {
	g := newGeometry(size, 0)
	return mailboxAt(shm.Heap(int(g.segmentSize())), g, slaveToMaster)
}

// TestMailboxHoldsTheLatestValue compares a mailbox with a model, across restarts of the reader.
func TestMailboxHoldsTheLatestValue(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 0))
		box := heapMailbox(100)
		if random.IntN(2) == 0 {
			box.head.sequence.Store(1<<32 - 20) // close to the wrap
			box.tail.taken.Store(1<<32 - 19)
		}
		reader := newMailboxReader(box, new(atomic.Uint64))
		reader.fresh = false // without a restart, the present value was read
		var value []byte
		unread, fresh, written := uint64(0), false, false
		for number := range 500 {
			switch random.IntN(3) {
			case 0:
				value = numbered(random, number, 100)
				box.put(value)
				unread, fresh, written = unread+1, true, true
			case 1:
				found, ok, err := reader.take(false, 0)
				if err != nil || ok != fresh {
					t.Fatalf("seed %d: read %v %v, expected %v", seed, ok, err, fresh)
				}
				if ok && (!bytes.Equal(found.bytes, value) || found.skipped != max(unread, 1)-1) {
					t.Fatalf("seed %d: read %x, %d skipped; expected %x, %d", seed, found.bytes, found.skipped, value, unread)
				}
				if ok {
					unread, fresh = 0, false
				}
			case 2:
				if written {
					reader, fresh = newMailboxReader(box, new(atomic.Uint64)), true
				}
			}
		}
	}
}

func TestLosslessMailbox(t *testing.T) {
	box := heapMailbox(10)
	reader := newMailboxReader(box, new(atomic.Uint64))
	for range 3 {
		if _, ok, _ := reader.take(true, 0); ok || !box.free() {
			t.Fatal("expected an empty mailbox")
		}
		box.put([]byte("message"))
		if box.free() {
			t.Fatal("an unread message may be overwritten")
		}
		// Nobody has read it, so the next reader does.
		reader = newMailboxReader(box, new(atomic.Uint64))
		if found, ok, _ := reader.take(true, 0); !ok || string(found.bytes) != "message" {
			t.Fatalf("received %q, %v", found.bytes, ok)
		}
		// This one has read it.
		reader = newMailboxReader(box, new(atomic.Uint64))
	}
}

// TestSuccessorOfAKilledWriterContinues: a writer that was killed half-way leaves the sequence odd.
func TestSuccessorOfAKilledWriterContinues(t *testing.T) {
	box := heapMailbox(10)
	reader := newMailboxReader(box, new(atomic.Uint64))
	box.put([]byte("one"))
	box.head.sequence.Add(1)
	if _, ok, err := reader.take(false, 0); ok || err != nil {
		t.Fatalf("read an unfinished value: %v %v", ok, err)
	}
	if !box.free() {
		t.Error("a lossless sender waits for a value that nobody can read")
	}
	box.put([]byte("two"))
	found, ok, err := reader.take(false, 0)
	if err != nil || !ok || string(found.bytes) != "two" || box.head.sequence.Load()%2 != 0 {
		t.Errorf("read %q %v %v", found.bytes, ok, err)
	}
}

func TestOversizeValueIsRefused(t *testing.T) {
	box := heapMailbox(10)
	reader := newMailboxReader(box, new(atomic.Uint64))
	for _, size := range []uint32{11, 1 << 31, ^uint32(0)} {
		box.put([]byte("one"))
		box.head.dataSize.Store(size)
		if _, ok, err := reader.take(false, 0); ok || err == nil {
			t.Errorf("read a value of %d bytes", size)
		}
		box.put([]byte("two"))
		if found, ok, err := reader.take(false, 0); !ok || err != nil || string(found.bytes) != "two" {
			t.Errorf("after it: %q %v %v", found.bytes, ok, err)
		}
	}
}

func TestSkippedBeyondTheSequence(t *testing.T) {
	reader := mailboxReader{last: 10, count: 5}
	for _, skipped := range []uint64{0, 1, 1<<31 - 2, 1<<31 + 7, 5<<31 + 3} {
		count := 5 + skipped + 1
		sequence := 10 + 2*uint32(skipped+1)
		for _, off := range []uint64{0, 1, ^uint64(0)} { // an ESHM 1.x writer counts a moment later
			if found := reader.skipped(sequence, count+off); found != skipped {
				t.Errorf("%d skipped, expected %d (count off by %d)", found, skipped, int64(off))
			}
		}
	}
}

// TestValuesAreNeverTorn lets the race detector check the memory order, and checks that values are whole.
func TestValuesAreNeverTorn(t *testing.T) {
	box := heapMailbox(1000)
	const count = 50_000
	go func() {
		value := make([]byte, 1000)
		for number := range count {
			for i := range value {
				value[i] = byte(number)
			}
			box.put(value[:1000-number%500])
		}
	}()
	reader := newMailboxReader(box, new(atomic.Uint64))
	for total := uint64(0); total < count; {
		found, ok, err := reader.take(false, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue
		}
		total += found.skipped + 1
		number := total - 1
		if expected := 1000 - int(number%500); len(found.bytes) != expected {
			t.Fatalf("value %d has %d bytes, expected %d", number, len(found.bytes), expected)
		}
		if bytes.Count(found.bytes, []byte{byte(number)}) != len(found.bytes) {
			t.Fatalf("value %d is torn: %x", number, found.bytes)
		}
	}
}
