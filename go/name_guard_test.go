package eshm

import (
	"os"
	"testing"
)

// nameIsBack waits until the name exists.
func nameIsBack(t *testing.T, name string) {
	t.Helper()
	until(t, "the name is back", func() bool {
		_, err := os.Stat(path(name))
		return err == nil
	})
}

// openAgain opens an endpoint whose seat is about to be free.
func openAgain(t *testing.T, name string, role Role) (endpoint *Endpoint) {
	t.Helper()
	until(t, "the seat is free", func() bool {
		one, err := Open(within(t, soon), name, role)
		endpoint = one
		return err == nil
	})
	t.Cleanup(func() { _ = endpoint.Close() })
	return endpoint
}

func TestMasterWithoutASlaveSwitchesAtOnce(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	mustSend(t, master, "first")
	removeName(t, name)
	nameIsBack(t, name)
	mustRecv(t, openAgain(t, name, Slave), "first")
}

func TestSlaveSwitchesToTheSegmentAfterTheStandIn(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master)
	slave := openSlave(t, name)
	removeName(t, name)
	nameIsBack(t, name)
	mustSend(t, slave, "accepted")
	_ = master.Close()
	if _, err := os.Stat(path(name)); err == nil {
		t.Fatal("a closed master has left its stand-in")
	}
	successor := open(t, name, Master)
	mustRecv(t, successor, "accepted")
}
