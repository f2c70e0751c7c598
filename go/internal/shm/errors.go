package shm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Refusal is a step that the system refused, or would have answered with a signal.
type Refusal struct {
	action string // what was tried: "opening it"
	cause  error
	advice string // what to do; "": see [Hint]
}

// Error returns the step, and what the system says.
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

// Hint returns what a user can do about an error of this package. path is the file, directory that of the segments.
func Hint(directory, path string, err error) string {
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
		return whoMay(directory, path)
	case is(unix.EFBIG):
		return "the file size limit of this process (ulimit -f) is smaller than the segment: raise it"
	case is(unix.EMFILE, unix.ENFILE):
		return "no file descriptors are left: close some, or raise the limit (ulimit -n)"
	case is(unix.EROFS):
		return directory + " is mounted read-only: mount it writable"
	case is(unix.ENOTDIR):
		return directory + " is not a directory: choose another"
	case is(unix.ENOENT) && !exists(directory):
		return directory + " is missing: mount a tmpfs there, or choose another directory"
	default:
		return "see the system's message"
	}
}

// whoMay tells who may use the file of this path.
func whoMay(directory, path string) string {
	var file unix.Stat_t
	if unix.Lstat(path, &file) != nil {
		return "this user may not do so in " + directory + ": choose another directory, or another name"
	}
	return fmt.Sprintf("it belongs to user %d and group %d, with mode %04o: open it as its owner, or have the master create it "+
		"with a wider `mode` or another `group`", file.Uid, file.Gid, file.Mode&0o7777)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// notRemoved returns why a name cannot be removed.
func notRemoved(path string, cause error) error {
	refusal := &Refusal{action: "removing it", cause: cause}
	var folder, file unix.Stat_t
	directory := filepath.Dir(path)
	if !errors.Is(cause, unix.EPERM) && !errors.Is(cause, unix.EACCES) ||
		unix.Stat(directory, &folder) != nil || unix.Lstat(path, &file) != nil {
		return refusal
	}
	user := uint32(unix.Geteuid())
	switch {
	case folder.Mode&unix.S_ISVTX != 0 && user != file.Uid && user != folder.Uid:
		refusal.advice = fmt.Sprintf("it belongs to user %d, and %s has the sticky bit (mode %o), so that only its owner or root "+
			"can remove it", file.Uid, directory, folder.Mode&0o7777)
	default:
		refusal.advice = fmt.Sprintf("%s belongs to user %d, and its mode %04o does not let user %d remove files there",
			directory, folder.Uid, folder.Mode&0o7777, user)
	}
	return refusal
}
