package eshm

import (
	"context"
	"errors"
	"syscall"
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
	until(t, "the close is seen", func() bool { return slave.PeerState() == Closed })
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
			until(t, "the peer is dead", func() bool { return survivor.PeerState() == Dead })
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
	until(t, "the peer is dead", func() bool { return slave.PeerState() == Dead })
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
	slave := slaveOfAClosedMaster(t,
		WithReconnectTimeout(Forever), WithReconnectAttempts(50), WithReconnectInterval(5*time.Millisecond))
	expectKind(t, "TrySend, at first", slave.TrySend(nil), ErrReconnecting)
	until(t, "the attempts are used up", slave.hasGivenUp)
	expectKind(t, "TrySend", slave.TrySend(nil), ErrPeerClosed)
	expectKind(t, "Send", slave.Send(context.Background(), nil), ErrPeerClosed)
	expectKind(t, "Send with a deadline", slave.Send(within(t, 5*time.Millisecond), nil), ErrTimeout)
	next := open(t, slave.Name(), Master)
	mustSend(t, slave, "found")
	mustRecv(t, next, "found")
}

// TestAttemptsDoNotCountForAMaster: a master does not search.
func TestAttemptsDoNotCountForAMaster(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithReconnectAttempts(1), WithReconnectInterval(time.Millisecond))
	c := startChild(t, name, Slave, "last")
	mustRecv(t, master, "last")
	c.kill()
	until(t, "the peer is dead", func() bool { return master.PeerState() == Dead })
	master.mu.Lock()
	master.searches = 5 // more than the attempts that are set
	master.mu.Unlock()
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
			until(t, "the limit is used up", slave.hasGivenUp)
			_, err := slave.Recv(within(t, soon))
			expectKind(t, "Recv with a deadline", err, ErrPeerClosed)
			expectKind(t, "Send with a deadline", slave.Send(within(t, soon), nil), ErrPeerClosed)
			expectNoMove(t, slave)
		})
	}
}

func TestSlaveDoesNotWriteToAStoppedMasterUntilItContinues(t *testing.T) {
	name := freshName(t)
	c := startChild(t, name, Master, "ready")
	slave := open(t, name, Slave, WithReconnectTimeout(300*time.Millisecond))
	mustRecv(t, slave, "ready")
	if err := c.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "write is refused", func() bool { return errors.Is(slave.Write(nil), ErrPeerStale) })
	if state := slave.PeerState(); state != Frozen {
		t.Errorf("the peer is %v", state)
	}
	expectKind(t, "TrySend", slave.TrySend(nil), ErrPeerStale)
	if err := c.command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "write is not refused any more", func() bool { return slave.Write(nil) == nil })
}

func TestSuccessorOfAKilledPeerContinues(t *testing.T) {
	for _, victim := range []Role{Master, Slave} {
		t.Run(victim.String(), func(t *testing.T) {
			name := freshName(t)
			var survivor *Endpoint
			if victim == Slave {
				survivor = open(t, name, Master)
			}
			c := startChild(t, name, victim, "last message")
			if survivor == nil {
				survivor = open(t, name, Slave)
			}
			c.kill()
			until(t, "the peer is dead", func() bool { return survivor.PeerState() == Dead })
			if s := survivor.Stats(); s.MasterAlive == (victim == Master) || s.SlaveAlive == (victim == Slave) {
				t.Errorf("a killed %v: %+v", victim, s)
			}
			if victim == Master {
				expectKind(t, "TrySend", survivor.TrySend(nil), ErrReconnecting)
			}
			waiting := make(chan error)
			go func() { waiting <- survivor.Send(within(t, soon), []byte("for the successor")) }()
			successor := open(t, name, victim)
			message := mustRecv(t, survivor, "last message")
			mustRecv(t, successor, "for the successor")
			if err := <-waiting; err != nil {
				t.Error(err)
			}
			mustSend(t, successor, "hello")
			if later := mustRecv(t, survivor, "hello"); later.Generation < message.Generation || later.Generation != 2 {
				t.Errorf("generations %d and %d", message.Generation, later.Generation)
			}
		})
	}
}

func TestCallsWithoutADeadlineEndAfterTheReconnectTimeout(t *testing.T) {
	for _, victim := range []Role{Master, Slave} {
		t.Run(victim.String(), func(t *testing.T) {
			name := freshName(t)
			var survivor *Endpoint
			options := []Option{
				victim.peer(), WithReconnectTimeout(50 * time.Millisecond), WithReconnectInterval(10 * time.Millisecond),
			}
			if victim == Slave {
				survivor = open(t, name, options...)
			}
			c := startChild(t, name, victim, "last message")
			if survivor == nil {
				survivor = open(t, name, options...)
			}
			c.kill()
			mustRecv(t, survivor, "last message")
			_, err := survivor.Recv(context.Background())
			expectKind(t, "Recv", err, ErrPeerStale)
			if victim == Master {
				expectKind(t, "Send", survivor.Send(context.Background(), nil), ErrPeerStale)
				_, err := survivor.Recv(within(t, time.Millisecond))
				expectKind(t, "Recv with a deadline", err, ErrTimeout)
			}
		})
	}
}

func TestSlaveFindsAMasterAfterTheReconnectTimeout(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	const timeout = 30 * time.Millisecond
	slave := open(t, name, Slave, often, WithReconnectTimeout(timeout))
	_ = first.Close()
	closed := time.Now()
	until(t, "the reconnect timeout is over", func() bool { return time.Since(closed) > 4*timeout })
	_, err := slave.Recv(context.Background())
	expectKind(t, "Recv", err, ErrPeerClosed)
	second := open(t, name, Master)
	mustSee(t, second)
	mustSend(t, second, "late")
	mustRecv(t, slave, "late")
	mustSend(t, slave, "answer")
	mustRecv(t, second, "answer")
}

// TestSlaveStaysWithALiveMaster: it does so even if another segment has the name.
func TestSlaveStaysWithALiveMaster(t *testing.T) {
	name := freshName(t)
	c := startChild(t, name, Master, "ready")
	slave := openSlave(t, name, WithReconnectTimeout(1))
	mustRecv(t, slave, "ready")
	if err := c.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	removeName(t, name)
	_ = open(t, name, Master)
	former := slave.current.Load()
	until(t, "it is frozen", func() bool { return slave.PeerState() == Frozen })
	tried := slave.nextAttemptTime()
	until(t, "it has searched", func() bool { return slave.nextAttemptTime().After(tried.Add(5 * time.Millisecond)) })
	if slave.current.Load() != former {
		t.Error("the slave has left a master that lives")
	}
	if err := c.command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "it goes on", func() bool { return slave.PeerState() == Alive })
	if s := slave.Stats(); s.Stalls != 1 || s.Reconnects != 0 {
		t.Errorf("%d stalls, %d reconnects; expected 1, 0", s.Stalls, s.Reconnects)
	}
}

func (e *Endpoint) nextAttemptTime() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nextAttempt
}
