package eshm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"eshm/internal/shm"
)

// A kind is a kind of error, with its number in the protocol.
type kind struct {
	code int
	text string
}

func (k *kind) Error() string { return "eshm: " + k.text }

// The kinds of errors, for errors.Is. Each error of the package is an [*Error] of one of these kinds. Its text says
// what was found, what was expected, and what to do.
var (
	// ErrInvalidName: the name cannot be that of a segment.
	ErrInvalidName error = &kind{-1, "invalid segment name"}
	// ErrInvalidDomain: the directory or the prefix cannot be that of a [Domain].
	ErrInvalidDomain error = &kind{-1, "invalid domain"}
	// ErrInvalidOption: an option is out of its range.
	ErrInvalidOption error = &kind{-1, "invalid option"}
	// ErrInvalidText: the text has a NUL before its end, or is not UTF-8.
	ErrInvalidText error = &kind{-1, "invalid text"}
	// ErrCreate: the system refused to create the segment, for example because its directory is full.
	ErrCreate error = &kind{-2, "cannot create the segment"}
	// ErrAttach: the system refused to open the segment.
	ErrAttach error = &kind{-3, "cannot attach to the segment"}
	// ErrNotFound: the segment did not exist in time. Such an error is also fs.ErrNotExist and, if the context ended
	// the wait, context.Canceled or context.DeadlineExceeded.
	ErrNotFound error = &kind{-3, "no such segment"}
	// ErrDirectory: a domain's directory cannot be read.
	ErrDirectory error = &kind{-3, "cannot read the directory"}
	// ErrForeign: the file is no segment, has other sizes than were configured, or belongs to another user.
	ErrForeign error = &kind{-3, "not a usable segment"}
	// ErrRemove: Close could not remove the segment's file.
	ErrRemove error = &kind{-5, "cannot remove the segment"}
	// ErrTimeout: a wait ended by its deadline. Such an error is also context.DeadlineExceeded.
	ErrTimeout error = &kind{-10, "timed out"}
	// ErrReconnecting: a slave cannot write while it has no master. This passes: try again.
	ErrReconnecting error = &kind{-10, "reconnecting"}
	// ErrPeerStale: the peer was stale for longer than the reconnect timeout or the reconnect attempts admit.
	ErrPeerStale error = &kind{-11, "the peer is stale"}
	// ErrFull: there is no room for the message now. This passes: try again, or use a call that waits.
	ErrFull error = &kind{-12, "full"}
	// ErrTooLarge: the message is longer than the segment can carry.
	ErrTooLarge error = &kind{-13, "message too large"}
	// ErrClosed: the endpoint is closed. Such an error is also fs.ErrClosed, which is os.ErrClosed.
	ErrClosed error = &kind{-14, "endpoint closed"}
	// ErrSeatTaken: a live process has this role already.
	ErrSeatTaken error = &kind{-15, "seat taken"}
	// ErrPeerClosed: the peer has closed its endpoint.
	ErrPeerClosed error = &kind{-16, "the peer closed its endpoint"}
	// ErrDisplaced: a master's file was removed, and its name leads to another segment now.
	ErrDisplaced error = &kind{-19, "another segment has the name"}
	// ErrBorrowed: a borrowed message is not released yet: see [Endpoint.Borrow].
	ErrBorrowed error = &kind{-1, "a message is borrowed"}
	// ErrCorrupt: the segment holds something that no endpoint writes that keeps to the protocol.
	ErrCorrupt error = &kind{-17, "the segment is corrupt"}
)

// Error is the type of every error of the package.
type Error struct {
	kind    *kind
	segment string
	text    string
	cause   error

	unreceived uint64
}

// Unreceived returns, for an [ErrPeerClosed], how many messages of this endpoint were not received. A slave that stays
// open carries them over to the next master.
func (e *Error) Unreceived() uint64 { return e.unreceived }

// Error returns what was found, what was expected, and what to do.
func (e *Error) Error() string {
	if e.segment == "" {
		return e.text
	}
	return fmt.Sprintf("segment '%s': %s", e.segment, e.text)
}

// Is tells whether this is the error's kind, for errors.Is. Unlike Unwrap it allocates nothing.
func (e *Error) Is(target error) bool { return target == error(e.kind) }

// Code returns the error's number in the protocol, −1 to −19, which is the same in every language.
func (e *Error) Code() int { return e.kind.code }

// Transient tells whether the same call may succeed later without any repair.
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

// Code returns the number in the protocol of an error of this package, and 0 for any other error.
func Code(err error) int {
	var known *Error
	if errors.As(err, &known) {
		return known.Code()
	}
	return 0
}

// fail makes an error of one of the kinds above. An empty segment stands for none.
func fail(of error, segment string, cause error, format string, arguments ...any) error {
	return &Error{kind: of.(*kind), segment: segment, text: fmt.Sprintf(format, arguments...), cause: cause}
}

// usualErrors are the errors of an endpoint that a program may see often: what has to wait, and what has ended. They
// are made once, so that a call that fails allocates nothing.
type usualErrors struct {
	full, reconnecting, closed error
	peerClosed                 atomic.Pointer[Error] // the last one
}

func (u *usualErrors) init(segment string) {
	u.full, u.reconnecting, u.closed = failFull(segment), failReconnecting(segment), failClosed(segment)
}

// failPeerClosed is [failPeerClosed] for the peer of this endpoint.
func (e *Endpoint) failPeerClosed(unreceived uint64) error {
	if last := e.usual.peerClosed.Load(); last != nil && last.unreceived == unreceived {
		return last
	}
	err := failPeerClosed(e.name, e.role.peer(), unreceived)
	e.usual.peerClosed.Store(err)
	return err
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

func failPeerClosed(segment string, peer Role, unreceived uint64) *Error {
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

// failAttach returns why the system does not let this process use an existing segment.
func failAttach(at address, err error) error {
	return fail(ErrAttach, at.name, err, "cannot attach to %s (%v); %s", at.path, err, shm.Hint(at.domain.Directory, at.path, err))
}

// failForeign returns what of a segment is not as it must be.
func failForeign(at address, what, found, expected string) error {
	return fail(ErrForeign, at.name, nil, "the %s is %s, expected %s; it was left untouched: "+
		"if no process needs %s, remove it", what, found, expected, at.path)
}

// failContext returns why a wait ended without its event: the deadline, or a context that was cancelled.
func failContext(ctx context.Context, segment, what string, since time.Time) error {
	if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		cause := contextCause(ctx)
		return fail(errCancelled, segment, cause, "the wait for %s was cancelled: %v", what, cause)
	}
	return fail(ErrTimeout, segment, context.DeadlineExceeded, "%s did not happen within %v", what, time.Since(since))
}

// contextCause returns why a context is done, including the cause that was given; nil if it is not done.
func contextCause(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause != err {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// errCancelled is the kind of errors whose cause is context.Canceled.
var errCancelled error = &kind{-10, "cancelled"}
