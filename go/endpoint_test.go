package eshm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMessagesArriveBothWays(t *testing.T) {
	master, slave := pair(t)
	for _, length := range []int{0, 1, slotPayload, slotPayload + 1, 4096, DefaultQueueCapacity} {
		message := strings.Repeat("x", length)
		for _, way := range [][2]*Endpoint{{master, slave}, {slave, master}} {
			mustSend(t, way[0], message)
			received := mustRecv(t, way[1], message)
			if received.Generation != 1 || received.Skipped != 0 {
				t.Errorf("generation %d, %d skipped", received.Generation, received.Skipped)
			}
			received.Release() // the longest message needs all the room there is
		}
	}
	if _, ok, err := slave.TryRecv(); ok || err != nil {
		t.Errorf("TryRecv: %v %v, expected nothing", ok, err)
	}
}

func TestValuesArrive(t *testing.T) {
	master, slave := pair(t)
	for i := range 3 {
		if err := master.Write(fmt.Append(nil, "value ", i)); err != nil {
			t.Fatal(err)
		}
	}
	value, err := slave.Read(within(t, soon))
	if err != nil || string(value.Bytes()) != "value 2" || value.Skipped != 2 {
		t.Errorf("Read: %q, %v, %d skipped", value.Bytes(), err, value.Skipped)
	}
	if _, ok, err := slave.TryRead(); ok || err != nil {
		t.Errorf("TryRead: %v %v, expected nothing", ok, err)
	}
	_, err = slave.Read(within(t, time.Millisecond))
	expectKind(t, "Read", err, ErrTimeout)
}

func TestSegmentWithoutQueues(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(0))
	if slave.QueueCapacity() != 0 || slave.DataSize() != DefaultDataSize {
		t.Errorf("capacity %d, data size %d", slave.QueueCapacity(), slave.DataSize())
	}
	for range 3 {
		mustSend(t, master, "one at a time")
		expectKind(t, "TrySend", master.TrySend([]byte("two")), ErrFull)
		expectKind(t, "Send", master.Send(within(t, time.Millisecond), []byte("two")), ErrTimeout)
		mustRecv(t, slave, "one at a time")
	}
	loan, err := master.Loan(within(t, soon), 100)
	if err != nil {
		t.Fatal(err)
	}
	loan.Truncate(copy(loan.Bytes(), "lent"))
	if err := loan.Send(); err != nil {
		t.Fatal(err)
	}
	mustRecv(t, slave, "lent")
}

func TestFullQueueRefusesOrWaits(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(64))
	sent := 0
	for ; master.TrySend(fmt.Append(nil, sent)) == nil; sent++ {
	}
	if sent != 64 {
		t.Errorf("%d messages found room, expected 64", sent)
	}
	err := master.TrySend(nil)
	expectKind(t, "TrySend", err, ErrFull)
	if Code(err) != -12 {
		t.Errorf("code %d", Code(err))
	}
	err = master.Send(within(t, time.Millisecond), nil)
	expectKind(t, "Send", err, ErrTimeout)
	expectKind(t, "Send", err, context.DeadlineExceeded)
	waiting := make(chan error)
	go func() { waiting <- master.Send(within(t, soon), []byte("last")) }()
	for i := range sent {
		mustRecv(t, slave, fmt.Sprint(i))
	}
	mustRecv(t, slave, "last")
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

func TestTooLongIsRefused(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(100), WithDataSize(50))
	for _, err := range []error{
		master.Send(within(t, soon), make([]byte, 101)),
		master.TrySend(make([]byte, 101)),
		master.Write(make([]byte, 51)),
	} {
		expectKind(t, "101 bytes", err, ErrTooLarge)
		if !strings.Contains(err.Error(), "1 bytes") || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%q does not tell both sizes", err)
		}
	}
	_, err := master.Loan(within(t, soon), 101)
	expectKind(t, "Loan", err, ErrTooLarge)
	mustSend(t, master, strings.Repeat("x", 100))
	mustRecv(t, slave, strings.Repeat("x", 100))
}

