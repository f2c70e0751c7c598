package eshm

import (
	"os"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// link is one endpoint's attachment to one segment file. An endpoint has one, and for a while two when a slave moves
// from a segment to the one that replaces it.
type link struct {
	address
	role     Role
	file     *shm.File
	id       shm.ID
	geometry geometry
	header   *header
	self     seat
	peer     seat
	out      mailbox
	in       mailbox
	outQueue queue // when hasQueues
	inQueue  queue

	reads       atomic.Uint64 // of the mailbox in, by us and our predecessors
	countsReads bool          // the reader keeps the segment's count itself, and reads is not used; set before it is shown to others
	users       atomic.Int32  // who uses the memory: the endpoint, its directions, calls that wait, loans
	epoch       int           // how many segments the endpoint was attached to before; set before it is shown to others

	// holdsMessage tells whether the mailbox out holds a message, and not a value: the segment does not say, and
	// without queues it may. The sender, and who carries over, write it.
	holdsMessage atomic.Bool

	// Endpoint.mu guards the rest.
	judge      judge
	state      PeerState
	settledFor identity // of the peer, when generation was settled
	generation uint64   // of the peer
}

// life tells a peer from its predecessor: by its generation, or, of an ESHM 1.x peer, by its pid.
type identity struct {
	legacy bool
	number uint32
}

// life is the peer's present one; none is the zero life.
func (l *link) peerIdentity() identity {
	if pid := l.peer.pid.Load(); l.peer.legacy(pid) {
		return identity{true, uint32(pid)}
	}
	return identity{false, l.peer.generation.Load()}
}

// newLink overlays a mapped segment.
func newLink(at address, role Role, file *shm.File, id shm.ID, memory shm.Memory, g geometry) *link {
	header := shm.At[header](memory, 0)
	l := &link{
		address:  at,
		role:     role,
		file:     file,
		id:       id,
		geometry: g,
		header:   header,
		self:     header.seat(role),
		peer:     header.seat(role.peer()),
		out:      mailboxAt(memory, g, role.out()),
		in:       mailboxAt(memory, g, role.peer().out()),
	}
	if l.hasQueues() {
		l.outQueue = queueAt(memory, g, role.out())
		l.inQueue = queueAt(memory, g, role.peer().out())
	}
	l.holdsMessage.Store(!l.hasQueues())
	l.judge = newJudge(l.peer.pulse(), time.Now())
	l.users.Store(1)
	return l
}

// retain keeps the memory mapped until release. Only who knows that somebody else has it retained may call it.
func (l *link) retain() { l.users.Add(1) }

// release unmaps the memory after the last use.
func (l *link) release() {
	if l.users.Add(-1) == 0 {
		_ = l.file.Close()
	}
}

// speaksQueue tells whether messages to and from the endpoint that has this pid go through the queues. One that never
// was there is expected to be one of ours.
func (l *link) speaksQueue(pid int32) bool {
	return l.hasQueues() &&
		(pid == 0 || l.peer.ours(pid) && l.peer.capabilities.Load()&capabilityQueue != 0)
}

func (l *link) hasQueues() bool { return l.geometry.queueSlots > 0 }

// occupy makes the seat, whose lock we hold, ours.
func (l *link) occupy() {
	l.clearParked(l.role)
	l.reads.Store(l.in.tail.readCount.Load())
	capabilities := uint32(capabilityTaken)
	if l.hasQueues() {
		capabilities |= capabilityQueue
	}
	l.self.occupy(int32(os.Getpid()), capabilities)
}

// clearParked clears the counts of parked threads that an endpoint of this role keeps: one that was killed while
// parked has left them raised, and each message would cost a system call for ever.
func (l *link) clearParked(role Role) {
	in, out, inQueue, outQueue := l.in, l.out, l.inQueue, l.outQueue
	if role != l.role {
		in, out, inQueue, outQueue = out, in, outQueue, inQueue
	}
	in.tail.waiters.Store(0)
	out.tail.takenWaiters.Store(0)
	if l.hasQueues() {
		inQueue.control.receiversParked.Store(0)
		outQueue.control.sender.parked.Store(0)
	}
}

// peerSeated tells whether the peer's process may still be there: an endpoint of ours keeps its seat locked, and one of
// ESHM 1.x has only its pid to show.
func (l *link) peerSeated(now pulse, legacy bool) bool {
	if legacy {
		return now.alive != 0 && shm.ProcessExists(int(now.pid))
	}
	locked, err := l.file.Locked(seatStart(l.role.peer()), seatLength)
	return err != nil || locked
}

// look judges the peer.
func (l *link) updatePeerState(at time.Time, threshold time.Duration) PeerState {
	now := l.peer.pulse()
	legacy := l.peer.legacy(now.pid)
	seated := func() bool { return l.peerSeated(now, legacy) }
	state := l.judge.see(now, at, threshold, legacy, seated)
	if state == Dead && l.state != Dead {
		l.clearDeadPeer()
	}
	l.state = state
	return state
}

// clearDeadPeer clears what a dead peer has left raised. Its seat is ours meanwhile, so that no successor is disturbed; if a
// successor is there already, it tidies up itself.
func (l *link) clearDeadPeer() {
	start := seatStart(l.role.peer())
	if taken, err := l.file.TryLock(start, seatLength); err != nil || !taken {
		return
	}
	l.clearParked(l.role.peer())
	_ = l.file.Unlock(start, seatLength)
}

// takePeerSeat locks the peer's seat, so that nobody else reads or writes this segment any more. It reports false if a
// peer of ours lives. Whether an ESHM 1.x peer lives, its heartbeat says.
func (l *link) takePeerSeat() bool {
	taken, err := l.file.TryLock(seatStart(l.role.peer()), seatLength)
	return err == nil && taken
}

// freePeerSeat gives the peer's seat back.
func (l *link) freePeerSeat() { _ = l.file.Unlock(seatStart(l.role.peer()), seatLength) }

// peerWasLegacy tells whether an ESHM 1.x process sits in the peer's seat, or sat there last.
func (l *link) peerWasLegacy() bool {
	pid := l.peer.pid.Load()
	return pid != 0 && !l.peer.ours(pid)
}

// hasUnread tells whether anything of the incoming direction is unread: a message that was not released, or a value.
func (l *link) hasUnread() bool { return l.hasMessages() || !l.in.free() }

// hasMessages tells whether a message of the incoming direction was not released. Without queues, what is in the mailbox may
// be one.
func (l *link) hasMessages() bool {
	if !l.hasQueues() {
		return !l.in.free()
	}
	return l.inQueue.depth() > 0
}

// messageInMailbox tells whether the outgoing mailbox holds a message that one of ours has not taken.
func (l *link) messageInMailbox() bool {
	return l.holdsMessage.Load() && !l.peerWasLegacy() && !l.out.free()
}

// outQueueIsSound tells whether the outgoing queue, if there is one, can be resumed.
func (l *link) outQueueIsSound() bool {
	if !l.hasQueues() {
		return true
	}
	_, err := l.outQueue.resume()
	return err == nil
}

// outgoingDepth is how many messages of the outgoing direction were not released.
func (l *link) outgoingDepth() uint64 {
	depth := uint64(0)
	if l.hasQueues() {
		depth = uint64(l.outQueue.depth())
	}
	if l.messageInMailbox() {
		depth++
	}
	return depth
}

// publishReads brings the count of reads up to date, which is for statistics, and so not worth a cache line per read.
func (l *link) publishReads() {
	if l.countsReads {
		return
	}
	if reads := l.reads.Load(); reads != l.in.tail.readCount.Load() {
		l.in.tail.readCount.Store(reads)
	}
}

// readCounter is where the mailbox's reader counts: where nobody brings the segment's count up to date, there.
func (l *link) readCounter() *atomic.Uint64 {
	if l.countsReads {
		return &l.in.tail.readCount
	}
	return &l.reads
}

// leave is the clean close: of the seat, and of the segment's name if it is to go and still is this segment's.
func (l *link) leave(unlink bool) error {
	var err error
	if found, missing := shm.Stat(l.path); unlink && missing == nil && found.ID == l.id {
		err = shm.Unlink(l.path)
	}
	l.publishReads()
	// Release: whoever sees the close sees what was sent before it.
	l.self.alive.Store(0)
	_ = l.file.Unlock(seatStart(l.role), seatLength)
	return err
}
