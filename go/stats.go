package eshm

import (
	"sync/atomic"
	"time"
)

// counts are an endpoint's own statistics.
type counts struct {
	skipped, timeouts, reconnects, stalls, wakeups atomic.Uint64
}

// Stats is a snapshot of what happens on a segment. The counts of writes and reads are those of the mailboxes, in values;
// messages are those of Send and Recv.
type Stats struct {
	MasterHeartbeat, SlaveHeartbeat uint64
	MasterPID, SlavePID             int
	// MasterAlive and SlaveAlive: it has attached, not closed, and, as far as is known, not been killed.
	MasterAlive, SlaveAlive bool
	// StaleThreshold is the master's, in milliseconds.
	StaleThreshold uint32
	// MasterToSlaveWrites and its like count values, and reads of values, since the segment was made.
	MasterToSlaveWrites, MasterToSlaveReads uint64
	SlaveToMasterWrites, SlaveToMasterReads uint64

	// Skipped is how many values this endpoint has missed.
	Skipped uint64
	// Timeouts is how many of its calls ended by their context.
	Timeouts uint64
	// Reconnects is how often another peer followed the one before: another process, or the same one again after a close.
	Reconnects uint64
	// Stalls is how often the peer stood still for the stale threshold, and then went on.
	Stalls uint64
	// Wakeups is how often it made the system wake its peer: 0 while the peer is awake.
	Wakeups uint64
	// MessagesSent and BytesSent count what this endpoint's calls have accepted.
	MessagesSent, BytesSent uint64
	// MessagesReceived and BytesReceived count what it has received and released.
	MessagesReceived, BytesReceived uint64
	// MasterToSlaveQueueDepth and its like are how many messages lie in the queues, not released, now.
	MasterToSlaveQueueDepth, SlaveToMasterQueueDepth uint32
	// MasterToSlaveQueueHighWater and its like are the greatest depths that the sender's process has seen: it looks at each
	// heartbeat, and whenever it finds the queue full.
	MasterToSlaveQueueHighWater, SlaveToMasterQueueHighWater uint32
	// RoomWaits is how often a call that sends found no room, or no peer, for so long that it slept; RoomWaitTime, for how
	// long in all.
	RoomWaits    uint64
	RoomWaitTime time.Duration
	// Unreceived is as [Endpoint.Unreceived].
	Unreceived uint64
}

// Stats returns a snapshot. After Close, what lies in the segment is zero.
func (e *Endpoint) Stats() Stats {
	s := Stats{
		Skipped:    e.counts.skipped.Load(),
		Timeouts:   e.counts.timeouts.Load(),
		Reconnects: e.counts.reconnects.Load(),
		Stalls:     e.counts.stalls.Load(),
		Wakeups:    e.counts.wakeups.Load(),

		MessagesSent:     e.send.sentMessages.Load(),
		BytesSent:        e.send.sentBytes.Load(),
		MessagesReceived: e.recv.messages.Load(),
		BytesReceived:    e.recv.bytes.Load(),
		RoomWaits:        e.send.waits.count.Load(),
		RoomWaitTime:     time.Duration(e.send.waits.nanoseconds.Load()),
		Unreceived:       e.Unreceived(),
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.link
	if l == nil {
		return s
	}
	l.publishReads()
	h := l.header
	s.MasterHeartbeat, s.SlaveHeartbeat = h.masterHeartbeat.Load(), h.slaveHeartbeat.Load()
	s.MasterPID, s.SlavePID = int(h.masterPID.Load()), int(h.slavePID.Load())
	s.MasterAlive = h.masterAlive.Load() != 0 && (l.role == Master || l.state != Dead)
	s.SlaveAlive = h.slaveAlive.Load() != 0 && (l.role == Slave || l.state != Dead)
	s.StaleThreshold = h.staleThreshold.Load()
	down, up := l.out.tail, l.in.tail
	if l.role == Slave {
		down, up = up, down
	}
	s.MasterToSlaveWrites, s.MasterToSlaveReads = down.writeCount.Load(), down.readCount.Load()
	s.SlaveToMasterWrites, s.SlaveToMasterReads = up.writeCount.Load(), up.readCount.Load()
	l.describeQueues(&s)
	return s
}

func (l *link) describeQueues(s *Stats) {
	if !l.hasQueues() {
		return
	}
	l.outQueue.noteDepth(l.outQueue.depth())
	down, up := &l.outQueue, &l.inQueue
	if l.role == Slave {
		down, up = up, down
	}
	s.MasterToSlaveQueueDepth, s.MasterToSlaveQueueHighWater = down.depth(), down.highWater()
	s.SlaveToMasterQueueDepth, s.SlaveToMasterQueueHighWater = up.depth(), up.highWater()
}