func TestLoans(t *testing.T) {
	master, slave := pair(t)
	for _, length := range []int{5, 500} {
		loan, err := master.Loan(within(t, soon), length)
		if err != nil {
			t.Fatal(err)
		}
		expectKind(t, "TrySend", master.TrySend([]byte("other")), ErrFull)
		waiting := make(chan error)
		go func() { waiting <- master.Send(within(t, soon), []byte("after")) }()
		copy(loan.Bytes(), bytes.Repeat([]byte("y"), length))
		if err := loan.Send(); err != nil {
			t.Fatal(err)
		}
		mustRecv(t, slave, strings.Repeat("y", length))
		if err := <-waiting; err != nil {
			t.Fatal(err)
		}
		mustRecv(t, slave, "after")
		if err := loan.Send(); err == nil {
			t.Error("a loan was sent twice")
		}
	}
	dropped, err := master.Loan(within(t, soon), 10)
	if err != nil {
		t.Fatal(err)
	}
	dropped.Drop()
	dropped.Drop()
	mustSend(t, master, "next")
	mustRecv(t, slave, "next")
}

func TestBatches(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(4096))
	batch := make([][]byte, 500)
	for i := range batch {
		batch[i] = bytes.Repeat([]byte{byte(i)}, i)
	}
	sending := make(chan error)
	go func() {
		sent, err := master.SendMany(within(t, soon), batch)
		if sent != len(batch) {
			err = fmt.Errorf("%d sent: %w", sent, err)
		}
		sending <- err
	}()
	messages := make([]Message, 7)
	for next := 0; next < len(batch); {
		count, err := slave.RecvMany(within(t, soon), messages)
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range messages[:count] {
			if !bytes.Equal(message.Bytes(), batch[next]) {
				t.Fatalf("message %d is %x", next, message.Bytes())
			}
			next++
		}
	}
	if err := <-sending; err != nil {
		t.Error(err)
	}
}

// TestReleaseMakesRoom, of this message and those before, and of nothing behind it.
func TestReleaseMakesRoom(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(64))
	for range 64 {
		mustSend(t, master, "")
	}
	messages := make([]Message, 3)
	if count, err := slave.BorrowMany(within(t, soon), messages); count != 3 || err != nil {
		t.Fatal(count, err)
	}
	messages[1].Release()
	messages[0].Release() // long released
	for range 2 {
		mustSend(t, master, "")
	}
	expectKind(t, "TrySend", master.TrySend(nil), ErrFull)
	messages[2].Release()
	mustSend(t, master, "")
}

func TestUnreleasedMessageIsReceivedAgain(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	mustSend(t, master, "one")
	mustSend(t, master, "two")
	c := startChild(t, name, Slave, "")
	c.expect(t, "RECEIVED")
	c.kill()
	slave := open(t, name, Slave)
	mustRecv(t, slave, "one")
	mustRecv(t, slave, "two")
}

func TestContextEndsEveryWait(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(64))
	for master.TrySend(nil) == nil {
	}
	cause := errors.New("enough")
	for name, wait := range map[string]func(context.Context) error{
		"Send":       func(ctx context.Context) error { return master.Send(ctx, nil) },
		"SendMany":   func(ctx context.Context) error { _, err := master.SendMany(ctx, [][]byte{nil}); return err },
		"Loan":       func(ctx context.Context) error { _, err := master.Loan(ctx, 1); return err },
		"Recv":       func(ctx context.Context) error { _, err := master.Recv(ctx); return err },
		"RecvMany":   func(ctx context.Context) error { _, err := master.RecvMany(ctx, make([]Message, 1)); return err },
		"RecvAppend": func(ctx context.Context) error { _, err := master.RecvAppend(ctx, nil); return err },
		"Read":       func(ctx context.Context) error { _, err := master.Read(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := wait(within(t, 5*time.Millisecond))
			expectKind(t, "deadline", err, ErrTimeout)
			expectKind(t, "deadline", err, context.DeadlineExceeded)
			var timeout interface{ Timeout() bool }
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%v is no timeout", err)
			}
			ctx, cancel := context.WithCancelCause(context.Background())
			ended := make(chan error)
			go func() { ended <- wait(ctx) }()
			until(t, "that it is parked", func() bool { return master.parked.wake(false) > 0 })
			cancel(cause)
			err = <-ended
			expectKind(t, "cancelled", err, context.Canceled)
			expectKind(t, "cancelled", err, cause)
		})
	}
	_ = slave
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
	until(t, "that all are parked", func() bool { return master.parked.wake(false)+loaned.parked.wake(false) == len(waits) })
	for _, endpoint := range []*Endpoint{master, loaned} {
		if err := errors.Join(endpoint.Close(), endpoint.Close()); err != nil {
			t.Error(err)
		}
	}
	for range waits {
		expectKind(t, "a wait", <-ended, ErrClosed)
	}
	clear(loan.Bytes()) // still there
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

