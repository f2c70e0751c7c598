package eshm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"time"

	"eshm/internal/shm"
)

// Files are inspected by system calls and not mapped, so that a file that is truncated meanwhile ends no process.

// legacyWatch is how long an ESHM 1.x process is watched, which beats every millisecond.
const legacyWatch = 20 * time.Millisecond

// seats are the roles that have a seat.
var seats = [...]Role{Master, Slave}

// finding is a file, what was found in it, and what is needed to read it again.
type finding struct {
	segment Segment
	file    *shm.File // nil if it could not be opened
	header  *header   // a copy; nil if the file is no finished segment
}

func closeAll(found []*finding) {
	for _, one := range found {
		if one.file != nil {
			_ = one.file.Close()
		}
	}
}

// readFile reads a file. It returns nil if the file is gone.
func readFile(at address, open func(path string) (*shm.File, error)) *finding {
	info, err := shm.Stat(at.path)
	if err != nil {
		return nil
	}
	one := &finding{segment: describe(at.name, at.path, info)}
	if info.Kind != shm.RegularFile {
		one.segment.Reason = "it is a " + info.Kind + ", not a regular file"
		return one
	}
	file, err := open(at.path)
	switch {
	case errors.Is(err, shm.ErrMissing):
		return nil
	case err != nil:
		one.segment.Kind, one.segment.Reason = UnreadableFile, err.Error()
		return one
	}
	one.file = file
	one.read()
	return one
}

// describe returns what the metadata tell: the file is foreign until it turns out to be a segment.
func describe(name, path string, info shm.Info) Segment {
	return Segment{
		Name: name, Path: path, Kind: ForeignFile, Size: info.Size, Owner: info.Owner, Mode: info.Mode, Since: shm.Made(path),
	}
}

// read finds out what the file is.
func (f *finding) read() {
	s := &f.segment
	// The name may lead to another file by now.
	info, err := f.file.Stat()
	if err != nil || info.Kind != shm.RegularFile {
		s.Reason = "it has just been replaced"
		return
	}
	if s.Size = info.Size; s.Size == 0 {
		s.Kind, s.Reason = UnfinishedSegment, string(errEmpty)
		return
	}
	if s.Size < smallest {
		s.Reason = (&headerError{"size", inBytes(s.Size), fmt.Sprintf("at least %d bytes", smallest)}).Error()
		return
	}
	head, err := readHeader(f.file)
	if err != nil {
		s.Reason = err.Error()
		return
	}
	g, err := inspect((*[headerSize]byte)(head), s.Size, newGeometry(DefaultDataSize, DefaultQueueCapacity))
	switch {
	case errors.Is(err, errUnfinished):
		s.Kind, s.Reason = UnfinishedSegment, err.Error()
		return
	case err != nil:
		s.Reason = err.Error()
		return
	}
	f.header = shm.At[header](head, 0)
	s.Kind = CurrentSegment
	if f.header.extension.Load() != extensionValid {
		s.Kind = LegacySegment
	}
	s.View = &View{
		Master: f.seat(Master), Slave: f.seat(Slave),
		MasterToSlave: f.direction(g, masterToSlave), SlaveToMaster: f.direction(g, slaveToMaster),
	}
}

// readHeader copies a segment's header.
func readHeader(file *shm.File) (shm.Memory, error) {
	head := shm.Heap(headerSize)
	return head, file.ReadAt(head, 0)
}

// locked tells whether an endpoint holds the seat. An error counts as locked: no endpoint is declared dead for lack of
// an answer.
func (f *finding) locked(role Role) bool {
	locked, err := f.file.Locked(seatStart(role), seatLength)
	return locked || err != nil
}

func (f *finding) seat(role Role) SeatView {
	seat := f.header.seat(role)
	pulse := seat.pulse()
	state := Closed
	switch {
	case f.locked(role):
		state = Alive
	case pulse.alive != 0:
		state = Dead // not decided yet for an ESHM 1.x process
	case pulse.pid == 0:
		state = Absent
	}
	return SeatView{
		State: state, PID: int(pulse.pid), Heartbeat: pulse.heartbeat, Generation: seat.generation.Load(),
		Legacy: pulse.pid != 0 && !seat.ours(pulse.pid),
	}
}

// view returns the view of one seat.
func (f *finding) view(role Role) *SeatView {
	if role == Master {
		return &f.segment.View.Master
	}
	return &f.segment.View.Slave
}

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
