package eshm

import (
	"os"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// link is one endpoint's attachment to one segment file. An endpoint has one, and two for a while when it switches to
// another segment.
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
	outQueue queue // if hasQueues
	inQueue  queue

	reads       atomic.Uint64 // how many reads of the mailbox in, those of predecessors included
	countsReads bool          // the reader updates the segment's count itself, and reads is unused
	ringer      shm.Ringer    // of the peer's event descriptor
	users       atomic.Int32  // how many use the memory: the endpoint, its directions, calls that wait, loans
	epoch       int           // how many segments the endpoint was attached to before

	// holdsMessage tells whether the mailbox out holds a message rather than a value. The segment does not say, and
	// without queues both are possible. Only the sender writes it.
	holdsMessage atomic.Bool

	// Endpoint.mu guards the rest.
	judge      judge
	state      PeerState
	settledFor identity // identity of the peer that generation belongs to
	generation uint64   // of the peer
}

// identity tells a peer from its predecessor: by its generation or, for an ESHM 1.x peer, by its pid.
type identity struct {
	legacy bool
	number uint32
}

// peerIdentity returns the identity of the present peer; the zero identity if there has been none.
func (l *link) peerIdentity() identity {
	if pid := l.peer.pid.Load(); l.peer.legacy(pid) {
		return identity{true, uint32(pid)}
	}
	return identity{false, l.peer.generation.Load()}
}

// newLink overlays the structures of the protocol on a mapped segment.
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

// retain keeps the memory mapped until release. The caller must know that somebody else retains it meanwhile.
func (l *link) retain() { l.users.Add(1) }

// release unmaps the memory after the last use.
func (l *link) release() {
	if l.users.Add(-1) == 0 {
		_ = l.file.Close()
		l.ringer.Close()
	}
}

// speaksQueue tells whether messages to and from the endpoint with this pid go through the queues. pid 0 stands for a
// peer that has not come yet, which is expected to use them.
func (l *link) speaksQueue(pid int32) bool {
	return l.hasQueues() &&
		(pid == 0 || l.peer.ours(pid) && l.peer.capabilities.Load()&capabilityQueue != 0)
}

func (l *link) hasQueues() bool { return l.geometry.queueSlots > 0 }

// occupy takes the seat, whose lock this link holds.
func (l *link) occupy() {
	l.clearParked(l.role)
	l.reads.Store(l.in.tail.readCount.Load())
	capabilities := uint32(capabilityTaken)
	if l.hasQueues() {
		capabilities |= capabilityQueue
	}
	l.self.occupy(int32(os.Getpid()), capabilities)
}

// clearParked clears the counts of parked threads that an endpoint of this role keeps. A process that was killed while
// parked has left them raised, and each message would cost a system call.
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

// peerSeated tells whether the peer's process may still exist. An endpoint of this protocol keeps its seat locked. An
// ESHM 1.x process only shows its pid.
func (l *link) peerSeated(now pulse, legacy bool) bool {
	if legacy {
		return now.alive != 0 && shm.ProcessExists(int(now.pid))
	}
	locked, err := l.file.Locked(seatStart(l.role.peer()), seatLength)
	return err != nil || locked
}

// updatePeerState judges the peer, and clears what a dead one has left. resting tells whether this endpoint rests.
func (l *link) updatePeerState(at time.Time, threshold time.Duration, resting bool) PeerState {
	now := l.peer.pulse()
	legacy := l.peer.legacy(now.pid)
	seated := func() bool {
		// Asked in this order: a peer that closes is marked as closed before it unlocks its seat.
		return l.peerSeated(now, legacy) || now.alive != 0 && l.peer.alive.Load() == 0
	}
	patience := beforeFrozen(threshold, resting)
	state := l.judge.see(now, at, patience, beforeQuery(threshold, legacy, resting), seated)
	if state == Dead && l.state != Dead {
		l.clearDeadPeer()
	}
	l.state = state
	return state
}

// noteEndOfPeer asks the kernel whether the process of a peer of this protocol has ended, without regard to its pulse.
func (l *link) noteEndOfPeer(at time.Time) {
	now := l.peer.pulse()
	if now.alive == 0 || l.peer.legacy(now.pid) || l.peerSeated(now, false) {
		return
	}
	// A peer that closes is marked as closed before it unlocks its seat.
	if l.peer.alive.Load() != 0 {
		l.judge.noteEnd(now, at)
	}
}

