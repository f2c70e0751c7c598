package eshm

import (
	"sync/atomic"
	"time"
)

// counts are an endpoint's own statistics.
type counts struct {
	skipped, timeouts, reconnects, stalls, wakeups atomic.Uint64
}

// Stats is a snapshot of a segment and of one endpoint of it. Values are those of Write and Read, messages those of
// Send and Recv. M2S stands for "from master to slave", S2M for the other direction.
type Stats struct {
	// MasterHeartbeat and SlaveHeartbeat count heartbeats.
	MasterHeartbeat, SlaveHeartbeat uint64
	// MasterPID and SlavePID are the processes, each in its own PID namespace.
	MasterPID, SlavePID int
	// MasterAlive and SlaveAlive tell whether the endpoint has attached, has not closed and, as far as this endpoint
	// knows, was not killed. A frozen one counts as alive: see [Endpoint.PeerState].
	MasterAlive, SlaveAlive bool
	// StaleThreshold is the master's.
	StaleThreshold time.Duration
	// MasterHeartbeatDelta and SlaveHeartbeatDelta count heartbeats since this endpoint's statistics were last asked
	// for.
	MasterHeartbeatDelta, SlaveHeartbeatDelta uint64
	// M2SWriteCount and M2SReadCount count the values that the master wrote and the slave read since the segment was
	// created.
	M2SWriteCount, M2SReadCount uint64
	// S2MWriteCount and S2MReadCount count the values that the slave wrote and the master read since then.
	S2MWriteCount, S2MReadCount uint64

	// Skipped counts values that were overwritten before this endpoint read them.
	Skipped uint64
	// Timeouts counts calls of this endpoint that their context ended.
	Timeouts uint64
	// Reconnects counts how often another peer followed the one before: another process, or the same one again after a
	// close.
	Reconnects uint64
	// Wakeups counts system calls of this endpoint to wake its peer. A peer that is awake needs none.
	Wakeups uint64
	// Stalls counts how often the peer stood still for the stale threshold, and then went on.
	Stalls uint64
	// MessagesSent counts messages that this endpoint's calls accepted, and BytesSent their bytes.
	MessagesSent, BytesSent uint64
	// MessagesReceived counts messages that this endpoint received and released, and BytesReceived their bytes.
	MessagesReceived, BytesReceived uint64
	// M2SQueueDepth and S2MQueueDepth are how many messages of the queues are not released now.
	M2SQueueDepth, S2MQueueDepth uint32
	// M2SQueueHighWater and S2MQueueHighWater are the greatest depths that the sender's process has seen. It looks at
	// each heartbeat, and whenever it finds the queue full.
	M2SQueueHighWater, S2MQueueHighWater uint32
	// RoomWaits counts calls that sent or lent and found no room, or no peer, for so long that they slept.
	RoomWaits uint64
	// RoomWaitTime is how long these calls waited in all.
	RoomWaitTime time.Duration
	// Unreceived counts messages that this endpoint sent and no receiver has released: see [Endpoint.Unreceived].
	Unreceived uint64
}

// Stats returns a snapshot. After Close, what is in the segment is zero.
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
	if e.link == nil {
		return s
	}
	e.link.publishReads()
	e.link.describe(&s)
	heartbeats := e.link.heartbeats()
	s.MasterHeartbeat, s.SlaveHeartbeat = heartbeats[0], heartbeats[1]
	s.MasterHeartbeatDelta, s.SlaveHeartbeatDelta = heartbeats[0]-e.lastStats[0], heartbeats[1]-e.lastStats[1]
	e.lastStats = heartbeats
	return s
}

// heartbeats returns the master's and the slave's.
func (l *link) heartbeats() [2]uint64 {
	return [2]uint64{l.header.masterHeartbeat.Load(), l.header.slaveHeartbeat.Load()}
}

// describe fills in what is in the segment, except for the heartbeats.
func (l *link) describe(s *Stats) {
	h := l.header
	s.MasterPID, s.SlavePID = int(h.masterPID.Load()), int(h.slavePID.Load())
	s.MasterAlive = h.masterAlive.Load() != 0 && (l.role == Master || l.state != Dead)
	s.SlaveAlive = h.slaveAlive.Load() != 0 && (l.role == Slave || l.state != Dead)
	s.StaleThreshold = time.Duration(h.staleThreshold.Load()) * time.Millisecond
	m2s, s2m := l.out.tail, l.in.tail
	if l.role == Slave {
		m2s, s2m = s2m, m2s
	}
	s.M2SWriteCount, s.M2SReadCount = m2s.writeCount.Load(), m2s.readCount.Load()
	s.S2MWriteCount, s.S2MReadCount = s2m.writeCount.Load(), s2m.readCount.Load()
	l.describeQueues(s)
}

func (l *link) describeQueues(s *Stats) {
	if !l.hasQueues() {
		return
	}
	l.outQueue.noteDepth(l.outQueue.depth())
	m2s, s2m := &l.outQueue, &l.inQueue
	if l.role == Slave {
		m2s, s2m = s2m, m2s
	}
	s.M2SQueueDepth, s.M2SQueueHighWater = m2s.depth(), m2s.highWater()
	s.S2MQueueDepth, s.S2MQueueHighWater = s2m.depth(), s2m.highWater()
}
