package eshm

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// What was accepted arrives, also when a segment is closed, replaced or loses its name: PROTOCOL.md §5.

// often has a slave search every 5 ms, so that a test does not take long, and without a limit of attempts.
var often = option(func(s *settings) { s.reconnectInterval, s.reconnectAttempts = 5*time.Millisecond, Unlimited })

func exists(name string) bool {
	_, err := os.Lstat(path(name))
	return err == nil
}

func mustRead(t testing.TB, e *Endpoint, expected string) {
	t.Helper()
	value, err := e.Read(within(t, soon))
	if err != nil || string(value.Bytes()) != expected {
		t.Fatalf("Read: %.50q, %v; expected %.50q", value.Bytes(), err, expected)
	}
}

func mustWrite(t testing.TB, e *Endpoint, value string) {
	t.Helper()
	if err := e.Write([]byte(value)); err != nil {
		t.Fatal(err)
	}
}

func mustSee(t testing.TB, e *Endpoint) {
	t.Helper()
	if err := e.WaitForPeer(within(t, soon)); err != nil {
		t.Fatal(err)
	}
}

func TestMailboxAndQueueAreReadOutApart(t *testing.T) {
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

func TestEverySegmentOnTheWayIsReadOut(t *testing.T) {
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

func TestNextMasterGetsWhatTheOneBeforeDidNotReceive(t *testing.T) {
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
	mustRecv(t, second, "x") // without another call of the slave
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

func TestWhatDoesNotFitIsCounted(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	slave := open(t, name, Slave, often)
	mustSend(t, slave, strings.Repeat("l", 4000))
	mustSend(t, slave, "small")
	_ = first.Close()
	second := open(t, name, Master, WithQueueCapacity(100), WithDataSize(100))
	mustRecv(t, second, "small")
	until(t, "the count", func() bool { return slave.Unreceived() == 1 })
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

func TestMasterThatReplacesMovesWhatBothEndsLeft(t *testing.T) {
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

func TestSlaveFindsAMasterAfterItsPatience(t *testing.T) {
	name := freshName(t)
	first := open(t, name, Master)
	const patience = 30 * time.Millisecond
	slave := open(t, name, Slave, often, WithReconnectTimeout(patience))
	_ = first.Close()
	closed := time.Now()
	until(t, "the patience", func() bool { return time.Since(closed) > 4*patience })
	_, err := slave.Recv(context.Background())
	expectKind(t, "Recv", err, ErrPeerClosed)
	second := open(t, name, Master)
	mustSee(t, second)
	mustSend(t, second, "late")
	mustRecv(t, slave, "late")
	mustSend(t, slave, "answer")
	mustRecv(t, second, "answer")
}

func TestNameThatWasRemovedLeadsToTheSameMasterAgain(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := open(t, name, Slave, often)
	mustSend(t, slave, "before")
	if err := os.Remove(path(name)); err != nil {
		t.Fatal(err)
	}
	until(t, "the stand-in", func() bool { return exists(name) })
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
	until(t, "the next slave", func() bool {
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

func TestMasterWhoseNameLeadsElsewhereIsTold(t *testing.T) {
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
	until(t, "the notice", func() bool { return errors.Is(first.Write(nil), ErrDisplaced) })
	mustRecv(t, first, "unread")
	_, err := first.Recv(context.Background())
	expectKind(t, "Recv", err, ErrDisplaced)
	_ = first.Close()
	if !exists(name) {
		t.Error("the other file is gone")
	}
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

func TestBatchSaysHowManyWent(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(4096))
	batch := make([][]byte, 200)
	sent, err := master.SendMany(within(t, 5*time.Millisecond), batch)
	if sent != 64 {
		t.Errorf("%d were sent, expected 64", sent)
	}
	expectKind(t, "SendMany", err, ErrTimeout)
	sent, err = master.TrySendMany(batch)
	if sent != 0 {
		t.Errorf("%d were sent, expected none", sent)
	}
	expectKind(t, "TrySendMany", err, ErrFull)
	if count, err := slave.RecvMany(within(t, soon), make([]Message, 100)); count != 64 || err != nil {
		t.Error(count, err)
	}
}

func TestRoomDoesNotProlongABatch(t *testing.T) {
	master, _ := pair(t, WithQueueCapacity(1<<20))
	// All of them fit, and the time is over.
	batch := make([][]byte, 4096)
	over, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	sent, err := master.SendMany(over, batch)
	if sent != batchChunk {
		t.Errorf("%d were sent, expected %d", sent, batchChunk)
	}
	expectKind(t, "SendMany", err, ErrTimeout)
	if rest, err := master.SendMany(context.Background(), batch[sent:]); sent+rest != len(batch) || err != nil {
		t.Error(rest, err)
	}
}

func TestStatisticsSeeMessages(t *testing.T) {
	master, slave := pair(t)
	for range 5 {
		mustSend(t, master, strings.Repeat("x", 100))
	}
	mustWrite(t, master, "a value is no message")
	mustRecv(t, slave, strings.Repeat("x", 100))
	sent, got := master.Stats(), slave.Stats()
	if sent.MessagesSent != 5 || sent.BytesSent != 500 || sent.Unreceived != 4 || sent.M2SQueueDepth != 4 ||
		sent.M2SQueueHighWater < 4 || sent.RoomWaits != 0 {
		t.Errorf("%+v", sent)
	}
	if got.MessagesReceived != 1 || got.BytesReceived != 100 || got.M2SQueueDepth != 4 || got.Reconnects != 0 || got.Stalls != 0 {
		t.Errorf("%+v", got)
	}
	for master.TrySend(nil) == nil {
	}
	expectKind(t, "Send", master.Send(within(t, 100*time.Millisecond), nil), ErrTimeout)
	full := master.Stats()
	if full.RoomWaits != 1 || full.RoomWaitTime < 2*time.Millisecond || full.M2SQueueHighWater != 1024 {
		t.Errorf("%+v", full)
	}
	borrowed := make([]Message, 3)
	if count, err := slave.BorrowMany(within(t, soon), borrowed); count != 3 || err != nil {
		t.Fatal(count, err)
	}
	borrowed[1].Release()
	if part := slave.Stats(); part.MessagesReceived != 3 || part.BytesReceived != 300 {
		t.Errorf("%+v", part)
	}
}

func TestReceiveWaitsInTheSegmentThatItHasMovedTo(t *testing.T) {
	name := freshName(t)
	for range 20 {
		first := open(t, name, Master)
		slave := open(t, name, Slave, often)
		_ = first.Close()
		second := open(t, name, Master)
		mustSee(t, second)
		_, err := slave.Read(within(t, time.Millisecond))
		expectKind(t, "Read", err, ErrTimeout)
		until(t, "the end of the carry-over", func() bool { return !slave.carryPending.Load() })
		// Nothing but this receive holds the old segment's memory when its wait begins.
		_, err = slave.Recv(within(t, time.Millisecond))
		expectKind(t, "Recv", err, ErrTimeout)
		_ = slave.Close()
		_ = second.Close()
	}
}

// brokenSegments are images that a slave must not move to.
func brokenSegments(t *testing.T) map[string][]byte {
	good := goodSegment(t)
	// The slave's outgoing queue is the second one.
	g := newGeometry(100, 64)
	slot := int(g.queueOffset + g.queueSize() + 384)
	published := patched(good, slot, uint32(1))
	return map[string][]byte{
		"header cut off": good[:100],
		"truncated":      good[:len(good)-1],
		"wrong magic":    patched(good, 0, uint32(7)),
		"empty":          {},
		"broken queue":   patched(published, slot+4, uint32(slotPayload+1)),
	}
}

// TestSlaveStaysUsableWhileTheNewSegmentIsBroken: a segment that cannot be opened whole leaves the slave where it is.
func TestSlaveStaysUsableWhileTheNewSegmentIsBroken(t *testing.T) {
	for what, image := range brokenSegments(t) {
		t.Run(what, func(t *testing.T) {
			name := freshName(t)
			master := open(t, name, Master)
			slave := openSlave(t, name)
			mustSend(t, master, "unread")
			mustSend(t, slave, "accepted")
			former := slave.current.Load()
			_ = master.Close()
			if err := os.WriteFile(path(name), image, 0o600); err != nil {
				t.Fatal(err)
			}
			until(t, "that the close is seen", func() bool { return slave.PeerState() == Closed })
			for range 3 {
				tried := slave.nextAttemptTime()
				until(t, "that it was tried", func() bool { return slave.nextAttemptTime().After(tried) })
			}
			if slave.current.Load() != former {
				t.Error("the slave has left its segment for a broken one")
			}
			expectKind(t, "TrySend", slave.TrySend([]byte("lost")), ErrReconnecting)
			expectKind(t, "Write", slave.Write([]byte("lost")), ErrReconnecting)
			mustRecv(t, slave, "unread")
			_, err := slave.Recv(within(t, time.Millisecond))
			expectKind(t, "Recv", err, ErrTimeout)

			removeName(t, name)
			next := open(t, name, Master)
			mustRecv(t, next, "accepted")
			mustSend(t, slave, "after")
			mustRecv(t, next, "after")
			mustSend(t, next, "answer")
			mustRecv(t, slave, "answer")
		})
	}
}

func TestStatisticsCountHeartbeatsSinceTheLastCall(t *testing.T) {
	master, slave := pair(t, WithStaleThreshold(250*time.Millisecond))
	first := master.Stats()
	if first.MasterHeartbeatDelta != first.MasterHeartbeat || first.StaleThreshold != 250*time.Millisecond {
		t.Errorf("%+v", first)
	}
	until(t, "that the slave beats", func() bool { return slave.link.self.heartbeat.Load() > first.SlaveHeartbeat+1 })
	second := master.Stats()
	if second.MasterHeartbeatDelta != second.MasterHeartbeat-first.MasterHeartbeat ||
		second.SlaveHeartbeatDelta != second.SlaveHeartbeat-first.SlaveHeartbeat || second.SlaveHeartbeatDelta < 2 {
		t.Errorf("%+v after %+v", second, first)
	}
}
