package eshm

import "bytes"

// Message is a message or a value that was received. It belongs to the caller, unless it is borrowed: see
// [Endpoint.Borrow].
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

// Bytes is the message. That of a borrowed one lies in the segment: see [Endpoint.Borrow] for how long it stays, and
// [Message.Clone].
func (m Message) Bytes() []byte { return m.bytes }

// Clone is a copy of the message.
func (m Message) Clone() []byte { return bytes.Clone(m.bytes) }

// Text is a copy of the message as text, without the NUL at its end. It fails with [ErrInvalidText].
func (m Message) Text() (string, error) { return DecodeText(m.Clone()) }

// Release gives a borrowed message, and those borrowed before it, back to the sender, who may now write over them. That marks
// it as received: a process that is killed before is followed by one that receives it again. Of a message that is not
// borrowed, or not any more, it does nothing.
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
