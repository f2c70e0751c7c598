package eshm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"time"

	"eshm/internal/shm"
)

const (
	// seatPatience is how long a claimant tries: a seat may be locked for a moment, by a survivor that tidies up or
	// by an endpoint that is closing.
	seatPatience = 20 * time.Millisecond
	// samePIDWatch is for how long a seat is watched that one of ours was killed on.
	samePIDWatch = 5 * time.Millisecond
	// glance is how often somebody looks who waits for a segment or a seat.
	glance = time.Millisecond
	// smallest is the size of the smallest segment, in bytes.
	smallest = 384
)

// opener attaches one endpoint.
type opener struct {
	name     string
	settings *settings
	patient  bool  // may wait for seats
	replaced *link // the segment that a master has replaced, both of whose seats it holds; retained
}

// errAgain is a race that was lost, or a segment that is not there yet: look again. Its text says what was seen.
type errAgain string

func (e errAgain) Error() string { return string(e) }

const (
	errMissing = errAgain("there is no such segment")
	errRaced   = errAgain("it keeps being replaced")
)

// abandon closes a file that is of no use, and returns why.
func abandon(file *shm.File, why error) error {
	_ = file.Close()
	return why
}

// open attaches, looking again until the connect timeout is over.
func (o *opener) open(ctx context.Context, role Role) (*link, error) {
	since := time.Now()
	for {
		l, err := o.attach(role)
		var again errAgain
		if !errors.As(err, &again) {
			return l, err
		}
		waited := time.Since(since)
		if ctx.Err() != nil || waited >= o.settings.connectTimeout {
			return nil, fail(ErrNotFound, o.name, ctx.Err(),
				"%v after waiting %v; start its master, or check the name", again, waited)
		}
		pause(ctx, glance)
	}
}

// pause waits for a time, or for the end of a context.
func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (o *opener) attach(role Role) (*link, error) {
	switch role {
	case Master:
		return o.master(false)
	case Slave:
		return o.slave()
	}
	l, err := o.master(true)
	if errors.Is(err, ErrSeatTaken) {
		return o.slave()
	}
	return l, err
}

// slave attaches to the segment of that name.
func (o *opener) slave() (*link, error) {
	l, err := o.examine(Slave)
	if err != nil {
		return nil, err
	}
	if err := o.take(l, false); err != nil {
		return nil, abandon(l.file, err)
	}
	l.occupy()
	return l, nil
}

// master takes over the segment of that name, or replaces it, or creates it.
func (o *opener) master(eager bool) (*link, error) {
	l, err := o.examine(Master)
	if errors.Is(err, errMissing) {
		return o.create(0)
	}
	if err != nil {
		return nil, err
	}
	if err := o.take(l, eager); err != nil {
		return nil, abandon(l.file, err)
	}
	if !o.replaces(l) {
		o.fill(l)
		l.occupy()
		return l, nil
	}
	return o.replace(l)
}

// replace makes a segment in place of an old one, whose master's seat is ours until the new one is there, so that two
// masters do not replace each other's.
func (o *opener) replace(old *link) (*link, error) {
	// First what may fail.
	next, err := o.prepared(old.self.generation.Load(), o.settings.geometry())
	if err != nil {
		return nil, abandon(old.file, err)
	}
	if err := shm.Unlink(path(o.name)); err != nil {
		_ = next.file.Close()
		return nil, abandon(old.file, fail(ErrCreate, o.name, err, "cannot replace it (%v); see the system's message", err))
	}
	if err := o.publish(next); err != nil {
		return nil, abandon(old.file, err)
	}
	// A slave that lives moves over what is in the old segment; else this master does.
	if old.header.extension.Load() == extensionValid && o.takePeerSeat(old) {
		o.replaced = old
	} else {
		old.release()
	}
	return next, nil
}

// replaces tells whether a master makes a new segment instead of the one that was left behind.
func (o *opener) replaces(l *link) bool {
	if l.header.extension.Load() != extensionValid {
		// ESHM 1.x made it. Without a slave there is nothing in it to keep, and ours can do more.
		return l.header.slaveAlive.Load() == 0
	}
	s := o.settings
	return s.dataSizeSet && uint64(s.dataSize) != l.geometry.dataSize ||
		s.queueCapacitySet && uint64(s.queueCapacity) != l.geometry.queueCapacity
}

// takePeerSeat takes the slave's seat in a segment that was replaced, if nobody has it but one who looks into the segment for a
// moment.
func (o *opener) takePeerSeat(old *link) bool {
	if old.peerLife().legacy {
		return false
	}
	for since := time.Now(); ; time.Sleep(glance) {
		if taken := old.takePeerSeat(); taken || time.Since(since) >= seatPatience {
			return taken
		}
	}
}

// create makes the segment. Nobody can see it before it is complete, for it has no name until then.
func (o *opener) create(generation uint32) (*link, error) {
	l, err := o.prepared(generation, o.settings.geometry())
	if err != nil {
		return nil, err
	}
	if err := o.publish(l); err != nil {
		return nil, err
	}
	return l, nil
}

