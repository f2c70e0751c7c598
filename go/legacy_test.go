package eshm

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"eshm/internal/shm"
)

// legacyProcess does to a segment what an ESHM 1.x process does.
type legacyProcess struct {
	file    *shm.File
	self    seat
	in, out mailbox
	wakes   bool   // version 1.2
	seen    uint64 // write count of the last value read
	begun   bool
	pause   atomic.Bool
	stop    chan struct{}
	stopped chan struct{}
}

// startLegacy attaches as ESHM 1.x does. If it is to look killed, the pid is that of no process.
func startLegacy(t *testing.T, name string, role Role, pid int, wakes bool) *legacyProcess {
	t.Helper()
	file, err := shm.Open(path(name))
	if err != nil {
		t.Fatal(err)
	}
	g := geometry{dataSize: DefaultDataSize}
	memory, err := file.Map(g.layoutSize())
	if err != nil {
		t.Fatal(err)
	}
	header := shm.At[header](memory, 0)
	p := &legacyProcess{
		file:    file,
		self:    header.seat(role),
		in:      mailboxAt(memory, g, role.peer().out()),
		out:     mailboxAt(memory, g, role.out()),
		wakes:   wakes,
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if role == Master {
		header.masterGeneration.Add(1)
	}
	p.self.pid.Store(int32(pid))
	p.self.alive.Store(1)
	go p.beat()
	t.Cleanup(p.end)
	return p
}

func (p *legacyProcess) beat() {
	defer close(p.stopped)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !p.pause.Load() {
				p.self.heartbeat.Add(1)
			}
		case <-p.stop:
			return
		}
	}
}

func (p *legacyProcess) end() {
	close(p.stop)
	<-p.stopped
	_ = p.file.Close()
}

func (p *legacyProcess) write(value string) {
	sequence := p.out.head.sequence.Add(1)
	shm.StoreWords(p.out.data, []byte(value))
	p.out.head.dataSize.Store(uint32(len(value)))
	p.out.head.sequence.Store(sequence + 1)
	p.out.tail.writeCount.Add(1)
	if p.wakes {
		p.out.tail.wakeSeq.Add(1)
		if p.out.tail.waiters.Load() != 0 {
			shm.Wake(&p.out.tail.wakeSeq)
		}
	}
}

// read takes the first value that it finds for one that it has seen already.
func (p *legacyProcess) read() (string, bool) {
	count := p.in.tail.writeCount.Load()
	if !p.begun || p.seen == 0 && !p.wakes {
		p.begun, p.seen = true, count
	}
	if count == p.seen {
		return "", false
	}
	value := make([]byte, p.in.head.dataSize.Load())
	shm.LoadWords(value, p.in.data)
	p.seen = count
	p.in.tail.readCount.Add(1)
	return string(value), true
}

// legacyVersions runs a test for both versions.
func legacyVersions(t *testing.T, run func(t *testing.T, wakes bool)) {
	t.Run("1.0", func(t *testing.T) { run(t, false) })
	t.Run("1.2", func(t *testing.T) { run(t, true) })
}

func TestLegacySlave(t *testing.T) {
	legacyVersions(t, func(t *testing.T, wakes bool) {
		master := open(t, freshName(t), Master)
		slave := startLegacy(t, master.Name(), Slave, os.Getpid(), wakes)
		if err := master.WaitForPeer(within(t, soon)); err != nil || !master.PeerIsLegacy() {
			t.Fatalf("legacy: %v, %v", master.PeerIsLegacy(), err)
		}
		slave.read() // takes what it finds, which is nothing, for seen
		mustSend(t, master, "legacyReaderHadTime by 1.0")
		if value, ok := slave.read(); ok != wakes {
			t.Fatalf("1.x read %q, %v", value, ok)
		}
		if !wakes {
			expectKind(t, "Send", master.Send(within(t, time.Millisecond), []byte("in vain")), ErrTimeout)
		}
		for _, message := range []string{"one", "two"} {
			mustSend(t, master, message)
			expectKind(t, "TrySend", master.TrySend(nil), ErrFull)
			if value, ok := slave.read(); value != message || !ok {
				t.Fatalf("1.x read %q, %v; expected %q", value, ok, message)
			}
		}
		// Messages and values of ESHM 1.x are the same: the first one, and those that it writes while this side waits.
		slave.write("three")
		mustRecv(t, master, "three")
		for _, value := range []string{"four", "five"} {
			received := make(chan string)
			go func() {
				message, _ := master.RecvAppend(within(t, soon), nil)
				received <- string(message)
			}()
			slave.write(value)
			if found := <-received; found != value {
				t.Errorf("received %q, expected %q", found, value)
			}
		}
	})
}

