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
	// Name is what an endpoint opens it by.
	Name string
	// Path is its file.
	Path string
	// Kind is what the file is.
	Kind SegmentKind
	// Reason is what is wrong with it; empty for a segment that can be opened.
	Reason string
	// Size is the file's, in bytes.
	Size uint64
	// Owner is the number of the user that the file belongs to.
	Owner int
	// Mode is the file's permissions.
	Mode fs.FileMode
	// Since is when the file was made; where the file system does not say, when it was last written to by a system call,
	// which is never later than the last message.
	Since time.Time
	// View is who sits in the seats, and how full the queues are; nil if that cannot be read.
	View *View
}

// SegmentKind is what a file of a domain is.
type SegmentKind int

const (
	// CurrentSegment is one that an endpoint of this library, in whatever language, has made or taken over.
	CurrentSegment SegmentKind = iota
	// LegacySegment is one of ESHM 1.x.
	LegacySegment
	// UnfinishedSegment is one that an ESHM 1.x process, or one that needs a temporary name, is making, or was killed while
	// it did.
	UnfinishedSegment
	// ForeignFile is no segment that this version knows.
	ForeignFile
	// UnreadableFile is one that this process may not read.
	UnreadableFile
)

// String returns "current", "legacy", "unfinished", "foreign" or "unreadable", and for any other number "SegmentKind(N)".
func (k SegmentKind) String() string {
	names := [...]string{"current", "legacy", "unfinished", "foreign", "unreadable"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("SegmentKind(%d)", int(k))
	}
	return names[k]
}

// MarshalText is [SegmentKind.String], for logs and JSON.
func (k SegmentKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// View is what is to be seen of a segment. Nothing is locked meanwhile, so the numbers are each true, and may be of different
// moments.
type View struct {
	Master, Slave                SeatView
	MasterToSlave, SlaveToMaster DirectionView
}

// SeatView is what is to be seen of an endpoint.
type SeatView struct {
	// State is [Alive] for whoever holds its seat, frozen or not, or, of ESHM 1.x, whose heartbeat has moved within 20 ms.
	// An ESHM 1.x process whose heartbeat has not is [Dead] if no process has its pid, as far as this PID namespace knows,
	// and otherwise [Frozen].
	State PeerState
	// PID is what it gave, in its own PID namespace; 0 if nobody ever sat there.
	PID int
	// Heartbeat is its signs of life.
	Heartbeat uint64
	// Generation is how often the seat was taken, by endpoints that are not ESHM 1.x.
	Generation uint32
	// Legacy: it is, or was, an ESHM 1.x process.
	Legacy bool
}

// DirectionView is what is to be seen of one direction.
type DirectionView struct {
	// Written and Read count values; reads are up to a heartbeat interval old.
	Written, Read uint64
	// Waiting is how many messages in the queue were not released, 0 to Slots.
	Waiting uint32
	// HighWater is the most that were there at once, as the sender's process has seen it.
	HighWater uint32
	// Slots is the most messages that the queue can hold; 0 if there is no queue.
	Slots uint32
}

// Segments returns the segments of the domain that the environment chooses: see [Domain.Segments] and [DefaultDomain].
func Segments() ([]Segment, error) {
	domain, err := DefaultDomain()
	if err != nil {
		return nil, err
	}
	return domain.Segments()
}

// Segments returns the segments of this domain, in the order of their names: everything in the directory whose name begins
// with the prefix. What is no segment is listed as [ForeignFile], since it takes the name, except for a name that no segment
// can have. Temporary files of segments that are being made are not listed.
//
// It only reads, and takes no part: neither endpoint notices. It waits for 20 ms if there is an ESHM 1.x process, whose life
// shows by its heartbeat only. It fails with [ErrInvalidDomain], or with [ErrDirectory] when the directory cannot be read.
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

// finding is a file, what was found there, and what is needed to look again.
type finding struct {
	segment Segment
	file    *shm.File // nil if it could not be opened
	header  *header   // a copy; nil if it is no finished segment
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

// readAll looks at every file that has a segment's name. The caller closes them.
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

// lookAt looks at a file. It returns nil if the file is gone.
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

// describe is what the metadata say: no segment, until it turns out to be one.
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

// locked tells whether somebody holds the seat. On an error it counts as locked: nobody is declared dead for lack of an
// answer.
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
		state = Dead // of a process of ESHM 1.x it is not settled yet
	case pulse.pid == 0:
		state = Absent
	}
	return SeatView{
		State: state, PID: int(pulse.pid), Heartbeat: pulse.heartbeat, Generation: seat.generation.Load(),
		Legacy: pulse.pid != 0 && !seat.ours(pulse.pid),
	}
}

// view is the seat's part of the view.
func (f *finding) view(role Role) *SeatView {
	if role == Master {
		return &f.segment.View.Master
	}
	return &f.segment.View.Slave
}
