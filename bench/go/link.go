package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"eshm"
)

// link is one end of a connection.
type link interface {
	// room is where the next message is to be written.
	room() ([]byte, error)
	// send sends what was written there.
	send() error
	// recv waits for the next message, and lends it until the next call.
	recv() ([]byte, error)
	// flush sends what was gathered.
	flush() error
	// wakeups is how many system calls it made to wake its peer.
	wakeups() uint64
	close() error
}

var background = context.Background()

func open(args *arguments) (*eshm.Endpoint, error) {
	options := []eshm.Option{eshm.Slave}
	if args.follows() {
		options = []eshm.Option{
			eshm.Master,
			eshm.WithDataSize(max(args.size, eshm.DefaultDataSize)),
			eshm.WithQueueCapacity(max(args.size, eshm.DefaultQueueCapacity)),
		}
	}
	if args.what == "park" {
		options = append(options, eshm.WithWait(eshm.Park))
	}
	endpoint, err := eshm.Open(background, args.name, options...)
	if err != nil {
		return nil, err
	}
	if args.follows() {
		fmt.Println("READY")
	}
	ctx, cancel := context.WithTimeout(background, 5*time.Second)
	defer cancel()
	return endpoint, endpoint.WaitForPeer(ctx)
}

// newLink is the link of what is to be measured.
func newLink(args *arguments) (link, error) {
	known := []string{"queue", "park", "mailbox", "loan", "batch", "seqpacket"}
	if !slices.Contains(known, args.what) {
		return nil, fmt.Errorf("this program measures %s, not %s", strings.Join(known, ", "), args.what)
	}
	if args.what == "seqpacket" {
		return newSeqpacket(args)
	}
	endpoint, err := open(args)
	if err != nil {
		return nil, err
	}
	q := queue{endpoint: endpoint, buffer: make([]byte, args.size)}
	switch args.what {
	case "mailbox":
		return &mailbox{queue: q}, nil
	case "loan":
		return &loans{queue: q}, nil
	case "batch":
		return newBatches(q), nil
	default:
		return &q, nil
	}
}

// shortMessage is the longest message that is received by RecvAppend, which the documentation of the package recommends
// for short ones: that of a slot.
const shortMessage = 56

// queue is Send from a private buffer; Borrow shows the message where it lies, unless it is short.
type queue struct {
	endpoint *eshm.Endpoint
	buffer   []byte
	received []byte       // the last short message
	lent     eshm.Message // until the next one is asked for
}

func (q *queue) room() ([]byte, error) { return q.buffer, nil }

func (q *queue) send() error { return q.endpoint.Send(background, q.buffer) }

func (q *queue) recv() ([]byte, error) {
	var err error
	if len(q.buffer) <= shortMessage {
		q.received, err = q.endpoint.RecvAppend(background, q.received[:0])
		return q.received, err
	}
	q.lent.Release()
	q.lent, err = q.endpoint.Borrow(background)
	return q.lent.Bytes(), err
}

func (q *queue) flush() error { return nil }

func (q *queue) close() error { return q.endpoint.Close() }

func (q *queue) wakeups() uint64 { return q.endpoint.Stats().Wakeups }

// mailbox is Write and Read: the latest value.
type mailbox struct {
	queue
	value []byte
}

func (m *mailbox) send() error { return m.endpoint.Write(m.buffer) }

func (m *mailbox) recv() ([]byte, error) {
	var err error
	m.value, err = m.endpoint.ReadAppend(background, m.value[:0])
	return m.value, err
}

// loans is a Loan that is filled in place; Borrow shows the message where it lies.
type loans struct {
	queue
	loan *eshm.Loan
}

func (l *loans) room() (bytes []byte, err error) {
	if l.loan, err = l.endpoint.Loan(background, len(l.buffer)); err != nil {
		return nil, err
	}
	return l.loan.Bytes(), nil
}

func (l *loans) send() error { return l.loan.Send() }

// batches is SendMany and BorrowMany.
type batches struct {
	queue
	gathered [][]byte
	count    int
	received []eshm.Message
	next     int // in received, of how many that came
	came     int
}

// batchSize is how many messages make a batch.
const batchSize = 64

func newBatches(q queue) *batches {
	gathered := make([][]byte, batchSize)
	for i := range gathered {
		gathered[i] = make([]byte, len(q.buffer))
	}
	return &batches{queue: q, gathered: gathered, received: make([]eshm.Message, batchSize)}
}

func (b *batches) room() ([]byte, error) { return b.gathered[b.count], nil }

func (b *batches) send() error {
	b.count++
	if b.count < batchSize {
		return nil
	}
	return b.flush()
}

func (b *batches) flush() error {
	count := b.count
	b.count = 0
	_, err := b.endpoint.SendMany(background, b.gathered[:count])
	return err
}

func (b *batches) recv() ([]byte, error) {
	if b.next == b.came {
		if b.came > 0 {
			b.received[b.came-1].Release()
		}
		came, err := b.endpoint.BorrowMany(background, b.received)
		if err != nil {
			return nil, err
		}
		b.next, b.came = 0, came
	}
	b.next++
	return b.received[b.next-1].Bytes(), nil
}

// seqpacket is a Unix socket that keeps messages apart.
type seqpacket struct {
	conn   *net.UnixConn
	buffer []byte
	answer []byte
}

func newSeqpacket(args *arguments) (link, error) {
	address := &net.UnixAddr{Name: "/dev/shm/" + args.name + ".sock", Net: "unixpacket"}
	conn, err := connect(address, args.follows())
	size := args.size
	return &seqpacket{conn: conn, buffer: make([]byte, size), answer: make([]byte, size)}, err
}

func connect(address *net.UnixAddr, follows bool) (*net.UnixConn, error) {
	if !follows {
		return net.DialUnix(address.Net, nil, address)
	}
	listener, err := net.ListenUnix(address.Net, address)
	if err != nil {
		return nil, err
	}
	fmt.Println("READY")
	conn, err := listener.AcceptUnix()
	return conn, errors.Join(err, listener.Close())
}

func (s *seqpacket) room() ([]byte, error) { return s.buffer, nil }

func (s *seqpacket) send() error {
	_, err := s.conn.Write(s.buffer)
	return err
}

func (s *seqpacket) recv() ([]byte, error) {
	count, err := s.conn.Read(s.answer)
	return s.answer[:count], err
}

func (s *seqpacket) flush() error { return nil }

func (s *seqpacket) wakeups() uint64 { return 0 }

func (s *seqpacket) close() error { return s.conn.Close() }
