package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Refusal is a step that the system refused, or would have answered with a signal.
type Refusal struct {
	action string // what was tried: "opening it"
	cause  error
	advice string // what to do; "": see [Hint]
}

// Error is the step, and what the system says.
func (r *Refusal) Error() string { return r.action + ": " + r.cause.Error() }

// Unwrap returns what the system says.
func (r *Refusal) Unwrap() error { return r.cause }

// refused returns nil for no error.
func refused(action string, cause error) error {
	if cause == nil {
		return nil
	}
	return &Refusal{action: action, cause: cause}
}

// Hint says what a user can do about an error of this package; the directory is that of the segments.
func Hint(directory string, err error) string {
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) && refusal.advice != "" {
		return refusal.advice
	}
	is := func(errnos ...error) bool {
		for _, errno := range errnos {
			if errors.Is(err, errno) {
				return true
			}
		}
		return false
	}
	switch {
	case is(unix.ENOSPC, unix.ENOMEM):
		return directory + " is full: remove segments that nobody uses, choose a smaller data size, or mount it larger " +
			"(containers: --shm-size)"
	case is(unix.EACCES, unix.EPERM):
		return "it belongs to another user, or to a group that this one is not in, or its permissions do not let this one " +
			"in: open it as its owner, or have the master create it with a wider `mode` or another `group`"
	case is(unix.EFBIG):
		return "the file size limit of this process (ulimit -f) is smaller than the segment: raise it"
	case is(unix.EMFILE, unix.ENFILE):
		return "no file descriptors are left: close some, or raise the limit (ulimit -n)"
	case is(unix.EROFS):
		return directory + " is mounted read-only: mount it writable"
	case is(unix.ENOTDIR):
		return directory + " is no directory: choose another"
	case is(unix.ENOENT) && !exists(directory):
		return directory + " is missing: mount a tmpfs there, or choose another directory"
	default:
		return "see the system's message"
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// whyNotRemoved says why a name in a directory cannot be removed.
func whyNotRemoved(directory, path string, cause error) error {
	refusal := &Refusal{action: "removing " + path, cause: cause}
	if !errors.Is(cause, unix.EPERM) && !errors.Is(cause, unix.EACCES) {
		return refusal
	}
	var folder, file unix.Stat_t
	if unix.Stat(directory, &folder) != nil || unix.Lstat(path, &file) != nil {
		return refusal
	}
	if folder.Mode&unix.S_ISVTX != 0 {
		refusal.advice = fmt.Sprintf("it belongs to user %d, and %s has the sticky bit: only that user, user %d who owns the "+
			"directory, or root can remove it", file.Uid, directory, folder.Uid)
	} else {
		refusal.advice = fmt.Sprintf("%s belongs to user %d, and its permissions (%#o) do not let user %d remove files there",
			directory, folder.Uid, folder.Mode&0o7777, unix.Geteuid())
	}
	return refusal
}
