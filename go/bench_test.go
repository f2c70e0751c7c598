package eshm

import "testing"

// BenchmarkSendAndRecv is what the calls themselves take: both ends are in one goroutine, and no call waits.
func BenchmarkSendAndRecv(b *testing.B) {
	master, slave := pair(b)
	message := make([]byte, slotPayload)
	b.ReportAllocs()
	for b.Loop() {
		if err := master.Send(b.Context(), message); err != nil {
			b.Fatal(err)
		}
		received, err := slave.Borrow(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		received.Release()
	}
}
