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

// meddler is a log handler that uses, with each record, the endpoints that the test has opened, and a new one.
type meddler struct {
	slog.Handler // nil: what is not here is not called

	other  string
	busy   atomic.Bool
	mu     sync.Mutex
	opened []*Endpoint
	seen   map[string]bool
}

func (m *meddler) Enabled(context.Context, slog.Level) bool { return true }

func (m *meddler) Handle(_ context.Context, record slog.Record) error {
	// What the meddling itself brings about is not meddled with.
	if m.busy.CompareAndSwap(false, true) {
		m.meddle()
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

func (m *meddler) meddle() {
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

func (m *meddler) await(t *testing.T, what string) {
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
	m := &meddler{other: freshName(t), seen: map[string]bool{}}
	// Not closed after a failure: that could wait for ever.
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
	// An event that a call finds is told without the lock of the call's direction.
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
