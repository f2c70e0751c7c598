package eshm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"eshm/internal/shm"
)

func TestInvalidNamesAreRefused(t *testing.T) {
	for name, part := range map[string]string{
		"":                       "empty",
		strings.Repeat("n", 251): "250 bytes",
		"a/b":                    "'/'",
		"..":                     "'..'",
		"a..b":                   "'..'",
		"a\x00b":                 "NUL",
	} {
		_, err := Open(within(t, soon), name, Master)
		expectKind(t, name, err, ErrInvalidName)
		if err == nil || Code(err) != -1 || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, expected -1 and %q", name, err, part)
		}
	}
	longest := freshName(t)
	longest += strings.Repeat("n", 250-len(longest))
	_ = open(t, longest, Master)
}

func TestModeIsExact(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, mode := range []fs.FileMode{0o600, 0o666, 0o640} {
		name := freshName(t)
		_ = open(t, name, Master, WithMode(mode))
		if info, err := os.Stat(path(name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, %v; expected %v", info.Mode(), err, mode)
		}
	}
}

func TestSegmentLargerThanTheFileSystem(t *testing.T) {
	name := freshName(t)
	_, err := Open(within(t, soon), name, Master, WithQueueCapacity(atMost(maxQueueCapacity)))
	expectKind(t, "64 GiB", err, ErrCreate)
	if cause := error(syscall.ENOSPC); strconv.IntSize == 64 {
		expectKind(t, "64 GiB", err, cause)
	} else {
		expectKind(t, "2 GiB", err, syscall.ENOMEM)
	}
	if _, err := os.Stat(path(name)); err == nil {
		t.Error("a segment was left")
	}
}

func TestWithoutAutoCleanupTheSegmentStays(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithAutoCleanup(false))
	mustSend(t, master, "kept")
	_ = master.Close()
	_ = open(t, name, Master)
	mustRecv(t, open(t, name, Slave), "kept")
}

func TestSeatsAreTakenOnce(t *testing.T) {
	master, slave := pair(t)
	for _, role := range []Role{Master, Slave, Auto} {
		_, err := Open(within(t, soon), master.Name(), role)
		expectKind(t, role.String(), err, ErrSeatTaken)
	}
	mustSend(t, slave, "undisturbed")
	mustRecv(t, master, "undisturbed")
}

func TestSlaveWaitsForItsMaster(t *testing.T) {
	name := freshName(t)
	_, err := Open(within(t, soon), name, Slave, WithConnectTimeout(0))
	expectKind(t, "not waiting", err, ErrNotFound)
	_, err = Open(within(t, time.Millisecond), name, Slave)
	expectKind(t, "a short context", err, ErrNotFound)
	expectKind(t, "a short context", err, context.DeadlineExceeded)
	slave := openLater(t, name, Slave)
	master := open(t, name, Master)
	mustSend(t, slave(), "hello")
	mustRecv(t, master, "hello")
}

func TestAutoDecidesOnTheRole(t *testing.T) {
	for range 20 {
		name := freshName(t)
		opening := []func() *Endpoint{openLater(t, name), openLater(t, name, Auto)}
		one, other := opening[0](), opening[1]()
		if one.Role() == other.Role() {
			t.Fatalf("both are %v", one.Role())
		}
		mustSend(t, one, "hello")
		mustRecv(t, other, "hello")
	}
}

// goodSegment returns the image of a segment that nobody uses.
func goodSegment(t testing.TB) []byte {
	name := freshName(t)
	master := open(t, name, Master, WithAutoCleanup(false), WithQueueCapacity(64), WithDataSize(100))
	_ = master.Close()
	image, err := os.ReadFile(path(name))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func patched[T uint32 | uint64](image []byte, offset int, value T) []byte {
	image = bytes.Clone(image)
	var word bytes.Buffer
	_ = binary.Write(&word, binary.NativeEndian, value)
	copy(image[offset:], word.Bytes())
	return image
}

func TestForeignFilesAreRefusedAndLeftUntouched(t *testing.T) {
	good := goodSegment(t)
	for what, one := range map[string]struct {
		image []byte
		says  []string
	}{
		"wrong magic":            {patched(good, 0, uint32(7)), []string{"magic", "0x00000007", "0x4553484d"}},
		"wrong extension":        {patched(good, 56, uint32(2)), []string{"extension", "2", "0 or 1"}},
		"wrong version":          {patched(good, 4, uint32(9)), []string{"version", "9", "2 or 3"}},
		"layout of another size": {patched(good, 52, uint32(5000)), []string{"layout size", "5000 bytes", "512 bytes"}},
		"no data size":           {patched(good, 60, uint32(0)), []string{"data size", "0 bytes", "67108864"}},
		"slots":                  {patched(good, 84, uint32(3)), []string{"queue slots", "3", "power of two"}},
		"too many slots":         {patched(good, 84, uint32(1<<21)), []string{"queue slots", "2097152"}},
		"queues in the header":   {patched(good, 88, uint64(128)), []string{"queue offset", "128", "512"}},
		"queues out of reach":    {patched(good, 88, uint64(1<<63)), []string{"queue offset"}},
		"no capacity":            {patched(good, 96, uint64(0)), []string{"queue capacity", "0 bytes"}},
		"too much capacity":      {patched(good, 96, uint64(math.MaxUint64)), []string{"queue capacity"}},
		"truncated":              {good[:1000], []string{"size", "1000 bytes", "by its header"}},
		"very short":             {good[:10], []string{"size", "10 bytes", "384 bytes"}},
	} {
		t.Run(what, func(t *testing.T) {
			for _, role := range []Role{Master, Slave, Auto} {
				name := freshName(t)
				if err := os.WriteFile(path(name), one.image, 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := Open(within(t, soon), name, role)
				expectKind(t, role.String(), err, ErrForeign)
				for _, part := range append(one.says, name) {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("%v does not say %q", err, part)
					}
				}
				if left, err := os.ReadFile(path(name)); err != nil || !bytes.Equal(left, one.image) {
					t.Errorf("%v has changed it, %v", role, err)
				}
			}
		})
	}
}

func TestSpecialFilesAreRefused(t *testing.T) {
	for what, plant := range map[string]func(string) error{
		"directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"symbolic link": func(path string) error { return os.Symlink("/dev/null", path) },
		"fifo":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			for _, role := range []Role{Master, Slave, Auto} {
				name := freshName(t)
				if err := plant(path(name)); err != nil {
					t.Fatal(err)
				}
				_, err := Open(within(t, soon), name, role)
				if Code(err) != -3 {
					t.Errorf("%v: %v, expected error -3", role, err)
				}
			}
		})
	}
}

