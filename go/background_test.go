package eshm

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Endpoints without the background goroutine: WithBackground(false).

func TestWithoutBackgroundOnlyUpdateHeartbeatBeats(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithBackground(false))
	slave := open(t, name, Slave, WithStaleThreshold(50*time.Millisecond))
	heartbeat := master.link.self.heartbeat
	before := heartbeat.Load()
	until(t, "it looks frozen", func() bool { return slave.PeerState() == Frozen })
	if now := heartbeat.Load(); now != before {
		t.Errorf("%d beats, expected none", now-before)
	}
	if err := master.UpdateHeartbeat(); err != nil {
		t.Fatal(err)
	}
	if now := heartbeat.Load(); now != before+1 {
		t.Errorf("%d beats, expected one", now-before)
	}
	until(t, "it is alive", func() bool {
		return master.UpdateHeartbeat() == nil && slave.PeerState() == Alive
	})
	_ = master.Close()
	expectKind(t, "UpdateHeartbeat", master.UpdateHeartbeat(), ErrClosed)
}

func TestWithoutBackgroundEveryVerbWorks(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithBackground(false))
	slave := open(t, name, Slave, WithBackground(false))
	for range 100 {
		mustSend(t, master, "m")
		mustRecv(t, slave, "m")
		mustSend(t, slave, "s")
		mustRecv(t, master, "s")
		mustWrite(t, master, "value")
		mustWrite(t, master, "value")
		if value, err := slave.Read(within(t, soon)); err != nil || value.Skipped != 1 {
			t.Fatal(value.Skipped, err)
		}
	}
	// Nobody but the reader brings the segment's count up to date.
	if reads := master.Stats().M2SReadCount; reads != 100 {
		t.Errorf("%d reads, expected 100", reads)
	}
	received := make(chan error, 1)
	go func() {
		_, err := slave.Recv(within(t, soon))
		received <- err
	}()
	until(t, "it is parked", func() bool { return slave.parked.wake(false) > 0 })
	mustSend(t, master, "wake up")
	if err := <-received; err != nil {
		t.Error(err)
	}
}

// TestWithoutBackgroundEachCallLooksAtThePeer: nobody else does.
func TestWithoutBackgroundEachCallLooksAtThePeer(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := open(t, name, Slave, WithBackground(false), WithReconnectInterval(time.Millisecond))
	mustSend(t, slave, "before")
	mustSend(t, master, "last")
	_ = master.Close()
	expectKind(t, "TrySend", slave.TrySend(nil), ErrReconnecting)
	mustRecv(t, slave, "last")
	_, err := slave.Recv(context.Background())
	expectKind(t, "Recv", err, ErrPeerClosed)
	expectNoMove(t, slave)
	if err := slave.UpdateHeartbeat(); err != nil {
		t.Error(err)
	}
}

func TestWithoutBackgroundACancelledContextEndsAWait(t *testing.T) {
	_, slave := pair(t, WithBackground(false))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := slave.Recv(ctx)
		ended <- err
	}()
	until(t, "it is parked", func() bool { return slave.parked.wake(false) > 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAnEndpointBeatsSlowerUnlessItsHeartbeatIsSteady(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := open(t, name, Slave, WithSteadyHeartbeat(true))
	until(t, "the master beats slower", func() bool { return master.interval.Load() == int64(slowFactor*time.Millisecond) })
	if interval := time.Duration(slave.interval.Load()); interval != time.Millisecond {
		t.Errorf("the steady slave beats every %v", interval)
	}
	before := master.Stats().MasterHeartbeat
	until(t, "it beats beside its traffic", func() bool {
		return master.TrySend(nil) == nil && master.Stats().MasterHeartbeat > before+5
	})
	if interval := time.Duration(master.interval.Load()); interval != slowFactor*time.Millisecond {
		t.Errorf("with traffic it beats every %v", interval)
	}
}

// rarely opens an endpoint that beats once per second, which the background goroutine has visited.
func rarely(t *testing.T) *Endpoint {
	t.Helper()
	slow := open(t, freshName(t), Master, WithHeartbeatInterval(time.Second), WithStaleThreshold(time.Hour),
		WithSteadyHeartbeat(true))
	until(t, "the first visit", func() bool { return slow.link.self.heartbeat.Load() > 1 })
	return slow
}

// expectBeats waits for some heartbeats, for half of the interval of rarely.
func expectBeats(t *testing.T, e *Endpoint, beats uint64) {
	t.Helper()
	heartbeat := e.link.self.heartbeat
	before := heartbeat.Load()
	for deadline := time.Now().Add(500 * time.Millisecond); heartbeat.Load() < before+beats; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d heartbeats, expected %d", heartbeat.Load()-before, beats)
		}
	}
}

// TestANewEndpointBeatsAtOnceBesideASlowOne: the goroutine may be in the middle of a long pause.
func TestANewEndpointBeatsAtOnceBesideASlowOne(t *testing.T) {
	rarely(t)
	expectBeats(t, open(t, freshName(t), Master), 3)
}

// TestASlowEndpointBeatsSoonerAsSoonAsItSeesAnImpatientPeer: not only after one more of the long pauses.
func TestASlowEndpointBeatsSoonerAsSoonAsItSeesAnImpatientPeer(t *testing.T) {
	slow := rarely(t)
	open(t, slow.Name(), Slave, WithBackground(false))
	until(t, "the peer is seen", func() bool { return slow.interval.Load() < int64(time.Second) })
	expectBeats(t, slow, 3)
}
