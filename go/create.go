package eshm

import (
	"errors"
	"io/fs"
	"math"

	"eshm/internal/shm"
)

// create creates the segment. It has no name until it is complete, so nobody can see it before.
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

// standIn creates a segment like this one under the name, and takes both of its seats.
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
		return nil, closeAfter(l.file, errRaced)
	}
	if err := o.publish(l); err != nil {
		return nil, err
	}
	return l, nil
}

func (o *opener) refuseToCreate(err error) error {
	if ended := o.ctx.Err(); ended != nil && errors.Is(err, ended) {
		return failContext(o.ctx, o.name, "the reservation of its memory", o.since)
	}
	return fail(ErrCreate, o.name, err, "cannot create %s (%v); %s", o.path, err, shm.Hint(o.domain.Directory, o.path, err))
}

// prepared creates a segment that has no name yet. The master's seat is locked.
func (o *opener) prepared(generation uint32, g geometry) (*link, error) {
	directory := o.domain.Directory
	file, err := shm.Create(directory, o.domain.Prefix, o.settings.access(), seatStart(Master), seatLength)
	if err != nil {
		return nil, o.refuseToCreate(err)
	}
	if err := file.Reserve(o.ctx, directory, g.segmentSize()); err != nil {
		return nil, closeAfter(file, o.refuseToCreate(err))
	}
	l, err := o.prepare(file, g, generation)
	if err != nil {
		return nil, closeAfter(file, o.refuseToCreate(err))
	}
	return l, nil
}

// publish gives a segment its name. If that fails, the segment is gone.
func (o *opener) publish(l *link) error {
	switch err := l.file.Link(o.path); {
	case errors.Is(err, fs.ErrExist):
		return closeAfter(l.file, errRaced)
	case err != nil:
		return closeAfter(l.file, o.refuseToCreate(err))
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
	l := o.newLink(Master, file, info.ID, memory, g)
	l.header.masterGeneration.Store(generation)
	o.fill(l)
	l.occupy()
	l.header.magic.Store(magic)
	return l, nil
}

// fill writes the master's and the creator's fields of the header, except for the magic.
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
