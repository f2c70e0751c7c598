package eshm

import (
	"time"

	"eshm/internal/shm"
)

// take takes the seat of a link if the segment still has the name. The seat is locked as long as the link's file is
// open.
func (o *opener) take(l *link, eager bool) error {
	taken, err := o.claim(l, eager)
	if err != nil {
		return failAttach(o.address, err)
	}
	free := taken && o.isFreeOfLegacy(l)
	// A master that has just replaced this segment may hold the seat.
	if found, err := shm.Stat(o.path); err != nil || found.ID != l.id {
		return errRaced
	}
	if !free {
		return failSeatTaken(o.name, l.role, l.self.pid.Load())
	}
	return nil
}

// claim locks the seat. An eager caller stops as soon as the owner of the seat shows that it is alive.
func (o *opener) claim(l *link, eager bool) (bool, error) {
	first := l.self.pulse()
	for since := time.Now(); ; time.Sleep(pollInterval) {
		taken, err := l.file.TryLock(seatStart(l.role), seatLength)
		if taken || err != nil || !o.mayWait || time.Since(since) >= seatWait {
			return taken, err
		}
		if eager && l.self.pulse() != first {
			return false, nil
		}
	}
}

// isFreeOfLegacy tells whether no ESHM 1.x process, which holds no lock, has the seat: its pulse would move.
func (o *opener) isFreeOfLegacy(l *link) bool {
	first := l.self.pulse()
	if first.alive == 0 {
		return true
	}
	watch := o.settings.staleThreshold
	if l.self.ours(first.pid) {
		// Most likely it was killed. But an ESHM 1.x process of another PID namespace may have the same pid.
		watch = samePIDWatch
	} else if !o.mayWait {
		return false
	}
	for since := time.Now(); time.Since(since) < watch; time.Sleep(pollInterval) {
		if l.self.pulse() != first {
			return false
		}
	}
	return true
}
