package eshm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"eshm/internal/shm"
)

// A kind is one way to fail, with its number in the protocol.
type kind struct {
	code int
	text string
}

func (k *kind) Error() string { return "eshm: " + k.text }

// The ways to fail, for errors.Is. Each error of the package is an [*Error] of one of these kinds, with a text that
// says what was found, what was expected, and what to do.
var (
	// ErrInvalidName is a segment name that cannot be one.
	ErrInvalidName error = &kind{-1, "invalid segment name"}
	// ErrInvalidDomain is a directory or a prefix that cannot be that of a [Domain].
	ErrInvalidDomain error = &kind{-1, "invalid domain"}
	// ErrInvalidOption is an option out of its range.
	ErrInvalidOption error = &kind{-1, "invalid option"}
	// ErrInvalidText is text with a NUL before its end, or that is not UTF-8.
	ErrInvalidText error = &kind{-1, "invalid text"}
	// ErrCreate is a segment that the system would not make, such as when its directory is full.
	ErrCreate error = &kind{-2, "cannot create the segment"}
	// ErrAttach is a segment that the system would not open.
	ErrAttach error = &kind{-3, "cannot attach to the segment"}
	// ErrNotFound is a segment that did not come to be in time. Such an error is fs.ErrNotExist as well, and, if the context
	// ended the wait, context.Canceled or context.DeadlineExceeded.
	ErrNotFound error = &kind{-3, "no such segment"}
	// ErrDirectory is a domain's directory that cannot be read.
	ErrDirectory error = &kind{-3, "cannot read the directory"}
	// ErrForeign is a file that is no segment, or not the one that was configured, or somebody else's.
	ErrForeign error = &kind{-3, "not a usable segment"}
	// ErrRemove is a segment whose file a close could not remove.
	ErrRemove error = &kind{-5, "cannot remove the segment"}
	// ErrTimeout is a wait that ended by its deadline. Such an error is context.DeadlineExceeded as well.
	ErrTimeout error = &kind{-10, "timed out"}
	// ErrReconnecting is a slave's write while its master is away. It passes: try again.
	ErrReconnecting error = &kind{-10, "reconnecting"}
	// ErrPeerStale is a wait for a peer that has given no sign of life for longer than the patience.
	ErrPeerStale error = &kind{-11, "the peer is stale"}
	// ErrFull is a message for which there is no room now. It passes: try again, or use a call that waits.
	ErrFull error = &kind{-12, "full"}
	// ErrTooLarge is a message longer than the segment can carry.
	ErrTooLarge error = &kind{-13, "message too large"}
	// ErrClosed is a call on an endpoint after its Close. Such an error is fs.ErrClosed, which is os.ErrClosed, as well.
	ErrClosed error = &kind{-14, "endpoint closed"}
	// ErrSeatTaken is a role that a live process has already.
	ErrSeatTaken error = &kind{-15, "seat taken"}
	// ErrPeerClosed is a wait for a peer that closed its endpoint.
	ErrPeerClosed error = &kind{-16, "the peer closed its endpoint"}
	// ErrDisplaced is a call on a master whose file was removed, and whose name leads to another segment now.
	ErrDisplaced error = &kind{-19, "another segment has the name"}
	// ErrBorrowed is a receive while a message that was borrowed is not released: see [Endpoint.Borrow].
	ErrBorrowed error = &kind{-1, "a message is borrowed"}
	// ErrCorrupt is something in the segment that no endpoint that keeps to the protocol writes.
	ErrCorrupt error = &kind{-17, "the segment is corrupt"}
)

// Error is every error of the package.
type Error struct {
	kind    *kind
	segment string
	text    string
	cause   error

	unreceived uint64
}

// Unreceived is, of an [ErrPeerClosed], how many messages of this endpoint were not received. Those of a slave that stays
// open go to the next master.
func (e *Error) Unreceived() uint64 { return e.unreceived }

// Error says what was found, what was expected, and what to do.
func (e *Error) Error() string {
	if e.segment == "" {
		return e.text
	}
	return fmt.Sprintf("segment '%s': %s", e.segment, e.text)
}

// Code is the error's number in the protocol, the same in every language: −1 to −19.
func (e *Error) Code() int { return e.kind.code }

