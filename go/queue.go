package eshm

import (
	"encoding/binary"
	"fmt"
	"sort"
	"sync/atomic"

	"eshm/internal/shm"
)

// queue carries one direction's messages in shared memory: PROTOCOL.md §8.
//
// There is no shared index of what was sent: the marks of the slots tell. A receiver's poll of a mark brings a short
// message along in the same cache line.
type queue struct {
	control  *queueControl
	slots    []slot // a power of two
	arena    shm.Memory
	capacity int // bytes of the longest message
}

// slot returns the slot of message number i.
func (q *queue) slot(i uint32) *slot { return &q.slots[i&uint32(len(q.slots)-1)] }

// depth returns how many messages are published and not released, borrowed ones included: 0 to len(slots).
//
// The published messages are a prefix of the numbers from consumed on, so a binary search over their marks finds the
// end. Marks that change meanwhile, or that a hostile peer wrote, make the result wrong, but never out of range.
func (q *queue) depth() uint32 {
	first := q.control.consumed.Load()
	return uint32(sort.Search(len(q.slots), func(ahead int) bool {
		number := first + uint32(ahead)
		return q.slot(number).mark.Load() != number+1
	}))
}

// noteDepth raises the high-water mark. Only the sender's process calls it.
func (q *queue) noteDepth(depth uint32) {
	if mark := &q.control.sender.highWater; mark.Load() < depth {
		mark.Store(depth)
	}
}

// highWater returns the greatest depth that the sender's process has seen.
func (q *queue) highWater() uint32 {
	return min(q.control.sender.highWater.Load(), uint32(len(q.slots)))
}

// place is where in the arena a message is that was not consumed yet.
type place struct {
	message uint32 // its number
	start   uint64 // a position counts from the queue's beginning, over all laps
}

// sendQueue is the sender's private state of a queue.
type sendQueue struct {
	queue
	next     uint32  // number of the next message
	consumed uint32  // copy of control.consumed; next - consumed is in 0 … len(slots)
	places   []place // of unconsumed messages, oldest first, from index oldest on
	oldest   int
	end      uint64 // position behind the newest message
}

// resume continues where a predecessor, if any, has stopped.
func (q *queue) resume() (sendQueue, error) {
	consumed := q.control.consumed.Load()
	s := sendQueue{queue: *q, next: consumed, consumed: consumed}
	for int(s.next-consumed) < len(q.slots) {
		slot := q.slot(s.next)
		if slot.mark.Load() != s.next+1 {
			break
		}
		if length := atomic.LoadUint32(&slot.len); length > slotPayload {
			at, err := q.locate(slot, length)
			if err != nil {
				return sendQueue{}, err
			}
			s.note(s.next, at)
		}
		s.next++
	}
	if taken := s.end - s.start(); taken > uint64(len(q.arena)) {
		return sendQueue{}, fmt.Errorf("the unread messages take %d bytes of an arena of %d", taken, len(q.arena))
	}
	return s, nil
}

// note remembers a place that a predecessor has chosen: the first position behind the newest message with this offset.
func (s *sendQueue) note(message uint32, at location) {
	size := uint64(len(s.arena))
	lap := s.end - s.end%size
	if at.offset < s.end%size {
		lap += size
	}
	s.occupy(message, lap+at.offset, at.length)
}

func (s *sendQueue) occupy(message uint32, start, length uint64) {
	s.end = start + roundUp(length, arenaGrain)
	s.places = append(s.places, place{message, start})
}

// start returns the position of the oldest message that was not consumed; end if there is none.
func (s *sendQueue) start() uint64 {
	if s.oldest == len(s.places) {
		return s.end
	}
	return s.places[s.oldest].start
}

// consume forgets the places of messages before number next.
func (s *sendQueue) consume(next uint32) {
	for s.oldest < len(s.places) && int32(s.places[s.oldest].message-next) < 0 {
		s.oldest++
	}
	// Moving the others down only from time to time costs each message the same, however many wait.
	if s.oldest > len(s.places)/2 {
		s.places = s.places[:copy(s.places, s.places[s.oldest:])]
		s.oldest = 0
	}
}

// A sender whose messages are all released continues at the beginning of the arena once it is so far into it: memory
// that was used recently is in a cache. Messages of at least spreadMessage bytes spread over more than the private
// caches of two processors hold, since a line comes several times as fast from the cache that the processors share
// (docs/large-payloads.md). A longer message first looks whether all are released: one cache line of the many that it
// takes.
const (
	restartAfter       = 32 << 10
	restartSpreadAfter = 2 << 20
	spreadMessage      = 16 << 10
	longMessage        = 4 << 10
)

// reservation is room for one message.
type reservation struct {
	bytes []byte
	start uint64 // position in the arena, if long
	long  bool
}

// reserve finds room for a message that is not longer than capacity. ok is false if there is none now.
func (s *sendQueue) reserve(length int) (room reservation, ok bool, err error) {
	if !s.hasKnownSlot() {
		if err := s.refresh(); err != nil {
			return reservation{}, false, err
		}
		if !s.hasKnownSlot() {
			s.noteDepth(uint32(len(s.slots)))
			return reservation{}, false, nil
		}
	}
	if length <= slotPayload {
		return reservation{bytes: s.slot(s.next).payload[:length]}, true, nil
	}
	start, ok := s.fit(length)
	if !ok || length >= longMessage && s.oldest < len(s.places) {
		if err := s.refresh(); err != nil {
			return reservation{}, false, err
		}
		if start, ok = s.fit(length); !ok {
			return reservation{}, false, nil
		}
	}
	offset := start % uint64(len(s.arena))
	return reservation{s.arena[offset : offset+uint64(length) : offset+uint64(length)], start, true}, true, nil
}

