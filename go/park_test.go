package eshm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withoutThreads has no goroutine sleep in a thread until the end of the test.
func withoutThreads(t testing.TB) {
	threadLimit.Store(0)
	t.Cleanup(func() { threadLimit.Store(mostThreads) })
}

// sleeps are calls of a slave that sleep, and what a master does to end each.
func sleeps(ctx context.Context) map[string]struct{ wait, end func(e *Endpoint) error } {
	fill := func(e *Endpoint) {
		for e.TrySend([]byte("m")) == nil {
		}
	}
	send := func(e *Endpoint) error { return e.Send(ctx, []byte("m")) }
	recv := func(e *Endpoint) error { _, err := e.Recv(ctx); return err }
	return map[string]struct{ wait, end func(e *Endpoint) error }{
		"Recv":     {recv, send},
		"RecvMany": {func(e *Endpoint) error { _, err := e.RecvMany(ctx, make([]Message, 2)); return err }, send},
		"Borrow":   {func(e *Endpoint) error { m, err := e.Borrow(ctx); m.Release(); return err }, send},
		"Messages": {func(e *Endpoint) error {
			for _, err := range e.Messages(ctx) {
				return err
			}
			return nil
		}, send},
		"Read": {
			func(e *Endpoint) error { _, err := e.Read(ctx); return err },
			func(e *Endpoint) error { return e.Write([]byte("v")) },
		},
		"Send": {func(e *Endpoint) error { fill(e); return send(e) }, recv},
		"Loan": {func(e *Endpoint) error {
			fill(e)
			loan, err := e.Loan(ctx, 1)
			if err == nil {
				loan.Drop()
			}
			return err
		}, recv},
	}
}

// TestEveryVerbWaitsWithoutAThread runs each verb until it sleeps, and then does what it waits for.
func TestEveryVerbWaitsWithoutAThread(t *testing.T) {
	withoutThreads(t)
	for _, capacity := range []int{64, 0} {
		for name, one := range sleeps(context.Background()) {
			t.Run(fmt.Sprint(name, capacity), func(t *testing.T) {
				master, slave := seen(t, WithQueueCapacity(capacity))
				ended := make(chan error, 1)
				go func() { ended <- one.wait(slave) }()
				until(t, "it is armed", func() bool { return slave.parked.count() == 1 && slave.isArmed() })
				if err := one.end(master); err != nil {
					t.Fatal(err)
				}
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
				if threads.Load() != 0 {
					t.Error("a thread slept")
				}
			})
		}
	}
}

// isArmed tells whether the peer has to ring for anything.
func (e *Endpoint) isArmed() bool {
	s := e.source.Load()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.armed {
		if one.word != nil && one.word.isArmed() {
			return true
		}
	}
	return false
}

func TestEndsOfWaitsWithoutAThread(t *testing.T) {
	withoutThreads(t)
	t.Run("contexts", TestContextEndsEveryWait)
	t.Run("close", TestCloseEndsEveryWait)
	t.Run("close of the peer", func(t *testing.T) {
		master, slave := seen(t)
		received := make(chan error, 1)
		go func() { _, err := slave.Recv(context.Background()); received <- err }()
		until(t, "it sleeps", func() bool { return slave.parked.count() == 1 })
		_ = master.Close()
		expectKind(t, "Recv", <-received, ErrPeerClosed)
	})
	t.Run("death of the peer", func(t *testing.T) {
		name := freshName(t)
		master := open(t, name, Master, WithDisconnect(Immediately))
		peer := startChild(t, name, Slave, "")
		mustSee(t, master)
		received := make(chan error, 1)
		go func() { _, err := master.Recv(context.Background()); received <- err }()
		until(t, "it sleeps", func() bool { return master.parked.count() == 1 })
		peer.kill()
		expectKind(t, "Recv", <-received, ErrPeerStale)
	})
}

