package eshm

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	start := time.Unix(0, 0)
	const threshold = 100 * time.Millisecond
	alive := pulse{heartbeat: 5, pid: 7, alive: 1}
	for _, one := range []struct {
		name     string
		now      pulse
		after    time.Duration // since the pulse was alive
		legacy   bool
		seated   bool
		expected PeerState
	}{
		{"never there", pulse{}, time.Hour, false, false, Absent},
		{"closed", pulse{heartbeat: 5, pid: 7}, 0, false, false, Closed},
		{"just sitting down", pulse{heartbeat: 5, pid: 7}, 0, false, true, Alive},
		{"beats", pulse{6, 7, 1}, time.Hour, false, true, Alive},
		{"stands still for a moment", alive, 24 * time.Millisecond, false, false, Alive},
		{"killed", alive, 25 * time.Millisecond, false, false, Dead},
		{"slow", alive, 99 * time.Millisecond, false, true, Alive},
		{"stopped", alive, 100 * time.Millisecond, false, true, Frozen},
		{"killed long ago", alive, time.Hour, false, false, Dead},
		{"of 1.x, killed", alive, 99 * time.Millisecond, true, false, Alive},
		{"of 1.x, killed long ago", alive, 100 * time.Millisecond, true, false, Dead},
		{"of 1.x, stopped", alive, 100 * time.Millisecond, true, true, Frozen},
		{"followed by another with the same heartbeat", pulse{5, 8, 1}, time.Hour, false, true, Alive},
	} {
		t.Run(one.name, func(t *testing.T) {
			judge := newJudge(alive, start)
			query := beforeQuery(threshold, one.legacy, false)
			state := judge.see(one.now, start.Add(one.after), threshold, query, func() bool { return one.seated })
			if state != one.expected {
				t.Errorf("%v, expected %v", state, one.expected)
			}
		})
	}
}

func TestBeatInterval(t *testing.T) {
	const ms = time.Millisecond
	known := func(threshold time.Duration) peerThreshold { return peerThreshold{threshold: threshold} }
	nobody, unknown := peerThreshold{nobody: true}, peerThreshold{}
	for _, one := range []struct {
		configured, own time.Duration
		peer            peerThreshold
		full, slow      time.Duration // expected
	}{
		{ms, 100 * ms, nobody, ms, 5 * ms},
		{ms, 99 * ms, nobody, ms, ms},
		{ms, 100 * ms, unknown, ms, ms},
		{time.Second, time.Hour, unknown, time.Second, time.Second},
		{ms, 100 * ms, known(5 * ms), ms, ms},
		{ms, 100 * ms, known(100 * ms), ms, 5 * ms},
		{ms, time.Hour, known(99 * ms), ms, ms},
		{ms, 99 * ms, known(time.Hour), ms, ms},
		{10 * ms, time.Second, known(100 * ms), 10 * ms, 10 * ms},
		{10 * ms, time.Second, known(time.Second), 10 * ms, 50 * ms},
		{200 * ms, time.Second, known(100 * ms), 25 * ms, 25 * ms},
		{200 * ms, time.Second, known(ms), ms, ms},
	} {
		rest := one.slow
		if one.slow > one.full {
			rest = max(one.slow, 60*ms)
		}
		for pace, expected := range map[pace]time.Duration{paceFull: one.full, paceSlow: one.slow, paceResting: rest} {
			if found := beatInterval(one.configured, one.own, one.peer, pace); found != expected {
				t.Errorf("%v for %+v, pace %v; expected %v", found, one, pace, expected)
			}
		}
	}
}

func TestHeartbeatIsFastEnoughForThePeer(t *testing.T) {
	const configured, window = 50 * time.Millisecond, 400 * time.Millisecond
	for _, role := range []Role{Master, Slave} {
		t.Run(role.String(), func(t *testing.T) {
			name := freshName(t)
			options := map[Role][]Option{
				role:        {role, WithHeartbeatInterval(configured)},
				role.peer(): {role.peer(), WithStaleThreshold(20 * time.Millisecond)},
			}
			endpoints := map[Role]*Endpoint{}
			for _, one := range []Role{Master, Slave} {
				endpoints[one] = open(t, name, options[one]...)
			}
			heart := endpoints[role].link.self.heartbeat
			until(t, "a window has more beats than were configured", func() bool {
				before, begun := heart.Load(), time.Now()
				time.Sleep(window)
				return float64(heart.Load()-before) > float64(time.Since(begun))/float64(configured)+2
			})
		})
	}
}

func TestDeathLastsUntilThePulseMoves(t *testing.T) {
	start := time.Unix(0, 0)
	alive := pulse{heartbeat: 5, pid: 7, alive: 1}
	judge := newJudge(alive, start)
	see := func(now pulse, after time.Duration, seated bool) PeerState {
		return judge.see(now, start.Add(after), 100*time.Millisecond, 25*time.Millisecond, func() bool { return seated })
	}
	if state := see(alive, 25*time.Millisecond, false); state != Dead {
		t.Fatalf("%v after its death", state)
	}
	// A successor has locked the seat and has not filled its fields in.
	for _, after := range []time.Duration{30, 200} {
		if state := see(alive, after*time.Millisecond, true); state != Dead {
			t.Errorf("%v, though only the seat was taken", state)
		}
	}
	if state := see(pulse{5, 8, 1}, 201*time.Millisecond, true); state != Alive {
		t.Errorf("%v after a successor sat down", state)
	}
}

// TestSuccessorIsNeverTakenForALegacyProcess: on the seat of an endpoint that was killed, which still shows alive, an
// endpoint of this protocol takes the seat while others look.
func TestSuccessorIsNeverTakenForALegacyProcess(t *testing.T) {
	var h header
	s := h.seat(Master)
	s.occupy(1, capabilityTaken)
	for pid := int32(2); pid < 5_000; pid++ {
		go s.occupy(pid, capabilityTaken)
		for seated := false; !seated; {
			seated = s.pid.Load() == pid && s.alive.Load() == 1
			if s.legacy(s.pid.Load()) {
				t.Fatalf("number %d was taken for one of 1.x", pid)
			}
		}
	}
}
