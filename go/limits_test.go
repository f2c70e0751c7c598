package eshm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
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

// What the system refuses, or would answer with a signal, is an error with a hint, and nothing is lost.

// limit sets a soft limit of the process.
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

func TestFileSizeLimitIsAnErrorAndNothingIsCreated(t *testing.T) {
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

// TestReplacementThatFailsLosesNothing: a master that cannot create its segment leaves the old one with its unread
// messages.
func TestReplacementThatFailsLosesNothing(t *testing.T) {
	name := leftBehind(t)
	child := startScenario(t, "replace", name, 0)
	child.says(t, "-2")
	child.ends(t)
	mustRecv(t, open(t, name, Slave), "unread")
}

// mountShm mounts a /dev/shm with these options for this process, which has a mount namespace of its own.
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
	old, err := Open(context.Background(), segment, Master, WithAutoCleanup(false), WithQueueCapacity(4096))
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
	// As ESHM 1.x creates it: without a reservation, so that memory may be missing when it is used.
	layout := geometry{dataSize: 65536}.layoutSize()
	var header bytes.Buffer
	for _, word := range []uint32{magic, 3, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1, 1, uint32(layout)} {
		_ = binary.Write(&header, binary.NativeEndian, word)
	}
	must(os.WriteFile(path(segment), header.Bytes(), 0o600))
	must(os.Truncate(path(segment), int64(layout)))
	// This fails when the space is used up.
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
	// Open endpoints work, and a closed one returns its descriptor.
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

func TestNoDescriptorsAreAnErrorAndLeaveNothingBehind(t *testing.T) {
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
		say("no limit") // the race detector's memory exceeds any limit
		return
	}
	limit(syscall.RLIMIT_AS, pages*4096+(256<<20)) // the program itself needs that much
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

// useNoProc creates, replaces and takes over segments without /proc, or prints why it cannot.
func useNoProc(segment string) {
	must(syscall.Unmount("/proc", syscall.MNT_DETACH))
	say("unmounted")
	master, err := Open(context.Background(), segment, Master, WithAutoCleanup(false))
	must(err)
	must(master.TrySend([]byte("unread")))
	must(master.Close())
	master, err = Open(context.Background(), segment, Master, WithDataSize(100), WithAutoCleanup(false))
	must(err)
	slave, err := Open(context.Background(), segment, Slave)
	must(err)
	message, err := slave.Recv(context.Background())
	say(fmt.Sprintf("%s %v", message.Bytes(), err))
	must(slave.Close())
	must(master.Close())
}

func TestProcIsNotNeeded(t *testing.T) {
	child := startScenario(t, "no proc", freshName(t), syscall.CLONE_NEWNS)
	if line, _ := child.output.ReadString('\n'); line != "unmounted\n" {
		t.Skipf("needs to unmount /proc: %s", line)
	}
	child.says(t, "unread <nil>")
	child.ends(t)
}

// makeUnderATimer creates a large segment while its thread gets a signal every half a millisecond, as from a profiler.
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

func TestLargeSegmentIsCreatedUnderAPeriodicSignal(t *testing.T) {
	child := startScenario(t, "timer", freshName(t), 0)
	child.says(t, "made")
	child.says(t, "the reservation of its memory", "canceled")
	child.says(t, "false")
	child.ends(t)
}

// openAsGuest closes and replaces a segment of another user in a directory with the sticky bit.
func openAsGuest(segment string) {
	must(syscall.Setgroups(nil))
	must(syscall.Setgid(65534))
	must(syscall.Setuid(65534))
	master, err := Open(context.Background(), segment, Master, WithAnyOwner(true), WithMode(0o666))
	must(err)
	err = master.Close()
	say(fmt.Sprintf("%d: %v", Code(err), err))
	_, err = Open(context.Background(), segment, Master, WithAnyOwner(true), WithDataSize(100), WithMode(0o666))
	say(err)
	say(Code(err))
}

func TestStickyBitAndOwnerAreNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be two users")
	}
	name := freshName(t)
	master := open(t, name, Master, WithAutoCleanup(false), WithMode(0o666))
	mustSend(t, master, "unread")
	_ = master.Close()
	if err := os.Chown(path(name), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	child := startScenario(t, "guest", name, 0)
	child.says(t, "-5: ", "the endpoint is closed", "user 12345", "sticky bit", path(name))
	child.says(t, "user 12345", "sticky bit", path(name))
	child.says(t, "-2")
	child.ends(t)
	mustRecv(t, open(t, name, Slave, WithAnyOwner(true)), "unread")
}

// makeInAControlGroup waits until it is in a control group with less memory than the segment needs.
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
