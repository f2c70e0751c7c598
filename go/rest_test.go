package eshm

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"eshm/internal/shm"
)

// atRest waits until an endpoint and its peer rest. The peer may be another process.
func atRest(t *testing.T, e *Endpoint) {
	t.Helper()
	const window = 400 * time.Millisecond
	l := e.retainCurrent() // the background goroutine may give the endpoint another one
	defer l.release()
	until(t, "both rest", func() bool {
		self, peer := l.self.heartbeat.Load(), l.peer.heartbeat.Load()
		time.Sleep(window)
		mine, its := l.self.heartbeat.Load()-self, l.peer.heartbeat.Load()-peer
		// An idle endpoint beats 80 times in a window.
		return 0 < mine && mine < 20 && 0 < its && its < 20
	})
}

// resting opens an endpoint whose peer is another process. Both rest.
func resting(t *testing.T, role Role) (*Endpoint, child) {
	t.Helper()
	name := freshName(t)
	var e *Endpoint
	var c child
	if role == Master {
		e = open(t, name, role, WithDisconnect(Immediately))
		c = startChild(t, name, Slave, "")
	} else {
		c = startChild(t, name, Master, "")
		e = open(t, name, role, WithDisconnect(Immediately))
	}
	mustSee(t, e)
	atRest(t, e)
	return e, c
}

// visited is a master at rest and its slave, of which nobody but the test visits the master, with an invented clock.
type visited struct {
	master, slave *Endpoint
	now           time.Time
	directories   directoryStamps
}

func newVisited(t *testing.T, options ...Option) *visited {
	t.Helper()
	master, slave := pair(t, append(options, WithBackground(false))...)
	v := &visited{master: master, slave: slave, now: time.Now()}
	v.visit(time.Millisecond) // sees the slave
	slave.beat()
	v.visit(restAfter)
	if !master.isResting() || master.link.state != Alive {
		t.Fatalf("it does not rest beside a peer that is %v", master.link.state)
	}
	return v
}

// visit lets time pass, and visits the master as if other endpoints of the process were busy.
func (v *visited) visit(after time.Duration) PeerState {
	v.now = v.now.Add(after)
	v.directories.beginRound()
	v.master.tick(v.now, time.Millisecond, &v.directories)
	return v.master.link.state
}

// wait has the master count a call as parked, and returns the word that the call would sleep on.
func (v *visited) wait(t *testing.T) *atomic.Uint32 {
	call := &parkedCall{ctx: context.Background(), word: new(atomic.Uint32)}
	v.master.parked.add(call)
	t.Cleanup(func() { v.master.parked.remove(call) })
	return call.word
}

// killSlave does what the kernel does for a slave that is killed.
func (v *visited) killSlave(t *testing.T) {
	t.Helper()
	if err := v.slave.link.file.Unlock(seatStart(Slave), seatLength); err != nil {
		t.Fatal(err)
	}
}

// TestACallThatParksLateIsWokenForThePeerThatWasKilled: it took its time between its last look at the peer and its sleep.
func TestACallThatParksLateIsWokenForThePeerThatWasKilled(t *testing.T) {
	v := newVisited(t)
	word := v.wait(t)
	v.killSlave(t)
	if state := v.visit(restInterval); state != Dead {
		t.Fatalf("%v", state)
	}
	for range 10 {
		v.visit(time.Millisecond)
	}
	awake := make(chan struct{})
	go func() {
		shm.Wait(word, 0, time.Hour)
		close(awake)
	}()
	until(t, "it is woken", func() bool {
		v.visit(0)
		select {
		case <-awake:
			return true
		default:
			return false
		}
	})
	v.visit(wakeTime)
	if !v.master.wakeUntil.IsZero() {
		t.Error("the wake-ups do not end")
	}
}

// TestAtRestThePeerIsExaminedOnlyWithABeat: the visits in between, for the sake of other endpoints, cost next to nothing.
func TestAtRestThePeerIsExaminedOnlyWithABeat(t *testing.T) {
	for name, waits := range map[string]bool{"a call waits": true, "no call waits": false} {
		t.Run(name, func(t *testing.T) {
			v := newVisited(t)
			if waits {
				v.wait(t)
			}
			v.killSlave(t)
			heartbeat := v.master.link.self.heartbeat
			before := heartbeat.Load()
			for after := time.Millisecond; after < restInterval; after += time.Millisecond {
				if state := v.visit(time.Millisecond); state != Alive {
					t.Fatalf("%v after %v", state, after)
				}
			}
			if beats := heartbeat.Load() - before; beats != 0 {
				t.Errorf("%d beats, expected none", beats)
			}
			if state := v.visit(time.Millisecond); state != Dead {
				t.Errorf("%v after %v", state, restInterval)
			}
		})
	}
}

