package eshm

import (
	"encoding/binary"
	"fmt"
	"sort"
	"sync/atomic"

	"eshm/internal/shm"
)

// queue is one direction's lossless messages, in shared memory: PROTOCOL.md §8.
//
// There is no shared index of what was sent: the marks of the slots say it. A receiver's poll of a mark brings a
// short message along in the same cache line.
type queue struct {
	control  *queueControl
	slots    []slot // a power of two
	arena    shm.Memory
	capacity int // bytes of the longest message
}

// slot is where message number i lies.
func (q *queue) slot(i uint32) *slot { return &q.slots[i&uint32(len(q.slots)-1)] }

// depth is how many messages are published and not released, those that are lent included: 0 to len(slots).
//
// The published ones are a prefix of the numbers from consumed on, so a binary search over their marks finds the end.
// Marks that change meanwhile, or that a hostile peer wrote, make the result wrong, never out of range.
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

// highWater is the most unreleased messages that the sender's process has seen.
func (q *queue) highWater() uint32 {
	return min(q.control.sender.highWater.Load(), uint32(len(q.slots)))
}

// place is where in the arena a message lies that is not consumed yet.
type place struct {
	message uint32 // its number
	start   uint64 // a position, which counts from the queue's beginning
}

// sendQueue is what the sender of a queue remembers.
type sendQueue struct {
	queue
	next     uint32  // number of the next message
	consumed uint32  // copy of control.consumed; next - consumed is in 0 ... len(slots)
	places   []place // of unconsumed messages, oldest first, from index oldest on
	oldest   int
	end      uint64 // position behind the newest message
}

// resume takes up where a predecessor, if any, has stopped.
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

// note remembers a place that a predecessor has chosen, at the first position behind the newest that has its offset.
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

// start is the position of the oldest message that is not consumed; end, if there is none.
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
	// Moving the rest down only now and then costs each message the same, however many wait.
	if s.oldest > len(s.places)/2 {
		s.places = s.places[:copy(s.places, s.places[s.oldest:])]
		s.oldest = 0
	}
}

// reservation is room for one message.
type reservation struct {
	bytes []byte
	start uint64 // position in the arena, if long
	long  bool
}

// reserve finds room for a message that is not longer than capacity. ok is false when there is none now.
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
	if !ok {
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

// fit finds contiguous room in the arena, behind the newest message.
func (s *sendQueue) fit(length int) (start uint64, ok bool) {
	size, need := uint64(len(s.arena)), roundUp(uint64(length), arenaGrain)
	start = s.end
	if start%size+need > size {
		start += size - start%size
	}
	return start, s.start() == s.end || start+need-s.start() <= size
}

// refresh looks how far the receiver is.
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

// publish makes what was written to a reservation the next message. The caller rings.
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

// pushShort publishes a message of at most slotPayload bytes, for which there is a slot. The caller rings.
func (s *sendQueue) pushShort(message []byte) {
	slot := s.slot(s.next)
	copy(slot.payload[:], message)
	slot.len = uint32(len(message))
	s.next++
	// Release: pairs with the receiver's load.
	shm.Publish(&slot.mark, s.next)
}

// hasKnownSlot tells whether a slot was free when consumed was last looked at.
func (s *sendQueue) hasKnownSlot() bool { return int(s.next-s.consumed) < len(s.slots) }

// warm writes to the next slot, if it is free, so that its cache line is at hand, and this processor's, when the next
// message comes: otherwise fetching it would be a part of that message's way. It saves a tenth of a round trip.
func (s *sendQueue) prefetchSlot() {
	if s.hasKnownSlot() {
		s.slot(s.next).len = 0
	}
}

// recvQueue is what the receiver of a queue remembers.
type recvQueue struct {
	queue
	next uint32 // number of the next message
}

func (q *queue) receiver() recvQueue {
	return recvQueue{*q, q.control.consumed.Load()}
}

// length is how many bytes a message has that was taken and is not released.
func (r *recvQueue) length(number uint32) int {
	slot := r.slot(number)
	length := atomic.LoadUint32(&slot.len)
	if length > slotPayload {
		// Counted only: whatever a peer has made of it since.
		return int(binary.NativeEndian.Uint64(slot.payload[8:]))
	}
	return int(length)
}

// arrived tells whether the next message is there.
func (r *recvQueue) arrived() bool { return r.slot(r.next).mark.Load() == r.next+1 }

// take lends the next message, if it is there. It stays as it is until release.
func (r *recvQueue) take() (message []byte, ok bool, err error) {
	slot := r.slot(r.next)
	// Acquire: pairs with publish.
	if slot.mark.Load() != r.next+1 {
		return nil, false, nil
	}
	// Once: a peer may change it at any time.
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

// release gives the messages before number next back to the sender. The caller rings consumed.
func (r *recvQueue) release(next uint32) {
	// Release: pairs with refresh.
	shm.Publish(&r.control.consumed, next)
}

// location is where in the arena a message lies.
type location struct {
	offset, length uint64
}

// locate reads where a published message of this length, as its slot says, lies if it does not lie in the slot: each
// number once, and checked, since a peer may change it at any time.
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
