package eshm

import (
	"context"
	"testing"
	"time"
)

// slaveOfAClosedMaster returns a slave whose master has closed.
func slaveOfAClosedMaster(t *testing.T, options ...Option) *Endpoint {
	t.Helper()
	name := freshName(t)
	master := open(t, name, Master)
	slave := openSlave(t, name, options...)
	mustSee(t, slave)
	_ = master.Close()
	until(t, "that the close is seen", func() bool { return slave.PeerState() == Closed })
	return slave
}

func (e *Endpoint) hasGivenUp() bool {
	_, gaveUp := e.examinePeer()
	return gaveUp
}

func TestDisconnectImmediatelyEndsEveryCallAndTheSearch(t *testing.T) {
	slave := slaveOfAClosedMaster(t, WithDisconnect(Immediately))
	expectKind(t, "Write", slave.Write(nil), ErrPeerClosed)
	expectKind(t, "TrySend", slave.TrySend(nil), ErrPeerClosed)
	expectKind(t, "Send with a deadline", slave.Send(within(t, soon), nil), ErrPeerClosed)
	_, err := slave.Recv(within(t, soon))
	expectKind(t, "Recv with a deadline", err, ErrPeerClosed)
	expectNoMove(t, slave)
}

// expectNoMove opens a new master, which a slave that searches would find within a millisecond.
func expectNoMove(t *testing.T, slave *Endpoint) {
	t.Helper()
	former := slave.current.Load()
	next := open(t, slave.Name(), Master)
	expectKind(t, "WaitForPeer", next.WaitForPeer(within(t, 100*time.Millisecond)), ErrTimeout)
	if slave.current.Load() != former {
		t.Error("the slave has moved to another segment")
	}
}

func TestDisconnectImmediatelyOfAKilledPeer(t *testing.T) {
	for _, victim := range []Role{Master, Slave} {
		t.Run(victim.String(), func(t *testing.T) {
			name := freshName(t)
			var survivor *Endpoint
			if victim == Slave {
				survivor = open(t, name, Master, WithDisconnect(Immediately))
			}
			c := startChild(t, name, victim, "last")
			if survivor == nil {
				survivor = open(t, name, Slave, WithDisconnect(Immediately))
			}
			mustRecv(t, survivor, "last")
			c.kill()
			until(t, "that the peer is dead", func() bool { return survivor.PeerState() == Dead })
			_, err := survivor.Recv(context.Background())
			expectKind(t, "Recv", err, ErrPeerStale)
			_, err = survivor.Recv(within(t, time.Millisecond))
			if victim == Slave {
				// The next slave may come at any time, and a master does not search.
				expectKind(t, "Recv with a deadline", err, ErrTimeout)
			} else {
				expectKind(t, "Recv with a deadline", err, ErrPeerStale)
			}
		})
	}
}

func TestDisconnectNeverWaitsForAKilledMaster(t *testing.T) {
	name := freshName(t)
	c := startChild(t, name, Master, "last")
	slave := openSlave(t, name, WithDisconnect(Never), WithReconnectTimeout(1), WithReconnectAttempts(1))
	mustRecv(t, slave, "last")
	c.kill()
	until(t, "that the peer is dead", func() bool { return slave.PeerState() == Dead })
	ended := make(chan error, 1)
	go func() { ended <- slave.Send(context.Background(), []byte("for the next master")) }()
	select {
	case err := <-ended:
		t.Fatalf("Send did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if slave.hasGivenUp() {
		t.Error("the slave has given its master up")
	}
	next := open(t, name, Master)
	mustRecv(t, next, "for the next master")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestReconnectAttemptsEndWaitsAndNotTheSearch(t *testing.T) {
	slave := slaveOfAClosedMaster(t, WithReconnectTimeout(Forever), WithReconnectAttempts(5), WithReconnectInterval(5*time.Millisecond))
	expectKind(t, "TrySend, at first", slave.TrySend(nil), ErrReconnecting)
	until(t, "that the attempts are used up", slave.hasGivenUp)
	expectKind(t, "TrySend", slave.TrySend(nil), ErrPeerClosed)
	expectKind(t, "Send", slave.Send(context.Background(), nil), ErrPeerClosed)
	expectKind(t, "Send with a deadline", slave.Send(within(t, 5*time.Millisecond), nil), ErrTimeout)
	next := open(t, slave.Name(), Master)
	mustSend(t, slave, "found")
	mustRecv(t, next, "found")
}

// TestAttemptsDoNotCountForAMaster, which does not search.
func TestAttemptsDoNotCountForAMaster(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithReconnectAttempts(1), WithReconnectInterval(time.Millisecond))
	c := startChild(t, name, Slave, "last")
	mustRecv(t, master, "last")
	c.kill()
	until(t, "that the peer is dead", func() bool { return master.PeerState() == Dead })
	if time.Sleep(20 * time.Millisecond); master.hasGivenUp() {
		t.Error("the master has given its slave up before the reconnect timeout")
	}
}

func TestGiveUpEndsTheSearch(t *testing.T) {
	for what, limit := range map[string]Option{
		"timeout":  WithReconnectTimeout(20 * time.Millisecond),
		"attempts": WithReconnectAttempts(3),
	} {
		t.Run(what, func(t *testing.T) {
			slave := slaveOfAClosedMaster(t, WithGiveUp(true), limit)
			until(t, "that the limit is used up", slave.hasGivenUp)
			_, err := slave.Recv(within(t, soon))
			expectKind(t, "Recv with a deadline", err, ErrPeerClosed)
			expectKind(t, "Send with a deadline", slave.Send(within(t, soon), nil), ErrPeerClosed)
			expectNoMove(t, slave)
		})
	}
}
