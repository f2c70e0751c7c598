package eshm

import "bytes"

// Message is a message or a value that was received. Messages of a queue are lent: see [Endpoint.Recv].
type Message struct {
	// Skipped is how many values were overwritten unread since the last one read. It is 0 for messages, none of which
	// is ever skipped.
	Skipped uint64
	// Generation tells the lives of the peer apart: it grows each time the peer is restarted.
	Generation uint64

	bytes []byte
	lease *lease // nil unless it is lent
	next  uint32 // number of the message behind it
}

// lease is what the messages that were received through one link have in common.
type lease struct {
	receiver *receiver
	link     *link
}

// Bytes is the message itself, not a copy: see [Endpoint.Recv] for how long it stays, and [Message.Clone]. A peer that
// is not trusted can change it meanwhile.
func (m Message) Bytes() []byte { return m.bytes }

// Clone is a copy of the message.
func (m Message) Clone() []byte { return bytes.Clone(m.bytes) }

// Text is the message as text, without the NUL at its end. It fails with [ErrInvalidText].
func (m Message) Text() (string, error) { return DecodeText(m.bytes) }

// Release gives the message, and those received before it, back to the sender, who may now write over them. It need not
// be called, since the next receive does the same; called early, it makes room early, and marks the message as done: a
// process that is killed before is followed by one that receives it again.
func (m Message) Release() {
	if m.lease == nil {
		return
	}
	r := m.lease.receiver
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.link != m.lease.link: // released long ago
	case r.endpoint.current.Load() == nil:
		r.forget()
	case m.next-r.released-1 < r.queue.next-r.released:
		r.releaseTo(m.next)
	}
}
