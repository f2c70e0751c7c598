package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// ID tells one file from another, whatever its name is.
type ID struct {
	device, inode uint64
}

// Info is what the system knows of a file.
type Info struct {
	ID    ID
	Size  uint64
	Owner int
	Mode  fs.FileMode // the permissions
	Kind  string      // [RegularFile], or what else it is
	Links uint64      // how many names it has
}

// RegularFile is the kind of a file that can be a segment.
const RegularFile = "regular file"

// File is an open shared memory object, its locks, and its mapping once it has one.
//
// Its methods may be called from one goroutine at a time, except that memory may be used by others until Close.
type File struct {
	descriptor int
	memory     Memory
	created    bool   // it is new: no other process can know it
	way        way    // how it gets its name, if it was created
	temporary  string // its path until it has its name, where it needs one
}

// Open opens an existing file for reading and writing. A symbolic link is not followed: the error is ELOOP.
func Open(path string) (*File, error) {
	return open(path, unix.O_RDWR)
}

// OpenToRead opens an existing file for reading only. It cannot be mapped or locked.
func OpenToRead(path string) (*File, error) {
	return open(path, unix.O_RDONLY)
}

func open(path string, access int) (*File, error) {
	// O_NONBLOCK: a FIFO must not wait for its other end.
	descriptor, err := openFile(path, access|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, refused("opening it", err)
	}
	return &File{descriptor: descriptor}, nil
}

// Made returns when the file of this name was created or, where the file system does not know, when a system call last
// wrote to it.
func Made(path string) time.Time {
	var found unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME|unix.STATX_MTIME, &found) == nil {
		if found.Mask&unix.STATX_BTIME != 0 {
			return time.Unix(found.Btime.Sec, int64(found.Btime.Nsec))
		}
		return time.Unix(found.Mtime.Sec, int64(found.Mtime.Nsec))
	}
	return time.Time{}
}

func kind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return RegularFile
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFIFO:
		return "FIFO"
	case unix.S_IFSOCK:
		return "socket"
	default:
		return "special file"
	}
}

// Stat describes the file of this name, without following a symbolic link.
func Stat(path string) (Info, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return Info{}, err
	}
	return info(&stat), nil
}

// Stat describes the file.
func (f *File) Stat() (Info, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(f.descriptor, &stat); err != nil {
		return Info{}, refused("inspecting it", err)
	}
	return info(&stat), nil
}

func info(stat *unix.Stat_t) Info {
	return Info{
		ID:    ID{uint64(stat.Dev), stat.Ino},
		Size:  uint64(stat.Size),
		Owner: int(stat.Uid),
		Mode:  fs.FileMode(stat.Mode & 0o777),
		Kind:  kind(stat.Mode),
		Links: uint64(stat.Nlink),
	}
}

// ReadAt fills the buffer from this offset of the file.
func (f *File) ReadAt(buffer []byte, offset uint64) error {
	for filled := 0; filled < len(buffer); {
		n, err := unix.Pread(f.descriptor, buffer[filled:], int64(offset)+int64(filled))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return refused("reading it", err)
		case n == 0:
			return refused("reading it", fmt.Errorf("it ends %d bytes too early", len(buffer)-filled))
		}
		filled += max(n, 0)
	}
	return nil
}

// Close unmaps and closes the file, which releases its locks. Its memory must not be used any more. A new file that was
// not linked is gone.
func (f *File) Close() error {
	f.dropTemporary()
	var unmapped error
	if f.memory != nil {
		unmapped = unix.Munmap(f.memory)
		f.memory = nil
	}
	return errors.Join(unmapped, unix.Close(f.descriptor))
}

// TryLock locks length bytes from start for this open file, if nobody else has locked them. The kernel releases the
// lock when the process ends, in whatever way.
func (f *File) TryLock(start, length int64) (bool, error) {
	err := f.lock(unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: length})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOLCK) {
		return false, &Refusal{"locking its seat", err, "this system, sandbox or file system has no open file description locks " +
			"(F_OFD_SETLK), which hold the seats: choose a directory on a tmpfs, and a kernel that has them (Linux 3.15)"}
	}
	if err != nil {
		return false, refused("locking its seat", err)
	}
	return true, nil
}

// Unlock releases what [File.TryLock] locked.
func (f *File) Unlock(start, length int64) error {
	return f.lock(unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Start: start, Len: length})
}

// Locked tells whether somebody else has locked some of the bytes.
func (f *File) Locked(start, length int64) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: length}
	if err := f.lock(unix.F_OFD_GETLK, &lock); err != nil {
		return false, refused("examining a seat", err)
	}
	return lock.Type != unix.F_UNLCK, nil
}

func (f *File) lock(command int, lock *unix.Flock_t) error {
	for {
		if err := unix.FcntlFlock(uintptr(f.descriptor), command, lock); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// ProcessExists tells whether some process of this PID namespace has the pid.
func ProcessExists(pid int) bool {
	return !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// ErrMissing is the error of [Stat] and [Open] for a name that does not exist.
var ErrMissing error = unix.ENOENT

// ErrDirectory is the error of [Open] for a directory.
var ErrDirectory error = unix.EISDIR

// ErrSymlink is the error of [Open] for a symbolic link.
var ErrSymlink error = unix.ELOOP