// TestLentMessageSurvivesClose: a goroutine may still be looking at it.
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

func TestManyGoroutinesAtBothEnds(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(1000))
	const goroutines, each = 4, 500
	ctx := within(t, soon)
	var group sync.WaitGroup
	for g := range goroutines {
		group.Add(2)
		go func() {
			defer group.Done()
			for i := range each {
				if err := master.Send(ctx, fmt.Appendf(nil, "%d/%d", g, i)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	var mu sync.Mutex
	seen := make(map[string]int)
	for range goroutines {
		go func() {
			defer group.Done()
			for range each {
				message, err := slave.RecvAppend(ctx, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[string(message)]++
				mu.Unlock()
			}
		}()
	}
	group.Wait()
	if len(seen) != goroutines*each {
		t.Errorf("%d different messages, expected %d", len(seen), goroutines*each)
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

func TestSlaveThatGaveUpAStoppedMasterWritesNothingUntilItGoesOn(t *testing.T) {
	name := freshName(t)
	c := startChild(t, name, Master, "ready")
	slave := open(t, name, Slave, WithReconnectTimeout(300*time.Millisecond))
	mustRecv(t, slave, "ready")
	if err := c.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "that write is refused", func() bool { return errors.Is(slave.Write(nil), ErrPeerStale) })
	if state := slave.PeerState(); state != Frozen {
		t.Errorf("the peer is %v", state)
	}
	expectKind(t, "TrySend", slave.TrySend(nil), ErrPeerStale)
	if err := c.command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "that write is not refused any more", func() bool { return slave.Write(nil) == nil })
}

func TestKilledPeerIsDeadAndItsHeirGoesOn(t *testing.T) {
	for _, victim := range []Role{Master, Slave} {
		t.Run(victim.String(), func(t *testing.T) {
			name := freshName(t)
			var survivor *Endpoint
			if victim == Slave {
				survivor = open(t, name, Master)
			}
			c := startChild(t, name, victim, "testament")
			if survivor == nil {
				survivor = open(t, name, Slave)
			}
			c.kill()
			until(t, "that the peer is dead", func() bool { return survivor.PeerState() == Dead })
			if s := survivor.Stats(); s.MasterAlive == (victim == Master) || s.SlaveAlive == (victim == Slave) {
				t.Errorf("a killed %v: %+v", victim, s)
			}
			if victim == Master {
				expectKind(t, "TrySend", survivor.TrySend(nil), ErrReconnecting)
			}
			waiting := make(chan error)
			go func() { waiting <- survivor.Send(within(t, soon), []byte("for the heir")) }()
			heir := open(t, name, victim)
			message := mustRecv(t, survivor, "testament")
			mustRecv(t, heir, "for the heir")
			if err := <-waiting; err != nil {
				t.Error(err)
			}
			mustSend(t, heir, "hello")
			if later := mustRecv(t, survivor, "hello"); later.Generation < message.Generation || later.Generation != 2 {
				t.Errorf("generations %d and %d", message.Generation, later.Generation)
			}
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	for _, victim := range []Role{Master, Slave} {
		t.Run(victim.String(), func(t *testing.T) {
			name := freshName(t)
			var survivor *Endpoint
			options := []Option{victim.peer(), WithReconnectTimeout(50 * time.Millisecond), WithReconnectInterval(10 * time.Millisecond)}
			if victim == Slave {
				survivor = open(t, name, options...)
			}
			c := startChild(t, name, victim, "testament")
			if survivor == nil {
				survivor = open(t, name, options...)
			}
			c.kill()
			mustRecv(t, survivor, "testament")
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

// TestSlaveMovesToTheNewSegment, once it has received what was unread in the old one.
func TestSlaveMovesToTheNewSegment(t *testing.T) {
	name := freshName(t)
	c := startChild(t, name, Master, "old")
	slave := open(t, name, Slave, WithReconnectInterval(time.Millisecond))
	c.kill()
	master := open(t, name, Master, WithDataSize(100))
	mustSend(t, master, "new")
	if value := []byte("value"); master.Write(value) != nil {
		t.Fatal("Write")
	}
	until(t, "that the slave has moved", func() bool { return slave.Stats().Reconnects == 1 })
	if old, new := mustRecv(t, slave, "old"), mustRecv(t, slave, "new"); old.Generation != 1 || new.Generation != 2 {
		t.Errorf("generations %d and %d", old.Generation, new.Generation)
	}
	if value, err := slave.Read(within(t, soon)); err != nil || string(value.Bytes()) != "value" || value.Generation != 2 {
		t.Errorf("Read: %q %v, generation %d", value.Bytes(), err, value.Generation)
	}
	mustSend(t, slave, "back")
	mustRecv(t, master, "back")
	if size := slave.DataSize(); size != 100 {
		t.Errorf("data size %d", size)
	}
}

// TestValuesMoveToTheNewSegmentBeforeMessages, which are still unread in the old one.
func TestValuesMoveToTheNewSegmentBeforeMessages(t *testing.T) {
	name := freshName(t)
	c := startChild(t, name, Master, "old")
	slave := open(t, name, Slave, WithReconnectInterval(time.Millisecond))
	c.kill()
	master := open(t, name, Master, WithDataSize(100))
	if err := master.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if value, err := slave.Read(within(t, soon)); err != nil || string(value.Bytes()) != "new" || value.Generation != 2 {
		t.Errorf("Read: %q %v, generation %d", value.Bytes(), err, value.Generation)
	}
	mustSend(t, master, "new")
	mustRecv(t, slave, "old")
	if message := mustRecv(t, slave, "new"); message.Generation != 2 {
		t.Errorf("generation %d", message.Generation)
	}
}

func TestNoSystemCallWhileThePeerIsAwake(t *testing.T) {
	master, slave := pair(t)
	for range 1000 {
		mustSend(t, master, "message")
		mustRecv(t, slave, "message")
	}
	if wakeups := master.Stats().Wakeups + slave.Stats().Wakeups; wakeups != 0 {
		t.Errorf("%d wake-ups", wakeups)
	}
	received := make(chan error)
	go func() {
		_, err := slave.Recv(within(t, soon))
		received <- err
	}()
	until(t, "that it is parked", func() bool { return slave.parked.wake(false) > 0 })
	mustSend(t, master, "wake up")
	if err := <-received; err != nil {
		t.Fatal(err)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	master, slave := pair(t)
	ctx := context.Background()
	short, long := make([]byte, 10), make([]byte, 1000)
	buffer := make([]byte, 0, 1000)
	allocations := testing.AllocsPerRun(1000, func() {
		for _, message := range [][]byte{short, long} {
			if master.Send(ctx, message) != nil || master.Write(message) != nil {
				t.Fatal("Send")
			}
			received, err := slave.Borrow(ctx)
			if err != nil || len(received.Bytes()) != len(message) {
				t.Fatal("Borrow")
			}
			received.Release()
			if value, err := slave.ReadAppend(ctx, buffer); err != nil || len(value) != len(message) {
				t.Fatal("ReadAppend")
			}
			if master.Send(ctx, message) != nil {
				t.Fatal("Send")
			}
			if received, err := slave.RecvAppend(ctx, buffer); err != nil || len(received) != len(message) {
				t.Fatal("RecvAppend")
			}
		}
	})
	if allocations > 0.1 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestText(t *testing.T) {
	master, slave := pair(t)
	for _, text := range []string{"", "Hello from master #0", "größer als Ωmega, 日本語, 🤖"} {
		encoded, err := EncodeText(text)
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, master, string(encoded))
		message, err := slave.Recv(within(t, soon))
		if err != nil || len(message.Bytes()) != len(text)+1 {
			t.Fatalf("%d bytes, %v", len(message.Bytes()), err)
		}
		if decoded, err := message.Text(); decoded != text || err != nil {
			t.Errorf("%q %v, expected %q", decoded, err, text)
		}
	}
	if _, err := EncodeText("a\x00b"); !errors.Is(err, ErrInvalidText) {
		t.Errorf("a NUL: %v", err)
	}
	for _, wire := range []string{"a\x00b\x00", "\xff\xfe\x00", "a\x00\x00"} {
		if text, err := DecodeText([]byte(wire)); !errors.Is(err, ErrInvalidText) {
			t.Errorf("%q: %q %v", wire, text, err)
		}
	}
	if text, err := DecodeText([]byte("no terminator, and \uFFFD")); err != nil {
		t.Errorf("%q %v", text, err)
	}
}

func TestRolesAndStatesAreLoggedAsWords(t *testing.T) {
	text, err := json.Marshal(map[string]any{"role": Slave, "state": Frozen})
	if err != nil || string(text) != `{"role":"slave","state":"frozen"}` {
		t.Errorf("%s %v", text, err)
	}
}
