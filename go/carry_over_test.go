package eshm

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// openSlave opens a slave that finds a new master soon and searches without a limit of attempts. Options may override
// that.
func openSlave(t *testing.T, name string, options ...Option) *Endpoint {
	t.Helper()
	searches := []Option{Slave, WithReconnectInterval(time.Millisecond), WithReconnectAttempts(Unlimited)}
	return open(t, name, append(searches, options...)...)
}

// succeed closes a master and opens the next one, to which the slave switches.
func succeed(t *testing.T, master, slave *Endpoint, options ...Option) *Endpoint {
	t.Helper()
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	former := slave.current.Load()
	next := open(t, master.Name(), append(options, Master)...)
	until(t, "the slave has moved", func() bool { return slave.current.Load() != former })
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

func TestSegmentWithoutQueuesIsReadBeforeTheSwitch(t *testing.T) {
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
			// The slave need not call anything.
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
	small := WithQueueCapacity(64) // of 64 slots: most messages stay behind, twice
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
	until(t, "nothing is unreceived", func() bool { return slave.Unreceived() == 0 })
	if sent := slave.Stats().MessagesSent; sent != count+1 {
		t.Errorf("%d sent, expected %d", sent, count+1)
	}
}
