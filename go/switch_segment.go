package eshm

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"eshm/internal/shm"
)

// Switching to another segment: PROTOCOL.md §5.

// reconnect attaches a slave to the segment that has the name now, if it is another one; mu is held. It never waits:
// the next attempt tries a seat that is not free again.
func (e *Endpoint) reconnect(now time.Time) {
	found, err := shm.Stat(e.path)
	if err != nil || found.ID == e.link.id || !e.link.takePeerSeat() {
		return
	}
	opener := opener{address: e.address, settings: &e.settings, ctx: context.Background()}
	next, err := opener.slave()
	if err == nil && !e.switchTo(next, now) {
		err = errors.New("its queue is broken")
	}
	if err != nil {
		e.link.freePeerSeat()
		e.noteEvent(slog.LevelWarn, "eshm: cannot attach to the new segment", "segment", e.name, "error", err)
		return
	}
	e.counts.reconnects.Add(1)
	e.peer = next.peerIdentity()
	e.noteEvent(slog.LevelInfo, "eshm: moved to the new segment", "segment", e.name)
}

// switchTo makes a link the endpoint's; mu is held. The caller has taken the link's seat, and the peer's seat in the
// old segment. It reports false for a segment whose queue is broken: then nothing has changed.
func (e *Endpoint) switchTo(next *link, now time.Time) bool {
	if !next.outQueueIsSound() {
		_ = next.leave(false)
		next.release()
		return false
	}
	next.self.publishThreshold(e.settings.staleThreshold)
	next.judge = judgePresentPeer(next.peer.pulse(), time.Now(), e.settings.staleThreshold)
	old := e.link
	_ = old.leave(false) // it removes no name
	next.epoch = old.epoch + 1
	next.state = Alive
	if old.hasUnread() {
		e.keepUnread(old) // takes over the endpoint's hold on it
	} else {
		defer old.release()
	}
	e.link = next
	e.current.Store(next)
	e.carryPending.Store(true)
	e.staleSince, e.gaveUp = time.Time{}, false
	e.noMaster.Store(false)
	e.lastStats = next.heartbeats()
	if s := e.source.Load(); s != nil {
		s.disarm()
	}
	e.wakeAll(now)
	return true
}

// keepUnread puts a segment that was left behind the others that are still to be read; mu is held. Of several that hold
// nothing but an unread value, it keeps the newest.
func (e *Endpoint) keepUnread(old *link) {
	if !old.in.free() {
		e.unread = slices.DeleteFunc(e.unread, func(one *link) bool {
			superfluous := one.epoch <= e.messagesAt || !one.hasMessages()
			if superfluous {
				one.release()
			}
			return superfluous
		})
	}
	e.unread = append(e.unread, old)
}

// noteValues records that values are read in the segment of this epoch.
func (e *Endpoint) noteValues(epoch int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.valuesAt = epoch
}

// retainNextSegment returns the segment to read after the one of this epoch, retained, or nil after Close.
func (e *Endpoint) retainNextSegment(epoch int, reading *int) *link {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return nil
	}
	next := e.link
	for _, one := range e.unread {
		if one.epoch > epoch {
			next = one
			break
		}
	}
	next.retain()
	*reading = next.epoch
	e.dropReadOut()
	return next
}

// dropReadOut releases the segments that hold nothing unread; mu is held.
func (e *Endpoint) dropReadOut() {
	e.unread = slices.DeleteFunc(e.unread, func(one *link) bool {
		messages := one.epoch > e.messagesAt && one.hasMessages()
		values := one.epoch > e.valuesAt && !one.in.free()
		if !messages && !values {
			one.release()
		}
		return !messages && !values
	})
}
