package eshm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"eshm/internal/shm"
)

// examine opens the file of that name, and maps it if it is a segment that this endpoint can use.
func (o *opener) examine(role Role) (*link, error) {
	file, err := shm.Open(o.path)
	if err != nil {
		return nil, o.refuseToOpen(err)
	}
	l, err := o.overlay(file, role)
	if err != nil {
		return nil, closeAfter(file, err)
	}
	return l, nil
}

// refuseToOpen returns why a file cannot be opened.
func (o *opener) refuseToOpen(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing
	case errors.Is(err, shm.ErrSymlink):
		return failForeign(o.address, "file", "a symbolic link", "a regular file")
	case errors.Is(err, shm.ErrDirectory):
		return failForeign(o.address, "file", "a directory", "a regular file")
	default:
		return failAttach(o.address, err)
	}
}

func (o *opener) overlay(file *shm.File, role Role) (*link, error) {
	refuse := func(err error) error {
		return failAttach(o.address, err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, refuse(err)
	}
	if err := o.checkFile(info); err != nil {
		return nil, err
	}
	var head [headerSize]byte
	if err := file.ReadAt(head[:], 0); err != nil {
		return nil, refuse(err)
	}
	g, err := o.checkHead(&head, info.Size)
	if err == nil && role == Slave {
		err = o.checkSettings(g)
	}
	if err != nil {
		return nil, err
	}
	if binary.NativeEndian.Uint32(head[56:]) != extensionValid {
		// ESHM 1.x reserves no memory. A page for which there is none would be a SIGBUS.
		if err := file.Reserve(o.ctx, o.domain.Directory, g.segmentSize()); err != nil {
			return nil, refuse(err)
		}
	}
	memory, err := file.Map(g.segmentSize())
	if err != nil {
		return nil, refuse(err)
	}
	return o.newLink(role, file, info.ID, memory, g), nil
}

func (o *opener) checkFile(info shm.Info) error {
	user := os.Geteuid()
	switch {
	case info.Kind != shm.RegularFile:
		return failForeign(o.address, "file", "a "+info.Kind, "a regular file")
	case info.Owner != user && info.Owner != 0 && !o.settings.anyOwner:
		return failForeign(o.address, "owner", fmt.Sprintf("user %d", info.Owner),
			fmt.Sprintf("user %d (this one) or root; `any_owner` accepts others", user))
	case info.Size == 0:
		return errEmpty
	case info.Size < smallest:
		return failForeign(o.address, "size", inBytes(info.Size), fmt.Sprintf("at least %d bytes", smallest))
	}
	return nil
}

// checkHead inspects the header of this segment.
func (o *opener) checkHead(head *[headerSize]byte, size uint64) (geometry, error) {
	g, err := inspect(head, size, o.settings.geometry())
	if wrong := (*headerError)(nil); errors.As(err, &wrong) {
		err = failForeign(o.address, wrong.what, wrong.found, wrong.expected)
	}
	return g, err
}

// checkSettings compares what a slave was configured with to what it found.
func (o *opener) checkSettings(g geometry) error {
	s := o.settings
	if s.dataSizeSet && uint64(s.dataSize) != g.dataSize {
		return failForeign(o.address, "data size", inBytes(g.dataSize), fmt.Sprintf("%d bytes, as configured", s.dataSize))
	}
	if s.queueCapacitySet && uint64(s.queueCapacity) != g.queueCapacity {
		return failForeign(o.address, "queue capacity", inBytes(g.queueCapacity),
			fmt.Sprintf("%d bytes, as configured", s.queueCapacity))
	}
	return nil
}
