package eshm

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var _ syscall.Conn = (*Events)(nil)

func mustHaveEvents(t testing.TB, e *Endpoint, interest Interest) *Events {
	t.Helper()
	events, err := e.Events(interest)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// isReadable tells whether a descriptor is readable within a time.
func isReadable(t testing.TB, v *Events, within time.Duration) bool {
	t.Helper()
	conn, err := v.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	readable := false
	control := conn.Control(func(descriptor uintptr) {
		poll := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(poll, int(within.Milliseconds()))
			if err != unix.EINTR {
				readable = n == 1
				return
			}
		}
	})
	if control != nil {
		t.Fatal(control)
	}
	return readable
}

func expectReadable(t testing.TB, what string, v *Events) {
	t.Helper()
	if !isReadable(t, v, soon) {
		t.Fatalf("%s: the descriptor is not readable", what)
	}
}

func expectQuiet(t testing.TB, what string, v *Events) {
	t.Helper()
	if isReadable(t, v, 0) {
		t.Fatalf("%s: the descriptor is readable", what)
	}
}

func mustFindNothing(t testing.TB, e *Endpoint) {
	t.Helper()
	if message, ok, err := e.TryRecv(); ok || err != nil {
		t.Fatalf("TryRecv: %q, %v, %v; expected nothing", message.Bytes(), ok, err)
	}
}

// seen returns a pair whose ends know each other, so that no change of the peer's state rings.
func seen(t testing.TB, options ...Option) (master, slave *Endpoint) {
	t.Helper()
	master, slave = pair(t, options...)
	mustSee(t, master)
	mustSee(t, slave)
	return master, slave
}

func TestDescriptorIsReadableUntilNothingIsLeft(t *testing.T) {
	master, slave := seen(t)
	events := mustHaveEvents(t, slave, InterestReadable)
	expectReadable(t, "new", events)
	mustFindNothing(t, slave)
	expectQuiet(t, "armed", events)
	for round := range 3 {
		mustSend(t, master, "one")
		expectReadable(t, "a message came", events)
		mustSend(t, master, "two")
		for range 2 {
			if _, ok, err := slave.TryRecv(); !ok || err != nil {
				t.Fatal(ok, err)
			}
			expectReadable(t, "nobody has found nothing", events)
		}
		mustFindNothing(t, slave)
		expectQuiet(t, "armed again", events)
		if wakeups := master.Stats().Wakeups; wakeups != uint64(round+1) {
			t.Errorf("%d rings for %d armings", wakeups, round+1)
		}
	}
}

func TestDescriptorTellsOfValuesRoomAndMessages(t *testing.T) {
	for _, capacity := range []int{64, 0} {
		master, slave := seen(t, WithQueueCapacity(capacity))
		events := mustHaveEvents(t, master, InterestReadable|InterestValue|InterestWritable)
		sent := 0
		for master.TrySend([]byte("m")) == nil {
			sent++
		}
		if _, ok, err := master.TryRead(); ok || err != nil {
			t.Fatal(ok, err)
		}
		mustFindNothing(t, master)
		expectQuiet(t, "armed for all", events)

		mustRecv(t, slave, "m")
		expectReadable(t, "room", events)
		if err := master.TrySend([]byte("m")); err != nil {
			t.Fatal(err)
		}
		expectKind(t, "TrySend", master.TrySend([]byte("m")), ErrFull)
		mustFindNothing(t, master)
		if _, _, err := master.TryRead(); err != nil {
			t.Fatal(err)
		}
		expectQuiet(t, "armed for all again", events)

		mustSend(t, slave, "message")
		expectReadable(t, "a message", events)
		// A verb of another kind reads the byte, and writes another one.
		expectKind(t, "TrySend", master.TrySend([]byte("m")), ErrFull)
		expectReadable(t, "there still is a message", events)
		mustRecv(t, master, "message")
		mustFindNothing(t, master)
		mustWrite(t, slave, "value")
		expectReadable(t, "a value", events)
	}
}

func TestDescriptorTellsOfThePeer(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	events := mustHaveEvents(t, master, InterestPeer)
	for events.PeerState() != Absent || isReadable(t, events, 0) {
	}
	slave := open(t, name, Slave)
	expectReadable(t, "the peer came", events)
	until(t, "it is alive", func() bool { return events.PeerState() == Alive && !isReadable(t, events, 0) })
	_ = slave.Close()
	expectReadable(t, "the peer closed", events)
	until(t, "it is closed", func() bool { return events.PeerState() == Closed && !isReadable(t, events, 0) })
}

