package eshm

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"
)

// collect returns the messages of an iterator, and its last error.
func collect(ctx context.Context, e *Endpoint) (texts []string, last error) {
	for message, err := range e.Messages(ctx) {
		if err != nil {
			last = err
			continue // the iterator ends by itself
		}
		texts = append(texts, string(message.Bytes()))
	}
	return texts, last
}

func TestMessagesEndWhenThePeerHasClosed(t *testing.T) {
	master, slave := pair(t)
	for _, text := range []string{"a", "b", "c"} {
		mustSend(t, slave, text)
	}
	_ = slave.Close()
	texts, err := collect(context.Background(), master)
	if err != nil || !slices.Equal(texts, []string{"a", "b", "c"}) {
		t.Errorf("%q, %v", texts, err)
	}
	// It can be used again, for the next peer.
	next := open(t, master.Name(), Slave)
	mustSend(t, next, "d")
	for message, err := range master.Messages(context.Background()) {
		if err != nil || string(message.Bytes()) != "d" {
			t.Errorf("%q, %v", message.Bytes(), err)
		}
		break
	}
}

func TestMessagesEndWithTheirContext(t *testing.T) {
	master, slave := pair(t)
	mustSend(t, slave, "a")
	texts, err := collect(within(t, 20*time.Millisecond), master)
	expectKind(t, "deadline", err, ErrTimeout)
	expectKind(t, "deadline", err, context.DeadlineExceeded)
	if !slices.Equal(texts, []string{"a"}) {
		t.Errorf("%q", texts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = collect(ctx, master)
	expectKind(t, "cancelled", err, context.Canceled)
}

func TestMessagesEndWithTheEndpoint(t *testing.T) {
	master, _ := pair(t)
	ended := make(chan error, 1)
	go func() {
		_, err := collect(context.Background(), master)
		ended <- err
	}()
	until(t, "it is parked", func() bool { return master.parked.wake(false) > 0 })
	_ = master.Close()
	expectKind(t, "closed", <-ended, ErrClosed)
}

func TestLeavingTheLoopLosesNoMessage(t *testing.T) {
	master, slave := pair(t)
	mustSend(t, slave, "a")
	mustSend(t, slave, "b")
	for range master.Messages(context.Background()) {
		break
	}
	mustRecv(t, master, "b")
}

// TestErrorsAreThoseOfTheStandardLibrary: callers can tell a close and a cancelled context without this package's
// kinds.
func TestErrorsAreThoseOfTheStandardLibrary(t *testing.T) {
	cause := errors.New("enough")
	cancelled, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	_, err := Open(cancelled, freshName(t), Slave)
	for _, kind := range []error{ErrNotFound, os.ErrNotExist, context.Canceled, cause} {
		expectKind(t, "Open", err, kind)
	}
	_, err = Open(within(t, time.Millisecond), freshName(t), Slave)
	expectKind(t, "Open", err, context.DeadlineExceeded)
	_, err = Open(context.Background(), freshName(t), Slave, WithConnectTimeout(time.Millisecond))
	expectKind(t, "Open", err, os.ErrNotExist)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("%v: the context has not ended", err)
	}

	master, _ := pair(t)
	_, err = master.Recv(cancelled)
	expectKind(t, "Recv", err, context.Canceled)
	expectKind(t, "Recv", err, cause)
	absent := open(t, freshName(t), Master)
	expectKind(t, "WaitForPeer", absent.WaitForPeer(cancelled), context.Canceled)
	_ = master.Close()
	_, err = master.Recv(context.Background())
	expectKind(t, "Recv", err, os.ErrClosed)
	expectKind(t, "Write", master.Write(nil), os.ErrClosed)
}