// fit finds contiguous room in the arena, behind the newest message or, if all are released, at the beginning.
func (s *sendQueue) fit(length int) (start uint64, ok bool) {
	size, need := uint64(len(s.arena)), roundUp(uint64(length), arenaGrain)
	limit := uint64(restartAfter)
	if need >= spreadMessage {
		limit = restartSpreadAfter
	}
	free, start := s.oldest == len(s.places), s.end
	if free {
		// No position is compared with an earlier one: the numbers begin again, and do not overflow.
		start %= size
	}
	offset := start % size
	if offset+need > size || free && offset >= limit {
		start += size - offset
	}
	return start, free || start+need-s.start() <= size
}

// refresh reads how far the receiver has come.
func (s *sendQueue) refresh() error {
	// Acquire: the receiver is done with what it has consumed.
	consumed := s.control.consumed.Load()
	if s.next-consumed > s.next-s.consumed {
		return fmt.Errorf("the receiver claims to have consumed message %d, expected %d to %d", consumed, s.consumed, s.next)
	}
	s.consumed = consumed
	s.consume(consumed)
	return nil
}

// publish makes what was written to a reservation the next message. The caller wakes the receiver.
func (s *sendQueue) publish(room reservation) {
	slot := s.slot(s.next)
	if room.long {
		length := uint64(len(room.bytes))
		offset := room.start % uint64(len(s.arena))
		binary.NativeEndian.PutUint64(slot.payload[0:], offset)
		binary.NativeEndian.PutUint64(slot.payload[8:], length)
		slot.len = inArena
		s.occupy(s.next, room.start, length)
	} else {
		slot.len = uint32(len(room.bytes))
	}
	s.next++
	// Release: pairs with the receiver's load.
	shm.Publish(&slot.mark, s.next)
}

// pushShort publishes a message of at most slotPayload bytes. The caller knows that there is a slot, and wakes the
// receiver.
func (s *sendQueue) pushShort(message []byte) {
	slot := s.slot(s.next)
	copy(slot.payload[:], message)
	slot.len = uint32(len(message))
	s.next++
	// Release: pairs with the receiver's load.
	shm.Publish(&slot.mark, s.next)
}

// hasKnownSlot tells whether a slot was free when consumed was last read.
func (s *sendQueue) hasKnownSlot() bool { return int(s.next-s.consumed) < len(s.slots) }

// slotsAhead is how many slots ahead the sender of a stream fetches: a cache line takes as long as some messages.
const slotsAhead = 8

// prefetchSlots gets the cache lines of the next slots, so that this processor owns them when the next messages come.
// Otherwise fetching a line would delay its message.
//
// In an exchange it writes to the next slot, if that is free, which saves a tenth of a round trip. In a stream a store
// would delay the unlocking of the mutex until the line has come: there it only asks for this line, and for one some
// slots ahead.
func (s *sendQueue) prefetchSlots(exchange bool) {
	switch {
	case !exchange:
		shm.PrefetchWrite(&s.slot(s.next).mark)
		shm.PrefetchWrite(&s.slot(s.next + slotsAhead).mark)
	case s.hasKnownSlot():
		s.slot(s.next).len = 0
	}
}

// recvQueue is the receiver's private state of a queue.
type recvQueue struct {
	queue
	next uint32 // number of the next message
}

func (q *queue) receiver() recvQueue {
	return recvQueue{*q, q.control.consumed.Load()}
}

// length returns how many bytes a message has that was taken and is not released.
func (r *recvQueue) length(number uint32) int {
	slot := r.slot(number)
	length := atomic.LoadUint32(&slot.len)
	if length > slotPayload {
		// For counting only: a peer may have changed it since.
		return int(binary.NativeEndian.Uint64(slot.payload[8:]))
	}
	return int(length)
}

// arrived tells whether the next message is there.
func (r *recvQueue) arrived() bool { return r.slot(r.next).mark.Load() == r.next+1 }

// take lends the next message if it is there now. It stays as it is until release.
func (r *recvQueue) take() (message []byte, ok bool, err error) {
	slot := r.slot(r.next)
	// Acquire: pairs with publish.
	if slot.mark.Load() != r.next+1 {
		return nil, false, nil
	}
	// Read once: a peer may change it at any time.
	length := atomic.LoadUint32(&slot.len)
	if length <= slotPayload {
		r.next++
		return slot.payload[:length:length], true, nil
	}
	at, err := r.locate(slot, length)
	if err != nil {
		return nil, false, err
	}
	r.next++
	return r.arena[at.offset : at.offset+at.length : at.offset+at.length], true, nil
}

// putBack undoes the last take.
func (r *recvQueue) putBack() { r.next-- }

// release returns the messages before number next to the sender. The caller wakes the sender.
func (r *recvQueue) release(next uint32) {
	// Release: pairs with refresh.
	shm.Publish(&r.control.consumed, next)
}

// location is where in the arena a message is.
type location struct {
	offset, length uint64
}

// locate reads where a published message is that is not in its slot. length is the length that the slot gives. Each
// number is read once and checked, since a peer may change it at any time.
func (q *queue) locate(slot *slot, length uint32) (location, error) {
	if length != inArena {
		return location{}, fmt.Errorf("a slot announces %d bytes, expected at most %d", length, slotPayload)
	}
	at := location{
		offset: binary.NativeEndian.Uint64(slot.payload[0:]),
		length: binary.NativeEndian.Uint64(slot.payload[8:]),
	}
	size := uint64(len(q.arena))
	if at.offset%arenaGrain != 0 || at.offset >= size || at.length > size-at.offset || at.length > uint64(q.capacity) {
		return location{}, fmt.Errorf("a slot points to %d bytes at %d, expected at most %d in an arena of %d",
			at.length, at.offset, q.capacity, size)
	}
	return at, nil
}
