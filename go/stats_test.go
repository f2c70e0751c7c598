package eshm

import (
	"strings"
	"testing"
	"time"
)

func TestStatisticsCountMessages(t *testing.T) {
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

func TestStatisticsCountHeartbeatsSinceTheLastCall(t *testing.T) {
	master, slave := pair(t, WithStaleThreshold(250*time.Millisecond))
	first := master.Stats()
	if first.MasterHeartbeatDelta != first.MasterHeartbeat || first.StaleThreshold != 250*time.Millisecond {
		t.Errorf("%+v", first)
	}
	until(t, "the slave beats", func() bool { return slave.link.self.heartbeat.Load() > first.SlaveHeartbeat+1 })
	second := master.Stats()
	if second.MasterHeartbeatDelta != second.MasterHeartbeat-first.MasterHeartbeat ||
		second.SlaveHeartbeatDelta != second.SlaveHeartbeat-first.SlaveHeartbeat || second.SlaveHeartbeatDelta < 2 {
		t.Errorf("%+v after %+v", second, first)
	}
}

func TestReconnectsCountThePeersThatCame(t *testing.T) {
	master, slave := pair(t)
	for lives := range uint64(3) {
		until(t, "it is counted", func() bool {
			return master.PeerState() == Alive && master.Stats().Reconnects == lives
		})
		_ = slave.Close()
		slave = open(t, master.Name(), Slave)
	}
	if s := master.Stats(); s.Stalls != 0 {
		t.Errorf("%d stalls", s.Stalls)
	}
}
