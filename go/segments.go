package eshm

import (
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
	return nameOf(int(k), "SegmentKind", "current", "legacy", "unfinished", "foreign", "unreadable")
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
