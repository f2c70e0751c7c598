package eshm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"eshm/internal/shm"
)

// Segment is a file of a domain, as [Domain.Segments] finds it.
type Segment struct {
	// Name is the name by which an endpoint opens it.
	Name string
	// Path is the path of its file.
	Path string
	// Kind is what the file is.
	Kind SegmentKind
	// Reason tells what is wrong with it. It is empty for a segment that can be opened.
	Reason string
	// Size is the size of the file, in bytes.
	Size uint64
	// Owner is the number of the user that the file belongs to.
	Owner int
	// Mode are the file's permissions.
	Mode fs.FileMode
	// Since is when the file was created. Where the file system does not know, it is when a system call last wrote to
	// it, which is never later than the last message.
	Since time.Time
	// View tells who has the seats, and how full the queues are. It is nil if that cannot be read.
	View *View
}

// SegmentKind is what a file of a domain is.
type SegmentKind int

const (
	// CurrentSegment is a segment that an endpoint of this version has created or taken over, in any language.
	CurrentSegment SegmentKind = iota
	// LegacySegment is a segment of ESHM 1.x.
	LegacySegment
	// UnfinishedSegment is a file that a process is making into a segment, or was when it was killed: one of ESHM 1.x,
	// or one that needs a temporary name.
	UnfinishedSegment
	// ForeignFile is a file that this version does not know as a segment.
	ForeignFile
	// UnreadableFile is a file that this process may not read.
	UnreadableFile
)

// String returns "current", "legacy", "unfinished", "foreign" or "unreadable", and "SegmentKind(N)" for any other
// number.
func (k SegmentKind) String() string {
	names := [...]string{"current", "legacy", "unfinished", "foreign", "unreadable"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("SegmentKind(%d)", int(k))
	}
	return names[k]
}

// MarshalText returns what [SegmentKind.String] returns, for logs and JSON.
func (k SegmentKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// View is the visible state of a segment. Nothing is locked while it is read: each number is true, but they may be of
// different moments.
type View struct {
	Master, Slave                SeatView
	MasterToSlave, SlaveToMaster DirectionView
}

// SeatView is the visible state of an endpoint.
type SeatView struct {
	// State is, in the result of [Domain.Segments], [Alive] for an endpoint that holds its seat, frozen or not. An ESHM
	// 1.x process is Alive if its heartbeat has changed within 20 ms. Otherwise it is [Dead] if no process of this PID
	// namespace has its pid, and [Frozen] if one has.
	State PeerState
	// PID is the endpoint's process, in its own PID namespace; 0 if there has been none.
	PID int
	// Heartbeat counts heartbeats.
	Heartbeat uint64
	// Generation counts how often an endpoint took the seat, those of ESHM 1.x excluded.
	Generation uint32
	// Legacy tells whether the endpoint is, or was, an ESHM 1.x process.
	Legacy bool
}

// DirectionView is the visible state of one direction.
type DirectionView struct {
	// Written and Read count values. Read may be a heartbeat interval old.
	Written, Read uint64
	// Waiting is how many messages of the queue were not released, 0 to Slots.
	Waiting uint32
	// HighWater is the greatest Waiting that the sender's process has seen.
	HighWater uint32
	// Slots is how many messages the queue can hold; 0 if there is no queue.
	Slots uint32
}

// Segments returns the segments of the default domain: see [Domain.Segments] and [DefaultDomain].
func Segments() ([]Segment, error) {
	domain, err := DefaultDomain()
	if err != nil {
		return nil, err
	}
	return domain.Segments()
}

// Segments returns the segments of this domain, sorted by name: all files of the directory whose name begins with the
// prefix. A file that is no segment is listed as [ForeignFile], since it occupies the name, unless no segment can have
// that name. Temporary files of segments that are being created are not listed.
//
// It only reads, and neither endpoint notices. It waits for 20 ms if there is an ESHM 1.x process, of which only the
// heartbeat tells whether it is alive. It fails with [ErrInvalidDomain], or with [ErrDirectory] if the directory cannot
// be read.
func (d Domain) Segments() ([]Segment, error) {
	found, err := d.readAll(shm.OpenToRead)
	if err != nil {
		return nil, err
	}
	defer closeAll(found)
	judgeLegacyProcesses(found)
	segments := make([]Segment, len(found))
	for i, one := range found {
		segments[i] = one.segment
	}
	return segments, nil
}

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

// fileNames returns the names in the directory.
func (d Domain) fileNames() ([]string, error) {
	if err := d.check("the directory", "the prefix"); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(d.Directory)
	if err != nil {
		return nil, fail(ErrDirectory, "", err, "domain: cannot read the directory %s (%v); make it, or choose one that this "+
			"user may read", d.Directory, err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// readAll reads each file that has a segment's name. The caller closes them.
func (d Domain) readAll(open func(path string) (*shm.File, error)) ([]*finding, error) {
	names, err := d.fileNames()
	if err != nil {
		return nil, err
	}
	var found []*finding
	for _, name := range names {
		name, ok := strings.CutPrefix(name, d.Prefix)
		if !ok {
			continue
		}
		at, err := addressOf(d, name)
		if err != nil {
			continue
		}
		if one := readFile(at, open); one != nil {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b *finding) int { return strings.Compare(a.segment.Name, b.segment.Name) })
	return found, nil
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
