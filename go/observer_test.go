package eshm

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"
)

func observe(t *testing.T, name string, options ...Option) *Observer {
	t.Helper()
	observer, err := Observe(name, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = observer.Close() })
	return observer
}

func mustView(t *testing.T, o *Observer) View {
	t.Helper()
	view, err := o.View()
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func TestObserverSeesSeatsAndDirections(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithDataSize(100), WithQueueCapacity(4096))
	mustSend(t, master, "unread")
	observer := observe(t, name)
	if observer.Name() != name || observer.DataSize() != 100 || observer.QueueCapacity() != 4096 || !observer.IsCurrent() {
		t.Errorf("%q, %d, %d", observer.Name(), observer.DataSize(), observer.QueueCapacity())
	}
	view := mustView(t, observer)
	down, up := view.MasterToSlave, view.SlaveToMaster
	if view.Master.State != Alive || view.Master.PID != os.Getpid() || view.Master.Generation != 1 || view.Master.Legacy ||
		view.Slave != (SeatView{}) || down.Waiting != 1 || down.Slots != 64 || up.Waiting != 0 {
		t.Errorf("%+v", view)
	}
	slave := open(t, name, Slave)
	mustRecv(t, slave, "unread")
	mustWrite(t, slave, "value")
	view = mustView(t, observer)
	if view.Slave.State != Alive || view.MasterToSlave.Waiting != 0 || view.SlaveToMaster.Written != 1 {
		t.Errorf("%+v", view)
	}
	_ = slave.Close()
	if view := mustView(t, observer); view.Slave.State != Closed {
		t.Errorf("%+v", view)
	}
	_ = master.Close()
	if observer.IsCurrent() {
		t.Error("the name was removed")
	}
	if view := mustView(t, observer); view.Master.State != Closed {
		t.Errorf("%+v", view)
	}
	if err := errors.Join(observer.Close(), observer.Close()); err != nil {
		t.Error(err)
	}
	_, err := observer.View()
	expectKind(t, "View", err, ErrClosed)
}

func TestObserverSeesFrozenAndDead(t *testing.T) {
	name := freshName(t)
	c := startChild(t, name, Master, "")
	observer := observe(t, name)
	if state := mustView(t, observer).Master.State; state != Alive {
		t.Errorf("the master is %v", state)
	}
	if err := c.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "it is frozen", func() bool { return mustView(t, observer).Master.State == Frozen })
	c.kill()
	if state := mustView(t, observer).Master.State; state != Dead {
		t.Errorf("the master is %v", state)
	}
}

func TestObserverChangesNothing(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithBackground(false))
	observer := observe(t, name)
	before, err := os.ReadFile(path(name))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		mustView(t, observer)
	}
	if after, err := os.ReadFile(path(name)); err != nil || string(after) != string(before) {
		t.Errorf("the segment has changed, %v", err)
	}
	_ = open(t, name, Slave) // no seat is taken
	_ = master.Close()
}

func TestObserverRefusesWhatIsNoSegment(t *testing.T) {
	name := freshName(t)
	_, err := Observe(name)
	expectKind(t, "nothing", err, ErrNotFound)
	expectKind(t, "nothing", err, fs.ErrNotExist)
	for what, one := range map[string]struct {
		image []byte
		kind  error
	}{
		"empty":      {nil, ErrNotFound},
		"unfinished": {make([]byte, 1000), ErrNotFound},
		"foreign":    {[]byte("no segment"), ErrForeign},
	} {
		if err := os.WriteFile(path(name), one.image, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Observe(name)
		expectKind(t, what, err, one.kind)
	}
	if err := os.WriteFile(path(name), goodSegment(t), 0o600); err != nil {
		t.Fatal(err)
	}
	observer := observe(t, name)
	if err := os.Truncate(path(name), 64); err != nil {
		t.Fatal(err)
	}
	_, err = observer.View()
	expectKind(t, "truncated", err, ErrAttach)
	_, err = Observe("a/b")
	expectKind(t, "name", err, ErrInvalidName)
	_, err = Observe(name, WithConnectTimeout(-time.Second))
	expectKind(t, "option", err, ErrInvalidOption)
}
