package eshm

import "bytes"

// Message is a message or a value that was received. It belongs to the caller, unless it is borrowed: see
// [Endpoint.Borrow].
type Message struct {
	// Skipped is how many values were overwritten since the last one that was read. It is 0 for messages, which are
	// never skipped.
	Skipped uint64
	// Generation grows each time the peer is restarted.
	Generation uint64

	bytes        []byte
	borrowedFrom *borrowedFrom // nil unless it is borrowed
	next         uint32        // number of the next message
}

// borrowedFrom tells where borrowed messages are: in the segment of this link, received by this receiver.
type borrowedFrom struct {
	receiver *receiver
	link     *link
}

// Bytes returns the message. The bytes of a borrowed one are in the segment: see [Endpoint.Borrow] for how long they
// stay.
func (m Message) Bytes() []byte { return m.bytes }

// Clone returns a copy of the message.
func (m Message) Clone() []byte { return bytes.Clone(m.bytes) }

// Text returns a copy of the message as text, without the NUL at its end. It fails with [ErrInvalidText].
func (m Message) Text() (string, error) { return DecodeText(m.Clone()) }

// Release returns a borrowed message, and those borrowed before it, to the sender, which may overwrite them then. A
// released message counts as received: if the process is killed before, its successor receives the message again.
// Release does nothing for a message that is not borrowed, or not any more.
func (m Message) Release() {
	if m.borrowedFrom == nil {
		return
	}
	r := m.borrowedFrom.receiver
	r.mu.Lock()
	switch {
	case r.lentLink == m.borrowedFrom.link: // the endpoint is closed
		r.releaseClosedLink()
	case r.link != m.borrowedFrom.link: // already released
	case m.next-r.released-1 < r.queue.next-r.released:
		r.releaseTo(m.next)
	}
	r.mu.Unlock()
}