// standIn makes a segment like this one under the name, and takes both of its seats.
func (o *opener) standIn(like *link) (*link, error) {
	l, err := o.prepared(like.self.generation.Load(), like.geometry)
	if err != nil {
		return nil, err
	}
	l.peer.capabilities.Store(like.peer.capabilities.Load())
	l.peer.signature.Store(like.peer.signature.Load())
	l.peer.pid.Store(like.peer.pid.Load())
	l.peer.generation.Store(like.peer.generation.Load())
	if !l.takePeerSeat() {
		return nil, abandon(l.file, errRaced)
	}
	if err := o.publish(l); err != nil {
		return nil, err
	}
	return l, nil
}

func (o *opener) refuseToCreate(err error) error {
	return fail(ErrCreate, o.name, err, "cannot create it (%v); see the system's message", err)
}

// prepared makes a segment that has no name yet.
func (o *opener) prepared(generation uint32, g geometry) (*link, error) {
	file, err := shm.Create(folder, o.settings.mode, g.segmentSize())
	if err != nil {
		return nil, o.refuseToCreate(err)
	}
	l, err := o.prepare(file, g, generation)
	if err != nil {
		return nil, abandon(file, o.refuseToCreate(err))
	}
	return l, nil
}

// publish gives a segment its name. If that fails, the segment is gone.
func (o *opener) publish(l *link) error {
	switch err := l.file.Link(path(o.name)); {
	case errors.Is(err, fs.ErrExist):
		return abandon(l.file, errRaced)
	case err != nil:
		return abandon(l.file, o.refuseToCreate(err))
	}
	return nil
}

func (o *opener) prepare(file *shm.File, g geometry, generation uint32) (*link, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	memory, err := file.Map(g.segmentSize())
	if err != nil {
		return nil, err
	}
	l := newLink(o.name, Master, file, info.ID, memory, g)
	// Nobody else can have the seat of a file without a name.
	if _, err := file.TryLock(seatStart(Master), seatLength); err != nil {
		return nil, err
	}
	l.header.masterGeneration.Store(generation)
	o.fill(l)
	l.occupy()
	l.header.magic.Store(magic)
	return l, nil
}

// fill writes the master's and the creator's part of the header, but for the magic.
func (o *opener) fill(l *link) {
	h, g := l.header, l.geometry
	h.version.Store(version)
	h.staleThreshold.Store(uint32(min(o.settings.staleThreshold.Milliseconds(), math.MaxUint32)))
	h.features.Store(featureWakes)
	h.layoutSize.Store(uint32(g.layoutSize()))
	h.dataSize.Store(uint32(g.dataSize))
	h.queueSlots.Store(uint32(g.queueSlots))
	h.queueOffset.Store(g.queueOffset)
	h.queueCapacity.Store(g.queueCapacity)
	h.extension.Store(extensionValid)
}

// take takes the seat of a link, for as long as its file is open, if the segment still has the name.
func (o *opener) take(l *link, eager bool) error {
	taken, err := o.claim(l, eager)
	if err != nil {
		return fail(ErrAttach, o.name, err, "cannot attach to it (%v); see the system's message", err)
	}
	free := taken && o.quiet(l)
	// A seat that is taken may be so by a master that has just replaced this segment.
	if found, err := shm.Stat(path(o.name)); err != nil || found.ID != l.id {
		return errRaced
	}
	if !free {
		return failSeatTaken(o.name, l.role, l.self.pid.Load())
	}
	return nil
}

// claim locks the seat. An eager claimant has enough when it sees that the one who has the seat lives.
func (o *opener) claim(l *link, eager bool) (bool, error) {
	first := l.self.pulse()
	for since := time.Now(); ; time.Sleep(glance) {
		taken, err := l.file.TryLock(seatStart(l.role), seatLength)
		if taken || err != nil || !o.patient || time.Since(since) >= seatPatience {
			return taken, err
		}
		if eager && l.self.pulse() != first {
			return false, nil
		}
	}
}

// quiet tells whether no ESHM 1.x process, which holds no lock, has the seat: then its pulse would move.
func (o *opener) quiet(l *link) bool {
	first := l.self.pulse()
	if first.alive == 0 {
		return true
	}
	watch := o.settings.staleThreshold
	if l.self.ours(first.pid) {
		// Killed, most likely. But one of 1.x with the same pid, of another PID namespace, looks just so.
		watch = samePIDWatch
	} else if !o.patient {
		return false
	}
	for since := time.Now(); time.Since(since) < watch; time.Sleep(glance) {
		if l.self.pulse() != first {
			return false
		}
	}
	return true
}

