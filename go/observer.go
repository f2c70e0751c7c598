package eshm

import (
	"errors"
	"io/fs"
	"sync"
	"time"

	"eshm/internal/shm"
)

// Observer is read-only monitoring of a segment. It opens the file for reading only and reads it by system calls, so
// the permission to read the segment suffices, neither endpoint notices, and a file that is truncated ends no process.
// All of its methods may be called from any number of goroutines.
type Observer struct {
	address
	id       shm.ID
	geometry geometry

	mu      sync.Mutex // guards the rest
	finding *finding   // nil after Close
	judges  map[Role]*judge
}

// Observe opens a segment for monitoring. It never waits. Of the options, [WithDomain] and [WithAnyOwner] count, and
// [WithDataSize] for a segment of ESHM 1.x whose data size is no multiple of 64.
//
// It fails with [ErrNotFound] when there is no finished segment, and with [ErrAttach] or [ErrForeign] when what there
// is cannot be read or understood.
func Observe(name string, options ...Option) (*Observer, error) {
	settings, at, err := newSettings(name, options)
	if err != nil {
		return nil, err
	}
	opener := opener{address: at, settings: &settings}
	file, err := shm.OpenToRead(at.path)
	if err != nil {
		return nil, opener.notObserved(opener.refuseToOpen(err))
	}
	o := &Observer{address: at, finding: &finding{file: file}, judges: map[Role]*judge{}}
	if err := o.read(&opener); err != nil {
		return nil, closeAfter(file, opener.notObserved(err))
	}
	return o, nil
}

// notObserved makes an error of what [Open] would wait for.
func (o *opener) notObserved(err error) error {
	if seen := errAgain(""); errors.As(err, &seen) {
		return fail(ErrNotFound, o.name, fs.ErrNotExist, "%v: %s; start its master, or check the name", seen, o.path)
	}
	return err
}

// read checks the file and its header.
func (o *Observer) read(opener *opener) error {
	info, err := o.finding.file.Stat()
	if err != nil {
		return failAttach(o.address, err)
	}
	if err := opener.checkFile(info); err != nil {
		return err
	}
	head, err := readHeader(o.finding.file)
	if err != nil {
		return failAttach(o.address, err)
	}
	if o.geometry, err = opener.checkHead((*[headerSize]byte)(head), info.Size); err != nil {
		return err
	}
	o.id = info.ID
	now, header := time.Now(), shm.At[header](head, 0)
	for _, role := range seats {
		judge := newJudge(header.seat(role).pulse(), now)
		o.judges[role] = &judge
	}
	return nil
}

// Name returns the segment's name.
func (o *Observer) Name() string { return o.name }

// DataSize returns the size of the longest value, in bytes.
func (o *Observer) DataSize() int { return int(o.geometry.dataSize) }

// QueueCapacity returns the size of the longest message of a queue, in bytes; 0 on a segment without queues.
func (o *Observer) QueueCapacity() int { return int(o.geometry.queueCapacity) }

// IsCurrent tells whether the name still leads to this segment. If not, the segment was removed or replaced, and a new
// observer sees what came after it.
func (o *Observer) IsCurrent() bool {
	found, err := shm.Stat(o.path)
	return err == nil && found.ID == o.id
}

// View returns what is to be seen now. A seat is [Frozen] only if this observer has looked before, and long enough ago.
// It fails with [ErrClosed] after Close, and with [ErrAttach] when the file cannot be read any more.
func (o *Observer) View() (View, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finding == nil {
		return View{}, failClosed(o.name)
	}
	head, err := readHeader(o.finding.file)
	if err != nil {
		return View{}, failAttach(o.address, err)
	}
	o.finding.header = shm.At[header](head, 0)
	return View{
		Master: o.seat(Master), Slave: o.seat(Slave),
		MasterToSlave: o.finding.direction(o.geometry, masterToSlave),
		SlaveToMaster: o.finding.direction(o.geometry, slaveToMaster),
	}, nil
}

// seat returns what is to be seen of an endpoint; mu is held.
func (o *Observer) seat(role Role) SeatView {
	header := o.finding.header
	seat, threshold := header.seat(role), time.Duration(header.staleThreshold.Load())*time.Millisecond
	view, pulse := o.finding.seat(role), seat.pulse()
	// The lock tells at once whether an endpoint of ours has the seat. The pulse tells the rest.
	if view.State == Dead && !view.Legacy {
		return view
	}
	threshold = max(threshold, time.Millisecond)
	claimed := func() bool { return pulse.alive != 0 }
	view.State = o.judges[role].see(pulse, time.Now(), threshold, beforeQuery(threshold, view.Legacy, false), claimed)
	return view
}

// Close closes the file. Closing again does nothing.
func (o *Observer) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finding == nil {
		return nil
	}
	file := o.finding.file
	o.finding = nil
	return file.Close()
}
