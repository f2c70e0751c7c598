package eshm

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// endpointUser is a log handler that uses the endpoints of the test, and a new one, for each record.
type endpointUser struct {
	slog.Handler // nil: other methods are not called

	other  string
	busy   atomic.Bool
	mu     sync.Mutex
	opened []*Endpoint
	seen   map[string]bool
}

func (m *endpointUser) Enabled(context.Context, slog.Level) bool { return true }

func (m *endpointUser) Handle(_ context.Context, record slog.Record) error {
	// Records that the handler itself causes are skipped.
	if m.busy.CompareAndSwap(false, true) {
		m.useEndpoints()
		m.busy.Store(false)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[record.Message] = true
	record.Attrs(func(attribute slog.Attr) bool {
		if attribute.Key == "is" {
			m.seen[attribute.Value.String()] = true
		}
		return true
	})
	return nil
}

func (m *endpointUser) useEndpoints() {
	m.mu.Lock()
	opened := append([]*Endpoint{}, m.opened...)
	m.mu.Unlock()
	for _, e := range opened {
		e.Stats()
		e.PeerState()
		e.Generation()
		e.Unreceived()
		_ = e.TrySend([]byte("event"))
		_, _, _ = e.TryRecv()
	}
	if other, err := Open(context.Background(), m.other, Master); err == nil {
		_ = other.Close()
	}
}

func (m *endpointUser) await(t *testing.T, what string) {
	t.Helper()
	until(t, what, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		seen := m.seen[what]
		delete(m.seen, what)
		return seen
	})
}

func TestALoggerMayUseEndpoints(t *testing.T) {
	name := freshName(t)
	m := &endpointUser{other: freshName(t), seen: map[string]bool{}}
	// Not closed after a failure, since that could wait without end.
	open := func(options ...Option) *Endpoint {
		t.Helper()
		e, err := Open(within(t, soon), name, append(options, WithLogger(slog.New(m)), WithReconnectInterval(time.Millisecond))...)
		if err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		m.opened = append(m.opened, e)
		m.mu.Unlock()
		return e
	}
	first, slave := open(Master), open(Slave)
	m.await(t, "eshm: attached")
	m.await(t, Alive.String())
	removeFromBackground(first)
	m.await(t, Frozen.String())
	addToBackground(first)
	m.await(t, Alive.String())
	// An event that a call finds is logged without the mutex of the call's direction.
	go func() { _, _ = slave.Recv(within(t, soon)) }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	m.await(t, Closed.String())
	second := open(Master)
	m.await(t, "eshm: moved to the new segment")
	m.await(t, Alive.String())
	if err := os.Remove(path(name)); err != nil {
		t.Fatal(err)
	}
	m.await(t, "eshm: the segment's file was removed: another one takes its name")
	foreign := path(m.other) + "-foreign"
	err := errors.Join(os.WriteFile(foreign, []byte("somebody else's"), 0o600), os.Rename(foreign, path(name)))
	if err != nil {
		t.Fatal(err)
	}
	m.await(t, "eshm: another segment has the name: this endpoint is displaced")
	if err := errors.Join(second.Close(), slave.Close()); err != nil {
		t.Fatal(err)
	}
	m.await(t, "eshm: closed")
}