func TestSendToLegacyReaderNeverHangs(t *testing.T) {
	master := open(t, freshName(t), Master)
	startLegacy(t, master.Name(), Slave, os.Getpid(), false)
	if err := master.WaitForPeer(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	mustSend(t, master, "never read")
	expectKind(t, "Send", master.Send(t.Context(), []byte("waits")), ErrTimeout)
}

func TestLegacyPeerThatStops(t *testing.T) {
	for pid, expected := range map[int]PeerState{os.Getpid(): Frozen, 1<<31 - 2: Dead} {
		master := open(t, freshName(t), Master, WithStaleThreshold(20*time.Millisecond))
		slave := startLegacy(t, master.Name(), Slave, pid, true)
		until(t, "it is alive", func() bool { return master.PeerState() == Alive })
		slave.pause.Store(true)
		until(t, "it is "+expected.String(), func() bool { return master.PeerState() == expected })
		generation := master.Generation()
		slave.self.pid.Store(int32(os.Getppid()))
		until(t, "there is a new generation", func() bool { return master.Generation() > generation })
	}
}

// legacySegment creates what a master of ESHM 1.x creates.
func legacySegment(t *testing.T, version uint32) string {
	t.Helper()
	name := freshName(t)
	g := geometry{dataSize: DefaultDataSize}
	image := make([]byte, g.layoutSize())
	binary.NativeEndian.PutUint32(image[0:], magic)
	binary.NativeEndian.PutUint32(image[4:], version)
	if version == 3 {
		binary.NativeEndian.PutUint32(image[48:], featureWakes)
		binary.NativeEndian.PutUint32(image[52:], uint32(g.layoutSize()))
	}
	if err := os.WriteFile(path(name), image, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLegacyMaster(t *testing.T) {
	legacyVersions(t, func(t *testing.T, wakes bool) {
		version := uint32(versionPolling)
		if wakes {
			version = 3
		}
		name := legacySegment(t, version)
		master := startLegacy(t, name, Master, os.Getpid(), wakes)
		slave := open(t, name, Slave)
		if slave.DataSize() != DefaultDataSize || slave.QueueCapacity() != 0 || !slave.PeerIsLegacy() {
			t.Errorf("data size %d, capacity %d", slave.DataSize(), slave.QueueCapacity())
		}
		master.write("hello")
		mustRecv(t, slave, "hello")
		for _, role := range []Role{Master, Auto} {
			// A long threshold: on a busy machine its heartbeat stands still for a while from time to time.
			_, err := Open(within(t, soon), name, role, WithStaleThreshold(2*time.Second))
			expectKind(t, role.String(), err, ErrSeatTaken)
		}
		// It is gone. A master of this protocol takes the segment over, since a slave is attached.
		master.pause.Store(true)
		successor := open(t, name, Master)
		if successor.QueueCapacity() != 0 || successor.link.header.version.Load() != 3 {
			t.Error("the segment was replaced")
		}
		mustSend(t, successor, "from the successor")
		mustRecv(t, slave, "from the successor")
		mustSend(t, slave, "and back")
		mustRecv(t, successor, "and back")
	})
}

func TestAbandonedLegacySegmentIsReplaced(t *testing.T) {
	name := legacySegment(t, 3)
	master := open(t, name, Master)
	if master.QueueCapacity() != DefaultQueueCapacity {
		t.Errorf("capacity %d", master.QueueCapacity())
	}
}

func TestLegacyDataSizes(t *testing.T) {
	settings, at, err := newSettings("x", []Option{WithDataSize(1000)})
	if err != nil {
		t.Fatal(err)
	}
	opener := &opener{address: at, settings: &settings}
	for _, one := range []struct{ layout, dataSize uint64 }{
		{geometry{dataSize: 1000}.layoutSize(), 1000}, // as configured
		{geometry{dataSize: 4096}.layoutSize(), 4096},
		{geometry{dataSize: 64}.layoutSize(), 64},
		{0, 0},
		{1 << 40, (1<<40-128)/2 - 128},
	} {
		if found := legacyDataSize(one.layout, settings.geometry()); found != one.dataSize {
			t.Errorf("layout %d: %d, expected %d", one.layout, found, one.dataSize)
		}
	}
	var head [headerSize]byte
	binary.NativeEndian.PutUint32(head[0:], magic)
	binary.NativeEndian.PutUint32(head[4:], versionPolling)
	if _, err := opener.checkHead(&head, 1<<40); !errors.Is(err, ErrForeign) {
		t.Errorf("a file of 1 TiB: %v", err)
	}
}

func TestSlaveIsRefusedWhileALegacyOneLives(t *testing.T) {
	master := open(t, freshName(t), Master)
	legacy := startLegacy(t, master.Name(), Slave, os.Getpid(), true)
	if err := master.WaitForPeer(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	generation := master.Generation()
	// A long threshold: on a busy machine its heartbeat stands still for a while from time to time.
	_, err := Open(within(t, soon), master.Name(), Slave, WithStaleThreshold(10*time.Second))
	expectKind(t, "a live one", err, ErrSeatTaken)
	legacy.pause.Store(true)
	slave := open(t, master.Name(), Slave)
	until(t, "the new slave is seen", func() bool { return !master.PeerIsLegacy() && master.Generation() > generation })
	mustSend(t, master, "new")
	mustRecv(t, slave, "new")
}
