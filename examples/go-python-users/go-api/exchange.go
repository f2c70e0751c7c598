package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"eshm"
)

// headerSize is the length of a message's header: its number (8 bytes), a status as HTTP has it (4), reserved (4),
// little endian. python-service/users_service/responder.py has it too.
const headerSize = 16

// exchange asks the Python service over ESHM. Any number of requests share one segment: each has a number, which its
// answer repeats. An answer whose number nobody waits for, because its request has failed or was asked of a process
// that has died since, is dropped; so no request gets another one's answer.
type exchange struct {
	open    func(context.Context) (*eshm.Endpoint, error)
	current atomic.Pointer[attached]
	log     *slog.Logger
	stop    context.CancelFunc
	stopped chan struct{}
	buffers buffers

	mu      sync.Mutex
	last    uint64 // number of the last request; the first is a random one, so that a killed API's answers are nobody's
	pending map[uint64]chan<- outcome
}

// attached is an endpoint, until its segment turns out to be unusable.
type attached struct {
	*eshm.Endpoint
	receiving context.Context         // of the wait for answers
	spoil     context.CancelCauseFunc // ends that wait with the reason why the segment is unusable
}

// retryAfter is how long the exchange rests after an error, so that one that stays costs next to nothing.
const retryAfter = 100 * time.Millisecond

// outcome is what becomes of a request.
type outcome struct {
	status uint32
	buffer *bytes.Buffer // to be given back to buffers
	err    error
}

// buffers are for answers: an answer is copied out of the segment, so that a slow client does not hold up the others.
//
// This is no sync.Pool, which the collector empties: new buffers for long answers would make it run all the time, and
// so empty the pool all the time.
type buffers chan *bytes.Buffer

// spareBuffers is how many buffers are kept at most.
const spareBuffers = 32

func (b buffers) get() *bytes.Buffer {
	select {
	case buffer := <-b:
		buffer.Reset()
		return buffer
	default:
		return new(bytes.Buffer)
	}
}

func (b buffers) put(buffer *bytes.Buffer) {
	select {
	case b <- buffer:
	default:
	}
}

// newExchange makes the segment. The Python service may come and go.
func newExchange(ctx context.Context, segment string, capacity int, log *slog.Logger) (*exchange, error) {
	open := func(ctx context.Context) (*eshm.Endpoint, error) {
		return eshm.Open(ctx, segment, eshm.Master, eshm.WithQueueCapacity(capacity),
			eshm.WithDisconnect(eshm.Immediately), // the exchange waits for the service by itself
			eshm.WithWait(eshm.Park),              // HTTP needs the processors more than the wait for an answer does
			eshm.WithLogger(log))
	}
	endpoint, err := open(ctx)
	if err != nil {
		return nil, err
	}
	receiving, stop := context.WithCancel(context.Background())
	x := &exchange{
		open:    open,
		log:     log,
		stop:    stop,
		stopped: make(chan struct{}),
		buffers: make(buffers, spareBuffers),
		last:    rand.Uint64(),
		pending: make(map[uint64]chan<- outcome),
	}
	x.attach(receiving, endpoint)
	go x.receive(receiving)
	return x, nil
}

// Close ends the exchange; requests that wait fail.
func (x *exchange) Close() error {
	x.stop()
	<-x.stopped
	return x.current.Load().Close()
}

func (x *exchange) attach(ctx context.Context, endpoint *eshm.Endpoint) {
	receiving, spoil := context.WithCancelCause(ctx)
	x.current.Store(&attached{endpoint, receiving, spoil})
}

// PeerState is "alive" if there is a Python service to ask.
func (x *exchange) PeerState() string { return x.current.Load().PeerState().String() }

