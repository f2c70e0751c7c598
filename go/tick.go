package eshm

import "time"

// wakeTicks is for how many ticks all parked calls are woken after an event: more than one, for those that were about to
// park.
const wakeTicks = 2

// clockStart is the zero of Endpoint.clock.
var clockStart = time.Now()

// tick is one visit of the background goroutine.
func (e *Endpoint) tick(now time.Time, period time.Duration, directories *directoryStamps) {
	e.tickLocked(now, period, directories)
	// Without mu: the sender takes both mutexes.
	if e.carryPending.Load() && e.send.continueCarryOver() {
		e.carryPending.Store(false)
	}
	e.logEvents()
}

// tickLocked is the part of a visit that needs mu.
func (e *Endpoint) tickLocked(now time.Time, period time.Duration, directories *directoryStamps) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return
	}
	// Ticks are not exact: one that comes a little early counts.
	if now.Add(period / 2).After(e.nextBeat) {
		e.beat()
		e.setInterval(now, e.beatInterval(now))
	}
	e.clock.Store(now.Sub(clockStart).Nanoseconds())
	e.link.publishReads()
	before := e.link.state
	e.examine(now, e.isResting() && e.parked.count() > 0)
	if e.link.state != before && e.isResting() {
		e.setInterval(now, e.settings.heartbeatInterval*idleFactor)
	}
	switch {
	case e.closing: // no switch to another segment: the calls that wait must find the endpoint closed
	case e.role == Master:
		e.guardName(now, directories)
	case !e.staleSince.IsZero() && !now.Before(e.nextAttempt) && !(e.gaveUp && e.settings.searchEnds()):
		e.nextAttempt = now.Add(e.settings.reconnectInterval)
		e.searches++
		e.reconnect()
	}
	e.wakeParked()
}

// setInterval sets the time of the next heartbeat; mu is held.
func (e *Endpoint) setInterval(now time.Time, interval time.Duration) {
	e.interval.Store(int64(interval))
	e.nextBeat = now.Add(interval)
}

// isResting tells whether the endpoint beats more rarely than an idle one.
func (e *Endpoint) isResting() bool {
	return time.Duration(e.interval.Load()) > e.settings.heartbeatInterval*idleFactor
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
	e.activity.note(traffic, now)
	// A slave that searches for a master does so at its own rate.
	if e.carryPending.Load() || e.role == Slave && !e.staleSince.IsZero() {
		e.activity.stir(now)
	}
	pace := e.activity.pace(now)
	if s.steadyHeartbeat {
		pace = paceBusy
	}
	return beatInterval(s.heartbeatInterval, s.staleThreshold, l.peer.peerThreshold(), pace)
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
	e.examine(time.Now(), false)
	e.wakeParked()
	return true
}