// TestAPatientEndpointAtRestSeesAKilledPeerJustAsSoon: at the first look that finds no new beat, whatever its threshold.
func TestAPatientEndpointAtRestSeesAKilledPeerJustAsSoon(t *testing.T) {
	v := newVisited(t, WithStaleThreshold(time.Hour))
	v.slave.beat()
	v.killSlave(t)
	if state := v.visit(restInterval); state != Alive {
		t.Errorf("%v at a look that found a new beat", state)
	}
	if state := v.visit(restInterval); state != Dead {
		t.Errorf("%v at the first look without", state)
	}
}

// TestEndpointsOfAProcessComeToRestTogether: one comes to rest shortly before the next beat of another, which must not
// be late. From then on they beat in the same rounds.
func TestEndpointsOfAProcessComeToRestTogether(t *testing.T) {
	for ms := time.Duration(0); ms < 60; ms += 5 {
		v := newVisited(t)
		start, second := v.now, open(t, freshName(t), Master, WithBackground(false))
		second.activity = newActivity(start.Add(ms*time.Millisecond - restAfter))
		heartbeat := v.master.link.self.heartbeat
		rounds, beats, beaten, late := rounds{period: time.Millisecond}, heartbeat.Load(), start, 0
		for now := start; now.Sub(start) < time.Second; {
			v.slave.beat()
			pause := rounds.visit([]*Endpoint{v.master, second}, now)
			if now.Sub(start) > 500*time.Millisecond {
				late++
			}
			if beats != heartbeat.Load() {
				beats, beaten = heartbeat.Load(), now
			}
			now = now.Add(pause)
			if gap := now.Sub(beaten); gap > restInterval+mostLate {
				t.Fatalf("%v without a beat, when the other came to rest after %d ms", gap, ms)
			}
		}
		if late > 9 {
			t.Errorf("%d rounds in half a second, when the other came to rest after %d ms", late, ms)
		}
	}
}

// TestASuccessorEndsTheRest: also one that comes between two looks, so that the peer was alive at both.
func TestASuccessorEndsTheRest(t *testing.T) {
	v := newVisited(t)
	_ = v.slave.Close()
	open(t, v.master.Name(), Slave, WithBackground(false))
	if state := v.visit(restInterval); state != Alive || v.master.isResting() {
		t.Errorf("%v, rests: %v", state, v.master.isResting())
	}
}

// TestACallThatParksAtRestIsWokenWhenItsEndpointGivesUp: nobody else wakes it at the reconnect timeout.
func TestACallThatParksAtRestIsWokenWhenItsEndpointGivesUp(t *testing.T) {
	v := newVisited(t, WithReconnectTimeout(3*time.Second))
	v.killSlave(t)
	v.visit(restInterval)
	for died := v.now; v.now.Sub(died) < 3*time.Second-restInterval; {
		v.visit(restInterval)
	}
	if !v.master.isResting() || !v.master.wakeUntil.IsZero() {
		t.Fatal("it does not rest again")
	}
	v.visit(restInterval)
	if !v.master.gaveUp || v.master.wakeUntil.IsZero() {
		t.Errorf("gave up: %v; its parked calls are not woken", v.master.gaveUp)
	}
}

