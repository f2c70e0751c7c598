package eshm

import (
	"os"
	"testing"
	"time"
)

// brokenSegments returns the images of segments that a slave must not switch to.
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

// TestSlaveStaysUsableWhileTheNewSegmentIsBroken: the slave leaves its segment only for one that it can open
// completely.
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
			until(t, "the close is seen", func() bool { return slave.PeerState() == Closed })
			for range 3 {
				tried := slave.nextAttemptTime()
				until(t, "it was tried", func() bool { return slave.nextAttemptTime().After(tried) })
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
