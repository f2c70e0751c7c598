package shm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Temporary is the beginning, behind the prefix, of the temporary names of files that become segments, where the system
// cannot create a file without a name.
const Temporary = ".eshm-tmp"

// tries is how many temporary names are tried. One exists already with a chance of 2⁻⁶⁴, or is removed meanwhile by a
// process that cleans up.
const tries = 16

// A way is how a new file gets its name.
type way int

const (
	byProc       way = iota // by its entry in /proc/self/fd
	byDescriptor            // for root and, from Linux 6.10 on, for the process that created it
	byName                  // by its temporary name
)

// Create creates an empty file in the directory without a name or, where the system cannot, with a temporary one that
// begins with the prefix. The file has this access. The seat is locked, in bytes of the file: a process that cleans up
// leaves the temporary name alone then.
func Create(directory, prefix string, access Access, seat, length int64) (*File, error) {
	file, err := unnamed(directory, access.created())
	if errors.Is(err, errNoWay) {
		file, err = temporary(directory, prefix, access.created())
	}
	if err != nil {
		return nil, refused("making its file", err)
	}
	// No other process can have the seat of a file that none knows, except for one that cleans up.
	taken, err := file.TryLock(seat, length)
	switch {
	case err != nil:
	case !taken || file.temporary != "" && !file.Named(file.temporary):
		err = refused("making its file", unix.EAGAIN)
	default:
		err = file.SetAccess(access)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// errNoWay means that the system refuses a file without a name, or could not give it one.
var errNoWay = errors.New("files without a name do not work here")

func unnamed(directory string, mode uint32) (*File, error) {
	descriptor, err := openFile(directory, unix.O_RDWR|unix.O_CLOEXEC|unix.O_TMPFILE, mode)
	switch {
	case err == nil:
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EINVAL),
		errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, errNoWay
	default:
		return nil, err
	}
	file := &File{descriptor: descriptor, created: true}
	for _, file.way = range []way{byProc, byDescriptor} {
		// The directory exists: this answer shows that the way works.
		if errors.Is(file.link(directory), unix.EEXIST) {
			return file, nil
		}
	}
	_ = file.Close()
	return nil, errNoWay
}

func temporary(directory, prefix string, mode uint32) (*File, error) {
	for range tries {
		path := fmt.Sprintf("%s/%s%s-%d-%016x", directory, prefix, Temporary, os.Getpid(), rand.Uint64())
		flags := unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_RDWR | unix.O_CLOEXEC
		descriptor, err := openFile(path, flags, mode)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &File{descriptor: descriptor, created: true, way: byName, temporary: path}, nil
	}
	return nil, unix.EEXIST
}

// Link gives a new file this name. It fails with EEXIST if the name exists.
func (f *File) Link(path string) error {
	err := f.link(path)
	if f.way == byName && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP)) {
		directory := filepath.Dir(path)
		return &Refusal{"giving it its name", err, "the file system of " + directory +
			" has no hard links: choose a directory on another, such as a tmpfs"}
	}
	if err == nil {
		f.dropTemporary()
	}
	return refused("giving it its name", err)
}

func (f *File) link(path string) error {
	switch f.way {
	case byDescriptor:
		return unix.Linkat(f.descriptor, "", unix.AT_FDCWD, path, unix.AT_EMPTY_PATH)
	case byName:
		return unix.Linkat(unix.AT_FDCWD, f.temporary, unix.AT_FDCWD, path, 0)
	default:
		entry := filepath.Join("/proc/self/fd", strconv.Itoa(f.descriptor))
		return unix.Linkat(unix.AT_FDCWD, entry, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
}

// dropTemporary removes the temporary name. It may be gone: a process that cleans up removes it once the file has its
// real name.
func (f *File) dropTemporary() {
	if f.temporary != "" {
		_ = unix.Unlink(f.temporary)
		f.temporary = ""
	}
}

// Named tells whether the path leads to this file.
func (f *File) Named(path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	found, err := Stat(path)
	return err == nil && found.ID == mine.ID
}

// openFile opens a file, and tries again if a signal interrupts.
func openFile(path string, flags int, mode uint32) (int, error) {
	for {
		descriptor, err := unix.Open(path, flags, mode)
		if !errors.Is(err, unix.EINTR) {
			return descriptor, err
		}
	}
}
