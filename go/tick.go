package eshm

import "time"

// clockStart is the zero of Endpoint.clock.
var clockStart = time.Now()

// tick is one visit of the background goroutine.
func (e *Endpoint) tick(now time.Time, period time.Duration) {
	e.tickLocked(now, period)
	// Without mu: the sender takes both mutexes.
	if e.carryPending.Load() && e.send.continueCarryOver() {
		e.carryPending.Store(false)
	}
	e.logEvents()
}

// tickLocked is the part of a visit that needs mu.
func (e *Endpoint) tickLocked(now time.Time, period time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return
	}
	// Ticks are not exact: one that comes a little early counts.
	if now.Add(period / 2).After(e.nextBeat) {
		e.beat()
		interval := e.beatInterval(now)
		e.interval.Store(int64(interval))
		e.nextBeat = now.Add(interval)
	}
	e.clock.Store(now.Sub(clockStart).Nanoseconds())
	e.link.publishReads()
	e.examine(now)
	switch {
	case e.closing: // no switch to another segment: the calls that wait must find the endpoint closed
	case e.role == Master:
		e.guardName(now)
	case !e.staleSince.IsZero() && !now.Before(e.nextAttempt) && !(e.gaveUp && e.settings.searchEnds()):
		e.nextAttempt = now.Add(e.settings.reconnectInterval)
		e.searches++
		e.reconnect()
	}
	e.wakeParked()
}

// wakeParked wakes the parked calls whose context is done, and all of them after an event; mu is held.
func (e *Endpoint) wakeParked() {
	e.parked.wake(e.wakeAllTicks > 0)
	e.wakeAllTicks = max(0, e.wakeAllTicks-1)
}

// beat shows the peer once that this endpoint is alive; mu is held.
func (e *Endpoint) beat() {
	e.link.self.heartbeat.Add(1)
	if e.standIn != nil {
		e.standIn.self.heartbeat.Add(1)
	}
	if e.link.hasQueues() {
		e.link.outQueue.noteDepth(e.link.outQueue.depth())
	}
}

// beatInterval returns the time to the next heartbeat; mu is held.
func (e *Endpoint) beatInterval(now time.Time) time.Duration {
	l, s := e.link, &e.settings
	traffic := e.send.sentMessages.Load() + e.recv.messages.Load() + l.out.tail.writeCount.Load() + l.reads.Load()
	if traffic != e.traffic {
		e.traffic, e.trafficSince = traffic, now
	}
	idle := !s.steadyHeartbeat && now.Sub(e.trafficSince) >= idleAfter
	return beatInterval(s.heartbeatInterval, s.staleThreshold, l.peer.peerThreshold(), idle)
}

// UpdateHeartbeat shows the peer once that this endpoint is alive, and examines the peer. It is for endpoints that were
// opened with [WithBackground](false); the background goroutine does the same for all others. It fails with
// [ErrClosed].
func (e *Endpoint) UpdateHeartbeat() error {
	if !e.updateHeartbeat() {
		return e.usual.closed
	}
	// Without mu: the sender takes both mutexes.
	if e.carryPending.Load() && e.send.continueCarryOver() {
		e.carryPending.Store(false)
	}
	e.logEvents()
	return nil
}

// updateHeartbeat is the part of UpdateHeartbeat that needs mu. It reports false after Close.
func (e *Endpoint) updateHeartbeat() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil || e.closing {
		return false
	}
	e.beat()
	e.link.publishReads()
	e.examine(time.Now())
	e.wakeParked()
	return true
}
