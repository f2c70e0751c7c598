package eshm

import (
	"bytes"
	"strings"
	"testing"
)

func TestLoans(t *testing.T) {
	master, slave := pair(t)
	for _, length := range []int{5, 500} {
		loan, err := master.Loan(within(t, soon), length)
		if err != nil {
			t.Fatal(err)
		}
		expectKind(t, "TrySend", master.TrySend([]byte("other")), ErrFull)
		waiting := make(chan error)
		go func() { waiting <- master.Send(within(t, soon), []byte("after")) }()
		copy(loan.Bytes(), bytes.Repeat([]byte("y"), length))
		if err := loan.Send(); err != nil {
			t.Fatal(err)
		}
		mustRecv(t, slave, strings.Repeat("y", length))
		if err := <-waiting; err != nil {
			t.Fatal(err)
		}
		mustRecv(t, slave, "after")
		if err := loan.Send(); err == nil {
			t.Error("a loan was sent twice")
		}
	}
	dropped, err := master.Loan(within(t, soon), 10)
	if err != nil {
		t.Fatal(err)
	}
	dropped.Drop()
	dropped.Drop()
	mustSend(t, master, "next")
	mustRecv(t, slave, "next")
}
