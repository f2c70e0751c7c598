package eshm

import (
	"context"
	"os"
	"strconv"
	"testing"
)

// BenchmarkSendRecvAppend is what the calls themselves take: both ends are in one goroutine, and no call waits.
func BenchmarkSendRecvAppend(b *testing.B) {
	master, slave := pair(b)
	message := make([]byte, slotPayload)
	buffer := make([]byte, 0, slotPayload)
	b.ReportAllocs()
	for b.Loop() {
		if err := master.Send(b.Context(), message); err != nil {
			b.Fatal(err)
		}
		if _, err := slave.RecvAppend(b.Context(), buffer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip is an exchange with another process in which each receiver sleeps (Park), or waits as usual: in a
// thread, and without one.
func BenchmarkRoundTrip(b *testing.B) {
	for _, strategy := range []WaitStrategy{Park, Adaptive} {
		for _, most := range []int{mostThreads, 0} {
			b.Run(strategy.String()+"/threads="+strconv.Itoa(most), func(b *testing.B) {
				b.Setenv(mostThreadsVariable, strconv.Itoa(most))
				threadLimit.Store(int32(most))
				defer threadLimit.Store(mostThreads)
				name := freshName(b)
				master := open(b, name, Master, WithWait(strategy))
				c := startScenario(b, "echo "+strategy.String(), name, 0)
				c.says(b, "ready")
				message := make([]byte, slotPayload)
				for b.Loop() {
					if err := master.Send(context.Background(), message); err != nil {
						b.Fatal(err)
					}
					if _, err := master.RecvAppend(context.Background(), message[:0]); err != nil {
						b.Fatal(err)
					}
				}
				_ = master.Close()
				c.ends(b)
			})
		}
	}
}

// echo answers each message with itself, until the peer closes.
func echo(segment string, strategy WaitStrategy) {
	most, err := strconv.Atoi(os.Getenv(mostThreadsVariable))
	must(err)
	threadLimit.Store(int32(most))
	slave, err := Open(context.Background(), segment, Slave, WithWait(strategy))
	must(err)
	say("ready")
	buffer := make([]byte, 0, slotPayload)
	for {
		message, err := slave.RecvAppend(context.Background(), buffer)
		if err != nil {
			return
		}
		must(slave.Send(context.Background(), message))
	}
}
