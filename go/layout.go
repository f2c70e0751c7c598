package eshm

import (
	"structs"
	"sync/atomic"

	"eshm/internal/shm"
)

// Numbers of the protocol. A test compares them, and the structs below, with protocol/layout.json.
const (
	magic           = 0x4553484D
	version         = 3
	versionPolling  = 2 // of ESHM 1.0, whose writers wake nobody
	featureWakes    = 1 << 0
	extensionValid  = 1
	capabilityTaken = 1 << 0
	capabilityQueue = 1 << 1
	headerSize      = 128
	channelTailSize = 80
	slotPayload     = 56         // bytes
	inArena         = 0xFFFFFFFF // a slot's length if the message is in the arena
	arenaGrain      = 64         // bytes; a message in the arena takes a multiple
	maxDataSize     = 64 << 20
	maxQueueSlots   = 1 << 20

	maxQueueCapacity uint64 = 1 << 36 // more than an int holds on a 32-bit machine
)

// header is the first part of a segment. Each field names its writer. Both sides read it.
type header struct {
	_ structs.HostLayout

	magic            atomic.Uint32 // creator, last
	version          atomic.Uint32 // creator, or the master that takes over
	masterHeartbeat  atomic.Uint64 // master: +1 per interval
	slaveHeartbeat   atomic.Uint64 // slave
	masterPID        atomic.Int32  // master, in its own PID namespace
	slavePID         atomic.Int32  // slave
	masterAlive      atomic.Uint32 // master: 1 from attach to clean close
	slaveAlive       atomic.Uint32 // slave
	staleThreshold   atomic.Uint32 // master: milliseconds, by which a slave beats
	masterGeneration atomic.Uint32 // master: +1 per start
	features         atomic.Uint32 // master
	layoutSize       atomic.Uint32 // creator

	// These are zero in ESHM 1.x.
	extension          atomic.Uint32 // master: 1 when the fields below are valid
	dataSize           atomic.Uint32 // creator
	masterCapabilities atomic.Uint32 // master
	slaveCapabilities  atomic.Uint32 // slave
	masterSignature    atomic.Int32  // master: its pid
	slaveSignature     atomic.Int32  // slave: its pid
	slaveGeneration    atomic.Uint32 // slave: +1 per attach
	queueSlots         atomic.Uint32 // creator: a power of two, or 0 for no queues
	queueOffset        atomic.Uint64 // creator
	queueCapacity      atomic.Uint64 // creator
	slaveThreshold     atomic.Uint32 // slave: its stale threshold in milliseconds, or 0 if not told
	_                  [20]byte
}

// channelHead is the first part of a mailbox; the data follow it.
type channelHead struct {
	_ structs.HostLayout

	sequence atomic.Uint32 // writer: odd while a value is being written, +2 per value
	dataSize atomic.Uint32 // writer: bytes of the value
}

// channelTail is the last part of a mailbox.
type channelTail struct {
	_ structs.HostLayout

	writeCount   atomic.Uint64 // writer: +1 per value
	readCount    atomic.Uint64 // reader: +1 per read
	wakeSeq      atomic.Uint32 // writer: +1 per value; readers park on it
	waiters      parkedWord    // reader: how many are parked on wakeSeq
	_            [32]byte
	taken        atomic.Uint32 // reader: the sequence of the last value read, plus 1, or 0; writers park on it
	takenWaiters parkedWord    // writer: how many are parked on taken
	_            [16]byte
}

// queueControl is the first part of a queue. Each field has two cache lines to itself, since processors fetch
// lines in pairs.
type queueControl struct {
	_ structs.HostLayout

	consumed        atomic.Uint32 // receiver: the number of the first message not released; senders park on it
	_               [124]byte
	receiversParked parkedWord    // receiver: how many are parked
	parkedNumber    atomic.Uint32 // receiver: on the slot of the message of this number
	_               [120]byte
	sender          senderLines
}

// senderLines are the cache lines that the sender of a queue writes.
type senderLines struct {
	_ structs.HostLayout

	parked    parkedWord    // sender: how many are parked on consumed
	highWater atomic.Uint32 // sender: the most unreleased messages that it has seen
	_         [120]byte
}

