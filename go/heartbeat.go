package eshm

import (
	"math"
	"time"
)

// pulse is what shows that an endpoint is alive: one of its three numbers changes.
type pulse struct {
	heartbeat uint64
	pid       int32
	alive     uint32
}

func (s seat) pulse() pulse {
	// Acquire of alive: a caller that sees the close sees what the peer did before it.
	alive := s.alive.Load()
	return pulse{s.heartbeat.Load(), s.pid.Load(), alive}
}

// ours tells whether the endpoint with this pid keeps to this protocol. An ESHM 1.x process writes its pid, and not the
// signature beside it.
func (s seat) ours(pid int32) bool {
	return pid != 0 && s.signature.Load() == pid && s.capabilities.Load()&capabilityTaken != 0
}

// legacy tells whether the endpoint with this pid is an ESHM 1.x process.
//
// It checks twice more: on the seat of an endpoint that was killed, a successor of this protocol is between its
// signature and its pid for a moment. A caller that has seen this finds the seat empty, or taken by the successor, the
// next time.
func (s seat) legacy(pid int32) bool {
	return pid != 0 && !s.ours(pid) && s.maybeLegacy() && s.maybeLegacy()
}

// occupy fills the fields in. The order matters to a peer that looks meanwhile: the seat counts as taken when the pid
// stands beside the signature, which tells this protocol from ESHM 1.x.
func (s seat) occupy(pid int32, capabilities uint32) {
	s.alive.Store(0)
	s.capabilities.Store(capabilities)
	s.signature.Store(pid)
	s.pid.Store(pid)
	s.generation.Add(1)
	s.heartbeat.Add(1)
	s.alive.Store(1)
}

// publishThreshold tells the peer this endpoint's stale threshold.
func (s seat) publishThreshold(threshold time.Duration) {
	s.threshold.Store(uint32(min(threshold.Milliseconds(), math.MaxUint32)))
}

// peerThreshold returns the stale threshold of the endpoint that has this seat.
func (s seat) peerThreshold() peerThreshold {
	pid := s.pid.Load()
	threshold := time.Duration(s.threshold.Load()) * time.Millisecond
	switch {
	case pid == 0:
		return peerThreshold{nobody: true}
	case !s.ours(pid):
		return peerThreshold{} // an ESHM 1.x process writes something else there, or nothing
	default:
		return peerThreshold{threshold: threshold}
	}
}

// peerThreshold is what is known of the stale threshold by which the peer judges this endpoint.
type peerThreshold struct {
	nobody    bool          // there has been no peer yet
	threshold time.Duration // 0: not known
}

const (
	// trafficWindow is the window in which traffic is counted.
	trafficWindow = 100 * time.Millisecond
	// slowFactor is how much longer the interval of an endpoint is that has slowed down.
	slowFactor = 5
	// slowBeats is how many beats of such an endpoint must fit into either side's stale threshold.
	slowBeats = 20
	// leastBeats is how many beats must fit into the peer's stale threshold, whatever interval was configured.
	leastBeats = 4
	// restAfter is how long little must have happened before an endpoint rests.
	restAfter = 200 * time.Millisecond
	// restInterval is the interval of an endpoint at rest. A tick of the background goroutine after such a pause takes
	// some 170 µs, most of it in the scheduler of Go and the kernel.
	restInterval = 60 * time.Millisecond
	// restPatience is how long the pulse of a peer stands still at least before an endpoint at rest calls it frozen.
	restPatience = 150 * time.Millisecond
	// restThreshold is the shortest stale threshold, of either side, with which an endpoint rests.
	restThreshold = 100 * time.Millisecond
	// littleTraffic is how many messages and values an endpoint at rest may exchange in trafficWindow.
	littleTraffic = 100
)

// pace is how slowly an endpoint may beat, if both thresholds admit it.
type pace int

const (
	paceFull pace = iota
	paceSlow
	paceResting
)

// activity finds the pace of an endpoint from its traffic.
type activity struct {
	traffic     uint64    // messages and values, as last counted
	windowStart time.Time // of the present trafficWindow
	windowCount uint64    // the count at that time
	calmSince   time.Time // the end of the last window with more than little traffic, or the time of the last event
}

func newActivity(now time.Time) activity {
	return activity{windowStart: now, calmSince: now}
}

