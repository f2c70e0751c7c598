package eshm

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"
)

func TestBatches(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(4096))
	batch := make([][]byte, 500)
	for i := range batch {
		batch[i] = bytes.Repeat([]byte{byte(i)}, i)
	}
	sending := make(chan error)
	go func() {
		sent, err := master.SendMany(within(t, soon), batch)
		if sent != len(batch) {
			err = fmt.Errorf("%d sent: %w", sent, err)
		}
		sending <- err
	}()
	messages := make([]Message, 7)
	for next := 0; next < len(batch); {
		count, err := slave.RecvMany(within(t, soon), messages)
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range messages[:count] {
			if !bytes.Equal(message.Bytes(), batch[next]) {
				t.Fatalf("message %d is %x", next, message.Bytes())
			}
			next++
		}
	}
	if err := <-sending; err != nil {
		t.Error(err)
	}
}

func TestBatchReturnsHowManyWereSent(t *testing.T) {
	master, slave := pair(t, WithQueueCapacity(4096))
	batch := make([][]byte, 200)
	sent, err := master.SendMany(within(t, 5*time.Millisecond), batch)
	if sent != 64 {
		t.Errorf("%d were sent, expected 64", sent)
	}
	expectKind(t, "SendMany", err, ErrTimeout)
	sent, err = master.TrySendMany(batch)
	if sent != 0 {
		t.Errorf("%d were sent, expected none", sent)
	}
	expectKind(t, "TrySendMany", err, ErrFull)
	if count, err := slave.RecvMany(within(t, soon), make([]Message, 100)); count != 64 || err != nil {
		t.Error(count, err)
	}
}

func TestRoomDoesNotProlongABatch(t *testing.T) {
	master, _ := pair(t, WithQueueCapacity(1<<20))
	// All of them fit, and the time is over.
	batch := make([][]byte, 4096)
	over, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	sent, err := master.SendMany(over, batch)
	if sent != batchChunk {
		t.Errorf("%d were sent, expected %d", sent, batchChunk)
	}
	expectKind(t, "SendMany", err, ErrTimeout)
	if rest, err := master.SendMany(context.Background(), batch[sent:]); sent+rest != len(batch) || err != nil {
		t.Error(rest, err)
	}
}