// receive hands out answers until the context ends. Whatever goes wrong, requests that wait are told, the log says why,
// and it goes on.
func (x *exchange) receive(ctx context.Context) {
	defer close(x.stopped)
	for ctx.Err() == nil {
		a := x.current.Load()
		message, err := a.Borrow(a.receiving)
		if err == nil {
			x.deliver(message.Bytes())
			message.Release()
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if a.receiving.Err() != nil {
			err = context.Cause(a.receiving)
		}
		if unusable(err) {
			x.renew(ctx, a, err)
			continue
		}
		state := a.PeerState()
		x.log.Warn("no answers from the Python service", "state", state.String(), "reason", err)
		if gone(state) {
			x.failAll(down(state))
		}
		// Or it was only stopped for a while.
		if err := a.WaitForPeer(a.receiving); err != nil && ctx.Err() == nil {
			x.log.Warn("the Python service is not there", "reason", err)
			pause(ctx)
		}
	}
	x.failAll(down(eshm.Closed))
}

// unusable tells whether an endpoint that fails so will not work again.
func unusable(err error) bool {
	return errors.Is(err, eshm.ErrCorrupt) || errors.Is(err, eshm.ErrDisplaced) || errors.Is(err, eshm.ErrClosed)
}

// renew leaves a segment that is unusable, and makes a new one, to which the Python service finds its way.
func (x *exchange) renew(ctx context.Context, a *attached, reason error) {
	x.log.Error("the segment is unusable: making a new one", "reason", reason)
	x.failAll(fail(http.StatusBadGateway, "the segment to the Python service is unusable: %v", reason))
	if err := a.Close(); err != nil {
		x.log.Warn("the segment was not left cleanly", "reason", err)
	}
	for ctx.Err() == nil {
		pause(ctx)
		endpoint, err := x.open(ctx)
		if err == nil {
			x.attach(ctx, endpoint)
			return
		}
		if ctx.Err() == nil {
			x.log.Error("no new segment", "reason", err)
		}
	}
}

func pause(ctx context.Context) {
	select {
	case <-time.After(retryAfter):
	case <-ctx.Done():
	}
}

// gone tells whether nobody will answer what was asked.
func gone(state eshm.PeerState) bool { return state != eshm.Alive && state != eshm.Frozen }

func down(state eshm.PeerState) error {
	return fail(http.StatusBadGateway, "the Python service cannot be reached over shared memory: it is %v", state)
}

func (x *exchange) deliver(message []byte) {
	if len(message) < headerSize {
		x.log.Error("an answer without a header", "bytes", len(message))
		return
	}
	waiting := x.take(binary.LittleEndian.Uint64(message))
	if waiting == nil {
		return
	}
	buffer := x.buffers.get()
	buffer.Write(message[headerSize:])
	waiting <- outcome{status: binary.LittleEndian.Uint32(message[8:]), buffer: buffer}
}

// take returns who waits for an answer, if somebody does, and forgets it: there is one answer at most.
func (x *exchange) take(number uint64) chan<- outcome {
	x.mu.Lock()
	defer x.mu.Unlock()
	waiting := x.pending[number]
	delete(x.pending, number)
	return waiting
}

func (x *exchange) failAll(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for number, waiting := range x.pending {
		waiting <- outcome{err: err}
		delete(x.pending, number)
	}
}

// ask sends a question, and waits for its answer.
func (x *exchange) ask(ctx context.Context, q question) (outcome, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return outcome{}, err
	}
	answer := make(chan outcome, 1) // so that nobody waits for us
	x.mu.Lock()
	x.last++
	number := x.last
	x.pending[number] = answer
	x.mu.Unlock()
	defer x.take(number)
	// Nothing is asked of nobody: whoever comes next would answer questions that were given up long ago. A service that
	// leaves after this look fails what is pending.
	a := x.current.Load()
	if state := a.PeerState(); gone(state) {
		return outcome{}, down(state)
	}
	message := make([]byte, headerSize, headerSize+len(text))
	binary.LittleEndian.PutUint64(message, number)
	if err := a.Send(ctx, append(message, text...)); err != nil {
		if unusable(err) {
			a.spoil(err)
		}
		return outcome{}, sendFailure(err)
	}
	select {
	case got := <-answer:
		return got, got.err
	case <-ctx.Done():
		return outcome{}, fail(http.StatusGatewayTimeout, "the Python service did not answer in time: %v", ctx.Err())
	}
}

func sendFailure(err error) error {
	switch {
	case errors.Is(err, eshm.ErrTooLarge):
		return fail(http.StatusRequestEntityTooLarge, "%v", err)
	case errors.Is(err, eshm.ErrTimeout):
		return fail(http.StatusGatewayTimeout, "the Python service does not take requests: %v", err)
	default:
		return fail(http.StatusBadGateway, "the Python service cannot be reached over shared memory: %v", err)
	}
}

// viaESHM asks over ESHM, without HTTP.
func (a *api) viaESHM(ctx context.Context, q question) (body, error) {
	got, err := a.exchange.ask(ctx, q)
	if err != nil {
		return body{}, err
	}
	if got.status != http.StatusOK {
		defer a.exchange.buffers.put(got.buffer)
		return body{}, refusal(int(got.status), got.buffer.Bytes())
	}
	return body{got.buffer, int64(got.buffer.Len()), func() { a.exchange.buffers.put(got.buffer) }}, nil
}
