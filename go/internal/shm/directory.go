package shm

import (
	"time"

	"golang.org/x/sys/unix"
)

// settledAfter is how old the last change of a directory must be. A younger one may be followed by another that leaves
// no trace: file systems record times in steps of some milliseconds.
const settledAfter = 100 * time.Millisecond

// Stamp is the identity of a directory and the times of its last change. Each creation, removal or renaming of a name in
// it changes the times.
type Stamp struct {
	id                ID
	modified, changed unix.Timespec
}

// DirectoryStamp returns the stamp of a directory. Two equal stamps mean that no name has changed from the first to the
// second. It reports false where that cannot be told.
func DirectoryStamp(path string) (Stamp, bool) {
	now := time.Now()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return Stamp{}, false
	}
	last := time.Unix(stat.Mtim.Unix())
	if changed := time.Unix(stat.Ctim.Unix()); changed.After(last) {
		last = changed
	}
	stamp := Stamp{info(&stat).ID, stat.Mtim, stat.Ctim}
	// Not so if the clock was set back, either.
	return stamp, last.Add(settledAfter).Before(now)
}
