package eshm

import "sync/atomic"

// counts are an endpoint's own statistics.
type counts struct {
	skipped, timeouts, reconnects, wakeups atomic.Uint64
}

// Stats is a snapshot of what happens on a segment. The counts of writes and reads are those of the mailboxes.
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
	// Reconnects is how often it moved to a new segment.
	Reconnects uint64
	// Wakeups is how often it made the system wake its peer: 0 while the peer is awake.
	Wakeups uint64
}

// Stats returns a snapshot. After Close, what lies in the segment is zero.
func (e *Endpoint) Stats() Stats {
	s := Stats{
		Skipped:    e.counts.skipped.Load(),
		Timeouts:   e.counts.timeouts.Load(),
		Reconnects: e.counts.reconnects.Load(),
		Wakeups:    e.counts.wakeups.Load(),
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
	return s
}
