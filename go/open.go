package eshm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"eshm/internal/shm"
)

const (
	// seatWait is how long a caller tries to lock a seat. A survivor that clears it, or an endpoint that closes, holds
	// it for a moment.
	seatWait = 20 * time.Millisecond
	// samePIDWatch is how long a seat is watched whose last owner, of this protocol, was killed.
	samePIDWatch = 5 * time.Millisecond
	// pollInterval is the time between two polls for a segment or a seat.
	pollInterval = time.Millisecond
	// smallest is the size of the smallest segment, in bytes.
	smallest = 384
)

// opener attaches one endpoint.
type opener struct {
	address
	ctx      context.Context // ends the reservation of memory, too
	since    time.Time
	settings *settings
	mayWait  bool  // for seats
	replaced *link // the segment that a master has replaced, both of whose seats it holds; retained
}

// errAgain is a lost race, or a segment that is not there yet: try again. Its text says what was found.
type errAgain string

func (e errAgain) Error() string { return string(e) }

const (
	errMissing    = errAgain("there is no such segment")
	errRaced      = errAgain("it keeps being replaced")
	errEmpty      = errAgain("its file is empty: another process may be creating it")
	errUnfinished = errAgain("its header is empty: another process may be creating it")
)

// closeAfter closes a file that cannot be used, and returns why.
func closeAfter(file *shm.File, why error) error {
	_ = file.Close()
	return why
}

// open attaches. It tries again until the connect timeout is over.
func (o *opener) open(role Role) (*link, error) {
	for {
		l, err := o.attach(role)
		var again errAgain
		if !errors.As(err, &again) {
			return l, err
		}
		waited := time.Since(o.since)
		if o.ctx.Err() != nil || waited >= o.settings.connectTimeout {
			return nil, o.giveUp(role, again, waited)
		}
		sleepUntil(o.ctx, pollInterval)
	}
}

// giveUp returns the error of a wait for a segment that did not appear.
func (o *opener) giveUp(role Role, seen errAgain, waited time.Duration) error {
	if role != Slave && (seen == errEmpty || seen == errUnfinished) {
		// Nobody goes on making it, and it does not belong to this endpoint, which could remove it otherwise.
		return failForeign(o.address, "state", string(seen), "a finished segment")
	}
	cause := error(fs.ErrNotExist)
	if ended := contextCause(o.ctx); ended != nil {
		cause = fmt.Errorf("%w: %w", cause, ended)
	}
	return fail(ErrNotFound, o.name, cause, "%v after waiting %v for %s; start its master, or check the name",
		seen, waited, o.path)
}

func (o *opener) newLink(role Role, file *shm.File, id shm.ID, memory shm.Memory, g geometry) *link {
	l := newLink(o.address, role, file, id, memory, g)
	l.countsReads = !o.settings.background
	return l
}

// sleepUntil sleeps for a time, or until a context is done.
func sleepUntil(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (o *opener) attach(role Role) (*link, error) {
	switch role {
	case Master:
		return o.master(false)
	case Slave:
		return o.slave()
	}
	l, err := o.master(true)
	if errors.Is(err, ErrSeatTaken) {
		return o.slave()
	}
	return l, err
}

// slave attaches to the segment of that name.
func (o *opener) slave() (*link, error) {
	l, err := o.examine(Slave)
	if err != nil {
		return nil, err
	}
	if err := o.take(l, false); err != nil {
		return nil, closeAfter(l.file, err)
	}
	l.occupy()
	return l, nil
}

// master takes over the segment of that name, replaces it, or creates it.
func (o *opener) master(eager bool) (*link, error) {
	l, err := o.examine(Master)
	if errors.Is(err, errMissing) {
		return o.create(0)
	}
	if err != nil {
		return nil, err
	}
	if err := o.take(l, eager); err != nil {
		return nil, closeAfter(l.file, err)
	}
	if !o.replaces(l) {
		if err := l.file.SetAccess(o.settings.access()); err != nil {
			o.settings.logger.Warn("eshm: the permissions of the segment could not be changed", "segment", o.name, "error", err)
		}
		o.fill(l)
		l.occupy()
		return l, nil
	}
	return o.replace(l)
}

// replace creates a segment in place of an old one. It holds the old master's seat until the new segment has its name,
// so that two masters do not replace each other's segment.
func (o *opener) replace(old *link) (*link, error) {
	// First the steps that may fail.
	next, err := o.prepared(old.self.generation.Load(), o.settings.geometry())
	if err != nil {
		return nil, closeAfter(old.file, err)
	}
	if err := shm.Unlink(o.path); err != nil {
		_ = next.file.Close()
		return nil, closeAfter(old.file, o.refuseToCreate(err))
	}
	if err := o.publish(next); err != nil {
		return nil, closeAfter(old.file, err)
	}
	// A slave that is alive carries over what is in the old segment. If there is none, this master does.
	if old.header.extension.Load() == extensionValid && o.takePeerSeat(old) {
		o.replaced = old
	} else {
		old.release()
	}
	return next, nil
}

// replaces tells whether a master creates a new segment instead of taking over the one that it found.
func (o *opener) replaces(l *link) bool {
	if l.header.extension.Load() != extensionValid {
		// An ESHM 1.x process created it. Without a slave it holds nothing to keep, and a new segment can do more.
		return l.header.slaveAlive.Load() == 0
	}
	s := o.settings
	return s.dataSizeSet && uint64(s.dataSize) != l.geometry.dataSize ||
		s.queueCapacitySet && uint64(s.queueCapacity) != l.geometry.queueCapacity
}

// takePeerSeat takes the slave's seat in a segment that was replaced, unless a slave has it. A process that inspects
// the segment holds it for a moment only.
func (o *opener) takePeerSeat(old *link) bool {
	if old.peerIdentity().legacy {
		return false
	}
	for since := time.Now(); ; time.Sleep(pollInterval) {
		if taken := old.takePeerSeat(); taken || time.Since(since) >= seatWait {
			return taken
		}
	}
}
