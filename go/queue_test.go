package eshm

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"eshm/internal/shm"
)

// heapQueue makes a queue on the heap whose next message is number first.
func heapQueue(slots, capacity uint64, first uint32) queue {
	g := newGeometry(1, capacity)
	g.queueSlots = slots
	q := queueAt(shm.Heap(int(g.segmentSize())), g, masterToSlave)
	q.control.consumed.Store(first)
	for i := range uint32(slots) {
		q.slot(first + i).mark.Store(first + i + 1 - uint32(slots)) // of the message before, received long ago
	}
	return q
}

func mustResume(t testing.TB, q queue) sendQueue {
	t.Helper()
	sender, err := q.resume()
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

// send sends if there is room.
func (s *sendQueue) send(t testing.TB, message []byte) bool {
	t.Helper()
	room, ok, err := s.reserve(len(message))
	if err != nil {
		t.Fatal(err)
	}
	if ok {
		copy(room.bytes, message)
		s.publish(room)
	}
	return ok
}

func numbered(random *rand.Rand, number, longest int) []byte {
	message := make([]byte, random.IntN(longest+1))
	for i := range message {
		message[i] = byte(number + i)
	}
	return message
}

// TestQueueIsAFIFO compares a queue with a model, across the wrap of its numbers, its slots and its arena, and across
// restarts of either end, which lose their private state.
func TestQueueIsAFIFO(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		capacity := []uint64{1, 57, 200, 1000, 5000}[random.IntN(5)]
		q := heapQueue(1<<random.IntN(5), capacity, -uint32(random.IntN(100)))
		sender, receiver := mustResume(t, q), q.receiver()
		var model [][]byte // sent and not released
		lent := 0
		for number := range 2000 {
			switch random.IntN(10) {
			default:
				message := numbered(random, number, int(capacity))
				if sender.send(t, message) {
					model = append(model, message)
				} else if len(model) == 0 {
					t.Fatalf("seed %d: no room for %d bytes in an empty queue", seed, len(message))
				}
			case 4, 5, 6:
				message, ok, err := receiver.take()
				if err != nil || ok != (lent < len(model)) {
					t.Fatalf("seed %d: took %v %v, with %d of %d lent", seed, ok, err, lent, len(model))
				}
				if ok {
					if !bytes.Equal(message, model[lent]) {
						t.Fatalf("seed %d: received %x, expected %x", seed, message, model[lent])
					}
					lent++
				}
			case 7:
				release := random.IntN(lent + 1)
				receiver.release(receiver.next - uint32(lent-release))
				model, lent = model[release:], lent-release
			case 8:
				sender = mustResume(t, q)
			case 9:
				receiver, lent = q.receiver(), 0
			}
		}
	}
}

func TestQueueOfOneMessage(t *testing.T) {
	q := heapQueue(1, 100, 7)
	sender, receiver := mustResume(t, q), q.receiver()
	for range 3 {
		if !sender.send(t, make([]byte, 100)) || sender.send(t, nil) {
			t.Fatal("expected room for exactly one message")
		}
		if message, ok, _ := receiver.take(); !ok || len(message) != 100 {
			t.Fatalf("received %d bytes, %v", len(message), ok)
		}
		receiver.release(receiver.next)
	}
}

// TestPlacesOfReleasedMessages: with nothing in flight, short messages stay near the arena's beginning, and long ones
// spread.
func TestPlacesOfReleasedMessages(t *testing.T) {
	for _, test := range []struct {
		length, period int
		offsets        uint64 // from one message to the next
	}{
		{1 << 10, 32, 1 << 10},
		{8 << 10, 4, 8 << 10},
		{16 << 10, 128, 16 << 10},
		{1 << 20, 2, 1 << 20},
		{4 << 20, 1, 0},
	} {
		q := heapQueue(4, 8<<20, 0)
		sender, receiver := mustResume(t, q), q.receiver()
		for number := range 2*test.period + 1 {
			room, ok, err := sender.reserve(test.length)
			if !ok || err != nil {
				t.Fatalf("no room for %d bytes in an empty queue: %v", test.length, err)
			}
			sender.publish(room)
			at, err := q.locate(q.slot(uint32(number)), inArena)
			if expected := uint64(number%test.period) * test.offsets; err != nil || at.offset != expected {
				t.Fatalf("message %d of %d bytes is at %d, %v; expected %d", number, test.length, at.offset, err, expected)
			}
			if _, ok, err := receiver.take(); !ok || err != nil {
				t.Fatal(err)
			}
			receiver.release(receiver.next)
		}
	}
}

