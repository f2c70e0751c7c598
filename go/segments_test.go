package eshm

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ownDomain returns a domain on a tmpfs that nobody else uses.
func ownDomain(t *testing.T) Domain {
	t.Helper()
	directory, err := os.MkdirTemp("/dev/shm", "gotest-domain-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return Domain{directory, "p_"}
}

func (d Domain) file(name string) string { return filepath.Join(d.Directory, d.Prefix+name) }

// segment returns the segment of this name.
func (d Domain) segment(t *testing.T, name string) Segment {
	t.Helper()
	segments, err := d.Segments()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range segments {
		if one.Name == name {
			return one
		}
	}
	t.Fatalf("there is no segment %q among %v", name, segments)
	return Segment{}
}

func TestHighWaterOffset(t *testing.T) {
	field, _ := reflect.TypeFor[queueControl]().FieldByName("sender")
	if at := uint64(field.Offset) + 4; at != highWaterOffset {
		t.Errorf("%d, expected %d", highWaterOffset, at)
	}
}

func TestSegmentsDescribeEndpointsAndQueues(t *testing.T) {
	domain := ownDomain(t)
	if segments, err := domain.Segments(); err != nil || len(segments) != 0 {
		t.Fatalf("%v, %v", segments, err)
	}
	before := time.Now().Add(-time.Second)
	master := open(t, "both", Master, WithDomain(domain), WithMode(0o640), WithAutoCleanup(false))
	slave := open(t, "both", Slave, WithDomain(domain))
	for range 3 {
		mustSend(t, master, "waits")
	}
	if err := slave.Write([]byte("value")); err != nil {
		t.Fatal(err)
	}
	one := domain.segment(t, "both")
	if one.Kind != CurrentSegment || one.Reason != "" || one.Path != domain.file("both") || one.Owner != os.Geteuid() ||
		one.Mode != 0o640 || one.Size != master.link.geometry.segmentSize() || one.View == nil {
		t.Fatalf("%+v", one)
	}
	if one.Since.Before(before) || one.Since.After(time.Now().Add(time.Second)) {
		t.Errorf("since %v", one.Since)
	}
	view := *one.View
	if m := view.Master; m.State != Alive || m.PID != os.Getpid() || m.Heartbeat == 0 || m.Generation != 1 || m.Legacy {
		t.Errorf("the master: %+v", m)
	}
	if s := view.Slave; s.State != Alive || s.PID != os.Getpid() || s.Legacy {
		t.Errorf("the slave: %+v", s)
	}
	slots := uint32(defaultSlots(DefaultQueueCapacity))
	if down := view.MasterToSlave; down.Waiting != 3 || down.Slots != slots || down.HighWater > 3 {
		t.Errorf("down: %+v", down)
	}
	if up := view.SlaveToMaster; up != (DirectionView{Written: 1, Slots: slots}) {
		t.Errorf("up: %+v", up)
	}
	_ = slave.Close()
	_ = master.Close()
	left := domain.segment(t, "both")
	if left.View.Master.State != Closed || left.View.Slave.State != Closed || left.View.MasterToSlave.Waiting != 3 {
		t.Errorf("left behind: %+v", *left.View)
	}
}

func TestSegmentsTellDeadFromAlive(t *testing.T) {
	domain, err := DefaultDomain()
	if err != nil {
		t.Fatal(err)
	}
	name := freshName(t)
	killed := startChild(t, name, Master, "unread")
	if one := domain.segment(t, name); one.View.Master.State != Alive || one.View.Slave.State != Absent {
		t.Errorf("%+v", *one.View)
	}
	killed.kill()
	if one := domain.segment(t, name); one.View.Master.State != Dead || one.View.MasterToSlave.Waiting != 1 {
		t.Errorf("%+v", *one.View)
	}
}

// plantFiles puts files that are no segments into a domain, and returns their kinds and reasons.
func plantFiles(t *testing.T, domain Domain) map[string]string {
	t.Helper()
	good := goodSegment(t)
	err := errors.Join(
		os.Mkdir(domain.file("directory"), 0o700),
		os.Symlink("/nowhere", domain.file("link")),
		syscall.Mkfifo(domain.file("fifo"), 0o600),
		os.WriteFile(domain.file("empty"), nil, 0o600),
		os.WriteFile(domain.file("short"), []byte("short"), 0o600),
		os.WriteFile(domain.file("zeros"), make([]byte, 8576), 0o600),
		os.WriteFile(domain.file("text"), []byte(strings.Repeat("text ", 1000)), 0o600),
		os.WriteFile(domain.file("cut"), good[:1000], 0o600),
		os.WriteFile(filepath.Join(domain.Directory, "elsewhere"), good, 0o600),
		os.WriteFile(domain.file(".eshm-tmp-1-0"), good, 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"directory": "foreign: it is a directory",
		"link":      "foreign: it is a symbolic link",
		"fifo":      "foreign: it is a FIFO",
		"empty":     "unfinished: its file is empty",
		"short":     "foreign: the size is 5 bytes, expected at least 384",
		"zeros":     "unfinished: its header is empty",
		"text":      "foreign: the magic is",
		"cut":       "foreign: the size is 1000 bytes",
	}
}

func TestFilesThatAreNoSegmentsAreListedAndLeft(t *testing.T) {
	domain := ownDomain(t)
	kinds := plantFiles(t, domain)
	segments, err := domain.Segments()
	if err != nil || len(segments) != len(kinds) {
		t.Fatalf("%d of %d, %v: %v", len(segments), len(kinds), err, segments)
	}
	for _, one := range segments {
		if text := one.Kind.String() + ": " + one.Reason; !strings.HasPrefix(text, kinds[one.Name]) || one.View != nil {
			t.Errorf("%s: %q, expected %q", one.Name, text, kinds[one.Name])
		}
	}
	removal, err := domain.RemoveDead()
	if err != nil || len(removal.Left) != len(kinds) {
		t.Fatalf("%+v, %v", removal, err)
	}
	for _, one := range removal.Left {
		if !strings.Contains(kinds[one.Segment.Name], one.Reason[:10]) {
			t.Errorf("%s was left because %q", one.Segment.Name, one.Reason)
		}
		if _, err := os.Lstat(one.Segment.Path); err != nil {
			t.Error(err)
		}
	}
	// A temporary name that nobody needs any more is removed. A file without the prefix does not belong to the domain.
	if len(removal.Removed) != 1 || removal.Removed[0].Name != "p_.eshm-tmp-1-0" {
		t.Errorf("removed: %+v", removal.Removed)
	}
	if _, err := os.Lstat(filepath.Join(domain.Directory, "elsewhere")); err != nil {
		t.Error(err)
	}
}