// wakePeer wakes the parked threads of the peer, so that they see at once that this endpoint has closed.
func (l *link) wakePeer() {
	shm.Wake(&l.out.tail.wakeSeq)
	shm.Wake(&l.in.tail.taken)
	if l.hasQueues() {
		shm.Wake(&l.outQueue.slot(l.outQueue.control.parkedNumber.Load()).mark)
		shm.Wake(&l.inQueue.control.consumed)
	}
	l.ringPeer(l.peer.generation.Load())
}

// ringPeer makes the event descriptor of the peer of this generation readable, if it has one.
func (l *link) ringPeer(generation uint32) {
	l.ringer.Ring(generation, func() string { return l.fifoPath(l.role.peer()) })
}

// wake wakes those who wait for a word that was changed, as [parkedWord.any] has told.
func (l *link) wake(parked *parkedWord, word *atomic.Uint32) {
	waiting := parked.Load()
	if waiting&parkedCount != 0 {
		shm.Wake(word)
	}
	// Before takeBell: a successor of a killed peer may come between the two, and the FIFO that is opened may be the old
	// one. It must not be kept for the successor.
	generation := l.peer.generation.Load()
	if waiting&parkedBell != 0 && parked.takeBell() {
		l.ringPeer(generation)
	}
}

// clearDeadPeer clears the counts that a dead peer has left raised, and removes its event FIFO. It holds the peer's seat meanwhile, so that no
// successor is disturbed. A successor that has the seat already clears them itself.
func (l *link) clearDeadPeer() {
	start := seatStart(l.role.peer())
	if taken, err := l.file.TryLock(start, seatLength); err != nil || !taken {
		return
	}
	l.clearParked(l.role.peer())
	if l.file.Named(l.path) {
		shm.RemoveFIFO(l.fifoPath(l.role.peer()))
	} else {
		// A successor may have made its own, for another segment.
		shm.RemoveUnusedFIFO(l.fifoPath(l.role.peer()))
	}
	_ = l.file.Unlock(start, seatLength)
}

// takePeerSeat locks the peer's seat, so that nobody else reads or writes this segment any more. It reports false if a
// peer of this protocol is alive. The heartbeat tells whether an ESHM 1.x peer is.
func (l *link) takePeerSeat() bool {
	taken, err := l.file.TryLock(seatStart(l.role.peer()), seatLength)
	return err == nil && taken
}

// freePeerSeat unlocks the peer's seat.
func (l *link) freePeerSeat() { _ = l.file.Unlock(seatStart(l.role.peer()), seatLength) }

// peerWasLegacy tells whether the peer's seat belongs, or belonged last, to an ESHM 1.x process.
func (l *link) peerWasLegacy() bool {
	pid := l.peer.pid.Load()
	return pid != 0 && !l.peer.ours(pid)
}

// hasUnread tells whether something of the incoming direction is unread: a message that was not released, or a value.
func (l *link) hasUnread() bool { return l.hasMessages() || !l.in.free() }

// hasMessages tells whether a message of the incoming direction was not released. Without queues the mailbox may hold
// one.
func (l *link) hasMessages() bool {
	if !l.hasQueues() {
		return !l.in.free()
	}
	return l.inQueue.depth() > 0
}

// messageInMailbox tells whether the outgoing mailbox holds a message that no peer of this protocol has taken.
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

// outgoingDepth returns how many messages of the outgoing direction were not released.
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

// publishReads updates the segment's count of reads. The count is for statistics only, and not worth a cache line per
// read.
func (l *link) publishReads() {
	if l.countsReads {
		return
	}
	if reads := l.reads.Load(); reads != l.in.tail.readCount.Load() {
		l.in.tail.readCount.Store(reads)
	}
}

// readCounter returns where the mailbox's reader counts.
func (l *link) readCounter() *atomic.Uint64 {
	if l.countsReads {
		return &l.in.tail.readCount
	}
	return &l.reads
}

// leave is the clean close. It leaves the seat and, if unlink is set, removes the name if it still leads to this
// segment.
func (l *link) leave(unlink bool) error {
	var err error
	if found, missing := shm.Stat(l.path); unlink && missing == nil && found.ID == l.id {
		err = shm.Unlink(l.path)
	}
	l.publishReads()
	// Release: a peer that sees the close sees what was sent before it.
	l.self.alive.Store(0)
	_ = l.file.Unlock(seatStart(l.role), seatLength)
	return err
}
