package eshm

import (
	"context"
	"testing"
	"time"
)

// allocatesNothing checks that a call, once it has been made, allocates nothing.
func allocatesNothing(t *testing.T, what string, times int, call func() error, expected error) {
	t.Helper()
	var err error
	allocations := testing.AllocsPerRun(times, func() { err = call() })
	if expected != nil {
		expectKind(t, what, err, expected)
	} else if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	// The background goroutine may allocate meanwhile.
	if allocations > 0.1 {
		t.Errorf("%s: %v allocations", what, allocations)
	}
}

func TestCallsThatHaveToWaitAllocateNothing(t *testing.T) {
	for _, capacity := range []int{4096, 0} {
		master, _ := pair(t, WithQueueCapacity(capacity))
		message := make([]byte, 64)
		for master.TrySend(message) == nil {
		}
		batch := [][]byte{message, message}
		allocatesNothing(t, "TrySend", 1000, func() error { return master.TrySend(message) }, ErrFull)
		allocatesNothing(t, "TrySendMany", 1000, func() error {
			_, err := master.TrySendMany(batch)
			return err
		}, ErrFull)
		allocatesNothing(t, "TryRecv", 1000, func() error {
			_, _, err := master.TryRecv()
			return err
		}, nil)
		allocatesNothing(t, "TryRead", 1000, func() error {
			_, _, err := master.TryRead()
			return err
		}, nil)
		allocatesNothing(t, "Stats", 1000, func() error {
			_ = master.Stats()
			return nil
		}, nil)
	}
}

// A context with a deadline, the error that says how long the call waited, and the entry of a goroutine that sleeps
// are allocated. Nothing is kept.
func TestCallsThatTimeOutAllocateLittle(t *testing.T) {
	master, _ := pair(t)
	ctx, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	var err error
	allocations := testing.AllocsPerRun(1000, func() { _, err = master.Recv(ctx) })
	expectKind(t, "Recv", err, ErrTimeout)
	if allocations > 6 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestCallsOfAnEndpointWithoutAPeerAllocateNothing(t *testing.T) {
	ctx := context.Background()
	master, slave := pair(t)
	mustSee(t, slave)
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the slave sees the close", func() bool { return slave.PeerState() == Closed })
	allocatesNothing(t, "TrySend without a master", 1000, func() error { return slave.TrySend([]byte("x")) }, ErrReconnecting)
	allocatesNothing(t, "Write without a master", 1000, func() error { return slave.Write([]byte("x")) }, ErrReconnecting)
	allocatesNothing(t, "TrySend after the close", 1000, func() error { return master.TrySend([]byte("x")) }, ErrClosed)
	allocatesNothing(t, "TryRecv after the close", 1000, func() error {
		_, _, err := master.TryRecv()
		return err
	}, ErrClosed)

	master, slave = pair(t)
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	allocatesNothing(t, "Recv without a peer", 1000, func() error {
		_, err := master.Recv(ctx)
		return err
	}, ErrPeerClosed)
}