// TestQueueBetweenGoroutines lets the race detector check the memory order.
func TestQueueBetweenGoroutines(t *testing.T) {
	q := heapQueue(8, 1000, 0)
	sender, receiver := mustResume(t, q), q.receiver()
	const count = 20_000
	go func() {
		random := rand.New(rand.NewPCG(1, 1))
		for number := range count {
			for message := numbered(random, number, 1000); !sender.send(t, message); {
				runtime.Gosched()
			}
		}
	}()
	random := rand.New(rand.NewPCG(1, 1))
	expected := numbered(random, 0, 1000)
	for number := 0; number < count; {
		message, ok, err := receiver.take()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			runtime.Gosched()
			continue
		}
		if !bytes.Equal(message, expected) {
			t.Fatalf("message %d is %x, expected %x", number, message, expected)
		}
		receiver.release(receiver.next)
		number++
		expected = numbered(random, number, 1000)
	}
}

func TestHostileSlotsAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*slot){
		"length between slot and arena": func(s *slot) { s.len = slotPayload + 1 },
		"length beyond the capacity":    func(s *slot) { binary.NativeEndian.PutUint64(s.payload[8:], 101) },
		"length beyond the arena":       func(s *slot) { binary.NativeEndian.PutUint64(s.payload[8:], 1<<63) },
		"offset beyond the arena":       func(s *slot) { binary.NativeEndian.PutUint64(s.payload[0:], 128) },
		"offset that overflows":         func(s *slot) { binary.NativeEndian.PutUint64(s.payload[0:], 1<<64-64) },
		"offset that is not aligned":    func(s *slot) { binary.NativeEndian.PutUint64(s.payload[0:], 8) },
	} {
		t.Run(name, func(t *testing.T) {
			q := heapQueue(4, 100, 0)
			sender := mustResume(t, q)
			sender.send(t, make([]byte, 100))
			spoil(q.slot(0))
			receiver := q.receiver()
			if message, ok, err := receiver.take(); err == nil {
				t.Errorf("received %d bytes, %v; expected an error", len(message), ok)
			}
			if _, err := q.resume(); err == nil {
				t.Error("resumed; expected an error")
			}
		})
	}
}

func TestReceiverThatClaimsTooMuchIsRefused(t *testing.T) {
	for _, claim := range []uint32{3, 1 << 31, ^uint32(0)} {
		q := heapQueue(2, 100, 0)
		sender := mustResume(t, q)
		sender.send(t, nil)
		sender.send(t, nil)
		q.control.consumed.Store(claim)
		if _, ok, err := sender.reserve(1); err == nil {
			t.Errorf("claim %d: reserved %v; expected an error", claim, ok)
		}
	}
}

// TestResumeRefusesPlacesThatOverlap: a predecessor cannot have left more in the arena than fits.
func TestResumeRefusesPlacesThatOverlap(t *testing.T) {
	q := heapQueue(4, 128, 0)
	for i := range uint32(3) {
		s := q.slot(i)
		s.len = inArena
		binary.NativeEndian.PutUint64(s.payload[8:], 128)
		s.mark.Store(i + 1)
	}
	if _, err := q.resume(); err == nil {
		t.Error("resumed; expected an error")
	}
}

func FuzzQueue(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, image []byte, consumed uint32) {
		g := newGeometry(1, 300)
		g.queueSlots = 4
		memory := shm.Heap(int(g.segmentSize()))
		copy(memory[g.queueOffset:], image)
		q := queueAt(memory, g, masterToSlave)
		q.control.consumed.Store(consumed)
		receiver := q.receiver()
		for range 10 {
			if message, ok, err := receiver.take(); ok && err == nil && len(message) > 300 {
				t.Fatalf("received %d bytes", len(message))
			}
		}
		if sender, err := q.resume(); err == nil {
			for length := range 10 {
				if room, ok, err := sender.reserve(33 * length); ok && err == nil {
					clear(room.bytes)
					sender.publish(room)
				}
			}
		}
	})
}

// TestPrefetchingChangesNoMessage that the receiver has not released, whether slots are free or not.
func TestPrefetchingChangesNoMessage(t *testing.T) {
	q := heapQueue(4, 100, 0)
	sender, receiver := mustResume(t, q), q.receiver()
	for number := range 4 {
		sender.send(t, []byte{byte(number)})
		sender.prefetchSlots(true)
		sender.prefetchSlots(false)
	}
	for number := range 4 {
		if message, ok, err := receiver.take(); !ok || err != nil || len(message) != 1 || message[0] != byte(number) {
			t.Errorf("message %d is %x, %v, %v", number, message, ok, err)
		}
	}
}