func TestActivity(t *testing.T) {
	start := time.Unix(0, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	a := newActivity(start)
	expect := func(ms int, expected pace) {
		t.Helper()
		if found := a.pace(at(ms)); found != expected {
			t.Errorf("after %d ms: %v, expected %v", ms, found, expected)
		}
	}
	expect(199, paceSlow)
	expect(200, paceResting)
	// A message every 5 ms is little traffic.
	sent := uint64(0)
	for ms := 1000; ms < 2000; ms += 5 {
		sent++
		a.note(sent, at(ms))
		expect(ms, paceResting)
	}
	a.note(sent+littleTraffic+1, at(2000))
	expect(2000, paceSlow)
	a.stir(at(2900))
	expect(3099, paceSlow)
	expect(3100, paceResting)
}

func TestAnImpatientEndpointWaitsForTheFirstBeatOfAPeerAtRest(t *testing.T) {
	start := time.Unix(0, 0)
	alive := pulse{heartbeat: 5, pid: 7, alive: 1}
	const threshold = 20 * time.Millisecond
	seated := func() bool { return true }
	judge := judgePresentPeer(alive, start, threshold)
	for after, expected := range map[time.Duration]PeerState{restInterval: Alive, restInterval + threshold: Frozen} {
		if state := judge.see(alive, start.Add(after), threshold, threshold/4, seated); state != expected {
			t.Errorf("%v after %v, expected %v", state, after, expected)
		}
	}
}

func TestEndpointsAtRestSeeAClose(t *testing.T) {
	name := freshName(t)
	master, slave := open(t, name, Master), open(t, name, Slave)
	atRest(t, master)
	if states := [2]PeerState{master.PeerState(), slave.PeerState()}; states != [2]PeerState{Alive, Alive} {
		t.Errorf("%v at rest", states)
	}
	ended := make(chan error)
	go func() {
		_, err := master.Recv(context.Background())
		ended <- err
	}()
	_ = slave.Close()
	expectKind(t, "Recv", <-ended, ErrPeerClosed)
}

// TestAQueryAtRestSeesAtOnceThatThePeerWasKilled: the kernel tells, whatever the pulse.
func TestAQueryAtRestSeesAtOnceThatThePeerWasKilled(t *testing.T) {
	for _, role := range []Role{Master, Slave} {
		t.Run(role.String(), func(t *testing.T) {
			e, c := resting(t, role)
			c.kill()
			if state := e.PeerState(); state != Dead {
				t.Errorf("%v", state)
			}
		})
	}
}

func TestACallThatWaitsAtRestIsToldThatThePeerWasKilled(t *testing.T) {
	for _, role := range []Role{Master, Slave} {
		t.Run(role.String(), func(t *testing.T) {
			e, c := resting(t, role)
			ended := make(chan error)
			go func() {
				_, err := e.Recv(context.Background())
				ended <- err
			}()
			c.kill()
			expectKind(t, "Recv", <-ended, ErrPeerStale)
		})
	}
}

func TestAPeerThatIsStoppedAtRestIsFrozenAndThaws(t *testing.T) {
	for _, role := range []Role{Master, Slave} {
		t.Run(role.String(), func(t *testing.T) {
			e, c := resting(t, role)
			if err := c.command.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			until(t, "it is frozen", func() bool { return e.PeerState() == Frozen })
			if err := c.command.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			until(t, "it thaws", func() bool { return e.PeerState() == Alive })
			mustSend(t, e, "thawed")
			c.expect(t, "RECEIVED")
		})
	}
}

func TestACallThatWaitsAtRestCanBeCancelled(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	open(t, name, Slave)
	atRest(t, master)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := master.Recv(ctx)
		ended <- err
	}()
	until(t, "it is parked", func() bool { return master.parked.count() > 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAMasterAtRestWhoseNameIsRemovedGetsItBack(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	open(t, name, Slave)
	atRest(t, master)
	for range 3 {
		if err := os.Remove(path(name)); err != nil {
			t.Fatal(err)
		}
		nameIsBack(t, name)
	}
}

// TestAPeerOf1xEndsTheRest: it counts on the heartbeat alone, and says nothing of its patience.
func TestAPeerOf1xEndsTheRest(t *testing.T) {
	master := open(t, freshName(t), Master)
	until(t, "it rests", master.isResting)
	seat := master.link.peer
	seat.pid.Store(int32(os.Getpid()))
	seat.alive.Store(1)
	until(t, "it beats at the full rate", func() bool { return master.interval.Load() == int64(time.Millisecond) })
}

func TestADirectoryIsReadOnceInARound(t *testing.T) {
	directory := t.TempDir()
	var directories directoryStamps
	until(t, "the directory is settled", func() bool {
		directories.beginRound()
		return directories.stamp(directory) != directoryStamps{}.read[""]
	})
	before := directories.stamp(directory)
	if err := os.WriteFile(directory+"/name", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if directories.stamp(directory) != before {
		t.Error("it was read again in the same round")
	}
	directories.beginRound()
	if directories.stamp(directory) == before {
		t.Error("a new name left the stamp as it was")
	}
}