func TestFileThatIsJustBeingMadeIsWaitedFor(t *testing.T) {
	for _, image := range [][]byte{{}, make([]byte, 8576)} {
		name := freshName(t)
		if err := os.WriteFile(path(name), image, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(within(t, soon), name, Slave, WithConnectTimeout(time.Millisecond))
		expectKind(t, "unfinished", err, ErrNotFound)
		slave := openLater(t, name, Slave)
		if err := os.WriteFile(path(name), goodSegment(t), 0o600); err != nil {
			t.Fatal(err)
		}
		if slave().DataSize() != 100 {
			t.Error("another segment")
		}
	}
}

func TestOtherOwnersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	name := freshName(t)
	if err := os.WriteFile(path(name), goodSegment(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path(name), 12345, -1); err != nil {
		t.Fatal(err)
	}
	_, err := Open(within(t, soon), name, Slave)
	expectKind(t, "user 12345", err, ErrForeign)
	_ = open(t, name, Slave, WithAnyOwner(true))
}

func TestConfiguredSizes(t *testing.T) {
	name := freshName(t)
	master := open(t, name, Master, WithDataSize(1000), WithQueueCapacity(2000), WithAutoCleanup(false))
	for _, option := range []Option{WithDataSize(2000), WithQueueCapacity(1000), WithQueueCapacity(0)} {
		_, err := Open(within(t, soon), name, Slave, option)
		expectKind(t, "another size", err, ErrForeign)
	}
	slave := open(t, name, Slave, WithDataSize(1000), WithQueueCapacity(2000))
	if slave.DataSize() != 1000 || slave.QueueCapacity() != 2000 {
		t.Errorf("%d and %d", slave.DataSize(), slave.QueueCapacity())
	}
	_ = slave.Close()
	_ = master.Close()
	// A master without a configured size takes it over; another one replaces it.
	if taken := open(t, name, Master, WithAutoCleanup(false)); taken.DataSize() != 1000 || taken.link.header.masterGeneration.Load() != 2 {
		t.Errorf("data size %d", taken.DataSize())
	} else {
		_ = taken.Close()
	}
	if made := open(t, name, Master, WithDataSize(5)); made.DataSize() != 5 || made.link.header.masterGeneration.Load() != 3 {
		t.Errorf("data size %d, generation %d", made.DataSize(), made.link.header.masterGeneration.Load())
	}
}

// FuzzAttach attaches to arbitrary files. They must be refused, or used without an access outside of their memory.
func FuzzAttach(f *testing.F) {
	good := goodSegment(f)
	f.Add(good)
	f.Add(good[:512])
	f.Add(patched(good, 56, uint32(0)))
	f.Add(patched(good, 4, uint32(versionPolling)))
	f.Add(patched(good, 84, uint32(0)))
	settings, at, err := newSettings("fuzz", nil)
	if err != nil {
		f.Fatal(err)
	}
	opener := &opener{address: at, settings: &settings}
	f.Fuzz(func(t *testing.T, image []byte) {
		if opener.checkFile(shm.Info{Size: uint64(len(image)), Kind: shm.RegularFile}) != nil {
			return
		}
		g, err := opener.checkHead((*[headerSize]byte)(image), uint64(len(image)))
		if err != nil {
			var again errAgain
			if !errors.As(err, &again) && !errors.Is(err, ErrForeign) {
				t.Fatal(err)
			}
			return
		}
		memory := shm.Heap(len(image))
		copy(memory, image)
		for _, role := range []Role{Master, Slave} {
			exercise(newLink(at, role, nil, shm.ID{}, memory, g))
		}
	})
}

// exercise uses everything that a link leads to.
func exercise(l *link) {
	l.occupy()
	reader := newMailboxReader(l.in, &l.reads)
	_, _, _ = reader.take(false, 0)
	l.out.put(make([]byte, l.out.size))
	if !l.hasQueues() {
		return
	}
	receiver := l.inQueue.receiver()
	for range 3 {
		if message, ok, err := receiver.take(); ok && err == nil {
			clear(message)
		}
	}
	if sender, err := l.outQueue.resume(); err == nil {
		for _, length := range []int{0, min(100, sender.capacity), sender.capacity} {
			if room, ok, err := sender.reserve(length); ok && err == nil {
				clear(room.bytes)
				sender.publish(room)
			}
		}
	}
}