// TestCloseRingsThePeerWhateverItIsArmedFor: the background goroutine of the peer does not run here.
func TestCloseRingsThePeerWhateverItIsArmedFor(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := open(t, name, Slave, WithBackground(false))
	mustSee(t, slave)
	events := mustHaveEvents(t, slave, InterestPeer)
	until(t, "it is quiet", func() bool { return events.PeerState() == Alive && !isReadable(t, events, 0) })
	_ = master.Close()
	expectReadable(t, "the master closed", events)
	if state := events.PeerState(); state != Closed {
		t.Errorf("%v, expected closed", state)
	}
}

func TestDescriptorStaysReadableAfterClose(t *testing.T) {
	_, slave := seen(t)
	events := mustHaveEvents(t, slave, InterestReadable)
	mustFindNothing(t, slave)
	expectQuiet(t, "armed", events)
	fifo := slave.fifoPath(Slave)
	if _, err := os.Lstat(fifo); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	expectReadable(t, "closed", events)
	_, _, err := slave.TryRecv()
	expectKind(t, "TryRecv", err, ErrClosed)
	expectReadable(t, "nobody reads it", events)
	if events.PeerState() != Absent {
		t.Error("a closed endpoint has a peer")
	}
	_, err = slave.Events(InterestReadable)
	expectKind(t, "Events", err, ErrClosed)
	if _, err := os.Lstat(fifo); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the FIFO is left: %v", err)
	}
}

func TestInterestIsChecked(t *testing.T) {
	master, _ := pair(t)
	for _, interest := range []Interest{0, 16, InterestReadable | 1<<31} {
		_, err := master.Events(interest)
		expectKind(t, "Events", err, ErrInvalidOption)
	}
	first, second := mustHaveEvents(t, master, InterestReadable), mustHaveEvents(t, master, InterestPeer)
	if first != second {
		t.Error("an endpoint has two descriptors")
	}
}

// TestReadOfTheConnWaitsInTheRuntime: the way to wait in a goroutine.
func TestReadOfTheConnWaitsInTheRuntime(t *testing.T) {
	master, slave := seen(t)
	conn, err := mustHaveEvents(t, slave, InterestReadable).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const count = 1000
	go func() {
		for range count {
			_ = master.Send(context.Background(), []byte("m"))
		}
	}()
	for received := range count {
		var message Message
		var ok bool
		var failed error
		if err := conn.Read(func(uintptr) bool {
			message, ok, failed = slave.TryRecv()
			return ok || failed != nil
		}); err != nil || failed != nil {
			t.Fatal(received, err, failed)
		}
		if string(message.Bytes()) != "m" {
			t.Fatal(message)
		}
	}
}

// TestMovedEndpointIsArmedInTheNewSegment: a new master, with another segment.
func TestMovedEndpointIsArmedInTheNewSegment(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := open(t, name, Slave, WithReconnectInterval(10*time.Millisecond))
	mustSee(t, slave)
	events := mustHaveEvents(t, slave, InterestReadable|InterestWritable)
	mustFindNothing(t, slave)
	_ = master.Close()
	next := open(t, name, Master)
	mustSee(t, next)
	for _, message := range []string{"one", "two"} {
		until(t, "it is quiet", func() bool { mustFindNothing(t, slave); return !isReadable(t, events, 0) })
		mustSend(t, next, message)
		expectReadable(t, message, events)
		mustRecv(t, slave, message)
	}
}

