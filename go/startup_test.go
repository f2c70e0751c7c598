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
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The twins of core/tests/files.rs: what lies under a name is made with exact permissions, refused when it is not ours, and
// never changed then.

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
		_ = open(t, name, Master, WithKeep(), WithMode(mode)).Close()
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

// leftBehind is a segment that a master left, with a message in it.
func leftBehind(t *testing.T) string {
	t.Helper()
	name := freshName(t)
	master := open(t, name, Master, WithKeep(), WithQueueCapacity(4096))
	mustSend(t, master, "unread")
	_ = master.Close()
	return name
}

// expectRefused checks that every role refuses what lies under the name, with a text that has these parts, and leaves it as it
// is.
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

func TestPromisesBeyondTheFileAreRefused(t *testing.T) {
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

// An ESHM 1.x master that was killed while it made its segment leaves a file without content.
func TestUnfinishedFilesAreRefusedInTime(t *testing.T) {
	for _, length := range []int{0, 8576} {
		name := freshName(t)
		if err := os.WriteFile(path(name), make([]byte, length), 0o600); err != nil {
			t.Fatal(err)
		}
		expectRefused(t, name, "begun to make it")
		// A master is not told to start its master.
		_, err := Open(within(t, soon), name, Master, WithConnectTimeout(0))
		expectKind(t, "a master", err, ErrForeign)
		if err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%v does not say what to do", err)
		}
	}
}

// What a hostile peer leaves behind stops nobody for good.
func TestMasterThatFindsACorruptQueueStartsAnewTheNextTime(t *testing.T) {
	name := leftBehind(t)
	image, err := os.ReadFile(path(name))
	if err != nil {
		t.Fatal(err)
	}
	queue := binary.NativeEndian.Uint64(image[88:])
	// The length in the first slot, of the message that is unread.
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
	// Root may open everything, and then finds that it is too small.
	part := "permissions"
	if os.Geteuid() == 0 {
		part = "100 bytes"
	}
	expectRefused(t, name, part)
}

// limit sets a limit of the process, a soft one.
func limit(resource int, value uint64) {
	var limits syscall.Rlimit
	must(syscall.Getrlimit(resource, &limits))
	limits.Cur = value
	must(syscall.Setrlimit(resource, &limits))
}

func makeUnderALimit(segment string) {
	limit(syscall.RLIMIT_FSIZE, 100_000)
	_, err := Open(context.Background(), segment, Master, WithDataSize(1<<20))
	say(Code(err))
	say(err)
	say(fmt.Sprintf("exists: %v", exists(segment)))
	master, err := Open(context.Background(), segment, Master, WithQueueCapacity(0))
	must(err)
	say(fmt.Sprintf("a small one: %d", master.DataSize()))
	must(master.Close())
}

func TestFileSizeLimitIsAnErrorAndNothingIsMade(t *testing.T) {
	child := startScenario(t, "limited", freshName(t), 0)
	child.says(t, "-2")
	child.says(t, "reserving its memory", "ulimit -f", "100000 bytes")
	child.says(t, "exists: false")
	child.says(t, "a small one: 4096")
	child.ends(t)
}

func replaceUnderALimit(segment string) {
	limit(syscall.RLIMIT_FSIZE, 100_000)
	_, err := Open(context.Background(), segment, Master, WithDataSize(1<<20))
	say(Code(err))
}

// A master that cannot make the segment it wants leaves the one that is there, and what is unread in it.
func TestReplacementThatFailsLosesNothing(t *testing.T) {
	name := leftBehind(t)
	child := startScenario(t, "replace", name, 0)
	child.says(t, "-2")
	child.ends(t)
	mustRecv(t, open(t, name, Slave), "unread")
}

// mountShm gives this process, which has mounts of its own, a /dev/shm with these options.
func mountShm(options string, flags uintptr) {
	must(syscall.Mount("tmpfs", "/dev/shm", "tmpfs", flags, options))
	say("mounted")
}

// mounted skips the test where the child may not mount.
func (c child) mounted(t *testing.T) {
	t.Helper()
	if line, _ := c.output.ReadString('\n'); line != "mounted\n" {
		t.Skipf("needs to mount a tmpfs: %s", line)
	}
}

func countFiles() int {
	entries, err := os.ReadDir("/dev/shm")
	must(err)
	return len(entries)
}

func replaceInASmallShm(segment string) {
	mountShm("size=256k", 0)
	old, err := Open(context.Background(), segment, Master, WithKeep(), WithQueueCapacity(4096))
	must(err)
	must(old.TrySend([]byte("unread")))
	must(old.Close())
	_, err = Open(context.Background(), segment, Master, WithDataSize(1<<20))
	say(err)
	say(Code(err))
	slave, err := Open(context.Background(), segment, Slave, WithConnectTimeout(0))
	must(err)
	message, _, err := slave.TryRecv()
	must(err)
	say(string(message.Bytes()))
	say(countFiles())
}

