package eshm

import (
	"context"
	"errors"
	"testing"
	"time"
)

// fill sends messages of a length until one is refused.
func fill(t testing.TB, e *Endpoint, length int) {
	t.Helper()
	message := make([]byte, length)
	err := e.TrySend(message)
	for ; err == nil; err = e.TrySend(message) {
	}
	expectKind(t, "TrySend", err, ErrFull)
}

// settles checks that a program which has nothing to send, and finds no message, can wait for the descriptor: after a
// while it stays quiet.
func settles(t testing.TB, e *Endpoint, v *Events) {
	t.Helper()
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		mustFindNothing(t, e)
	}
	expectQuiet(t, "nothing is left to be done", v)
	if isReadable(t, v, 50*time.Millisecond) {
		t.Fatal("the descriptor is readable again")
	}
}

// TestASendThatGoesEndsTheWaitForRoom: the peer has made room for more.
func TestASendThatGoesEndsTheWaitForRoom(t *testing.T) {
	message := []byte("m")
	for what, send := range map[string]func(e *Endpoint) error{
		"TrySend":     func(e *Endpoint) error { return e.TrySend(message) },
		"TrySendMany": func(e *Endpoint) error { _, err := e.TrySendMany([][]byte{message}); return err },
		"Send":        func(e *Endpoint) error { return e.Send(context.Background(), message) },
		"SendMany": func(e *Endpoint) error {
			_, err := e.SendMany(context.Background(), [][]byte{message})
			return err
		},
		"Loan": func(e *Endpoint) error {
			loan, err := e.Loan(context.Background(), 1)
			return errors.Join(err, loan.Send())
		},
	} {
		for _, capacity := range []int{64, 0} {
			t.Run(what, func(t *testing.T) {
				master, slave := seen(t, WithQueueCapacity(capacity))
				events := mustHaveEvents(t, master, InterestReadable|InterestWritable)
				fill(t, master, 1)
				mustFindNothing(t, master)
				expectQuiet(t, "armed for both", events)
				if _, err := slave.Recv(within(t, soon)); err != nil {
					t.Fatal(err)
				}
				expectReadable(t, "room", events)
				if err := send(master); err != nil {
					t.Fatal(err)
				}
				if capacity > 0 {
					_, _ = slave.Recv(within(t, soon)) // room that nobody needs
				}
				settles(t, master, events)
			})
		}
	}
}

// TestSendsThatSleepLeaveTheProgramInPeace: they ask for a ring, too.
func TestSendsThatSleepLeaveTheProgramInPeace(t *testing.T) {
	for what, over := range map[string]error{"one that goes": nil, "one that times out": ErrTimeout} {
		t.Run(what, func(t *testing.T) {
			master, slave := seen(t, WithQueueCapacity(64))
			fill(t, master, 1)
			events := mustHaveEvents(t, master, InterestReadable|InterestWritable)
			mustFindNothing(t, master)
			withoutThreads(t)
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()
			sent := make(chan error, 1)
			go func() { sent <- master.Send(ctx, []byte("m")) }()
			until(t, "it sleeps", master.link.outQueue.control.sender.parked.isArmed)
			if over != nil {
				cancel()
				expectKind(t, "Send", <-sent, context.Canceled)
			}
			if _, err := slave.Recv(within(t, soon)); err != nil {
				t.Fatal(err)
			}
			if over == nil {
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
			}
			settles(t, master, events)
		})
	}
}

// TestAShortMessageThatGoesLeavesNobodyBehind who waits for more room than it has needed.
func TestAShortMessageThatGoesLeavesNobodyBehind(t *testing.T) {
	long := make([]byte, 4096)
	begin := func(t *testing.T) (master, slave *Endpoint, events *Events) {
		master, slave = seen(t, WithQueueCapacity(len(long)))
		fill(t, master, len(long))
		return master, slave, mustHaveEvents(t, master, InterestReadable|InterestWritable)
	}
	t.Run("the program", func(t *testing.T) {
		master, _, events := begin(t)
		expectKind(t, "TrySend", master.TrySend(long), ErrFull)
		mustFindNothing(t, master)
		expectQuiet(t, "armed for both", events)
		if err := master.TrySend([]byte("short")); err != nil {
			t.Fatal(err)
		}
		if !isReadable(t, events, 0) {
			t.Error("the program does not try the long message again")
		}
	})
	t.Run("a goroutine", func(t *testing.T) {
		master, slave, _ := begin(t)
		mustFindNothing(t, master)
		until(t, "the ticks wake nobody", func() bool {
			master.mu.Lock()
			defer master.mu.Unlock()
			return master.wakeUntil.IsZero()
		})
		withoutThreads(t)
		sent := make(chan error, 1)
		go func() { sent <- master.Send(within(t, soon), long) }()
		bell := &master.link.outQueue.control.sender.parked
		until(t, "it sleeps", bell.isArmed)
		expectKind(t, "TrySend", master.TrySend(long), ErrFull)
		if err := master.TrySend([]byte("short")); err != nil {
			t.Fatal(err)
		}
		until(t, "it asks for a ring again", bell.isArmed)
		for depth := master.Unreceived(); depth > 0; depth-- {
			if _, err := slave.Recv(within(t, soon)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}
