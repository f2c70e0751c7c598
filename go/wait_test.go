package eshm

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestContextEndsEveryWait(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(64))
	for master.TrySend(nil) == nil {
	}
	cause := errors.New("enough")
	for name, wait := range map[string]func(context.Context) error{
		"Send":       func(ctx context.Context) error { return master.Send(ctx, nil) },
		"SendMany":   func(ctx context.Context) error { _, err := master.SendMany(ctx, [][]byte{nil}); return err },
		"Loan":       func(ctx context.Context) error { _, err := master.Loan(ctx, 1); return err },
		"Recv":       func(ctx context.Context) error { _, err := master.Recv(ctx); return err },
		"RecvMany":   func(ctx context.Context) error { _, err := master.RecvMany(ctx, make([]Message, 1)); return err },
		"RecvAppend": func(ctx context.Context) error { _, err := master.RecvAppend(ctx, nil); return err },
		"Read":       func(ctx context.Context) error { _, err := master.Read(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := wait(within(t, 5*time.Millisecond))
			expectKind(t, "deadline", err, ErrTimeout)
			expectKind(t, "deadline", err, context.DeadlineExceeded)
			var timeout interface{ Timeout() bool }
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%v is no timeout", err)
			}
			ctx, cancel := context.WithCancelCause(context.Background())
			ended := make(chan error)
			go func() { ended <- wait(ctx) }()
			until(t, "it is parked", func() bool { return master.parked.wake(false) > 0 })
			cancel(cause)
			err = <-ended
			expectKind(t, "cancelled", err, context.Canceled)
			expectKind(t, "cancelled", err, cause)
		})
	}
	_ = slave
}

func TestNoSystemCallWhileThePeerIsAwake(t *testing.T) {
	master, slave := pair(t)
	for range 1000 {
		mustSend(t, master, "message")
		mustRecv(t, slave, "message")
	}
	if wakeups := master.Stats().Wakeups + slave.Stats().Wakeups; wakeups != 0 {
		t.Errorf("%d wake-ups", wakeups)
	}
	received := make(chan error)
	go func() {
		_, err := slave.Recv(within(t, soon))
		received <- err
	}()
	until(t, "it is parked", func() bool { return slave.parked.wake(false) > 0 })
	mustSend(t, master, "wake up")
	if err := <-received; err != nil {
		t.Fatal(err)
	}
}
