package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"eshm"
)

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// count returns how many lines have a text in them.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// lone is an exchange without a Python service: the test is at the other end of its segment.
type lone struct {
	*exchange
	t       *testing.T
	segment string
	logged  lines
}

func newLone(t *testing.T) *lone {
	t.Helper()
	l := &lone{t: t, segment: fmt.Sprintf("users-test-%d-%d", os.Getpid(), worlds.Add(1))}
	var err error
	if l.exchange, err = newExchange(context.Background(), l.segment, 4096, slog.New(slog.NewTextHandler(&l.logged, nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// service attaches to the segment, as the Python service does.
func (l *lone) service(ctx context.Context) *eshm.Endpoint {
	l.t.Helper()
	service, err := eshm.Open(ctx, l.segment, eshm.Slave)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.current.Load().WaitForPeer(ctx); err != nil {
		l.t.Fatal(err)
	}
	return service
}

// asked is what becomes of a request that was asked in the background.
func (l *lone) asked(ctx context.Context) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := l.ask(ctx, question{RequestID: "one", Count: "1", Records: "0"})
		result <- err
	}()
	return result
}

// answer receives a request, and answers it.
func answer(ctx context.Context, service *eshm.Endpoint) error {
	request, err := service.Recv(ctx)
	if err != nil {
		return err
	}
	header := append([]byte(nil), request.Bytes()[:headerSize]...)
	binary.LittleEndian.PutUint32(header[8:], http.StatusOK)
	return service.Send(ctx, append(header, "{}"...))
}

// spoil makes the next answer in the segment one that the protocol forbids: see "Queues" in protocol/PROTOCOL.md.
func (l *lone) spoil() {
	l.t.Helper()
	file, err := os.OpenFile("/dev/shm/eshm_"+l.segment, os.O_RDWR, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	read := func(at int64, size int) uint64 {
		word := make([]byte, 8)
		if _, err := file.ReadAt(word[:size], at); err != nil {
			l.t.Fatal(err)
		}
		return binary.LittleEndian.Uint64(word)
	}
	slots, offset, capacity := read(84, 4), read(88, 8), read(96, 8)
	queue := offset + 384 + 64*slots + (capacity+63)/64*64 // slave to master, after master to slave
	next := read(int64(queue), 4)                          // consumed
	slot := int64(queue + 384 + 64*(next%slots))
	broken := binary.LittleEndian.AppendUint32(nil, 1000) // len, of at most 56 bytes in a slot
	if _, err := file.WriteAt(broken, slot+4); err != nil {
		l.t.Fatal(err)
	}
	if _, err := file.WriteAt(binary.LittleEndian.AppendUint32(nil, uint32(next)+1), slot); err != nil { // mark
		l.t.Fatal(err)
	}
}

// expectBadGateway waits for a request to fail with 502, and a reason.
func (l *lone) expectBadGateway(result <-chan error, says string) {
	l.t.Helper()
	err := <-result
	var known *failure
	if !errors.As(err, &known) || known.status != http.StatusBadGateway || !strings.Contains(known.reason, says) {
		l.t.Errorf("the request: %v, expected a failure with 502 that says %q", err, says)
	}
}

func TestBrokenSegmentIsToldLoggedAndReplaced(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	l := newLone(t)
	for range 2 {
		service := l.service(ctx)
		result := l.asked(ctx)
		if _, err := service.Recv(ctx); err != nil {
			t.Fatal(err)
		}
		before := l.current.Load()
		l.spoil()
		l.expectBadGateway(result, "unusable")
		_ = service.Close()
		for l.current.Load() == before && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		service = l.service(ctx)
		result = l.asked(ctx)
		if err := answer(ctx, service); err != nil {
			t.Fatal(err)
		}
		if err := <-result; err != nil {
			t.Errorf("on the new segment: %v", err)
		}
		_ = service.Close()
	}
	if found := l.logged.count("the segment is unusable"); found != 2 {
		t.Errorf("%d lines say so, expected 2", found)
	}
}

func TestServiceThatLeavesIsToldAndLogged(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	l := newLone(t)
	service := l.service(ctx)
	result := l.asked(ctx)
	if _, err := service.Recv(ctx); err != nil {
		t.Fatal(err)
	}
	_ = service.Close()
	l.expectBadGateway(result, "closed")
	if l.logged.count("no answers from the Python service") == 0 {
		t.Error("the log does not say so")
	}
}

func TestShortAnswerIsLoggedAndTheNextOneTaken(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	l := newLone(t)
	service := l.service(ctx)
	defer func() { _ = service.Close() }()
	if err := service.Send(ctx, []byte("short")); err != nil {
		t.Fatal(err)
	}
	result := l.asked(ctx)
	if err := answer(ctx, service); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
	if l.logged.count("an answer without a header") != 1 {
		t.Error("the log does not say so")
	}
}
