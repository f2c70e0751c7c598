package eshm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The counterparts of core/tests/files.rs: files are created with exact permissions, and files that are no usable
// segments are refused and not changed.

func makeUnderUmask(segment string, mask int) {
	syscall.Umask(mask)
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666, 0o777} {
		master, err := Open(context.Background(), segment, Master, WithMode(mode))
		must(err)
		info, err := os.Stat(path(segment))
		must(err)
		say(fmt.Sprintf("%#o for %#o", info.Mode().Perm(), mode))
		must(master.Close())
	}
}

func TestModeIsExactWhateverTheUmask(t *testing.T) {
	for _, scenario := range []string{"umask 0", "umask 077", "umask 0777"} {
		child := startScenario(t, scenario, freshName(t), 0)
		for _, mode := range []string{"0600", "0660", "0666", "0777"} {
			child.says(t, mode+" for "+mode)
		}
		child.ends(t)
	}
}

func TestTakeOverSetsTheMode(t *testing.T) {
	name := freshName(t)
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o600} {
		_ = open(t, name, Master, WithAutoCleanup(false), WithMode(mode)).Close()
		if info, err := os.Stat(path(name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, %v; expected %v", info.Mode(), err, mode)
		}
	}
}

func TestStrangeNamesWork(t *testing.T) {
	name := freshName(t) + "größe \n."
	t.Cleanup(func() { _ = os.Remove(path(name)) })
	master, slave := open(t, name, Master), open(t, name, Slave)
	mustSend(t, master, "hello")
	mustRecv(t, slave, "hello")
}

// leftBehind returns the name of a segment that a master left with a message in it.
func leftBehind(t *testing.T) string {
	t.Helper()
	name := freshName(t)
	master := open(t, name, Master, WithAutoCleanup(false), WithQueueCapacity(4096))
	mustSend(t, master, "unread")
	_ = master.Close()
	return name
}

// expectRefused checks that each role refuses the file, with a text that has these parts, and does not change it.
func expectRefused(t *testing.T, name string, parts ...string) {
	t.Helper()
	state := func() (string, []byte) {
		info, err := os.Lstat(path(name))
		if err != nil {
			t.Fatal(err)
		}
		var bytes []byte
		if info.Mode().IsRegular() {
			bytes, _ = os.ReadFile(path(name))
		}
		stat := info.Sys().(*syscall.Stat_t)
		return fmt.Sprintln(stat.Ino, stat.Mode, stat.Uid, stat.Size, stat.Mtim, stat.Ctim), bytes
	}
	before, content := state()
	for _, role := range []Role{Master, Slave, Auto} {
		_, err := Open(within(t, soon), name, role, WithConnectTimeout(0))
		if Code(err) != -3 {
			t.Errorf("%v: %v, expected error -3", role, err)
			continue
		}
		for _, part := range append(parts, name) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v: %v does not say %q", role, err, part)
			}
		}
		if after, now := state(); after != before || !bytes.Equal(now, content) {
			t.Errorf("%v has changed it", role)
		}
	}
}

func TestKindsOfFilesAreNamed(t *testing.T) {
	for what, plant := range map[string]func(string) error{
		"a symbolic link": func(path string) error { return os.Symlink("/nowhere", path) },
		"a directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"a FIFO":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"opening it": func(path string) error {
			listener, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { _ = listener.Close() })
			}
			return err
		},
	} {
		name := freshName(t)
		if err := plant(path(name)); err != nil {
			t.Fatal(err)
		}
		expectRefused(t, name, what)
	}
	victim := filepath.Join(t.TempDir(), "victim")
	name := freshName(t)
	if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), os.Symlink(victim, path(name))); err != nil {
		t.Fatal(err)
	}
	expectRefused(t, name, "a symbolic link")
	if text, _ := os.ReadFile(victim); string(text) != "precious" {
		t.Errorf("%q behind the link", text)
	}
}

