package eshm

import "testing"

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
