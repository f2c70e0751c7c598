// Package eshm exchanges messages with another process of the same machine through shared memory.
//
// A segment, by default the file /dev/shm/eshm_<name>, joins two endpoints: one [Master], which creates it, and one
// [Slave]. The other process may be written in any language that has ESHM: Rust, Python, C++, C, or Go.
//
//	robot, err := eshm.Open(ctx, "robot", eshm.Slave)
//	if err != nil {
//		return err
//	}
//	defer robot.Close()
//	message, err := robot.Recv(ctx)
//
// # Messages and values
//
// [Endpoint.Send] and [Endpoint.Recv] carry messages: every message, once, in order. When the queue is full, Send waits
// and [Endpoint.TrySend] fails; nothing is dropped. [Endpoint.Write] and [Endpoint.Read] carry the latest value: a new
// value replaces the one before, and the reader learns how many it has missed. Both directions have both.
//
// A message that was received belongs to the caller. [Endpoint.Borrow] lends a message in place, without a copy, until
// it is released. [Endpoint.Loan] lends room to build a message in place. [Endpoint.Messages] iterates over messages.
//
// # Peers that come and go
//
// The order of start-up does not matter. When a process is killed, its successor continues where it was: unread
// messages stay, and a message that was borrowed and not released is received again. A slave carries what its master
// has not received over to the next master's segment. It searches for that master as long as it is open. Calls with a
// deadline wait for a peer until then. Calls without one fail when the peer has closed its endpoint, or was stale for
// longer than [WithReconnectTimeout] and [WithReconnectAttempts] admit. [WithDisconnect] and [WithGiveUp] change this.
//
// # Domains
//
// A [Domain] decides where the files of segments are. [WithDomain] sets it, or the environment variables ESHM_DIRECTORY
// and ESHM_PREFIX: see [DefaultDomain]. [Segments] lists the segments of a domain, with the state of their endpoints
// and queues. [RemoveDead] removes segments that nobody uses any more. [Observe] monitors one segment.
//
// # Errors
//
// Each error is an [*Error] of one of the kinds ErrTimeout, ErrPeerClosed and so on, for errors.Is. Its text says what
// was found, what was expected, and what to do. An error after Close is also os.ErrClosed; an error of a context that
// is done is also context.Canceled or context.DeadlineExceeded.
//
// # Cost
//
// A call that finds what it needs makes no system call. Recv and Read allocate the copy; the other forms allocate
// nothing. [Endpoint.RecvAppend] is the fastest form for short messages, and Borrow, which copies nothing, for long ones.
// A call that waits polls for a moment, see [WithWait], and then sleeps. At most 8 goroutines of a process sleep in threads
// of their own, which is the fastest. All others sleep without, so thousands may wait: the peer rings the endpoint's event
// descriptor, for which the runtime waits. Such a goroutine wakes up later by some microseconds. One goroutine per process
// keeps the heartbeats of all its endpoints, every millisecond while there is traffic.
//
// [Endpoint.Events] gives the descriptor to a program that has an event loop of its own.
//
// The package implements protocol/PROTOCOL.md in Go alone, for Linux. It was tested on amd64 and 386. MEMORY.md
// explains why its plain stores to shared memory are safe.
package eshm
