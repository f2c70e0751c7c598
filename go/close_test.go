package eshm

import (
	"context"
	"sync"
	"testing"
)

// TestSeatIsLeftLast: a goroutine that wakes up takes itself off the count of parked threads, which must be its own.
func TestSeatIsLeftLast(t *testing.T) {
	for range 20 {
		master, slave := pair(t, WithWait(Park))
		l := slave.retainCurrent()
		ended := make(chan error)
		const waiting = 8
		for range waiting {
			go func() {
				_, err := slave.Recv(context.Background())
				ended <- err
			}()
		}
		parked := &l.inQueue.control.receiversParked
		until(t, "that they are parked", func() bool { return parked.Load() == waiting })
		left := make(chan uint32)
		go func() {
			for l.self.alive.Load() != 0 {
			}
			left <- parked.Load()
		}()
		_ = slave.Close()
		if count := <-left; count != 0 {
			t.Errorf("%d were parked when the seat was left", count)
		}
		for range waiting {
			expectKind(t, "Recv", <-ended, ErrClosed)
		}
		l.release()
		_ = master.Close()
	}
}

// TestCloseWaitsForGoroutinesThatWakeUp holds a goroutine between its wake-up and the moment when it takes itself off
// the count of parked threads. Until it has, the endpoint keeps its seat and its memory, so no successor can clear the
// count.
func TestCloseWaitsForGoroutinesThatWakeUp(t *testing.T) {
	master, slave := pair(t, WithWait(Park))
	l := slave.retainCurrent()
	defer l.release()
	parked := &l.inQueue.control.receiversParked
	awake, letGo := holdWakeUps(t)

	ended := make(chan error, 1)
	go func() {
		_, err := slave.Recv(context.Background())
		ended <- err
	}()
	until(t, "that it is parked", func() bool { return parked.Load() == 1 })
	closed := make(chan error, 1)
	go func() { closed <- slave.Close() }()
	<-awake
	until(t, "that the close waits", func() bool { return slave.parked.isClosed() })

	if alive, users := l.self.alive.Load(), l.users.Load(); alive != 1 || users != 3 {
		t.Errorf("alive %d, %d users; expected 1, and 3: the endpoint, the call, and this test", alive, users)
	}
	_, err := Open(within(t, soon), slave.Name(), Slave)
	expectKind(t, "the successor, too early", err, ErrSeatTaken)
	select {
	case err := <-closed:
		t.Errorf("Close returned while a goroutine was counted as parked: %v", err)
	default:
	}

	letGo()
	expectKind(t, "Recv", <-ended, ErrClosed)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	successor := open(t, slave.Name(), Slave)
	mustSend(t, master, "to the successor")
	mustRecv(t, successor, "to the successor")
	if count := parked.Load(); count != 0 {
		t.Errorf("%d are counted as parked, expected none", count)
	}
}

// holdWakeUps holds every goroutine that wakes up: it says so in awake, and goes on after letGo.
func holdWakeUps(t *testing.T) (awake <-chan struct{}, letGo func()) {
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	letGo = sync.OnceFunc(func() { close(gate) })
	testHookAwake = func() {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-gate
	}
	t.Cleanup(func() {
		letGo()
		testHookAwake = nil
	})
	return entered, letGo
}

func (s *parkedCalls) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
