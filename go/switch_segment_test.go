package eshm

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// Messages that were accepted arrive, also when a segment is closed, replaced, or loses its name: PROTOCOL.md §5.

// often has a slave search every 5 ms, so that a test does not take long, and without a limit of attempts.
var often = option(func(s *settings) { s.reconnectInterval, s.reconnectAttempts = 5*time.Millisecond, Unlimited })

func TestMailboxAndQueueAreReadSeparately(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	slave := open(t, name, Slave, often)
	mustSend(t, first, "a")
	mustWrite(t, first, "old")
	_ = first.Close()
	if count := first.Unreceived(); count != 1 {
		t.Errorf("%d messages were not received, expected 1", count)
	}
	second := open(t, name, Master)
	mustSee(t, second)
	mustRead(t, slave, "old")
	if _, ok, err := slave.TryRead(); ok || err != nil {
		t.Fatal(ok, err)
	}
	mustSend(t, second, "b")
	mustWrite(t, second, "new")
	mustRecv(t, slave, "a")
	mustRecv(t, slave, "b")
	mustRead(t, slave, "new")
}

func TestEverySegmentInBetweenIsRead(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	slave := open(t, name, Slave, often)
	_ = first.Close()
	for _, round := range []string{"0", "1", "", "3"} {
		master := open(t, name, Master)
		mustSee(t, master)
		if round != "" {
			mustSend(t, master, round)
			mustWrite(t, master, round)
		}
		_ = master.Close()
	}
	for _, round := range []string{"0", "1", "3"} {
		mustRecv(t, slave, round)
	}
	for _, round := range []string{"0", "1", "3"} {
		mustRead(t, slave, round)
	}
}

func TestNextMasterReceivesWhatTheLastOneDidNot(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	slave := open(t, name, Slave, often)
	for _, message := range []string{"received", "x", strings.Repeat("l", 5000)} {
		mustSend(t, slave, message)
	}
	mustWrite(t, slave, "latest")
	mustRecv(t, first, "received")
	_ = first.Close()
	second := open(t, name, Master)
	mustRecv(t, second, "x") // without a call of the slave
	mustSend(t, slave, "y")
	mustRecv(t, second, strings.Repeat("l", 5000))
	mustRecv(t, second, "y")
	mustRead(t, second, "latest")
	if _, ok, err := second.TryRecv(); ok || err != nil {
		t.Fatal(ok, err)
	}
	if count := slave.Unreceived(); count != 0 {
		t.Errorf("%d messages were not received, expected none", count)
	}
}

func TestCarryOverWaitsForRoom(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	slave := open(t, name, Slave, often)
	for i := range 1000 {
		mustSend(t, slave, string(rune(i)))
	}
	_ = first.Close()
	second := open(t, name, Master, WithQueueCapacity(64))
	mustSee(t, second)
	expectKind(t, "TrySend", slave.TrySend(nil), ErrFull)
	mustWrite(t, slave, "a value does not wait")
	mustRead(t, second, "a value does not wait")
	if count := slave.Unreceived(); count != 1000 {
		t.Errorf("%d messages were not received, expected 1000", count)
	}
	for i := range 10 {
		mustRecv(t, second, string(rune(i)))
	}
	_ = second.Close()
	third := open(t, name, Master, WithQueueCapacity(0))
	for i := range 20 {
		mustRecv(t, third, string(rune(i+10)))
	}
	_ = third.Close()
	fourth := open(t, name, Master)
	for i := range 970 {
		mustRecv(t, fourth, string(rune(i+30)))
	}
}

func TestMessagesThatDoNotFitAreCounted(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	slave := open(t, name, Slave, often)
	mustSend(t, slave, strings.Repeat("l", 4000))
	mustSend(t, slave, "small")
	_ = first.Close()
	second := open(t, name, Master, WithQueueCapacity(100), WithDataSize(100))
	mustRecv(t, second, "small")
	until(t, "it is counted", func() bool { return slave.Unreceived() == 1 })
	_ = slave.Close()
	if count := slave.Unreceived(); count != 1 {
		t.Errorf("%d messages were not received, expected 1", count)
	}
}

func TestSlaveIsToldHowManyWereNotReceived(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := open(t, name, Slave)
	mustSend(t, slave, "x")
	mustSend(t, slave, "y")
	_ = master.Close()
	_, err := slave.Recv(context.Background())
	var told *Error
	if !errors.As(err, &told) || !errors.Is(err, ErrPeerClosed) || told.Unreceived() != 2 {
		t.Errorf("%v", err)
	}
}

