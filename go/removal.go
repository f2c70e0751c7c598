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
	// leastWatch and mostWatch bound the stale threshold of an ESHM 1.x process, which its header gives.
	leastWatch = 100 * time.Millisecond
	mostWatch  = time.Second
)

// Removal is the result of [Domain.RemoveDead].
type Removal struct {
	// Removed are the segments that were removed, as they were found before.
	Removed []Segment
	// Left are the segments that were not.
	Left []Left
}

// Left is a segment that was not removed.
type Left struct {
	Segment Segment
	// Reason tells why.
	Reason string
}

// RemoveDead removes the dead segments of the default domain: see [Domain.RemoveDead] and [DefaultDomain].
func RemoveDead() (Removal, error) {
	domain, err := DefaultDomain()
	if err != nil {
		return Removal{}, err
	}
	return domain.RemoveDead()
}

// FindDead returns what [RemoveDead] would do, and removes nothing: see [Domain.FindDead] and [DefaultDomain].
func FindDead() (Removal, error) {
	domain, err := DefaultDomain()
	if err != nil {
		return Removal{}, err
	}
	return domain.FindDead()
}

// RemoveDead removes the segments of this domain both of whose seats are free, with all that is unread in them, and the
// temporary files and event FIFOs that killed processes have left. [Domain.FindDead] tells which these are.
//
// This call holds both seats of a segment while it removes it, so that no endpoint can take one meanwhile: an endpoint
// that has just opened the file finds that its name is gone, and starts again. ESHM 1.x processes lock no seats. A
// segment that shows one is left, unless its heartbeat has stood still for the stale threshold and no process has its
// pid. An ESHM 1.x process that attaches at the moment of the removal is not noticed, as with the clean-up of ESHM 1.x.
// Files that are no segment, or not finished, are left.
//
// It waits for up to a second if an ESHM 1.x process seems to be dead, and for a few milliseconds otherwise. It fails
// as [Domain.Segments] does. A file that cannot be removed is among those that were left.
func (d Domain) RemoveDead() (Removal, error) { return d.remove(false) }

// FindDead returns what [Domain.RemoveDead] would do, and removes nothing.
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
	if !dry {
		d.removeFIFOs(names)
	}
	for _, name := range names {
		if strings.HasPrefix(name, d.Prefix+shm.Temporary) {
			removal.removeTemporary(name, strings.TrimSuffix(d.Directory, "/")+"/"+name, dry)
		}
	}
	return removal, nil
}

// removeFIFOs removes the event FIFOs of segments that do not exist any more, unless a process has it open: a slave that
// waits for its next master has one.
func (d Domain) removeFIFOs(names []string) {
	used := map[string]bool{}
	for _, file := range names {
		if name, ok := strings.CutPrefix(file, d.Prefix); ok {
			if at, err := addressOf(d, name); err == nil {
				used[at.fifoHash()] = true
			}
		}
	}
	for _, file := range names {
		// Behind the infix there are the role, a hyphen and the hash.
		rest, ok := strings.CutPrefix(file, d.Prefix+fifoInfix)
		if ok && len(rest) > 2 && !used[rest[2:]] {
			shm.RemoveUnusedFIFO(strings.TrimSuffix(d.Directory, "/") + "/" + file)
		}
	}
}

// gone is the verdict on a file that was removed by somebody else.
const gone = "it is gone"

// note records a verdict, which is empty for a segment that was removed.
func (r *Removal) note(segment Segment, verdict string) {
	switch verdict {
	case "":
		r.Removed = append(r.Removed, segment)
	case gone:
	default:
		r.Left = append(r.Left, Left{segment, verdict})
	}
}

// timeToWatch returns how long the pulses of the file's dead owners are to be watched.
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
			// An ESHM 1.x process of another PID namespace with the same pid may have followed.
			watch = max(watch, samePIDWatch)
		}
	}
	return watch
}

// remove removes a segment if both seats are free, and otherwise returns why not.
func (f *finding) remove(dry bool) string {
	if f.header == nil {
		return f.segment.Reason
	}
	// Before a seat is taken: a seat that is locked, if only for a moment, looks like an endpoint's.
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

// lockSeats locks both seats until the file is closed, and otherwise returns why not.
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

// whoMayLive names an owner of a seat that may not be dead, or returns "".
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

// unlink removes a name that still leads to the file, and otherwise returns why not.
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

// removeTemporary removes the temporary name of a file that became a segment, or that nobody is making into one any
// more.
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
	// A file with a second name has become a segment, and does not need this name.
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