// TestOneRingWakesAllWhoWait: several goroutines of one endpoint share its descriptor.
func TestOneRingWakesAllWhoWait(t *testing.T) {
	withoutThreads(t)
	master, slave := seen(t)
	const waiting, rounds = 20, 50
	for range rounds {
		ended := make(chan error, waiting+1)
		for range waiting {
			go func() { _, err := slave.Recv(context.Background()); ended <- err }()
		}
		go func() { _, err := slave.Read(context.Background()); ended <- err }()
		until(t, "all sleep", func() bool { return slave.parked.count() == waiting+1 })
		batch := make([][]byte, waiting)
		if _, err := master.SendMany(within(t, soon), batch); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, master, "value")
		for range waiting + 1 {
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCancellationLosesNothing: goroutines receive with contexts that end at any moment, in threads and without.
func TestCancellationLosesNothing(t *testing.T) {
	for _, limit := range []int32{0, 2, mostThreads} {
		withoutThreads(t)
		threadLimit.Store(limit)
		master, slave := seen(t, WithQueueCapacity(256), WithWait(Park))
		const messages, receivers = 5000, 4
		sent := make(chan error, 1)
		go func() {
			for number := range messages {
				for {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(200))*time.Microsecond)
					err := master.Send(ctx, []byte(strconv.Itoa(number)))
					cancel()
					if err == nil {
						break
					} else if !errors.Is(err, ErrTimeout) {
						sent <- err
						return
					}
				}
			}
			sent <- nil
		}()
		var mu sync.Mutex
		got := map[string]int{}
		var group sync.WaitGroup
		for range receivers {
			group.Add(1)
			go func() {
				defer group.Done()
				for {
					ctx, cancel := context.WithCancel(context.Background())
					timer := time.AfterFunc(time.Duration(rand.IntN(200))*time.Microsecond, cancel)
					message, err := slave.Recv(ctx)
					timer.Stop()
					cancel()
					mu.Lock()
					if err == nil {
						got[string(message.Bytes())]++
					}
					done := len(got) == messages
					mu.Unlock()
					if done || err != nil && !errors.Is(err, context.Canceled) {
						return
					}
				}
			}()
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		group.Wait()
		for number := range messages {
			if times := got[strconv.Itoa(number)]; times != 1 {
				t.Fatalf("with %d threads: message %d was received %d times", limit, number, times)
			}
		}
	}
}

// TestThreadsAreForTheFewWhoAreBusy: who has slept in vain leaves the last thread to another.
func TestThreadsAreForTheFewWhoAreBusy(t *testing.T) {
	for range mostThreads {
		if !takeThread(false) {
			t.Fatal("there are threads")
		}
	}
	defer threads.Add(-(mostThreads - 1))
	if takeThread(false) || takeThread(true) {
		t.Fatal("there is no thread left")
	}
	threads.Add(-1) // of one that wakes up, and sleeps again
	if takeThread(true) {
		t.Error("it took the last thread")
	}
	if !takeThread(false) {
		t.Error("the last thread is left")
	}
	threads.Add(-1)
}

// threadsOfProcess returns how many threads the kernel counts.
func threadsOfProcess() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if count, ok := strings.CutPrefix(line, "Threads:"); ok {
			return strconv.Atoi(strings.TrimSpace(count))
		}
	}
	return 0, errors.New("no count of threads")
}

const crowdEndpoints = 1000

// waitInACrowd has crowdSize goroutines wait on 1000 endpoints, and prints the most threads that the process had.
func waitInACrowd(segment string) {
	var masters, slaves []*Endpoint
	ctx := context.Background()
	for i := range crowdEndpoints {
		name := fmt.Sprintf("%s-%d", segment, i)
		master, err := Open(ctx, name, Master, WithDataSize(64), WithQueueCapacity(64))
		must(err)
		slave, err := Open(ctx, name, Slave)
		must(err)
		masters, slaves = append(masters, master), append(slaves, slave)
	}
	ended := make(chan error, crowdSize)
	expired, cancel := context.WithCancel(ctx)
	for i := range crowdSize {
		slave := slaves[i%crowdEndpoints]
		switch i / crowdEndpoints {
		case 0:
			go func() { _, err := slave.Read(ctx); ended <- err }()
		case 1:
			go func() {
				_, err := slave.Recv(expired)
				if errors.Is(err, context.Canceled) {
					err = nil
				}
				ended <- err
			}()
		default:
			go func() { _, err := slave.Recv(ctx); ended <- err }()
		}
	}
	for sleeping := 0; sleeping < crowdSize; time.Sleep(time.Millisecond) {
		sleeping = 0
		for _, slave := range slaves {
			sleeping += slave.parked.count()
		}
	}
	most, err := threadsOfProcess()
	must(err)
	cancel()
	for range crowdEndpoints {
		must(<-ended)
	}
	batch := make([][]byte, crowdSize/crowdEndpoints-2)
	for _, master := range masters {
		_, err := master.SendMany(ctx, batch)
		must(err)
		must(master.Write([]byte("value")))
	}
	for range crowdSize - crowdEndpoints {
		must(<-ended)
	}
	now, err := threadsOfProcess()
	must(err)
	for i := range masters {
		must(slaves[i].Close())
		must(masters[i].Close())
	}
	say(max(most, now))
}

