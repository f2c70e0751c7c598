package eshm

import (
	"encoding/binary"
	"sort"
	"time"

	"eshm/internal/shm"
)

// Files are inspected by system calls and not mapped, so that a file that is truncated meanwhile ends no process.

// legacyWatch is how long an ESHM 1.x process is watched, which beats every millisecond.
const legacyWatch = 20 * time.Millisecond

// seats are the roles that have a seat.
var seats = [...]Role{Master, Slave}

// word reads four bytes of the file; 0 where it cannot.
func (f *finding) word(offset uint64) uint32 {
	var bytes [4]byte
	if f.file.ReadAt(bytes[:], offset) != nil {
		return 0
	}
	return binary.NativeEndian.Uint32(bytes[:])
}

// count reads eight bytes of the file; 0 where it cannot.
func (f *finding) count(offset uint64) uint64 {
	var bytes [8]byte
	if f.file.ReadAt(bytes[:], offset) != nil {
		return 0
	}
	return binary.NativeEndian.Uint64(bytes[:])
}

// direction returns the state of a direction. The offsets are those of channelTail and queueControl.
func (f *finding) direction(g geometry, way direction) DirectionView {
	tail := headerSize + uint64(way)*g.channelSize() + g.channelTail()
	view := DirectionView{Written: f.count(tail), Read: f.count(tail + 8), Slots: uint32(g.queueSlots)}
	if g.queueSlots > 0 {
		control := g.queueOffset + uint64(way)*g.queueSize()
		view.Waiting = f.depth(control, view.Slots)
		view.HighWater = min(f.word(control+highWaterOffset), view.Slots)
	}
	return view
}

// highWaterOffset is the offset of queueControl.sender.highWater.
const highWaterOffset = 260

// depth returns what [queue.depth] does.
func (f *finding) depth(control uint64, slots uint32) uint32 {
	first := f.word(control)
	return uint32(sort.Search(int(slots), func(ahead int) bool {
		number := first + uint32(ahead)
		return f.word(control+384+64*uint64(number&(slots-1))) != number+1
	}))
}

// maybeLegacyAlive tells whether the seat shows an ESHM 1.x process that may be alive.
func (f *finding) maybeLegacyAlive(role Role) bool {
	if f.header == nil || f.view(role).State != Dead {
		return false
	}
	seat := f.header.seat(role)
	pulse := seat.pulse()
	return pulse.alive != 0 && !seat.ours(pulse.pid)
}

// judgeLegacyProcesses decides on the state of ESHM 1.x processes by whether their pulses change meanwhile.
func judgeLegacyProcesses(found []*finding) {
	type legacySeat struct {
		*finding
		role Role
	}
	var legacy []legacySeat
	for _, one := range found {
		for _, role := range seats {
			if one.maybeLegacyAlive(role) {
				legacy = append(legacy, legacySeat{one, role})
			}
		}
	}
	if len(legacy) == 0 {
		return
	}
	time.Sleep(legacyWatch)
	for _, one := range legacy {
		head, err := readHeader(one.file)
		if err != nil {
			continue
		}
		now := shm.At[header](head, 0).seat(one.role).pulse()
		switch first := one.header.seat(one.role).pulse(); {
		case now != first:
			one.view(one.role).State = Alive
		case shm.ProcessExists(int(now.pid)):
			one.view(one.role).State = Frozen
		}
	}
}
