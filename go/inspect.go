package eshm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"

	"eshm/internal/shm"
)

// examine opens what has the name, and maps it if it is a segment that this endpoint can use.
func (o *opener) examine(role Role) (*link, error) {
	file, err := shm.Open(o.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errMissing
	case errors.Is(err, shm.ErrSymlink):
		return nil, failForeign(o.address, "file", "a symbolic link", "a regular file")
	case errors.Is(err, shm.ErrDirectory):
		return nil, failForeign(o.address, "file", "a directory", "a regular file")
	case err != nil:
		return nil, failAttach(o.address, err)
	}
	l, err := o.overlay(file, role)
	if err != nil {
		return nil, abandon(file, err)
	}
	return l, nil
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
		// ESHM 1.x does not: a page that finds no memory is a SIGBUS.
		if err := file.Reserve(o.ctx, o.domain.Directory, g.segmentSize()); err != nil {
			return nil, refuse(err)
		}
	}
	memory, err := file.Map(g.segmentSize())
	if err != nil {
		return nil, refuse(err)
	}
	return newLink(o.address, role, file, info.ID, memory, g), nil
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

// checkHead derives a segment's geometry from a copy of its header and from its file's size, and checks that they
// agree.
func (o *opener) checkHead(head *[headerSize]byte, size uint64) (geometry, error) {
	word := func(offset int) uint32 { return binary.NativeEndian.Uint32(head[offset:]) }
	foundMagic, foundVersion := word(0), word(4)
	if foundMagic == 0 && foundVersion == 0 {
		return geometry{}, errUnfinished
	}
	if foundMagic != magic {
		return geometry{}, failForeign(o.address, "magic", fmt.Sprintf("%#08x", foundMagic), fmt.Sprintf("%#08x", magic))
	}
	layout := uint64(word(52))
	switch foundVersion {
	case version:
	case versionPolling:
		layout = size
	default:
		return geometry{}, failForeign(o.address, "version", strconv.Itoa(int(foundVersion)), "2 or 3")
	}
	g := geometry{dataSize: uint64(word(60))}
	extension := word(56)
	switch extension {
	case extensionValid:
	case 0:
		g.dataSize = o.legacyDataSize(layout)
	default:
		return geometry{}, failForeign(o.address, "extension", strconv.FormatUint(uint64(extension), 10), "0 or 1")
	}
	if g.dataSize < 1 || g.dataSize > maxDataSize {
		return geometry{}, failForeign(o.address, "data size", inBytes(g.dataSize), fmt.Sprintf("1 to %d bytes", maxDataSize))
	}
	if layout != g.layoutSize() {
		return geometry{}, failForeign(o.address, "layout size", inBytes(layout),
			fmt.Sprintf("%d bytes, for a data size of %d", g.layoutSize(), g.dataSize))
	}
	if extension == extensionValid {
		g.queueSlots = uint64(word(84))
		g.queueOffset = binary.NativeEndian.Uint64(head[88:])
		g.queueCapacity = binary.NativeEndian.Uint64(head[96:])
	}
	if err := o.checkQueues(&g); err != nil {
		return geometry{}, err
	}
	if size < g.segmentSize() {
		return geometry{}, failForeign(o.address, "size", inBytes(size),
			fmt.Sprintf("at least %d bytes, by its header", g.segmentSize()))
	}
	return g, nil
}

// legacyDataSize is the data size of a segment that ESHM 1.x made, which does not say it.
func (o *opener) legacyDataSize(layout uint64) uint64 {
	configured := o.settings.geometry()
	if configured.layoutSize() == layout {
		return configured.dataSize
	}
	// Right for every multiple of 64, and too small by less than that for the others.
	channel := (layout - min(layout, headerSize)) / 2
	return channel - min(channel, 128)
}

func (o *opener) checkQueues(g *geometry) error {
	slots, offset, capacity := g.queueSlots, g.queueOffset, g.queueCapacity
	switch {
	case slots == 0:
		g.queueOffset, g.queueCapacity = 0, 0
		return nil
	case slots > maxQueueSlots || slots&(slots-1) != 0:
		return failForeign(o.address, "number of queue slots", strconv.FormatUint(slots, 10),
			fmt.Sprintf("a power of two up to %d", maxQueueSlots))
	case offset%128 != 0 || offset < g.layoutSize() || offset > math.MaxInt64/2:
		return failForeign(o.address, "queue offset", strconv.FormatUint(offset, 10),
			fmt.Sprintf("a multiple of 128 from %d on", g.layoutSize()))
	case capacity < 1 || capacity > maxQueueCapacity:
		return failForeign(o.address, "queue capacity", inBytes(capacity), fmt.Sprintf("1 to %d bytes", maxQueueCapacity))
	}
	return nil
}

// checkSettings compares what a slave was configured with and what it found.
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

func inBytes(count uint64) string { return strconv.FormatUint(count, 10) + " bytes" }
