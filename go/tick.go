package eshm

import "time"

// wakeTime is for how long after an event each tick wakes all parked calls: those that were about to park, too, and have
// lost their processor just then.
const wakeTime = parkSlice

// clockStart is the zero of Endpoint.clock.
var clockStart = time.Now()

// tick is one visit of the background goroutine. It returns when the next beat is due.
func (e *Endpoint) tick(now time.Time, period time.Duration, directories *directoryStamps) time.Time {
	nextBeat := e.tickLocked(now, period, directories)
	e.continueCarryOver()
	e.logEvents()
	return nextBeat
}

// tickLocked is the part of a visit that needs mu.
func (e *Endpoint) tickLocked(now time.Time, period time.Duration, directories *directoryStamps) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return now.Add(slowest)
	}
	looks := !e.isResting()
	// Ticks are not exact: one that comes a little early counts.
	if !now.Add(period / 2).Before(e.nextBeat) {
		e.beat()
		e.setInterval(now, e.beatInterval(now))
		looks = true
	}
	e.clock.Store(now.Sub(clockStart).Nanoseconds())
	// At rest it looks around when it beats, however often the others of the process do.
	if looks {
		e.look(now, directories)
	}
	e.wakeParked(now)
	return e.nextBeat
}

// look examines the peer, and what else may have changed without a call; mu is held.
func (e *Endpoint) look(now time.Time, directories *directoryStamps) {
	e.link.publishReads()
	s := e.source.Load()
	awaited := e.parked.count() > 0 || s != nil && s.wants(InterestPeer)
	e.examine(now, e.isResting() && awaited)
	if s != nil && s.look() {
		e.activity.stir(now) // an endpoint at rest would notice the next event late, too
	}
	// A change of the peer ends the rest.
	if e.isResting() && e.activity.pace(now) != paceResting {
		e.setInterval(now, e.settings.heartbeatInterval*slowFactor)
	}
	switch {
	case e.closing: // no switch to another segment: the calls that wait must find the endpoint closed
	case e.role == Master:
		e.guardName(now, directories)
	case !e.staleSince.IsZero() && !now.Before(e.nextAttempt) && !(e.gaveUp && e.settings.searchEnds()):
		e.nextAttempt = now.Add(e.settings.reconnectInterval)
		e.searches++
		e.reconnect(now)
	}
}

// setInterval sets the time of the next heartbeat; mu is held.
func (e *Endpoint) setInterval(now time.Time, interval time.Duration) {
	e.interval.Store(int64(interval))
	e.nextBeat = now.Add(interval)
}

// isResting tells whether the endpoint beats more rarely than one that has slowed down.
func (e *Endpoint) isResting() bool {
	return time.Duration(e.interval.Load()) > e.settings.heartbeatInterval*slowFactor
}

// wakeAll has the ticks wake all parked calls for a while, after an event that no peer wakes them for, and rings the
// program's event descriptor; mu is held.
func (e *Endpoint) wakeAll(now time.Time) {
	e.wakeUntil = now.Add(wakeTime)
	if s := e.source.Load(); s != nil {
		s.peerState.Store(int32(e.link.state))
		s.ringProgram()
	}
}

// wakeParked wakes the parked calls whose context is done, and all of them after an event; mu is held.
func (e *Endpoint) wakeParked(now time.Time) {
	e.parked.wake(!e.wakeUntil.IsZero())
	if s := e.source.Load(); s != nil && e.parked.look() {
		s.ringProgram()
		e.activity.stir(now)
	}
	// The first tick that is late enough wakes them, too: at rest there may be none in between.
	if !now.Before(e.wakeUntil) {
		e.wakeUntil = time.Time{}
	}
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
	// Nobody can ring an endpoint that has no FIFO: only its own looks find events.
	source := e.source.Load()
	if s.steadyHeartbeat || source != nil && !source.descriptor.HasFIFO() {
		pace = paceFull
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
	e.continueCarryOver()
	e.logEvents()
	return nil
}

// continueCarryOver carries over what the sender has left. It is called without mu: the sender takes both mutexes.
func (e *Endpoint) continueCarryOver() {
	if e.carryPending.Load() && e.send.continueCarryOver() {
		e.carryPending.Store(false)
		e.ringProgram() // other messages may go now
	}
}

// ringProgram makes the event descriptor readable if the program waits for it.
func (e *Endpoint) ringProgram() {
	if s := e.source.Load(); s != nil {
		s.ringProgram()
	}
}

// updateHeartbeat is the part of UpdateHeartbeat that needs mu. It reports false after Close.
func (e *Endpoint) updateHeartbeat() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil || e.closing {
		return false
	}
	now := time.Now()
	e.beat()
	e.link.publishReads()
	e.examine(now, false)
	if s := e.source.Load(); s != nil {
		s.look()
	}
	e.wakeParked(now)
	return true
}