func TestTenThousandGoroutinesNeedFewThreads(t *testing.T) {
	name := freshName(t)
	c := startScenario(t, "crowd", name, 0)
	line, err := c.output.ReadString('\n')
	if err != nil {
		t.Fatal(line, err)
	}
	count, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || count >= 30 {
		t.Errorf("%q threads, expected fewer than 30", line)
	}
	t.Logf("%d threads", count)
	c.ends(t)
}

func TestWaitForPeerOfACrowdNeedsNoPolls(t *testing.T) {
	peerPollers.Add(mostPeerPollers)
	defer peerPollers.Add(-mostPeerPollers)
	name := freshName(t)
	master := open(t, name, Master)
	ended := make(chan error, 2)
	go func() { ended <- master.WaitForPeer(context.Background()) }()
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- master.WaitForPeer(ctx) }()
	until(t, "they sleep", func() bool { return master.parked.count() == 2 })
	cancel()
	expectKind(t, "WaitForPeer", <-ended, context.Canceled)
	open(t, name, Slave)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	lonely := open(t, freshName(t), Master)
	go func() { ended <- lonely.WaitForPeer(context.Background()) }()
	until(t, "it sleeps", func() bool { return lonely.parked.count() == 1 })
	_ = lonely.Close()
	expectKind(t, "WaitForPeer", <-ended, ErrClosed)
}

// waitWithoutAThread is the life of a process that is killed while it sleeps.
func waitWithoutAThread(segment string) {
	threadLimit.Store(0)
	slave, err := Open(context.Background(), segment, Slave)
	must(err)
	go func() {
		for !slave.isArmed() {
			time.Sleep(time.Millisecond)
		}
		say("armed")
	}()
	_, err = slave.Recv(context.Background())
	must(err)
}

func TestSurvivorRemovesTheFIFO(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	c := startScenario(t, "sleep", name, 0)
	c.says(t, "armed")
	fifo := master.fifoPath(Slave)
	info, err := os.Lstat(fifo)
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Fatal(info, err)
	}
	c.kill()
	until(t, "it is dead", func() bool { return master.PeerState() == Dead })
	if _, err := os.Lstat(fifo); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the FIFO is left: %v", err)
	}
	if found := master.link.outQueue.control.receiversParked.Load(); found != 0 {
		t.Errorf("%#x is left", found)
	}
	// A successor is rung at its own FIFO, which has the same name.
	successor := startScenario(t, "sleep", name, 0)
	successor.says(t, "armed")
	mustSend(t, master, "message")
	successor.ends(t)
}

func makeFIFO(path string) error { return unix.Mkfifo(path, 0o600) }

func TestRemoveDeadRemovesFIFOs(t *testing.T) {
	directory := t.TempDir()
	domain := Domain{Directory: directory, Prefix: "p_"}
	live := open(t, "live", Master, WithDomain(domain))
	mustHaveEvents(t, live, InterestReadable)
	stray := (&address{name: "dead", domain: domain}).fifoPath(Master)
	for _, path := range []string{stray, directory + "/other_.eshm-tmp-bell-m-0123456789abcdef"} {
		if err := makeFIFO(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := domain.FindDead(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(stray); err != nil {
		t.Error("a dry run removed it")
	}
	if _, err := domain.RemoveDead(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	left := ""
	for _, entry := range entries {
		left += entry.Name() + " "
	}
	expected := "other_.eshm-tmp-bell-m-0123456789abcdef p_.eshm-tmp-bell-m-" + live.fifoHash() + " p_live "
	if left != expected {
		t.Errorf("%q is left, expected %q", left, expected)
	}
}