func TestReplacementThatFindsNoMemoryLosesNothing(t *testing.T) {
	child := startScenario(t, "replace small", freshName(t), syscall.CLONE_NEWNS)
	child.mounted(t)
	child.says(t, "/dev/shm is full", "are needed", "are free")
	child.says(t, "-2")
	child.says(t, "unread")
	child.says(t, "1")
	child.ends(t)
}

func useASmallShm(segment string) {
	mountShm("size=64k", 0)
	_, err := Open(context.Background(), segment, Master, WithDataSize(1<<20))
	say(err)
	say(countFiles())
	// As ESHM 1.x makes one: never reserved, so that its memory may be missing when it is used.
	layout := geometry{dataSize: 65536}.layoutSize()
	var header bytes.Buffer
	for _, word := range []uint32{magic, 3, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1, 1, uint32(layout)} {
		_ = binary.Write(&header, binary.NativeEndian, word)
	}
	must(os.WriteFile(path(segment), header.Bytes(), 0o600))
	must(os.Truncate(path(segment), int64(layout)))
	// Fails when the space is used up.
	_ = os.WriteFile("/dev/shm/filler", make([]byte, 1<<20), 0o600)
	_, err = Open(context.Background(), segment, Slave)
	say(Code(err))
}

func TestFullShmIsAnErrorAndNeverABusError(t *testing.T) {
	child := startScenario(t, "small shm", freshName(t), syscall.CLONE_NEWNS)
	child.mounted(t)
	child.says(t, "/dev/shm is full", "65536 are free")
	child.says(t, "0")
	child.says(t, "-3")
	child.ends(t)
}

func useAReadOnlyShm(segment string) {
	mountShm("", syscall.MS_RDONLY)
	_, err := Open(context.Background(), segment, Master)
	say(err)
	_, err = Open(context.Background(), segment, Slave, WithConnectTimeout(0))
	say(Code(err))
	say(countFiles())
}

func TestReadOnlyShmIsAnErrorThatSaysSo(t *testing.T) {
	child := startScenario(t, "read-only shm", freshName(t), syscall.CLONE_NEWNS)
	child.mounted(t)
	child.says(t, "mounted read-only: mount it writable")
	child.says(t, "-3")
	child.says(t, "0")
	child.ends(t)
}

// runOutOfDescriptors opens endpoints until no descriptor is left for one more.
func runOutOfDescriptors(segment string) {
	limit(syscall.RLIMIT_NOFILE, 40)
	name := func(number int) string { return segment + "-" + strconv.Itoa(number) }
	var masters []*Endpoint
	for {
		master, err := Open(context.Background(), name(len(masters)), Master)
		if err != nil {
			say(err)
			break
		}
		masters = append(masters, master)
	}
	say(fmt.Sprintf("half-made: %v", exists(name(len(masters)))))
	_, err := Open(context.Background(), name(0), Slave)
	say(err)
	// What is open works, and what is closed gives its descriptor back.
	must(masters[0].TrySend([]byte("still here")))
	last := len(masters) - 1
	must(masters[last].Close())
	masters[last], err = Open(context.Background(), name(last), Master)
	must(err)
	for _, master := range masters {
		must(master.Close())
	}
	say("again")
}

func TestNoDescriptorsAreAnErrorAndNothingIsHalfMade(t *testing.T) {
	child := startScenario(t, "no descriptors", freshName(t), 0)
	child.says(t, "no file descriptors are left: close some")
	child.says(t, "half-made: false")
	child.says(t, "no file descriptors are left: close some")
	child.says(t, "again")
	child.ends(t)
}

func runOutOfAddressSpace(segment string) {
	status, err := os.ReadFile("/proc/self/statm")
	must(err)
	pages, err := strconv.ParseUint(strings.Fields(string(status))[0], 10, 64)
	must(err)
	if pages > 1<<24 {
		say("no limit") // the race detector's memory exceeds any
		return
	}
	limit(syscall.RLIMIT_AS, pages*4096+(256<<20)) // so much does the program need itself
	for _, capacity := range []int{1 << 30, 256 << 20} {
		_, err = Open(context.Background(), segment, Master, WithQueueCapacity(capacity))
		say(Code(err))
		say(err)
		say(exists(segment))
	}
}

func TestAddressSpaceLimitIsNamed(t *testing.T) {
	child := startScenario(t, "address space", freshName(t), 0)
	for range 2 {
		line, _ := child.output.ReadString('\n')
		if line == "no limit\n" {
			t.Skip("the race detector needs too much address space")
		}
		if line != "-2\n" {
			t.Fatalf("the child said %q, expected -2", line)
		}
		child.says(t, "ulimit -v", "are needed")
		child.says(t, "false")
	}
	child.ends(t)
}

