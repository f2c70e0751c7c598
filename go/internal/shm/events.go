package shm

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// RawConn is the access of a program to a descriptor. It is declared here because only this package knows the system.
type RawConn = syscall.RawConn

const (
	// fifoFlags is how each end opens a FIFO. A write to a pipe that has no reader would raise SIGPIPE.
	fifoFlags = unix.O_RDWR | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOCTTY
	// pipeSize is the size of the pipe in bytes: one page, which one read empties.
	pipeSize = 4096
)

// EventDescriptor is the event descriptor of an endpoint of this process: a FIFO, or an eventfd where no FIFO can be
// made. Nobody else calls its methods during Close, and nobody after it.
type EventDescriptor struct {
	descriptor int
	path       string // of the FIFO; empty for an eventfd
	id         ID
}

// NewEventDescriptor makes a descriptor. A FIFO gets this path, in place of what a killed process has left there, and the
// group and the permissions of the segment's file. It fails if the process can have no descriptor more.
func (f *File) NewEventDescriptor(path string) (*EventDescriptor, error) {
	if d, err := f.makeFIFO(path); err == nil {
		return d, nil
	}
	descriptor, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, refused("making its event descriptor", err)
	}
	return &EventDescriptor{descriptor: descriptor}, nil
}

func (f *File) makeFIFO(path string) (*EventDescriptor, error) {
	var segment unix.Stat_t
	if err := unix.Fstat(f.descriptor, &segment); err != nil {
		return nil, err
	}
	_ = unix.Unlink(path)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, err
	}
	descriptor, err := openFile(path, fifoFlags, 0)
	if err != nil {
		_ = unix.Unlink(path)
		return nil, err
	}
	d := &EventDescriptor{descriptor: descriptor, path: path}
	if err := d.share(&segment); err != nil {
		_ = unix.Unlink(path)
		_ = unix.Close(descriptor)
		return nil, err
	}
	return d, nil
}

// share checks that this process has made the FIFO, and gives it the group and the permissions of the segment.
func (d *EventDescriptor) share(segment *unix.Stat_t) error {
	var stat unix.Stat_t
	if err := unix.Fstat(d.descriptor, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFIFO || int(stat.Uid) != os.Geteuid() {
		return unix.EEXIST
	}
	d.id = info(&stat).ID
	if stat.Gid != segment.Gid {
		// Without it, the members of the group find nothing to ring.
		_ = unix.Fchown(d.descriptor, -1, int(segment.Gid))
	}
	if stat.Uid == 0 && segment.Uid != 0 {
		_ = unix.Fchown(d.descriptor, int(segment.Uid), -1)
	}
	if err := unix.Fchmod(d.descriptor, segment.Mode&0o666); err != nil {
		return err
	}
	// Fails where the limit on pipes is reached: such a pipe has the least size already.
	_, _ = unix.FcntlInt(uintptr(d.descriptor), unix.F_SETPIPE_SZ, pipeSize)
	return nil
}

// HasFIFO tells whether another process can ring the descriptor.
func (d *EventDescriptor) HasFIFO() bool { return d.path != "" }

// Ring makes the descriptor readable.
func (d *EventDescriptor) Ring() { ring(d.descriptor, d.HasFIFO()) }

// Drain makes the descriptor unreadable, until the next ring. It reports whether it was readable.
func (d *EventDescriptor) Drain() bool {
	// A pipe that could not be made smaller, or that the peer fills again, stays readable.
	var buffer [pipeSize]byte
	n, err := unix.Read(d.descriptor, buffer[:])
	return n > 0 && err == nil
}

// Duplicate returns a file for the descriptor that outlives Close.
func (d *EventDescriptor) Duplicate() (*os.File, error) {
	descriptor, err := unix.FcntlInt(uintptr(d.descriptor), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, refused("duplicating its event descriptor", err)
	}
	return os.NewFile(uintptr(descriptor), "eshm-events"), nil
}

// Close closes the descriptor. It removes the name of the FIFO, if that still leads to it.
func (d *EventDescriptor) Close() {
	if d.HasFIFO() {
		if found, err := Stat(d.path); err == nil && found.ID == d.id {
			_ = unix.Unlink(d.path)
		}
	}
	_ = unix.Close(d.descriptor)
}

func ring(descriptor int, isFIFO bool) {
	var one [8]byte // an eventfd adds it
	binary.NativeEndian.PutUint64(one[:], 1)
	length := len(one)
	if isFIFO {
		length = 1
	}
	// It fails if the pipe is full, which is readable already.
	_, _ = unix.Write(descriptor, one[:length])
}

func isFIFO(path string) bool {
	found, err := Stat(path)
	return err == nil && found.Kind == kind(unix.S_IFIFO)
}

// RemoveFIFO removes the FIFO of an endpoint that is gone.
func RemoveFIFO(path string) {
	if isFIFO(path) {
		_ = unix.Unlink(path)
	}
}

// RemoveUnusedFIFO removes a FIFO that no process has open.
func RemoveUnusedFIFO(path string) {
	if !isFIFO(path) {
		return
	}
	descriptor, err := openFile(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(descriptor)
	} else if errors.Is(err, unix.ENXIO) {
		_ = unix.Unlink(path)
	}
}

// Ringer rings the event descriptor of the endpoint at the other end. The zero value is ready.
type Ringer struct {
	mu         sync.Mutex
	open       bool
	descriptor int
	generation uint32 // of the endpoint that the descriptor belongs to
}

// Ring makes the descriptor of this generation readable. It opens the FIFO at the first ring of a generation. A failure
// loses nothing: the other end looks for itself from time to time.
func (r *Ringer) Ring(generation uint32, path func() string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open || r.generation != generation {
		r.close()
		if r.descriptor, r.open = openPeerFIFO(path()); !r.open {
			return
		}
		r.generation = generation
	}
	ring(r.descriptor, true)
}

// openPeerFIFO opens what must be a FIFO. Its owner does not matter: a write of one byte to a FIFO that does not block
// does no harm. It looks before, too: to open a file of another kind may have an effect.
func openPeerFIFO(path string) (descriptor int, ok bool) {
	if !isFIFO(path) {
		return 0, false
	}
	descriptor, err := openFile(path, fifoFlags, 0)
	if err != nil {
		return 0, false
	}
	var stat unix.Stat_t
	if err := unix.Fstat(descriptor, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		_ = unix.Close(descriptor)
		return 0, false
	}
	return descriptor, true
}

// Close closes what Ring has opened.
func (r *Ringer) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close()
}

func (r *Ringer) close() {
	if r.open {
		_ = unix.Close(r.descriptor)
		r.open = false
	}
}
