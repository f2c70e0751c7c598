package eshm

import (
	"context"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
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
	answer(slave)
}

// BenchmarkCrowd is the time per exchange when many pairs of two processes exchange at once.
func BenchmarkCrowd(b *testing.B) {
	for _, pairs := range []int{4, 16, 100} {
		for _, most := range []int{mostThreads, 1000} {
			b.Run(strconv.Itoa(pairs)+"/threads="+strconv.Itoa(most), func(b *testing.B) {
				b.Setenv(mostThreadsVariable, strconv.Itoa(most))
				threadLimit.Store(int32(most))
				defer threadLimit.Store(mostThreads)
				var masters []*Endpoint
				name := freshName(b)
				for i := range pairs {
					masters = append(masters, open(b, name+"-"+strconv.Itoa(i), Master, WithQueueCapacity(4096)))
				}
				b.Setenv(pairsVariable, strconv.Itoa(pairs))
				c := startScenario(b, "echoes", name, 0)
				c.says(b, "ready")
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				var group sync.WaitGroup
				for _, master := range masters {
					group.Add(1)
					go func() {
						defer group.Done()
						message := make([]byte, slotPayload)
						for left.Add(-1) >= 0 {
							_ = master.Send(context.Background(), message)
							_, _ = master.RecvAppend(context.Background(), message[:0])
						}
					}()
				}
				group.Wait()
				b.StopTimer()
				for _, master := range masters {
					_ = master.Close()
				}
				c.ends(b)
			})
		}
	}
}

const pairsVariable = "ESHM_TEST_PAIRS"

// echoes is echo for several segments.
func echoes(segment string) {
	most, err := strconv.Atoi(os.Getenv(mostThreadsVariable))
	must(err)
	threadLimit.Store(int32(most))
	pairs, err := strconv.Atoi(os.Getenv(pairsVariable))
	must(err)
	var group sync.WaitGroup
	for i := range pairs {
		slave, err := Open(context.Background(), segment+"-"+strconv.Itoa(i), Slave)
		must(err)
		group.Add(1)
		go func() {
			defer group.Done()
			answer(slave)
		}()
	}
	say("ready")
	group.Wait()
}

// answer sends each message back, until the peer closes.
func answer(slave *Endpoint) {
	buffer := make([]byte, 0, slotPayload)
	for {
		message, err := slave.RecvAppend(context.Background(), buffer)
		if err != nil {
			return
		}
		must(slave.Send(context.Background(), message))
	}
}