// note takes the number of messages and values so far.
func (a *activity) note(traffic uint64, now time.Time) {
	if traffic == a.traffic {
		return
	}
	a.traffic = traffic
	// Counted in windows, so that an exchange every few milliseconds keeps nobody awake.
	if traffic-a.windowCount > littleTraffic {
		a.stir(now)
	} else if now.Sub(a.windowStart) >= trafficWindow {
		a.windowStart, a.windowCount = now, traffic
	}
}

// stir ends the rest, for example because the peer has changed.
func (a *activity) stir(now time.Time) {
	a.calmSince = now
	a.windowStart, a.windowCount = now, a.traffic
}

func (a *activity) pace(now time.Time) pace {
	if now.Sub(a.calmSince) >= restAfter {
		return paceResting
	}
	return paceSlow
}

// beatInterval returns the time to the next beat of an endpoint with this interval and this stale threshold. An
// endpoint slows down if both thresholds admit it. No endpoint beats so slowly that its peer takes it
// for frozen.
func beatInterval(configured, own time.Duration, peer peerThreshold, pace pace) time.Duration {
	interval, shorter := configured, min(own, peer.threshold)
	if peer.nobody {
		shorter = own
	} else if peer.threshold > 0 {
		interval = min(interval, max(peer.threshold/leastBeats, time.Millisecond))
	}
	slow := interval * slowFactor
	switch {
	case pace == paceFull || slow*slowBeats > shorter:
		return interval
	case pace == paceResting && shorter >= restThreshold:
		return max(slow, restInterval)
	default:
		return slow
	}
}

// maybeLegacy tells whether the owner of the seat seems not to keep to this protocol.
func (s seat) maybeLegacy() bool {
	// In this order: a new owner stores its pid before alive.
	if s.alive.Load() == 0 {
		return false
	}
	pid := s.pid.Load()
	return pid != 0 && !s.ours(pid)
}

// judge derives a peer's state from its pulse. The clock is passed in.
type judge struct {
	last    pulse
	changed time.Time // when the pulse was last seen to change
	dead    bool      // since then the process was found to have ended
}

func newJudge(now pulse, at time.Time) judge { return judge{last: now, changed: at} }

// judgePresentPeer judges a peer that may be at rest when this endpoint attaches. Such a peer learns of a short
// threshold at its next beat, and this beat has time to come.
func judgePresentPeer(now pulse, at time.Time, threshold time.Duration) judge {
	if threshold < restThreshold {
		at = at.Add(restInterval)
	}
	return newJudge(now, at)
}

// noteEnd takes the news that the process of this peer has ended.
func (j *judge) noteEnd(now pulse, at time.Time) {
	if now != j.last {
		j.last, j.changed = now, at
	}
	j.dead = true
}

// beforeQuery returns for how long a pulse stands still before anybody asks the kernel for the peer's process.
func beforeQuery(threshold time.Duration, legacy, resting bool) time.Duration {
	switch {
	case legacy:
		return threshold // the kernel's word on a pid proves less than that on a lock
	case resting:
		// An endpoint at rest asks at its first look that finds the pulse as it was. Looks are not exact.
		return min(threshold/4, restInterval/2)
	default:
		return threshold / 4
	}
}

// beforeFrozen returns for how long a pulse stands still before the peer counts as frozen. A beat of a peer at rest may be
// as late as one of an idle peer.
func beforeFrozen(threshold time.Duration, resting bool) time.Duration {
	if resting {
		return max(threshold, restPatience)
	}
	return threshold
}

// see takes a pulse and returns the peer's state. It calls seated, which tells whether the peer's process may exist,
// only when the answer matters: for a pulse that has stood still for the time query, see beforeQuery.
func (j *judge) see(now pulse, at time.Time, threshold, query time.Duration, seated func() bool) PeerState {
	if now != j.last {
		j.last, j.changed, j.dead = now, at, false
	}
	switch {
	case now.alive == 0 && now.pid == 0:
		return Absent
	case now.alive == 0 && !seated():
		return Closed
	}
	// An endpoint that has not set alive is just taking the seat, or leaving it: its pulse tells which.
	still := at.Sub(j.changed)
	switch {
	// A death lasts: a new owner of the seat may have taken it to replace the segment.
	case j.dead:
		return Dead
	case still < query:
		return Alive
	case !seated():
		j.dead = true
		return Dead
	case still < threshold:
		return Alive
	default:
		return Frozen
	}
}