// useNoProc makes, replaces and takes over segments without /proc, or says that it cannot.
func useNoProc(segment string) {
	must(syscall.Unmount("/proc", syscall.MNT_DETACH))
	say("unmounted")
	master, err := Open(context.Background(), segment, Master, WithKeep())
	must(err)
	must(master.TrySend([]byte("unread")))
	must(master.Close())
	master, err = Open(context.Background(), segment, Master, WithDataSize(100), WithKeep())
	must(err)
	slave, err := Open(context.Background(), segment, Slave)
	must(err)
	message, err := slave.Recv(context.Background())
	say(fmt.Sprintf("%s %v", message.Bytes(), err))
	must(slave.Close())
	must(master.Close())
}

func TestNoProcIsNeeded(t *testing.T) {
	child := startScenario(t, "no proc", freshName(t), syscall.CLONE_NEWNS)
	if line, _ := child.output.ReadString('\n'); line != "unmounted\n" {
		t.Skipf("needs to unmount /proc: %s", line)
	}
	child.says(t, "unread <nil>")
	child.ends(t)
}

// makeUnderATimer makes a large segment while its thread gets a signal every half a millisecond, as from a profiler.
func makeUnderATimer(segment string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	runtime.LockOSThread()
	thread := syscall.Gettid()
	go func() {
		for range time.Tick(500 * time.Microsecond) {
			_ = syscall.Tgkill(os.Getpid(), thread, syscall.SIGUSR1)
		}
	}()
	<-signals
	master, err := Open(context.Background(), segment, Master, WithQueueCapacity(64<<20))
	must(err)
	must(master.Close())
	say("made")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Open(ended, segment, Master, WithQueueCapacity(64<<20))
	say(err)
	say(exists(segment))
}

func TestPeriodicSignalDoesNotKeepALargeSegmentFromBeingMade(t *testing.T) {
	child := startScenario(t, "timer", freshName(t), 0)
	child.says(t, "made")
	child.says(t, "the reservation of its memory", "canceled")
	child.says(t, "false")
	child.ends(t)
}

// The name appears only when the segment is complete: whoever sees it can attach.
func TestNameNeverLeadsToHalfASegment(t *testing.T) {
	name := freshName(t)
	master := openLater(t, name, Master, WithDataSize(1<<20))
	var seen []byte
	until(t, "the segment", func() (found bool) {
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

// The twins of the start-ups in core/tests/lifecycle.rs.

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

func TestLeftSeatIsFreeAtOnce(t *testing.T) {
	master, slave := pair(t, WithKeep())
	for range 10 {
		_ = slave.Close()
		slave = open(t, master.Name(), Slave)
	}
	for range 10 {
		_ = master.Close()
		master = open(t, slave.Name(), Master, WithKeep())
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

// openAsGuest closes, and replaces, a segment of another user in a directory with the sticky bit.
func openAsGuest(segment string) {
	must(syscall.Setgroups(nil))
	must(syscall.Setgid(65534))
	must(syscall.Setuid(65534))
	master, err := Open(context.Background(), segment, Master, WithAnyOwner(), WithMode(0o666))
	must(err)
	say(master.Close())
	_, err = Open(context.Background(), segment, Master, WithAnyOwner(), WithDataSize(100), WithMode(0o666))
	say(err)
	say(Code(err))
}

func TestStickyBitAndOwnerAreNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be two users")
	}
	name := freshName(t)
	master := open(t, name, Master, WithKeep(), WithMode(0o666))
	mustSend(t, master, "unread")
	_ = master.Close()
	if err := os.Chown(path(name), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	child := startScenario(t, "guest", name, 0)
	for range 2 {
		child.says(t, "user 12345", "sticky bit", path(name))
	}
	child.says(t, "-2")
	child.ends(t)
	mustRecv(t, open(t, name, Slave, WithAnyOwner()), "unread")
}

// makeInAControlGroup waits to be put into one with less memory than the segment needs.
func makeInAControlGroup(segment string) {
	say(os.Getpid())
	_, _ = fmt.Scanln()
	_, err := Open(context.Background(), segment, Master, WithQueueCapacity(100<<20))
	say(Code(err))
	say(err)
}

func TestControlGroupWithoutMemoryIsAnError(t *testing.T) {
	group := "/sys/fs/cgroup/memory/" + freshName(t)
	if err := os.Mkdir(group, 0o700); err != nil {
		t.Skipf("needs a control group of version 1: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(group) })
	if err := os.WriteFile(group+"/memory.limit_in_bytes", []byte("83886080"), 0o600); err != nil {
		t.Skipf("needs a control group of version 1: %v", err)
	}
	name := freshName(t)
	child := startScenario(t, "control group", name, 0)
	line, err := child.output.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(group+"/cgroup.procs", []byte(strings.TrimSpace(line)), 0o600); err != nil {
		t.Skipf("needs a control group of version 1: %v", err)
	}
	if _, err := child.input.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	child.says(t, "-2")
	child.says(t, "bytes are needed", "the control group /"+filepath.Base(group))
	child.ends(t)
	if exists(name) {
		t.Error("a segment is left")
	}
}
