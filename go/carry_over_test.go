package eshm

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// openSlave opens a slave that finds a new master soon, and searches without a limit of attempts. Options may say
// otherwise.
func openSlave(t *testing.T, name string, options ...Option) *Endpoint {
	t.Helper()
	return open(t, name, append([]Option{Slave, WithReconnectInterval(time.Millisecond), WithReconnectAttempts(Unlimited)}, options...)...)
}

// succeed closes a master and opens the next one, to which the slave moves.
func succeed(t *testing.T, master, slave *Endpoint, options ...Option) *Endpoint {
	t.Helper()
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	former := slave.current.Load()
	next := open(t, master.Name(), append(options, Master)...)
	until(t, "that the slave has moved", func() bool { return slave.current.Load() != former })
	return next
}

func removeName(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(path(name)); err != nil {
		t.Fatal(err)
	}
}

func expectNothing(t *testing.T, e *Endpoint) {
	t.Helper()
	if message, ok, err := e.TryRecv(); ok || err != nil {
		t.Errorf("TryRecv: %q %v %v, expected nothing", message.Bytes(), ok, err)
	}
	if value, ok, err := e.TryRead(); ok || err != nil {
		t.Errorf("TryRead: %q %v %v, expected nothing", value.Bytes(), ok, err)
	}
}

func TestSegmentWithoutQueuesIsReadOut(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithQueueCapacity(0))
	slave := openSlave(t, name)
	mustSend(t, master, "message")
	next := succeed(t, master, slave)
	mustWrite(t, next, "value")
	mustRecv(t, slave, "message")
	if message, ok, err := slave.TryRecv(); ok || err != nil {
		t.Errorf("TryRecv: %q %v, expected nothing", message.Bytes(), err)
	}
}

func TestUnreceivedMessagesGoToTheNextMaster(t *testing.T) {
	for _, capacity := range []int{0, DefaultQueueCapacity} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			name := freshName(t)
			master := open(t, name, Master, WithQueueCapacity(capacity))
			slave := openSlave(t, name)
			mustSend(t, slave, "received")
			mustRecv(t, master, "received")
			mustSend(t, slave, "x")
			// No call of the slave's is needed.
			next := succeed(t, master, slave, WithQueueCapacity(capacity))
			mustRecv(t, next, "x")
			mustSend(t, slave, "y")
			mustRecv(t, next, "y")
			expectNothing(t, next)
		})
	}
}

func TestSeveralSourcesAreCarriedOverInOrder(t *testing.T) {
	const count = 3000
	name := freshName(t)
	master := open(t, name, Master, WithQueueCapacity(1<<20))
	slave := openSlave(t, name)
	for i := range count {
		mustSend(t, slave, fmt.Sprint(i))
	}
	small := WithQueueCapacity(64) // of 64 slots: most stays behind, twice
	next := succeed(t, succeed(t, master, slave, small), slave, small)
	expectKind(t, "TrySend", slave.TrySend([]byte("overtakes")), ErrFull)
	if unreceived := slave.Unreceived(); unreceived != count {
		t.Errorf("%d unreceived, expected %d", unreceived, count)
	}
	sending := make(chan error)
	go func() { sending <- slave.Send(within(t, soon), []byte("last")) }()
	for i := range count {
		mustRecv(t, next, fmt.Sprint(i))
	}
	mustRecv(t, next, "last")
	if err := <-sending; err != nil {
		t.Error(err)
	}
	until(t, "that nothing is unreceived", func() bool { return slave.Unreceived() == 0 })
	if sent := slave.Stats().MessagesSent; sent != count+1 {
		t.Errorf("%d sent, expected %d", sent, count+1)
	}
}

// TestSlaveStaysWithALiveMaster, whatever has the name.
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
	until(t, "that it is frozen", func() bool { return slave.PeerState() == Frozen })
	tried := slave.nextAttemptTime()
	until(t, "that it was searched", func() bool { return slave.nextAttemptTime().After(tried.Add(5 * time.Millisecond)) })
	if slave.current.Load() != former {
		t.Error("the slave has left a master that lives")
	}
	if err := c.command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "that it goes on", func() bool { return slave.PeerState() == Alive })
	if s := slave.Stats(); s.Stalls != 1 || s.Reconnects != 0 {
		t.Errorf("%d stalls, %d reconnects; expected 1, 0", s.Stalls, s.Reconnects)
	}
}

func (e *Endpoint) nextAttemptTime() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nextAttempt
}

func TestBorrowedMessageIsNotPulledAway(t *testing.T) {
	master, slave := pair(t)
	mustSend(t, master, "one")
	mustSend(t, master, "two")
	one, err := slave.Borrow(within(t, soon))
	if err != nil {
		t.Fatal(err)
	}
	_, recv := slave.Recv(within(t, soon))
	_, _, tryBorrow := slave.TryBorrow()
	_, recvAppend := slave.RecvAppend(within(t, soon), nil)
	_, recvMany := slave.RecvMany(within(t, soon), make([]Message, 2))
	for i, err := range []error{recv, tryBorrow, recvAppend, recvMany} {
		expectKind(t, fmt.Sprint(i), err, ErrBorrowed)
	}
	one.Release()
	mustRecv(t, slave, "two")
}

func TestReconnectsCountThePeersThatCame(t *testing.T) {
	master, slave := pair(t)
	for lives := range uint64(3) {
		until(t, "that it is counted", func() bool {
			return master.PeerState() == Alive && master.Stats().Reconnects == lives
		})
		_ = slave.Close()
		slave = open(t, master.Name(), Slave)
	}
	if s := master.Stats(); s.Stalls != 0 {
		t.Errorf("%d stalls", s.Stalls)
	}
}