// examine opens what has the name, and maps it if it is a segment that this endpoint can use.
func (o *opener) examine(role Role) (*link, error) {
	file, err := shm.Open(path(o.name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errMissing
	case errors.Is(err, shm.ErrSymlink):
		return nil, failForeign(o.name, "file", "a symbolic link", "a regular file")
	case err != nil:
		return nil, fail(ErrAttach, o.name, err, "cannot attach to it (%v); see the system's message", err)
	}
	l, err := o.overlay(file, role)
	if err != nil {
		return nil, abandon(file, err)
	}
	return l, nil
}

func (o *opener) overlay(file *shm.File, role Role) (*link, error) {
	refuse := func(err error) error {
		return fail(ErrAttach, o.name, err, "cannot attach to it (%v); see the system's message", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, refuse(err)
	}
	if err := o.checkFile(info); err != nil {
		return nil, err
	}
	var head [headerSize]byte
	if err := file.ReadHead(head[:]); err != nil {
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
		if err := file.Reserve(g.segmentSize()); err != nil {
			return nil, refuse(err)
		}
	}
	memory, err := file.Map(g.segmentSize())
	if err != nil {
		return nil, refuse(err)
	}
	return newLink(o.name, role, file, info.ID, memory, g), nil
}

func (o *opener) checkFile(info shm.Info) error {
	user := os.Geteuid()
	switch {
	case !info.Regular:
		return failForeign(o.name, "file", "something else", "a regular file")
	case info.Owner != user && info.Owner != 0 && !o.settings.anyOwner:
		return failForeign(o.name, "owner", fmt.Sprintf("user %d", info.Owner),
			fmt.Sprintf("user %d (this one) or root; `any_owner` accepts others", user))
	case info.Size == 0:
		return errAgain("its file is empty, as if somebody had begun to make it")
	case info.Size < smallest:
		return failForeign(o.name, "size", inBytes(info.Size), fmt.Sprintf("at least %d bytes", smallest))
	}
	return nil
}

// checkHead derives a segment's geometry from a copy of its header and from its file's size, and checks that they
// agree.
func (o *opener) checkHead(head *[headerSize]byte, size uint64) (geometry, error) {
	word := func(offset int) uint32 { return binary.NativeEndian.Uint32(head[offset:]) }
	foundMagic, foundVersion := word(0), word(4)
	if foundMagic == 0 && foundVersion == 0 {
		return geometry{}, errAgain("its header is empty, as if somebody had begun to make it")
	}
	if foundMagic != magic {
		return geometry{}, failForeign(o.name, "magic", fmt.Sprintf("%#08x", foundMagic), fmt.Sprintf("%#08x", magic))
	}
	layout := uint64(word(52))
	switch foundVersion {
	case version:
	case versionPolling:
		layout = size
	default:
		return geometry{}, failForeign(o.name, "version", strconv.Itoa(int(foundVersion)), "2 or 3")
	}
	g := geometry{dataSize: uint64(word(60))}
	extension := word(56)
	switch extension {
	case extensionValid:
	case 0:
		g.dataSize = o.legacyDataSize(layout)
	default:
		return geometry{}, failForeign(o.name, "extension", strconv.FormatUint(uint64(extension), 10), "0 or 1")
	}
	if g.dataSize < 1 || g.dataSize > maxDataSize {
		return geometry{}, failForeign(o.name, "data size", inBytes(g.dataSize), fmt.Sprintf("1 to %d bytes", maxDataSize))
	}
	if layout != g.layoutSize() {
		return geometry{}, failForeign(o.name, "layout size", inBytes(layout),
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
		return geometry{}, failForeign(o.name, "size", inBytes(size),
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
		return failForeign(o.name, "number of queue slots", strconv.FormatUint(slots, 10),
			fmt.Sprintf("a power of two up to %d", maxQueueSlots))
	case offset%128 != 0 || offset < g.layoutSize() || offset > math.MaxInt64/2:
		return failForeign(o.name, "queue offset", strconv.FormatUint(offset, 10),
			fmt.Sprintf("a multiple of 128 from %d on", g.layoutSize()))
	case capacity < 1 || capacity > maxQueueCapacity:
		return failForeign(o.name, "queue capacity", inBytes(capacity), fmt.Sprintf("1 to %d bytes", maxQueueCapacity))
	}
	return nil
}

// checkSettings compares what a slave was configured with and what it found.
func (o *opener) checkSettings(g geometry) error {
	s := o.settings
	if s.dataSizeSet && uint64(s.dataSize) != g.dataSize {
		return failForeign(o.name, "data size", inBytes(g.dataSize), fmt.Sprintf("%d bytes, as configured", s.dataSize))
	}
	if s.queueCapacitySet && uint64(s.queueCapacity) != g.queueCapacity {
		return failForeign(o.name, "queue capacity", inBytes(g.queueCapacity),
			fmt.Sprintf("%d bytes, as configured", s.queueCapacity))
	}
	return nil
}

func inBytes(count uint64) string { return strconv.FormatUint(count, 10) + " bytes" }
