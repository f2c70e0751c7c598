package eshm

import (
	"time"

	"eshm/internal/shm"
)

// take takes the seat of a link, for as long as its file is open, if the segment still has the name.
func (o *opener) take(l *link, eager bool) error {
	taken, err := o.claim(l, eager)
	if err != nil {
		return failAttach(o.address, err)
	}
	free := taken && o.isFreeOfLegacy(l)
	// A seat that is taken may be so by a master that has just replaced this segment.
	if found, err := shm.Stat(o.path); err != nil || found.ID != l.id {
		return errRaced
	}
	if !free {
		return failSeatTaken(o.name, l.role, l.self.pid.Load())
	}
	return nil
}

// claim locks the seat. An eager claimant has enough when it sees that the one who has the seat lives.
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

// quiet tells whether no ESHM 1.x process, which holds no lock, has the seat: then its pulse would move.
func (o *opener) isFreeOfLegacy(l *link) bool {
	first := l.self.pulse()
	if first.alive == 0 {
		return true
	}
	watch := o.settings.staleThreshold
	if l.self.ours(first.pid) {
		// Killed, most likely. But one of 1.x with the same pid, of another PID namespace, looks just so.
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
