package eshm

import (
	"errors"
	"eshm/internal/shm"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestRemoveDeadRemovesSegmentsWithFreeSeats(t *testing.T) {
	domain := ownDomain(t)
	here := WithDomain(domain)
	for _, name := range []string{"kept", "unread"} {
		master := open(t, name, Master, here, WithAutoCleanup(false))
		mustSend(t, master, "unread")
		_ = master.Close()
	}
	_ = open(t, "master", Master, here)
	left := open(t, "slave", Master, here, WithAutoCleanup(false))
	_ = open(t, "slave", Slave, here)
	_ = left.Close()
	expect := func(removal Removal, err error, removed ...string) {
		t.Helper()
		if err != nil || len(removal.Removed) != len(removed) {
			t.Fatalf("%+v, %v; expected %q", removal.Removed, err, removed)
		}
		for i, one := range removal.Removed {
			if one.Name != removed[i] || one.View == nil || one.Owner != os.Geteuid() {
				t.Errorf("%+v, expected %q", one, removed[i])
			}
		}
		for i, reason := range []string{"its master lives", "its slave lives"} {
			if !strings.HasPrefix(removal.Left[i].Reason, fmt.Sprintf("%s (pid %d)", reason, os.Getpid())) {
				t.Errorf("%+v, expected %q", removal.Left[i], reason)
			}
		}
	}
	removal, err := domain.FindDead()
	expect(removal, err, "kept", "unread")
	removal, err = domain.RemoveDead()
	expect(removal, err, "kept", "unread")
	for _, name := range []string{"kept", "unread"} {
		if _, err := os.Stat(domain.file(name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	removal, err = domain.RemoveDead()
	expect(removal, err)
}

func TestRemoveDeadAfterAKill(t *testing.T) {
	name := freshName(t)
	t.Setenv(prefixVariable, "eshm_"+name+".") // a domain of its own in /dev/shm, also for the child
	t.Cleanup(func() { _ = os.Remove(path(name + ".killed")) })
	killed := startChild(t, "killed", Master, "unread")
	removal, err := RemoveDead()
	if err != nil || len(removal.Left) != 1 || len(removal.Removed) != 0 {
		t.Fatalf("%+v, %v", removal, err)
	}
	killed.kill()
	segments, err := Segments()
	if err != nil || len(segments) != 1 || segments[0].View.Master.State != Dead {
		t.Fatalf("%+v, %v", segments, err)
	}
	removal, err = RemoveDead()
	if err != nil || len(removal.Removed) != 1 || removal.Removed[0].View.MasterToSlave.Waiting != 1 || exists(name+".killed") {
		t.Errorf("%+v, %v", removal, err)
	}
}

func TestRemoveDeadLeavesLegacyProcessesAlone(t *testing.T) {
	name := legacySegment(t, 3)
	// Only this one, whatever else is in /dev/shm.
	domain := Domain{"/dev/shm", "eshm_" + name[:len(name)-1]}
	only := name[len(name)-1:]
	verdict := func() (removed bool, reason string) {
		t.Helper()
		removal, err := domain.RemoveDead()
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range removal.Left {
			if one.Segment.Name == only {
				return false, one.Reason
			}
		}
		return true, ""
	}
	master := startLegacy(t, name, Master, os.Getpid(), true)
	// On a busy machine its heartbeat stands still for a while from time to time.
	until(t, "it is seen to be alive", func() bool {
		view := domain.segment(t, only)
		if view.Kind != LegacySegment || !view.View.Master.Legacy {
			t.Fatalf("%+v %+v", view, *view.View)
		}
		return view.View.Master.State == Alive
	})
	until(t, "it shows signs of life", func() bool {
		removed, reason := verdict()
		if removed {
			t.Fatal("it was removed")
		}
		return strings.Contains(reason, "shows signs of life")
	})
	master.pause.Store(true)
	if removed, reason := verdict(); removed || !strings.Contains(reason, "there is a process") {
		t.Errorf("standing still: %v, %q", removed, reason)
	}
	if state := domain.segment(t, only).View.Master.State; state != Frozen {
		t.Errorf("standing still: %v", state)
	}
	master.self.pid.Store(deadPID(t))
	if state := domain.segment(t, only).View.Master.State; state != Dead {
		t.Errorf("of no process: %v", state)
	}
	if removed, reason := verdict(); !removed {
		t.Errorf("dead: %q", reason)
	}
}

// deadPID is the pid of a process that has ended.
func deadPID(t *testing.T) int32 {
	t.Helper()
	ended := startChild(t, freshName(t), Master, "")
	ended.kill()
	return int32(ended.command.Process.Pid)
}

func TestRemoveDeadNamesTheStickyBit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be two users")
	}
	name := freshName(t)
	domain := Domain{"/dev/shm", "eshm_" + name + "."}
	for segment, mode := range map[string]fs.FileMode{"open": 0o666, "private": 0o600} {
		_ = open(t, segment, Master, WithDomain(domain), WithAutoCleanup(false), WithMode(mode)).Close()
		t.Cleanup(func() { _ = os.Remove(domain.file(segment)) })
		if err := os.Chown(domain.file(segment), 12345, 12345); err != nil {
			t.Fatal(err)
		}
	}
	child := startScenario(t, "guest removes", name, 0)
	child.says(t, "open", "current", "user 12345", "sticky bit")
	child.says(t, "private", "unreadable", "permission denied")
	child.ends(t)
}

// removeAsGuest prints what happens to another user's segments.
func removeAsGuest(segment string) {
	must(syscall.Setgroups(nil))
	must(syscall.Setgid(65534))
	must(syscall.Setuid(65534))
	removal, err := Domain{"/dev/shm", "eshm_" + segment + "."}.RemoveDead()
	must(err)
	for _, one := range removal.Left {
		say(fmt.Sprintf("%s was left: %v, %s", one.Segment.Name, one.Segment.Kind, one.Reason))
	}
	for _, one := range removal.Removed {
		say("removed: " + one.Name)
	}
}

// TestNoEndpointAttachesToASegmentThatIsBeingRemoved: an endpoint that opens it meanwhile gets the next one.
func TestNoEndpointAttachesToASegmentThatIsBeingRemoved(t *testing.T) {
	domain := ownDomain(t)
	here := WithDomain(domain)
	_ = open(t, "kept", Master, here, WithAutoCleanup(false)).Close()
	found, err := domain.readAll(shm.Open)
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	one := found[0]
	if verdict := lockSeats(one.file); verdict != "" {
		t.Fatal(verdict)
	}
	for _, role := range []Role{Master, Slave} {
		_, err := Open(within(t, soon), "kept", role, here)
		expectKind(t, role.String(), err, ErrSeatTaken)
	}
	if removal, err := domain.RemoveDead(); err != nil || len(removal.Removed) != 0 || len(removal.Left) != 1 {
		t.Errorf("another remover: %+v, %v", removal, err)
	}
	if verdict := unlink(one.file, one.segment.Path); verdict != "" {
		t.Error(verdict)
	}
	successor := open(t, "kept", Master, here)
	if successor.link.header.masterGeneration.Load() != 1 {
		t.Error("it is the old one")
	}
	// It has the name now, and is not the file that was locked.
	if verdict := unlink(one.file, one.segment.Path); verdict != gone {
		t.Errorf("%q, expected %q", verdict, gone)
	}
	closeAll(found)
	if found, err := shm.Stat(successor.path); err != nil || found.ID != successor.link.id {
		t.Errorf("the successor has lost its name: %v", err)
	}
}

// TestRemoveDeadRacesWithOpeners runs openers and removers at the same time. An endpoint that is open has its segment's
// name, and no message is lost that was accepted while a peer was attached.
func TestRemoveDeadRacesWithOpeners(t *testing.T) {
	domain := ownDomain(t)
	here := WithDomain(domain)
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	var working sync.WaitGroup
	var ended atomic.Bool
	var removed atomic.Int64
	for range 2 {
		working.Add(1)
		go func() {
			defer working.Done()
			for !ended.Load() {
				removal, err := domain.RemoveDead()
				if err != nil {
					t.Error(err)
					return
				}
				removed.Add(int64(len(removal.Removed)))
				for _, one := range removal.Left {
					if !strings.Contains(one.Reason, "lives") && !strings.Contains(one.Reason, "signs of life") &&
						!strings.Contains(one.Reason, "just") {
						t.Errorf("left: %q", one.Reason)
					}
				}
			}
		}()
	}
	var opening sync.WaitGroup
	for worker := range 2 {
		name := fmt.Sprint("raced-", worker)
		opening.Add(1)
		go func() {
			defer opening.Done()
			for range rounds {
				openBesideRemovers(t, name, here)
			}
		}()
	}
	opening.Wait()
	ended.Store(true)
	working.Wait()
	// The last segments may have been left behind.
	removal, err := domain.RemoveDead()
	if err != nil || len(removal.Left) != 0 {
		t.Errorf("%+v, %v", removal, err)
	}
	if removed.Load()+int64(len(removal.Removed)) == 0 {
		t.Error("nothing was ever removed: this was no race")
	}
	if left, _ := filepath.Glob(domain.Directory + "/*"); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// openBusy opens a segment, and tries again while a remover has the seat, which may take longer than an opener waits.
func openBusy(t *testing.T, name string, options ...Option) (*Endpoint, error) {
	for since := time.Now(); ; {
		endpoint, err := Open(within(t, soon), name, options...)
		if !errors.Is(err, ErrSeatTaken) || time.Since(since) > soon {
			return endpoint, err
		}
	}
}

// openBesideRemovers repeatedly opens a segment that was just left, and exchanges messages.
func openBesideRemovers(t *testing.T, name string, here Option) {
	for range 15 {
		master, err := openBusy(t, name, Master, here, WithAutoCleanup(false), WithQueueCapacity(0))
		if err != nil {
			t.Errorf("the master: %v", err)
			return
		}
		if found, err := shm.Stat(master.path); err != nil || found.ID != master.link.id {
			t.Errorf("a segment in use was removed: %v", err)
		}
		_ = master.Close()
	}
	master, err := openBusy(t, name, Master, here, WithAutoCleanup(false))
	if err != nil {
		t.Errorf("the master: %v", err)
		return
	}
	defer func() { _ = master.Close() }()
	slave, err := openBusy(t, name, Slave, here)
	if err != nil {
		t.Errorf("the slave: %v", err)
		return
	}
	defer func() { _ = slave.Close() }()
	text := fmt.Sprint(rand.Uint64())
	if err := master.Send(within(t, soon), []byte(text)); err != nil {
		t.Errorf("sending: %v", err)
		return
	}
	if message, err := slave.Recv(within(t, soon)); err != nil || string(message.Bytes()) != text {
		t.Errorf("received %q, %v; expected %q", message.Bytes(), err, text)
	}
	if found, err := shm.Stat(master.path); err != nil || found.ID != master.link.id {
		t.Errorf("a segment in use was removed: %v", err)
	}
}
