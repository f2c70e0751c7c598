package eshm

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// headerError tells which field of a header is not as it must be.
type headerError struct {
	what, found, expected string
}

// Error returns the text that the errors of [Open] contain.
func (m *headerError) Error() string {
	return fmt.Sprintf("the %s is %s, expected %s", m.what, m.found, m.expected)
}

// inspect derives a segment's geometry from a copy of its header and the size of its file. It fails with a
// [headerError] if these do not agree. ESHM 1.x does not store its data size: where several are possible, the
// configured or default geometry decides.
func inspect(head *[headerSize]byte, size uint64, configured geometry) (geometry, error) {
	word := func(offset int) uint32 { return binary.NativeEndian.Uint32(head[offset:]) }
	foundMagic, foundVersion := word(0), word(4)
	if foundMagic == 0 && foundVersion == 0 {
		return geometry{}, errUnfinished
	}
	if foundMagic != magic {
		return geometry{}, &headerError{"magic", fmt.Sprintf("%#08x", foundMagic), fmt.Sprintf("%#08x", magic)}
	}
	layout := uint64(word(52))
	switch foundVersion {
	case version:
	case versionPolling:
		layout = size
	default:
		return geometry{}, &headerError{"version", strconv.FormatUint(uint64(foundVersion), 10), "2 or 3"}
	}
	g := geometry{dataSize: uint64(word(60))}
	extension := word(56)
	switch extension {
	case extensionValid:
	case 0:
		g.dataSize = legacyDataSize(layout, configured)
	default:
		return geometry{}, &headerError{"extension", strconv.FormatUint(uint64(extension), 10), "0 or 1"}
	}
	if g.dataSize < 1 || g.dataSize > maxDataSize {
		return geometry{}, &headerError{"data size", inBytes(g.dataSize), fmt.Sprintf("1 to %d bytes", maxDataSize)}
	}
	if layout != g.layoutSize() {
		return geometry{}, &headerError{"layout size", inBytes(layout),
			fmt.Sprintf("%d bytes, for a data size of %d", g.layoutSize(), g.dataSize)}
	}
	if extension == extensionValid {
		g.queueSlots = uint64(word(84))
		g.queueOffset = binary.NativeEndian.Uint64(head[88:])
		g.queueCapacity = binary.NativeEndian.Uint64(head[96:])
	}
	if err := checkQueues(&g); err != nil {
		return geometry{}, err
	}
	if size < g.segmentSize() {
		return geometry{}, &headerError{"size", inBytes(size),
			fmt.Sprintf("at least %d bytes, by its header", g.segmentSize())}
	}
	return g, nil
}

// legacyDataSize returns the data size of a segment that ESHM 1.x created, which does not store it.
func legacyDataSize(layout uint64, configured geometry) uint64 {
	if configured.layoutSize() == layout {
		return configured.dataSize
	}
	// Exact for each multiple of 64, and too small by less than that for others.
	channel := (layout - min(layout, headerSize)) / 2
	return channel - min(channel, 128)
}

func checkQueues(g *geometry) error {
	slots, offset, capacity := g.queueSlots, g.queueOffset, g.queueCapacity
	switch {
	case slots == 0:
		g.queueOffset, g.queueCapacity = 0, 0
		return nil
	case slots > maxQueueSlots || slots&(slots-1) != 0:
		return &headerError{"number of queue slots", strconv.FormatUint(slots, 10),
			fmt.Sprintf("a power of two up to %d", maxQueueSlots)}
	case offset%128 != 0 || offset < g.layoutSize() || offset > math.MaxInt64/2:
		return &headerError{"queue offset", strconv.FormatUint(offset, 10),
			fmt.Sprintf("a multiple of 128 from %d on", g.layoutSize())}
	case capacity < 1 || capacity > maxQueueCapacity:
		return &headerError{"queue capacity", inBytes(capacity), fmt.Sprintf("1 to %d bytes", maxQueueCapacity)}
	}
	return nil
}

func inBytes(count uint64) string { return strconv.FormatUint(count, 10) + " bytes" }