func TestTruncatedFilesAreRefused(t *testing.T) {
	info, err := os.Stat(path(leftBehind(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int64{1, 4, 127, 128, 383, 384, 4352, 8575, 8576, 8703, info.Size() - 128, info.Size() - 1} {
		name := leftBehind(t)
		if err := os.Truncate(path(name), length); err != nil {
			t.Fatal(err)
		}
		expectRefused(t, name, fmt.Sprintf("%d bytes", length))
	}
}

func TestRandomBytesAreRefused(t *testing.T) {
	for _, length := range []int{200, 8576, 100_000} {
		name := freshName(t)
		random := make([]byte, length)
		_, _ = rand.Read(random)
		random[0], random[4] = random[0]|1, random[4]|1 // not empty, and not the magic
		random[3] = 0
		if err := os.WriteFile(path(name), random, 0o600); err != nil {
			t.Fatal(err)
		}
		expectRefused(t, name, "expected")
	}
}

func TestHeadersThatExceedTheFileAreRefused(t *testing.T) {
	for offset, what := range map[int]string{88: "queue offset", 96: "queue capacity"} {
		for _, value := range []uint64{math.MaxUint64, math.MaxUint64 - 127, 1 << 63, 1 << 40} {
			name := leftBehind(t)
			image, err := os.ReadFile(path(name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path(name), patched(image, offset, value), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Open(within(t, soon), name, Slave, WithConnectTimeout(0))
			if err == nil || !strings.Contains(err.Error(), what) && !strings.Contains(err.Error(), "the size is") {
				t.Errorf("%s %d: %v", what, value, err)
			}
			expectRefused(t, name, "expected")
		}
	}
}

// TestUnfinishedFilesAreRefusedInTime: an ESHM 1.x master that was killed while it created its segment leaves an empty
// file.
func TestUnfinishedFilesAreRefusedInTime(t *testing.T) {
	for _, length := range []int{0, 8576} {
		name := freshName(t)
		if err := os.WriteFile(path(name), make([]byte, length), 0o600); err != nil {
			t.Fatal(err)
		}
		expectRefused(t, name, "may be creating it")
		// The hint to start the master makes no sense to a master.
		_, err := Open(within(t, soon), name, Master, WithConnectTimeout(0))
		expectKind(t, "a master", err, ErrForeign)
		if err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%v does not say what to do", err)
		}
	}
}

// TestMasterReplacesACorruptSegmentTheNextTime: what a hostile peer leaves behind does not block the name.
func TestMasterReplacesACorruptSegmentTheNextTime(t *testing.T) {
	name := leftBehind(t)
	image, err := os.ReadFile(path(name))
	if err != nil {
		t.Fatal(err)
	}
	queue := binary.NativeEndian.Uint64(image[88:])
	// The length in the first slot, whose message is unread.
	if err := os.WriteFile(path(name), patched(image, int(queue)+384+4, uint32(57)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(within(t, soon), name, Master)
	expectKind(t, "a corrupt queue", err, ErrCorrupt)
	if _, err := os.Stat(path(name)); err == nil {
		t.Error("the corrupt segment is still there")
	}
	master, slave := open(t, name, Master), open(t, name, Slave)
	mustSend(t, master, "anew")
	mustRecv(t, slave, "anew")
}

func TestForbiddenFileIsAnErrorWithAHint(t *testing.T) {
	name := freshName(t)
	if err := os.WriteFile(path(name), bytes.Repeat([]byte{1}, 100), 0o000); err != nil {
		t.Fatal(err)
	}
	// Root may open every file, and then finds that it is too small.
	part := "with mode 0000"
	if os.Geteuid() == 0 {
		part = "100 bytes"
	}
	expectRefused(t, name, part)
}

// TestNameNeverLeadsToAnIncompleteSegment: the name appears when the segment is complete, so that each process that
// sees it can attach.
func TestNameNeverLeadsToAnIncompleteSegment(t *testing.T) {
	name := freshName(t)
	master := openLater(t, name, Master, WithDataSize(1<<20))
	var seen []byte
	until(t, "the segment appears", func() (found bool) {
		image, err := os.ReadFile(path(name))
		seen = image
		return err == nil
	})
	_ = master()
	info, err := os.Stat(path(name))
	if err != nil || int64(len(seen)) != info.Size() || binary.NativeEndian.Uint32(seen) != magic {
		t.Errorf("%d bytes were seen: %v", len(seen), err)
	}
}

// The counterparts of the start-up tests in core/tests/lifecycle.rs.

// openAtOnce opens the name in two goroutines.
func openAtOnce(t *testing.T, name string, options ...Option) (opened []*Endpoint, errs []error) {
	t.Helper()
	type result struct {
		endpoint *Endpoint
		err      error
	}
	results := make(chan result)
	ctx := within(t, soon)
	for range 2 {
		go func() {
			endpoint, err := Open(ctx, name, options...)
			results <- result{endpoint, err}
		}()
	}
	for range 2 {
		one := <-results
		if one.err != nil {
			errs = append(errs, one.err)
			continue
		}
		t.Cleanup(func() { _ = one.endpoint.Close() })
		opened = append(opened, one.endpoint)
	}
	return opened, errs
}

func TestTwoAutosAtOnceTakeOverWhatAMasterLeft(t *testing.T) {
	for range 10 {
		opened, errs := openAtOnce(t, leftBehind(t), Auto)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		master, slave := opened[0], opened[1]
		if master.Role() == Slave {
			master, slave = slave, master
		}
		if master.Role() != Master || slave.Role() != Slave {
			t.Fatalf("%v and %v", master.Role(), slave.Role())
		}
		mustRecv(t, slave, "unread")
	}
}

func TestTwoMastersAtOnceAreOneMasterAndOneRefusal(t *testing.T) {
	for range 10 {
		opened, errs := openAtOnce(t, freshName(t), Master)
		if len(opened) != 1 || len(errs) != 1 {
			t.Fatalf("%d masters, %v", len(opened), errs)
		}
		expectKind(t, "the other", errs[0], ErrSeatTaken)
	}
}

func TestSeatIsFreeAfterClose(t *testing.T) {
	master, slave := pair(t, WithAutoCleanup(false))
	for range 10 {
		_ = slave.Close()
		slave = open(t, master.Name(), Slave)
	}
	for range 10 {
		_ = master.Close()
		master = open(t, slave.Name(), Master, WithAutoCleanup(false))
	}
	mustSend(t, slave, "to the last one")
	mustRecv(t, master, "to the last one")
}

func TestSmallestAndOddDataSizes(t *testing.T) {
	for _, size := range []int{1, 7, 4097} {
		master, slave := pair(t, WithDataSize(size), WithQueueCapacity(0))
		longest := strings.Repeat("x", size)
		mustSend(t, master, longest)
		mustRecv(t, slave, longest)
		expectKind(t, "one byte more", master.TrySend(make([]byte, size+1)), ErrTooLarge)
	}
}
