package eshm

import (
	"fmt"
	"sync/atomic"

	"eshm/internal/shm"
)

// mailbox carries one direction's latest value by a sequence lock in shared memory: PROTOCOL.md §6.
type mailbox struct {
	head *channelHead
	data []atomic.Uint64
	tail *channelTail
	size int // of the longest value, in bytes
}

// put writes a value, which must not be longer than size. It never waits. The caller changes wakeSeq, and wakes
// readers.
func (m *mailbox) put(value []byte) {
	// A predecessor that was killed half-way has left the sequence odd, so the value is unfinished until this one is.
	// Stores become visible in order (see MEMORY.md): no reader sees a later word under the old sequence.
	sequence := m.head.sequence.Load() | 1
	shm.Store(&m.head.sequence, sequence)
	shm.StoreWords(m.data, value)
	shm.Store(&m.head.dataSize, uint32(len(value)))
	// While the sequence is odd, so that a stable sequence comes with its own count.
	shm.Store64(&m.tail.writeCount, m.tail.writeCount.Load()+1)
	shm.Store(&m.head.sequence, sequence+1)
}

// free tells whether a message may be put: the one before was read, or cannot be read because it was never finished.
func (m *mailbox) free() bool {
	sequence, taken := m.head.sequence.Load(), m.tail.taken.Load()
	return sequence&1 == 1 || taken == sequence+1 || taken == 0 && sequence == 0
}

// mailboxReader is the reader's private state of a mailbox. It reads the line of the mailbox's head and those of the
// data, but not the lines of the counts, which belong to the writer.
type mailboxReader struct {
	mailbox
	reads  *atomic.Uint64 // counts reads: see link.readCounter
	fresh  bool           // nothing was read yet
	last   uint32         // sequence of the last value read; while fresh, of the last one that a predecessor read
	count  uint64         // writeCount that belongs to last
	at     int64          // when that was, by the endpoint's clock
	buffer []byte         // the last value read; reused

	trusted int64 // how many nanoseconds after a read the sequence alone tells how many values were written
}

func newMailboxReader(box mailbox, reads *atomic.Uint64) mailboxReader {
	reader := mailboxReader{mailbox: box, reads: reads, fresh: true, trusted: manyValues}
	if taken := box.tail.taken.Load(); taken != 0 {
		reader.last = taken - 1
	}
	return reader
}

// value is the result of a read of a mailbox.
type value struct {
	bytes   []byte // valid until the next read
	skipped uint64 // values that were overwritten since the last read
}

// maxTries bounds how often a reader tries beside a writer that is unfinished or too fast. Then there is nothing new
// yet.
const maxTries = 64

// pending tells whether a value may be new. The first message is one that no predecessor has read.
func (r *mailboxReader) pending(sequence uint32, lossless bool) bool {
	if r.fresh && !lossless {
		return sequence != 0 || r.tail.writeCount.Load() != 0
	}
	return sequence != r.last
}

// arrived tells whether a finished value is there that was not read.
func (r *mailboxReader) arrived() bool {
	sequence := r.head.sequence.Load()
	return sequence&1 == 0 && r.pending(sequence, false)
}

// manyValues is a time, in nanoseconds, in which nobody writes so many values that the sequence wraps around.
const manyValues = 1_000_000_000

// take reads the value if it is new. now is the time by the endpoint's clock. The caller wakes the writer.
func (r *mailboxReader) take(lossless bool, now int64) (found value, ok bool, err error) {
	for range maxTries {
		sequence := r.head.sequence.Load()
		if !r.pending(sequence, lossless) {
			return value{}, false, nil
		}
		if sequence&1 == 1 {
			continue
		}
		long := r.fresh || now-r.at >= r.trusted
		var count uint64
		if long {
			count = r.tail.writeCount.Load()
		}
		// Read once: a peer may change it at any time.
		size := r.head.dataSize.Load()
		fits := uint64(size) <= uint64(r.size)
		if fits {
			r.fill(int(size))
		}
		if r.head.sequence.Load() != sequence {
			continue
		}
		if !fits {
			return value{}, false, fmt.Errorf("a value of %d bytes is announced, expected at most %d", size, r.size)
		}
		if !long {
			count = r.count + uint64((sequence-r.last)>>1)
		}
		found = value{bytes: r.buffer, skipped: r.skipped(sequence, count)}
		r.fresh, r.last, r.count, r.at = false, sequence, count, now
		shm.Store64(r.reads, r.reads.Load()+1)
		shm.Publish(&r.tail.taken, sequence+1)
		return found, true, nil
	}
	return value{}, false, nil
}

func (r *mailboxReader) fill(size int) {
	if cap(r.buffer) < size {
		r.buffer = make([]byte, size)
	}
	r.buffer = r.buffer[:size]
	shm.LoadWords(r.buffer, r.data)
}

// skipped returns how many values are between the last one read and the one of this sequence and count. The sequences
// are exact modulo 2³¹. The counts, which may be off by one with an ESHM 1.x writer, tell how often that wrapped.
func (r *mailboxReader) skipped(sequence uint32, count uint64) uint64 {
	steps := uint64((sequence - r.last) >> 1)
	if steps == 0 {
		return 0 // a predecessor has read it
	}
	if r.fresh {
		return steps - 1
	}
	const wrap, half = 1 << 31, 1 << 30
	counted := count - r.count
	excess := (counted - steps + half) &^ (wrap - 1)
	return steps + excess - 1
}