// slot holds one message, or tells where in the arena it is. It is one cache line.
type slot struct {
	_ structs.HostLayout

	mark    atomic.Uint32 // sender, last: i + 1 once message number i is published; receivers park on it
	len     uint32        // sender, before mark: bytes of the message, or inArena
	payload [slotPayload]byte
}

// geometry is what the sizes of a segment follow from. All numbers are bytes, except for queueSlots.
type geometry struct {
	dataSize      uint64 // of a mailbox: 1 to maxDataSize
	queueSlots    uint64 // per queue: a power of two, or 0
	queueOffset   uint64
	queueCapacity uint64 // of the longest message of a queue
}

// newGeometry returns the geometry of a new segment, with its queues right behind the channels.
func newGeometry(dataSize, queueCapacity uint64) geometry {
	g := geometry{dataSize: dataSize, queueCapacity: queueCapacity}
	if queueCapacity > 0 {
		g.queueSlots = defaultSlots(queueCapacity)
		g.queueOffset = roundUp(g.layoutSize(), 128)
	}
	return g
}

// defaultSlots gives every 256 bytes of the arena a slot, between 64 and 65536 of them.
func defaultSlots(capacity uint64) uint64 {
	slots := uint64(64)
	for slots < 1<<16 && slots*256 < capacity {
		slots *= 2
	}
	return slots
}

// channelTail returns the offset of the tail in a channel.
func (g geometry) channelTail() uint64 { return roundUp(8+g.dataSize, 8) }

func (g geometry) channelSize() uint64 { return roundUp(g.channelTail()+channelTailSize, 64) }

// layoutSize returns the size of the part that ESHM 1.x knows.
func (g geometry) layoutSize() uint64 { return headerSize + 2*g.channelSize() }

func (g geometry) arenaSize() uint64 { return roundUp(g.queueCapacity, arenaGrain) }

func (g geometry) queueSize() uint64 { return roundUp(384+64*g.queueSlots+g.arenaSize(), 128) }

func (g geometry) segmentSize() uint64 {
	if g.queueSlots == 0 {
		return g.layoutSize()
	}
	return g.queueOffset + 2*g.queueSize()
}

// roundUp rounds up to a multiple of a power of two.
func roundUp(size, multiple uint64) uint64 { return (size + multiple - 1) &^ (multiple - 1) }

// direction is one of the two ways through a segment.
type direction uint64

const (
	masterToSlave direction = iota
	slaveToMaster
)

// mailboxAt overlays the mailbox of one direction on a segment.
func mailboxAt(memory shm.Memory, g geometry, way direction) mailbox {
	start := headerSize + uint64(way)*g.channelSize()
	return mailbox{
		head: shm.At[channelHead](memory, start),
		data: shm.Slice[atomic.Uint64](memory, start+8, int(g.channelTail()-8)/8),
		tail: shm.At[channelTail](memory, start+g.channelTail()),
		size: int(g.dataSize),
	}
}

// queueAt overlays the queue of one direction on a segment that has queues.
func queueAt(memory shm.Memory, g geometry, way direction) queue {
	start := g.queueOffset + uint64(way)*g.queueSize()
	arena := start + 384 + 64*g.queueSlots
	return queue{
		control:  shm.At[queueControl](memory, start),
		slots:    shm.Slice[slot](memory, start+384, int(g.queueSlots)),
		arena:    memory[arena : arena+g.arenaSize()],
		capacity: int(g.queueCapacity),
	}
}

// seat is the part of the header that one endpoint writes.
type seat struct {
	heartbeat    *atomic.Uint64
	pid          *atomic.Int32
	alive        *atomic.Uint32
	capabilities *atomic.Uint32
	signature    *atomic.Int32
	generation   *atomic.Uint32
	threshold    *atomic.Uint32 // stale threshold in milliseconds; 0: not told
}

func (h *header) seat(role Role) seat {
	if role == Master {
		return seat{&h.masterHeartbeat, &h.masterPID, &h.masterAlive,
			&h.masterCapabilities, &h.masterSignature, &h.masterGeneration, &h.staleThreshold}
	}
	return seat{&h.slaveHeartbeat, &h.slavePID, &h.slaveAlive,
		&h.slaveCapabilities, &h.slaveSignature, &h.slaveGeneration, &h.slaveThreshold}
}

// The lock of a seat covers the four bytes of the file that hold its pid.
const seatLength = 4

func seatStart(role Role) int64 {
	if role == Master {
		return 24
	}
	return 28
}
