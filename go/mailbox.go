package eshm

import (
	"fmt"
	"sync/atomic"

	"eshm/internal/shm"
)

// mailbox is one direction's latest value, a sequence lock in shared memory: PROTOCOL.md §6.
type mailbox struct {
	head *channelHead
	data []atomic.Uint64
	tail *channelTail
	size int // of the longest value, in bytes
}

// put writes a value, which is not longer than size. It never waits. The caller changes wakeSeq, and rings.
func (m *mailbox) put(value []byte) {
	// A predecessor that was killed half-way has left the sequence odd: then the value is still unfinished, and so are
	// we. Stores become visible in order (see shm.Store): no reader sees any word that follows under the old sequence.
	sequence := m.head.sequence.Load() | 1
	shm.Store(&m.head.sequence, sequence)
	shm.StoreWords(m.data, value)
	shm.Store(&m.head.dataSize, uint32(len(value)))
	// Inside the odd window, so that a stable sequence comes with its own count.
	shm.Store64(&m.tail.writeCount, m.tail.writeCount.Load()+1)
	shm.Store(&m.head.sequence, sequence+1)
}

// free tells whether a lossless message may be put: the one before was read, or nobody can read it, because it was
// never finished.
func (m *mailbox) free() bool {
	sequence, taken := m.head.sequence.Load(), m.tail.taken.Load()
	return sequence&1 == 1 || taken == sequence+1 || taken == 0 && sequence == 0
}

// mailboxReader is what the reader of a mailbox remembers. It looks at the line of the mailbox's head, and, if the
// value goes on, at those of its data, but not at the lines of the counts, which are the writer's.
type mailboxReader struct {
	mailbox
	reads  *atomic.Uint64 // what readCount is to be: link.publishReads stores it
	fresh  bool           // nothing was read yet
	last   uint32         // sequence of the last value read; of a predecessor's, while fresh
	count  uint64         // writeCount that belongs to last
	at     int64          // by the endpoint's clock
	buffer []byte         // the last value read; reused

	trusted int64 // for how many nanoseconds after a read the sequence alone tells how many values were written
}

func newMailboxReader(box mailbox, reads *atomic.Uint64) mailboxReader {
	reader := mailboxReader{mailbox: box, reads: reads, fresh: true, trusted: manyValues}
	if taken := box.tail.taken.Load(); taken != 0 {
		reader.last = taken - 1
	}
	return reader
}

// value is what a read of a mailbox yields.
type value struct {
	bytes   []byte // valid until the next read
	skipped uint64 // values that were overwritten unread since the last read
}

// maxTries bounds how long a reader runs after a writer that stays odd, or is too fast: it is "nothing new yet".
const maxTries = 64

// pending tells whether a value may be new. The first lossless message is one that no predecessor has read.
func (r *mailboxReader) pending(sequence uint32, lossless bool) bool {
	if r.fresh && !lossless {
		return sequence != 0 || r.tail.writeCount.Load() != 0
	}
	return sequence != r.last
}

// arrived tells whether a value is there, and finished, that was not read.
func (r *mailboxReader) arrived() bool {
	sequence := r.head.sequence.Load()
	return sequence&1 == 0 && r.pending(sequence, false)
}

// manyValues is how long, in nanoseconds, it takes at least to write so many values that the sequence comes round.
const manyValues = 1_000_000_000

// take reads the value if it is new, at this time by the endpoint's clock. The caller rings taken.
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
		// Once: a peer may change it at any time.
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

// skipped is how many values lie between the last one and the one of this sequence and count. The sequences are exact
// modulo 2³¹; the counts, which may be off by one when the writer is a 1.x process, say how often that wrapped.
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