// TestEventsOfPeersThatCannotRing: the endpoint looks for itself.
func TestEventsOfPeersThatCannotRing(t *testing.T) {
	t.Run("no FIFO can be made", func(t *testing.T) {
		name := freshName(t)
		fifo := (&address{name: name, domain: Domain{"/dev/shm", "eshm_"}}).fifoPath(Slave)
		if err := os.Mkdir(fifo, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(fifo)
		master, slave := open(t, name, Master), open(t, name, Slave)
		mustSee(t, slave)
		events := mustHaveEvents(t, slave, InterestReadable|InterestValue)
		for range 3 {
			until(t, "it is quiet", func() bool {
				mustFindNothing(t, slave)
				_, _, err := slave.TryRead()
				return err == nil && !isReadable(t, events, 0)
			})
			mustSend(t, master, "message")
			expectReadable(t, "a message", events)
			mustRecv(t, slave, "message")
		}
		withoutThreads(t)
		received := make(chan error, 1)
		go func() { _, err := slave.Recv(context.Background()); received <- err }()
		until(t, "it waits", func() bool { return slave.parked.count() == 1 })
		mustSend(t, master, "message")
		if err := <-received; err != nil {
			t.Fatal(err)
		}
	})
	t.Run("the bit is lost", func(t *testing.T) {
		master, slave := seen(t)
		events := mustHaveEvents(t, slave, InterestReadable)
		mustFindNothing(t, slave)
		slave.link.inQueue.control.receiversParked.takeBell()
		mustSend(t, master, "message")
		expectReadable(t, "a message", events)
	})
	t.Run("the peer wakes threads only", func(t *testing.T) {
		master, slave := seen(t)
		events := mustHaveEvents(t, slave, InterestReadable)
		mustFindNothing(t, slave)
		s := &master.send
		s.mu.Lock()
		s.queue.pushShort([]byte("message"))
		s.mu.Unlock()
		expectReadable(t, "a message", events)
		if slave.link.inQueue.control.receiversParked.isArmed() {
			t.Error("the peer would make a system call for each message")
		}
	})
}

func TestEventsOfALegacyPeer(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	events := mustHaveEvents(t, master, InterestReadable|InterestValue)
	legacy := startLegacy(t, name, Slave, os.Getpid(), true)
	until(t, "it is seen", master.PeerIsLegacy)
	for range 3 {
		until(t, "it is quiet", func() bool {
			_, _, _ = master.TryRead()
			mustFindNothing(t, master)
			return !isReadable(t, events, 0)
		})
		legacy.out.put([]byte("value"))
		expectReadable(t, "a value", events)
		mustRead(t, master, "value")
	}
}

// TestOpeningRemovesTheFIFO of a killed predecessor, where no peer was there to do so.
func TestOpeningRemovesTheFIFO(t *testing.T) {
	name := freshName(t)
	at := address{name: name, domain: Domain{"/dev/shm", "eshm_"}}
	for _, role := range []Role{Master, Slave} {
		if err := makeFIFO(at.fifoPath(role)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, name, Master)
	open(t, name, Slave)
	for _, role := range []Role{Master, Slave} {
		if _, err := os.Lstat(at.fifoPath(role)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the FIFO of the %v is left: %v", role, err)
		}
	}
}

// TestAStateThatWasJudgedMeanwhileIsTold: the background goroutine has judged between the query and its answer.
func TestAStateThatWasJudgedMeanwhileIsTold(t *testing.T) {
	master, _ := seen(t)
	events := mustHaveEvents(t, master, InterestReadable|InterestPeer)
	until(t, "it is quiet", func() bool {
		mustFindNothing(t, master)
		return events.PeerState() == Alive && !isReadable(t, events, 0)
	})
	events.source.peerState.Store(int32(Dead))
	if state := events.PeerState(); state != Alive {
		t.Fatal(state)
	}
	mustFindNothing(t, master)
	expectReadable(t, "the death is not told yet", events)
}

// TestTheStateAfterAStandInIsTold: the peer of the segment before had closed.
func TestTheStateAfterAStandInIsTold(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := open(t, name, Slave)
	mustSee(t, master)
	events := mustHaveEvents(t, master, InterestPeer)
	_ = slave.Close()
	before := master.current.Load()
	removeName(t, name)
	until(t, "it has switched", func() bool { return master.current.Load() != before })
	master.mu.Lock()
	state, told := master.link.state, PeerState(events.source.peerState.Load())
	master.mu.Unlock()
	if state != told {
		t.Errorf("%v, and told as %v", state, told)
	}
	until(t, "it is quiet", func() bool { return events.PeerState() == Closed && !isReadable(t, events, 0) })
}

// TestOpeningLeavesTheFIFOOfASlaveThatWaits for its next master.
func TestOpeningLeavesTheFIFOOfASlaveThatWaits(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	waits := open(t, name, Slave, WithReconnectInterval(time.Hour))
	mustSee(t, waits)
	mustHaveEvents(t, waits, InterestReadable)
	_ = first.Close()
	until(t, "it has searched in vain", func() bool {
		waits.mu.Lock()
		defer waits.mu.Unlock()
		return waits.searches > 0
	})
	open(t, name, Master)
	open(t, name, Slave)
	if _, err := os.Lstat(waits.fifoPath(Slave)); err != nil {
		t.Errorf("the FIFO of the slave that waits: %v", err)
	}
}

// TestClosingRemovesTheFIFOThatThePeerHadOpen, of a predecessor that was killed.
func TestClosingRemovesTheFIFOThatThePeerHadOpen(t *testing.T) {
	name := freshName(t)
	fifo := (&address{name: name, domain: Domain{"/dev/shm", "eshm_"}}).fifoPath(Slave)
	if err := makeFIFO(fifo); err != nil {
		t.Fatal(err)
	}
	ringer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	master, slave := open(t, name, Master), open(t, name, Slave)
	_ = ringer.Close()
	_ = master.Close()
	_ = slave.Close()
	if _, err := os.Lstat(fifo); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the FIFO is left: %v", err)
	}
}
