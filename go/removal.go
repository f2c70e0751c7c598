package eshm

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"eshm/internal/shm"
)

const (
	// leastWatch and mostWatch bound the stale threshold of an ESHM 1.x process, by its header.
	leastWatch = 100 * time.Millisecond
	mostWatch  = time.Second
)

// Removal is what [Domain.RemoveDead] has done.
type Removal struct {
	// Removed is what was removed, as it was found before.
	Removed []Segment
	// Left is what was not.
	Left []Left
}

// Left is a segment that was not removed.
type Left struct {
	Segment Segment
	// Reason says why.
	Reason string
}

// RemoveDead removes the dead segments of the domain that the environment chooses: see [Domain.RemoveDead] and
// [DefaultDomain].
func RemoveDead() (Removal, error) {
	domain, err := DefaultDomain()
	if err != nil {
		return Removal{}, err
	}
	return domain.RemoveDead()
}

// RemoveDead removes the segments of this domain in which nobody sits, with all that is unread in them, and the temporary
// files that killed processes have left. [Domain.FindDead] says which these are.
//
// A segment is removed while this call holds both of its seats, so that no endpoint can sit down meanwhile: one that has just
// opened the file finds its name gone, and starts again. ESHM 1.x processes hold no seats. A segment with the mark of one is
// left unless its heartbeat has stood still for the stale threshold and no process has its pid. An ESHM 1.x process that
// attaches at the very moment of the removal goes unnoticed, as with the clean-up of ESHM 1.x. What is no segment, or not
// finished, is left.
//
// It waits for up to a second if an ESHM 1.x process seems to be dead, and for some milliseconds at most otherwise. It fails
// as [Domain.Segments] does; a file that cannot be removed is among those that were left.
func (d Domain) RemoveDead() (Removal, error) { return d.remove(false) }

// FindDead says what [Domain.RemoveDead] would do, and does nothing.
func (d Domain) FindDead() (Removal, error) { return d.remove(true) }

func (d Domain) remove(dry bool) (Removal, error) {
	var removal Removal
	found, err := d.readAll(shm.Open)
	if err != nil {
		return removal, err
	}
	defer closeAll(found)
	watch := time.Duration(0)
	for _, one := range found {
		watch = max(watch, one.timeToWatch())
	}
	time.Sleep(watch)
	for _, one := range found {
		removal.note(one.segment, one.remove(dry))
	}
	names, err := d.fileNames()
	if err != nil {
		return removal, err
	}
	for _, name := range names {
		if strings.HasPrefix(name, d.Prefix+shm.Temporary) {
			removal.removeTemporary(name, strings.TrimSuffix(d.Directory, "/")+"/"+name, dry)
		}
	}
	return removal, nil
}

// gone is the verdict on a file that nobody has to remove any more.
const gone = "it is gone"

// note takes a verdict: empty for a segment that was removed.
func (r *Removal) note(segment Segment, verdict string) {
	switch verdict {
	case "":
		r.Removed = append(r.Removed, segment)
	case gone:
	default:
		r.Left = append(r.Left, Left{segment, verdict})
	}
}

// timeToWatch is for how long the pulses of those who were killed here are to be watched.
func (f *finding) timeToWatch() time.Duration {
	watch := time.Duration(0)
	if f.header == nil {
		return watch
	}
	threshold := time.Duration(f.header.staleThreshold.Load()) * time.Millisecond
	for _, role := range seats {
		switch {
		case f.maybeLegacyAlive(role):
			watch = max(watch, min(max(threshold, leastWatch), mostWatch))
		case f.view(role).State == Dead:
			// One of 1.x may have come after ours, in another PID namespace, with the same pid.
			watch = max(watch, samePIDWatch)
		}
	}
	return watch
}

// remove removes a segment if nobody sits there, and otherwise says why not.
func (f *finding) remove(dry bool) string {
	if f.header == nil {
		return f.segment.Reason
	}
	// Asked before a seat is taken: a seat that is taken, if only for a moment, looks like somebody's.
	for _, role := range seats {
		if f.locked(role) {
			return fmt.Sprintf("its %v lives (pid %d)", role, f.view(role).PID)
		}
	}
	if dry {
		return f.whoMayLive()
	}
	if verdict := lockSeats(f.file); verdict != "" {
		return verdict
	}
	if verdict := f.whoMayLive(); verdict != "" {
		return verdict
	}
	return unlink(f.file, f.segment.Path)
}

// lockSeats takes both seats until the file is closed, and otherwise says why not.
func lockSeats(file *shm.File) string {
	for _, role := range seats {
		taken, err := file.TryLock(seatStart(role), seatLength)
		if err != nil {
			return fmt.Sprintf("its seats cannot be taken: %v", err)
		}
		if !taken {
			return "somebody has just opened it"
		}
	}
	return ""
}

// whoMayLive names who has left its mark in a seat and may not be dead.
func (f *finding) whoMayLive() string {
	head, err := readHeader(f.file)
	if err != nil {
		return err.Error()
	}
	for _, role := range seats {
		seat := shm.At[header](head, 0).seat(role)
		pulse := seat.pulse()
		switch {
		case pulse.alive == 0:
		case pulse != f.header.seat(role).pulse():
			return fmt.Sprintf("its %v shows signs of life (pid %d)", role, pulse.pid)
		case !seat.ours(pulse.pid) && shm.ProcessExists(int(pulse.pid)):
			return fmt.Sprintf("its %v, of ESHM 1.x, may be alive: there is a process %d", role, pulse.pid)
		}
	}
	return ""
}

// unlink removes a name that still leads to the file, and otherwise says why not.
func unlink(file *shm.File, path string) string {
	if !file.Named(path) {
		return gone
	}
	err := shm.Unlink(path)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, shm.ErrMissing):
		return gone
	default:
		return fmt.Sprintf("%v; %s", err, shm.Hint(filepath.Dir(path), path, err))
	}
}

// removeTemporary removes the temporary name of a file that became a segment, or that nobody is making one of any more.
func (r *Removal) removeTemporary(name, path string, dry bool) {
	info, err := shm.Stat(path)
	if err != nil || info.Kind != shm.RegularFile {
		return
	}
	segment := describe(name, path, info)
	segment.Kind, segment.Reason = UnfinishedSegment, "it is a temporary file"
	file, err := shm.Open(path)
	if err != nil {
		r.note(segment, err.Error())
		return
	}
	defer func() { _ = file.Close() }()
	r.note(segment, tryTemporary(file, path, dry))
}

func tryTemporary(file *shm.File, path string, dry bool) string {
	// With a second name it has become a segment, which does not need this one.
	info, err := file.Stat()
	if err != nil {
		return err.Error()
	}
	if info.Links < 2 {
		one := finding{file: file}
		if one.locked(Master) || one.locked(Slave) || !dry && lockSeats(file) != "" {
			return "somebody is making a segment of it"
		}
	}
	if dry {
		return ""
	}
	return unlink(file, path)
}
