package eshm

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"eshm/internal/shm"
)

// A master's name, and what happens when its file is removed: PROTOCOL.md §5.

// nameInterval is how often a master checks that its name leads to its segment.
const nameInterval = 100 * time.Millisecond

// nameLookAtLeast is the longest pause between two looks at the name itself. In between the times of its directory
// suffice.
const nameLookAtLeast = 3 * time.Second

// guardName checks a master's name from time to time, and acts on the result; mu is held.
func (e *Endpoint) guardName(now time.Time, directories *directoryStamps) {
	if e.displaced.Load() {
		return
	}
	// At the visit that is closest to the time.
	if now.Add(time.Duration(e.interval.Load()) / 2).After(e.nextNameCheck) {
		e.nextNameCheck = now.Add(nameInterval)
		if e.nameMayHaveChanged(now, directories) {
			e.checkName(now)
		}
	}
	if e.standIn != nil && e.slaveHasLeft() {
		e.switchToStandIn(now)
	}
}

// nameMayHaveChanged tells whether to look at the name itself.
func (e *Endpoint) nameMayHaveChanged(now time.Time, directories *directoryStamps) bool {
	// Read before the look, so that a change after it makes another stamp.
	stamp := directories.stamp(e.domain.Directory)
	if stamp != (shm.Stamp{}) && stamp == e.nameStamp && now.Before(e.nextNameLook) {
		return false
	}
	e.nameStamp, e.nextNameLook = stamp, now.Add(nameLookAtLeast)
	return true
}

// directoryStamps are the stamps of directories, each read once in a round of the background goroutine.
type directoryStamps struct {
	read map[string]shm.Stamp
}

// beginRound has the stamps read again.
func (d *directoryStamps) beginRound() { clear(d.read) }

// stamp returns the stamp of a directory, or the zero stamp where nobody can tell whether names have changed.
func (d *directoryStamps) stamp(directory string) shm.Stamp {
	stamp, known := d.read[directory]
	if known {
		return stamp
	}
	stamp, settled := shm.DirectoryStamp(directory)
	if !settled {
		stamp = shm.Stamp{}
	}
	if d.read == nil {
		d.read = make(map[string]shm.Stamp)
	}
	d.read[directory] = stamp
	return stamp
}

func (e *Endpoint) checkName(now time.Time) {
	named := e.link
	if e.standIn != nil {
		named = e.standIn
	}
	found, err := shm.Stat(e.path)
	switch {
	case err == nil && found.ID != named.id:
		e.noteEvent(slog.LevelError, "eshm: another segment has the name: this endpoint is displaced",
			"segment", e.name)
		e.dropStandIn()
		e.displaced.Store(true)
		e.wakeAll(now)
	case errors.Is(err, shm.ErrMissing):
		opener := opener{address: e.address, settings: &e.settings, ctx: context.Background()}
		made, err := opener.standIn(e.link)
		if err != nil {
			e.noteEvent(slog.LevelWarn, "eshm: the segment's file was removed, and cannot be replaced",
				"segment", e.name, "error", err)
			return
		}
		e.noteEvent(slog.LevelWarn, "eshm: the segment's file was removed: another one takes its name",
			"segment", e.name)
		e.dropStandIn() // an earlier one whose name was removed, too
		e.standIn = made
	}
}

func (e *Endpoint) dropStandIn() {
	if e.standIn != nil {
		e.standIn.release()
		e.standIn = nil
	}
}

// slaveHasLeft tells whether the slave's seat is free, and takes it if so.
func (e *Endpoint) slaveHasLeft() bool {
	l := e.link
	if l.peerIdentity().legacy && l.state != Dead && l.state != Closed {
		return false
	}
	return l.takePeerSeat()
}

func (e *Endpoint) switchToStandIn(now time.Time) {
	next := e.standIn
	e.standIn = nil
	if !e.switchTo(next, now) {
		return
	}
	// The peer of the old segment has closed as far as this one is concerned.
	next.state = Closed
	e.wakeAll(now)
	next.freePeerSeat()
}