// Transient tells whether the same call may succeed later, without anything being mended.
func (e *Error) Transient() bool {
	return error(e.kind) == ErrFull || error(e.kind) == ErrTimeout || error(e.kind) == ErrReconnecting
}

// Timeout tells whether a deadline was the reason, as in net.Error.
func (e *Error) Timeout() bool { return error(e.kind) == ErrTimeout }

// Unwrap returns the error's kind and its cause.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// Code returns the number in the protocol of an error of this package, and 0 for any other.
func Code(err error) int {
	var known *Error
	if errors.As(err, &known) {
		return known.Code()
	}
	return 0
}

// fail makes an error of one of the kinds above, about a segment, or about no segment if the name is empty.
func fail(of error, segment string, cause error, format string, arguments ...any) error {
	return &Error{kind: of.(*kind), segment: segment, text: fmt.Sprintf(format, arguments...), cause: cause}
}

func failClosed(segment string) error {
	return fail(ErrClosed, segment, fs.ErrClosed, "this endpoint is closed; open a new one")
}

func failFull(segment string) error {
	return fail(ErrFull, segment, nil,
		"there is no room, the peer has not read what was sent before; wait, or send again later")
}

func failTooLarge(segment string, length, limit int) error {
	return fail(ErrTooLarge, segment, nil, "a message of %d bytes is too long: at most %d bytes fit; create the segment "+
		"with a larger data_size (for write) or queue_capacity (for send)", length, limit)
}

func failReconnecting(segment string) error {
	return fail(ErrReconnecting, segment, nil, "reconnecting, its master gives no sign of life; try again")
}

func failCorrupt(at address, why error) error {
	return fail(ErrCorrupt, at.name, nil, "corrupt: %v; stop both processes and remove %s", why, at.path)
}

func failPeerClosed(segment string, peer Role, unreceived uint64) error {
	err := &Error{kind: ErrPeerClosed.(*kind), segment: segment, unreceived: unreceived}
	err.text = fmt.Sprintf("the %v closed its endpoint", peer)
	switch {
	case unreceived == 1:
		err.text += "; 1 message was not received"
	case unreceived > 1:
		err.text += fmt.Sprintf("; %d messages were not received", unreceived)
	}
	return err
}

func failDisplaced(segment string) error {
	return fail(ErrDisplaced, segment, nil, "its file was removed, and another segment has its name; close this endpoint, "+
		"and see which process made that one")
}

func failPeerStale(segment string, peer Role, state PeerState) error {
	return fail(ErrPeerStale, segment, nil, "the %v gives no sign of life any more (%v); "+
		"restart it, or raise stale_threshold if it is only slow", peer, state)
}

func failSeatTaken(segment string, role Role, pid int32) error {
	return fail(ErrSeatTaken, segment, nil, "already has a live %v (pid %d); a segment joins one master and one slave: "+
		"use another name, or stop that process", role, pid)
}

// failAttach says why the system does not let us at a segment that is there.
func failAttach(at address, err error) error {
	return fail(ErrAttach, at.name, err, "cannot attach to %s (%v); %s", at.path, err, shm.Hint(at.domain.Directory, at.path, err))
}

// failForeign says that something of a segment is not as it must be.
func failForeign(at address, what, found, expected string) error {
	return fail(ErrForeign, at.name, nil, "the %s is %s, expected %s; it was left untouched: "+
		"if no process needs %s, remove it", what, found, expected, at.path)
}

// failContext says why a wait ended before what it waited for: by its deadline, or because it was cancelled.
func failContext(ctx context.Context, segment, what string, since time.Time) error {
	if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		cause := contextCause(ctx)
		return fail(errCancelled, segment, cause, "%s was waited for, and the wait was cancelled: %v", what, cause)
	}
	return fail(ErrTimeout, segment, context.DeadlineExceeded, "%s did not happen within %v", what, time.Since(since))
}

// contextCause returns why a context has ended, with the cause that whoever ended it has given; nil if it has not.
func contextCause(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause != err {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// errCancelled is the kind of errors whose cause, context.Canceled, says all.
var errCancelled error = &kind{-10, "cancelled"}
