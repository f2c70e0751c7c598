package eshm

import (
	"context"
	"fmt"
	"strings"
	"sync"
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

// TestReleaseMakesRoom: releasing a message releases it and those before it, and none behind it.
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
	messages[0].Release() // released already
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

func TestBorrowedMessageStaysUntilItIsReleased(t *testing.T) {
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

func TestReceivedBytesBelongToTheCaller(t *testing.T) {
	master, slave := pair(t)
	mustSend(t, master, strings.Repeat("a", 100))
	first := mustRecv(t, slave, strings.Repeat("a", 100))
	mustSend(t, master, strings.Repeat("b", 100))
	mustRecv(t, slave, strings.Repeat("b", 100))
	for range 5000 {
		mustSend(t, master, strings.Repeat("c", 100))
		mustRecv(t, slave, strings.Repeat("c", 100))
	}
	if string(first.Bytes()) != strings.Repeat("a", 100) {
		t.Error("the first message changed")
	}
	mustSend(t, master, "lent")
	mustSend(t, master, "next")
	lent, err := slave.Borrow(within(t, soon))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = slave.TryRecv()
	expectKind(t, "TryRecv", err, ErrBorrowed)
	if string(lent.Bytes()) != "lent" {
		t.Errorf("%q", lent.Bytes())
	}
	lent.Release()
	mustRecv(t, slave, "next")
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
