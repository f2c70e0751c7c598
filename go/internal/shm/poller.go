package shm

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Poller waits for any number of event descriptors in one goroutine, which needs no thread meanwhile: an epoll instance
// is a descriptor that the runtime of Go can wait for.
type Poller struct {
	file       *os.File // the epoll instance
	conn       RawConn
	descriptor int
	events     [64]unix.EpollEvent
}

// NewPoller fails where the runtime cannot wait for an epoll instance, or the process can have no descriptor more.
func NewPoller() (*Poller, error) {
	descriptor, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// os.NewFile takes only a descriptor that does not block for one to wait for.
	if err := unix.SetNonblock(descriptor, true); err != nil {
		_ = unix.Close(descriptor)
		return nil, err
	}
	file := os.NewFile(uintptr(descriptor), "eshm-poller")
	conn, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // fails if the runtime cannot wait for it
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Poller{file: file, conn: conn, descriptor: descriptor}, nil
}

// Add has Wait report each ring of the descriptor. It returns the number that Wait reports for it until Remove.
func (p *Poller) Add(d *EventDescriptor) (number int32, err error) {
	// Each ring once: the bytes stay in the pipe.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(d.descriptor)}
	return event.Fd, unix.EpollCtl(p.descriptor, unix.EPOLL_CTL_ADD, d.descriptor, &event)
}

// Remove ends what Add has begun, and returns the number. Other descriptors of the same open file may still exist.
func (p *Poller) Remove(d *EventDescriptor) (number int32) {
	_ = unix.EpollCtl(p.descriptor, unix.EPOLL_CTL_DEL, d.descriptor, nil)
	return int32(d.descriptor)
}

// Wait waits for rings, and passes the number of each descriptor to rung. It fails after Close. One goroutine calls it.
func (p *Poller) Wait(rung func(number int32)) error {
	count := 0
	err := p.conn.Read(func(descriptor uintptr) bool {
		var err error
		count, err = unix.EpollWait(int(descriptor), p.events[:], 0)
		return err == nil && count > 0
	})
	if err != nil {
		return err
	}
	for _, event := range p.events[:count] {
		rung(event.Fd)
	}
	return nil
}

// Close ends Wait.
func (p *Poller) Close() { _ = p.file.Close() }
