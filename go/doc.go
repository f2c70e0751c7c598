// Package eshm exchanges messages with another process of the same machine, through shared memory.
//
// A segment, by default /dev/shm/eshm_<name>, joins two endpoints: one [Master], which makes it, and one [Slave]. The other
// process may be written in any language that has ESHM: Rust, Python, C++, C, or Go.
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
// [Endpoint.Send] and [Endpoint.Recv] carry messages: every one, once, in order. When the queue is full the sender
// waits, or is refused by [Endpoint.TrySend]; nothing is dropped. [Endpoint.Write] and [Endpoint.Read] carry the
// latest value: a new one replaces the one before, and a reader is told how many it has missed. Both directions have
// both.
//
// What is received belongs to the caller. [Endpoint.Borrow] lends a message where it lies, without a copy, until it is
// released; [Endpoint.Loan] writes in place.
//
// # Peers that come and go
//
// The order of start-up does not matter. A process that is killed is followed by another one, which goes on where it
// was: messages that wait are kept, and one that was borrowed and not released is received again. A slave takes what was not
// received along to its next master's segment, and looks for that master as long as it is open. Calls with a
// deadline wait for a peer until then; calls without one fail when the peer has closed its endpoint, or was gone for
// longer than [WithReconnectTimeout] says.
//
// # Domains
//
// A [Domain] says where the files of segments are: by [WithDomain], or by the environment variables ESHM_DIRECTORY and
// ESHM_PREFIX, see [DefaultDomain]. [Segments] lists those of a domain, with who sits in them and how full their queues are.
// [RemoveDead] removes what processes have left that were killed, or that kept it.
//
// # Errors
//
// Each error is an [*Error], and of one of the kinds ErrTimeout, ErrPeerClosed and so on, for errors.Is. Its text
// says what was found, what was expected, and what to do.
//
// # Cost
//
// A call that finds what it needs makes no system call; Recv and Read allocate the copy, the other forms nothing. A call that
// waits first keeps its processor busy for a moment, see [WithWait], and then sleeps in the kernel, with a thread of its own.
// One goroutine per process beats the hearts of all its endpoints, every millisecond.
//
// The package is an implementation of protocol/PROTOCOL.md of its own, in Go alone, for Linux. It has been tried on
// amd64 and 386.
package eshm
