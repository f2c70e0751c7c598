package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ID tells one file from another, whatever its name.
type ID struct {
	device, inode uint64
}

// Info is what the system knows of a file.
type Info struct {
	ID      ID
	Size    uint64
	Owner   int
	Regular bool
}

// File is an open shared memory object, its locks, and its mapping once it has one.
//
// Its methods may be called from one goroutine at a time, except that memory may be used by others until Close.
type File struct {
	descriptor int
	memory     Memory
}

// Open opens an existing file for reading and writing. A symbolic link is not followed: the error is ELOOP.
func Open(path string) (*File, error) {
	descriptor, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("opening it: %w", err)
	}
	return &File{descriptor: descriptor}, nil
}

// Create makes a file that has no name yet, in the folder, with exactly this mode. Its memory is reserved, so that
// a full file system is an error here and not a SIGBUS later.
func Create(folder string, mode fs.FileMode, size uint64) (*File, error) {
	descriptor, err := unix.Open(folder, unix.O_RDWR|unix.O_CLOEXEC|unix.O_TMPFILE, uint32(mode.Perm()))
	if err != nil {
		return nil, fmt.Errorf("making a file in %s: %w", folder, err)
	}
	file := &File{descriptor: descriptor}
	// Open applied the umask.
	if err := unix.Fchmod(descriptor, uint32(mode.Perm())); err != nil {
		return nil, errors.Join(fmt.Errorf("setting its mode to %v: %w", mode, err), file.Close())
	}
	if err := file.Reserve(size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Reserve makes sure that the first size bytes have memory.
func (f *File) Reserve(size uint64) error {
	for {
		err := unix.Fallocate(f.descriptor, 0, 0, int64(size))
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR): // a signal interrupts the reservation of much memory
			return fmt.Errorf("reserving %d bytes: %w", size, err)
		}
	}
}

// Link gives a file that has no name this one. It fails with EEXIST if something has the name.
func (f *File) Link(path string) error {
	magic := filepath.Join("/proc/self/fd", strconv.Itoa(f.descriptor))
	return unix.Linkat(unix.AT_FDCWD, magic, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
}

// Unlink removes a name.
func Unlink(path string) error {
	return unix.Unlink(path)
}

// Stat describes what is under a name, without following a symbolic link.
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
		return Info{}, fmt.Errorf("examining it: %w", err)
	}
	return info(&stat), nil
}

func info(stat *unix.Stat_t) Info {
	return Info{
		ID:      ID{uint64(stat.Dev), stat.Ino},
		Size:    uint64(stat.Size),
		Owner:   int(stat.Uid),
		Regular: stat.Mode&unix.S_IFMT == unix.S_IFREG,
	}
}

// ReadHead fills the buffer from the start of the file.
func (f *File) ReadHead(buffer []byte) error {
	for filled := 0; filled < len(buffer); {
		n, err := unix.Pread(f.descriptor, buffer[filled:], int64(filled))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("reading it: %w", err)
		case n == 0:
			return fmt.Errorf("reading it: %d bytes, expected %d", filled, len(buffer))
		}
		filled += max(n, 0)
	}
	return nil
}

// Map maps the first size bytes, which the file must have.
func (f *File) Map(size uint64) (Memory, error) {
	memory, err := unix.Mmap(f.descriptor, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes: %w", size, err)
	}
	f.memory = memory
	return f.memory, nil
}

// Close unmaps and closes the file, and with it releases its locks. Nobody may use its memory any more.
func (f *File) Close() error {
	var unmapped error
	if f.memory != nil {
		unmapped = unix.Munmap(f.memory)
		f.memory = nil
	}
	return errors.Join(unmapped, unix.Close(f.descriptor))
}

// TryLock locks length bytes from start for this open file, if nobody else has them locked. The kernel
// releases the lock when the process ends, however it ends.
func (f *File) TryLock(start, length int64) (bool, error) {
	err := f.lock(unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: length})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking its seat: %w", err)
	}
	return true, nil
}

// Unlock gives up what [File.TryLock] locked.
func (f *File) Unlock(start, length int64) error {
	return f.lock(unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Start: start, Len: length})
}

// Locked tells whether somebody else has some of the bytes locked.
func (f *File) Locked(start, length int64) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: length}
	if err := f.lock(unix.F_OFD_GETLK, &lock); err != nil {
		return false, fmt.Errorf("examining a seat: %w", err)
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

// ErrMissing is what [Stat] and [Open] return where there is nothing.
var ErrMissing error = unix.ENOENT

// ErrSymlink is what [Open] returns for a symbolic link.
var ErrSymlink error = unix.ELOOP
