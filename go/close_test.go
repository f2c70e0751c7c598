package eshm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCloseLeavesTheSeatAfterParkedCalls: a goroutine that wakes up lowers the count of parked threads, which must not
// be a successor's count by then.
func TestCloseLeavesTheSeatAfterParkedCalls(t *testing.T) {
	threadLimit.Store(100) // they are to be counted
	t.Cleanup(func() { threadLimit.Store(mostThreads) })
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
		until(t, "they are parked", func() bool { return parked.Load()&parkedCount == waiting })
		left := make(chan uint32)
		go func() {
			for l.self.alive.Load() != 0 {
			}
			left <- parked.Load() & parkedCount
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

// TestCloseWaitsForGoroutinesThatWakeUp holds a goroutine between its wake-up and the moment when it lowers the count
// of parked threads. Until then the endpoint keeps its seat and its memory, so no successor can clear the count.
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
	until(t, "it is parked", func() bool { return parked.Load()&parkedCount == 1 })
	closed := make(chan error, 1)
	go func() { closed <- slave.Close() }()
	<-awake
	until(t, "the close waits", func() bool { return slave.parked.isClosed() })

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

// holdWakeUps holds each goroutine that wakes up until letGo. The first one sends to awake.
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

// TestNoSwitchToAnotherSegmentWhileClosing: the round of the background goroutine that is in progress may still visit
// an endpoint whose Close waits for its parked calls.
func TestNoSwitchToAnotherSegmentWhileClosing(t *testing.T) {
	t.Run("slave", func(t *testing.T) {
		master, slave := pair(t, WithWait(Park))
		closeDuring(t, slave, func() {
			_ = master.Close()
			next := open(t, slave.Name(), Master)
			slave.tick(time.Now(), time.Millisecond, new(directoryStamps))
			expectKind(t, "a slave", next.WaitForPeer(within(t, time.Millisecond)), ErrTimeout)
		})
	})
	t.Run("master", func(t *testing.T) {
		master := open(t, freshName(t), Master, WithWait(Park))
		closeDuring(t, master, func() {
			removeName(t, master.Name())
			master.tick(time.Now().Add(nameInterval), time.Millisecond, new(directoryStamps))
			if exists(master.Name()) {
				t.Error("a stand-in was created")
			}
		})
	})
}

// closeDuring closes an endpoint that has a parked call. It acts while Close waits for that call. The background
// goroutine does not visit the endpoint meanwhile.
func closeDuring(t *testing.T, e *Endpoint, act func()) {
	t.Helper()
	removeFromBackground(e)
	awake, letGo := holdWakeUps(t)
	ended, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := e.Recv(context.Background())
		ended <- err
	}()
	<-awake
	go func() { closed <- e.Close() }()
	until(t, "the close waits", func() bool { return e.parked.isClosed() })
	former := e.link
	act()
	if e.current.Load() != nil || e.link != former {
		t.Error("the endpoint has switched to another segment")
	}
	letGo()
	expectKind(t, "Recv", <-ended, ErrClosed)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestReceiverIsClosedByItself: whatever the endpoint's current link is, a receiver without a link is closed.
func TestReceiverIsClosedByItself(t *testing.T) {
	for _, lent := range []bool{false, true} {
		master, slave := pair(t)
		l := slave.retainCurrent()
		if lent {
			mustSend(t, master, "lent")
			if _, err := slave.Borrow(within(t, soon)); err != nil {
				t.Fatal(err)
			}
		}
		_ = slave.Close()
		slave.current.Store(l)
		for range 2 {
			_, err := slave.Recv(within(t, soon))
			expectKind(t, "Recv", err, ErrClosed)
			_, _, err = slave.TryRecv()
			expectKind(t, "TryRecv", err, ErrClosed)
			_, _, err = slave.TryRead()
			expectKind(t, "TryRead", err, ErrClosed)
		}
		if users := l.users.Load(); users != 1 {
			t.Errorf("%d users, expected this test only", users)
		}
		slave.current.Store(nil)
		l.release()
	}
}

// TestCloseReleasesTheSegmentWhileACallReceives: a call may find the endpoint closed before Close has come to the
// receiver.
func TestCloseReleasesTheSegmentWhileACallReceives(t *testing.T) {
	for _, lent := range []bool{false, true} {
		master, slave := pair(t)
		l := slave.retainCurrent()
		if lent {
			mustSend(t, master, "lent")
			message, err := slave.Borrow(within(t, soon))
			if err != nil {
				t.Fatal(err)
			}
			defer message.Release()
		}
		slave.send.mu.Lock()
		closed := make(chan error, 1)
		go func() { closed <- slave.Close() }()
		until(t, "the close waits for the sender", func() bool { return slave.current.Load() == nil })
		_, _, _ = slave.TryRecv()
		slave.send.mu.Unlock()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		_, _, err := slave.TryRecv()
		expectKind(t, "TryRecv", err, ErrClosed)
		if users := l.users.Load(); users != 1 {
			t.Errorf("%d users, expected this test only", users)
		}
		l.release()
	}
}

func (s *parkedCalls) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func TestCloseEndsEveryWait(t *testing.T) {
	master, _ := pair(t, WithQueueCapacity(64))
	for master.TrySend(nil) == nil {
	}
	loaned, _ := pair(t)
	loan, err := loaned.Loan(within(t, soon), 100)
	if err != nil {
		t.Fatal(err)
	}
	waits := []func() error{
		func() error { return master.Send(context.Background(), nil) },
		func() error { _, err := master.Recv(context.Background()); return err },
		func() error { _, err := master.Read(context.Background()); return err },
		func() error { return loaned.Send(context.Background(), nil) },
	}
	ended := make(chan error)
	for _, wait := range waits {
		go func() { ended <- wait() }()
	}
	until(t, "all are parked", func() bool { return master.parked.wake(false)+loaned.parked.wake(false) == len(waits) })
	for _, endpoint := range []*Endpoint{master, loaned} {
		if err := errors.Join(endpoint.Close(), endpoint.Close()); err != nil {
			t.Error(err)
		}
	}
	for range waits {
		expectKind(t, "a wait", <-ended, ErrClosed)
	}
	clear(loan.Bytes()) // still mapped
	expectKind(t, "loan.Send", loan.Send(), ErrClosed)
}

func TestCallsAfterCloseAreRefused(t *testing.T) {
	master, _ := pair(t)
	_ = master.Close()
	ctx := within(t, soon)
	_, recv := master.Recv(ctx)
	_, _, tryRecv := master.TryRecv()
	_, read := master.Read(ctx)
	_, _, tryRead := master.TryRead()
	_, loan := master.Loan(ctx, 1)
	for i, err := range []error{
		recv, tryRecv, read, tryRead, loan,
		master.Send(ctx, nil), master.TrySend(nil), master.Write(nil), master.WaitForPeer(ctx),
	} {
		expectKind(t, fmt.Sprint(i), err, ErrClosed)
	}
	if master.PeerState() != Absent || master.Generation() != 0 || master.DataSize() != 0 || master.Stats().MasterPID != 0 {
		t.Error("a closed endpoint tells of a segment")
	}
}

// TestClosedEndpointRefusesEveryCall: no call on a closed endpoint crashes, hangs, or seems to succeed.
func TestClosedEndpointRefusesEveryCall(t *testing.T) {
	e := open(t, freshName(t), Master)
	_ = e.Close()
	now := within(t, soon)
	for what, call := range map[string]func() error{
		"Write":       func() error { return e.Write(nil) },
		"Send":        func() error { return e.Send(now, nil) },
		"TrySend":     func() error { return e.TrySend(nil) },
		"SendMany":    func() error { _, err := e.SendMany(now, make([][]byte, 1)); return err },
		"TrySendMany": func() error { _, err := e.TrySendMany(make([][]byte, 1)); return err },
		"Loan":        func() error { _, err := e.Loan(now, 1); return err },
		"Recv":        func() error { _, err := e.Recv(now); return err },
		"TryRecv":     func() error { _, _, err := e.TryRecv(); return err },
		"Borrow":      func() error { _, err := e.Borrow(now); return err },
		"TryBorrow":   func() error { _, _, err := e.TryBorrow(); return err },
		"RecvAppend":  func() error { _, err := e.RecvAppend(now, nil); return err },
		"RecvMany":    func() error { _, err := e.RecvMany(now, make([]Message, 1)); return err },
		"BorrowMany":  func() error { _, err := e.BorrowMany(now, make([]Message, 1)); return err },
		"Read":        func() error { _, err := e.Read(now); return err },
		"TryRead":     func() error { _, _, err := e.TryRead(); return err },
		"ReadAppend":  func() error { _, err := e.ReadAppend(now, nil); return err },
		"WaitForPeer": func() error { return e.WaitForPeer(now) },
	} {
		expectKind(t, what, call(), ErrClosed)
	}
	if e.DataSize() != 0 || e.QueueCapacity() != 0 || e.PeerState() != Absent || e.PeerIsLegacy() || e.Generation() != 0 ||
		e.Unreceived() != 0 || e.Stats().MasterPID != 0 || e.Role() != Master {
		t.Error("a closed endpoint says more than that it is closed")
	}
	if err := e.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// TestLentMessageSurvivesClose: a goroutine may still read it.
func TestLentMessageSurvivesClose(t *testing.T) {
	for name, giveBack := range map[string]func(*Endpoint, Message){
		"Release": func(_ *Endpoint, message Message) { message.Release() },
		"Recv":    func(e *Endpoint, _ Message) { _, _ = e.Recv(context.Background()) },
		"nothing": func(*Endpoint, Message) {},
	} {
		t.Run(name, func(t *testing.T) {
			master, slave := pair(t)
			mustSend(t, master, strings.Repeat("z", 1000))
			message, err := slave.Borrow(within(t, soon))
			if err != nil {
				t.Fatal(err)
			}
			_ = slave.Close()
			if string(message.Bytes()) != strings.Repeat("z", 1000) {
				t.Error("it changed")
			}
			giveBack(slave, message)
			giveBack(slave, message)
			expectKind(t, "TrySend", slave.TrySend(nil), ErrClosed)
		})
	}
}

func TestCleanCloseIsSeenAfterWhatWasSent(t *testing.T) {
	master, slave := pair(t)
	mustSend(t, slave, "last")
	_ = slave.Close()
	mustRecv(t, master, "last")
	_, err := master.Recv(context.Background())
	expectKind(t, "Recv", err, ErrPeerClosed)
	if state := master.PeerState(); state != Closed {
		t.Errorf("the peer is %v", state)
	}
	_, err = master.Recv(within(t, time.Millisecond))
	expectKind(t, "Recv with a deadline", err, ErrTimeout)
	mustSend(t, master, "for the next")
	next := open(t, master.Name(), Slave)
	if message := mustRecv(t, next, "for the next"); message.Generation != 1 {
		t.Errorf("the master's generation is %d", message.Generation)
	}
	if generation := master.Generation(); generation != 2 {
		t.Errorf("the slave's generation is %d", generation)
	}
	_ = master.Close()
	_, err = next.Recv(context.Background())
	expectKind(t, "Recv", err, ErrPeerClosed)
	expectKind(t, "Send", next.Send(context.Background(), nil), ErrPeerClosed)
	expectKind(t, "TrySend", next.TrySend(nil), ErrReconnecting)
	expectKind(t, "Write", next.Write(nil), ErrReconnecting)
	if _, err := os.Stat(path(master.Name())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a closed master has left its segment: %v", err)
	}
}