func TestMasterThatReplacesASegmentCarriesBothDirectionsOver(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master, WithAutoCleanup(false))
	slave := open(t, name, Slave)
	mustSend(t, slave, "to the next master")
	_ = slave.Close()
	mustSend(t, first, "to the next slave")
	_ = first.Close()
	second := open(t, name, Master, WithQueueCapacity(1000))
	mustRecv(t, second, "to the next master")
	mustSend(t, second, "and this")
	next := open(t, name, Slave)
	mustRecv(t, next, "to the next slave")
	mustRecv(t, next, "and this")
	mustSend(t, next, "answer")
	mustRecv(t, second, "answer")
}

func TestMasterReplacesASegmentWithoutQueues(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master, WithQueueCapacity(0), WithAutoCleanup(false))
	mustSend(t, first, "to the next slave")
	_ = first.Close()
	second := open(t, name, Master, WithQueueCapacity(8192))
	mustSend(t, second, "and this")
	slave := open(t, name, Slave)
	mustRecv(t, slave, "to the next slave")
	mustRecv(t, slave, "and this")
}

func TestRemovedNameLeadsToTheSameMasterAgain(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := open(t, name, Slave, often)
	mustSend(t, slave, "before")
	if err := os.Remove(path(name)); err != nil {
		t.Fatal(err)
	}
	until(t, "the stand-in has the name", func() bool { return exists(name) })
	_, err := Open(within(t, soon), name, Auto)
	expectKind(t, "Open", err, ErrSeatTaken)
	mustSend(t, master, "down")
	mustSend(t, slave, "up")
	mustRecv(t, slave, "down")
	mustRecv(t, master, "before")
	mustRecv(t, master, "up")
	mustSend(t, master, "left")
	_ = slave.Close()
	var next *Endpoint
	until(t, "the next slave attaches", func() bool {
		next, err = Open(within(t, soon), name, Slave)
		return err == nil
	})
	defer next.Close()
	mustRecv(t, next, "left")
	mustSend(t, next, "again")
	mustRecv(t, master, "again")
	_ = master.Close()
	if exists(name) {
		t.Error("the stand-in is left behind")
	}
}

func TestMasterWhoseNameWasTakenIsDisplaced(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	slave := open(t, name, Slave, often)
	mustSend(t, slave, "unread")
	if err := os.WriteFile(path(name)+"-other", []byte("another file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path(name)+"-other", path(name)); err != nil {
		t.Fatal(err)
	}
	until(t, "the master is displaced", func() bool { return errors.Is(first.Write(nil), ErrDisplaced) })
	mustRecv(t, first, "unread")
	_, err := first.Recv(context.Background())
	expectKind(t, "Recv", err, ErrDisplaced)
	_ = first.Close()
	if !exists(name) {
		t.Error("the other file is gone")
	}
}

func TestReceiveWaitsInTheSegmentThatItHasSwitchedTo(t *testing.T) {
	name := freshName(t)
	for range 20 {
		first := open(t, name, Master)
		slave := open(t, name, Slave, often)
		_ = first.Close()
		second := open(t, name, Master)
		mustSee(t, second)
		_, err := slave.Read(within(t, time.Millisecond))
		expectKind(t, "Read", err, ErrTimeout)
		until(t, "the carry-over ends", func() bool { return !slave.carryPending.Load() })
		// Nothing but this call retains the old segment's memory when its wait begins.
		_, err = slave.Recv(within(t, time.Millisecond))
		expectKind(t, "Recv", err, ErrTimeout)
		_ = slave.Close()
		_ = second.Close()
	}
}

// TestSlaveSwitchesToTheNewSegment: it first receives what is unread in the old one.
func TestSlaveSwitchesToTheNewSegment(t *testing.T) {
	name := freshName(t)
	c := startChild(t, name, Master, "old")
	slave := open(t, name, Slave, WithReconnectInterval(time.Millisecond))
	c.kill()
	master := open(t, name, Master, WithDataSize(100))
	mustSend(t, master, "new")
	if value := []byte("value"); master.Write(value) != nil {
		t.Fatal("Write")
	}
	until(t, "the slave has moved", func() bool { return slave.Stats().Reconnects == 1 })
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

// TestValuesSwitchToTheNewSegmentBeforeMessages: messages are still unread in the old one.
func TestValuesSwitchToTheNewSegmentBeforeMessages(t *testing.T) {
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
