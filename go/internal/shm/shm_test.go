package shm

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A kernel whose reservations are interrupted when they take longer than a signal's period: none of the large ones
// ends.
func TestReservationGoesOnInSmallerPiecesWhenSignalsInterrupt(t *testing.T) {
	const size = 50<<20 + 5
	reserved, calls := int64(0), 0
	err := inPieces(t.Context(), size, func(start, length int64) error {
		if calls++; calls > 1000 {
			return errors.New("no end")
		}
		if length > 1<<20 {
			return unix.EINTR
		}
		if start != reserved {
			t.Errorf("a piece at %d, expected %d", start, reserved)
		}
		reserved += length
		return nil
	})
	if err != nil || reserved != size {
		t.Errorf("%d of %d bytes: %v", reserved, size, err)
	}
}

func TestReservationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := inPieces(ctx, 1<<40, func(int64, int64) error {
		if calls++; calls == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestZerosAreWrittenWhereReservationsAreMissing(t *testing.T) {
	file, err := temporary(t.TempDir(), "p", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	const size = 3<<20 + 5
	if err := inPieces(t.Context(), size, file.writeZeros); err != nil {
		t.Fatal(err)
	}
	if info, err := file.Stat(); err != nil || info.Size != size {
		t.Errorf("%d bytes, expected %d: %v", info.Size, size, err)
	}
}

// A file that was not linked leaves nothing, whichever way it was to get its name.
func TestFilesGetTheirNames(t *testing.T) {
	for what, make := range map[string]func(string) (*File, error){
		"without a name": func(directory string) (*File, error) {
			return unnamed(directory, 0o600)
		},
		"with a temporary name": func(directory string) (*File, error) {
			return temporary(directory, "prefix_", 0o600)
		},
	} {
		directory := t.TempDir()
		count := func() int {
			entries, err := os.ReadDir(directory)
			if err != nil {
				t.Fatal(err)
			}
			return len(entries)
		}
		path := filepath.Join(directory, "name")
		file, err := make(directory)
		if errors.Is(err, errNoWay) {
			t.Logf("%s: not here", what)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Link(path); err != nil || !file.Named(path) || count() != 1 {
			t.Errorf("%s: %v, %d files", what, err, count())
		}
		other, err := make(directory)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Link(path); !errors.Is(err, unix.EEXIST) || !file.Named(path) {
			t.Errorf("%s: a name was given twice: %v", what, err)
		}
		if err := errors.Join(other.Close(), file.Close()); err != nil || count() != 1 {
			t.Errorf("%s: %v, %d files are left", what, err, count())
		}
	}
}

// plant writes files into a directory that stands for the root.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestMemoryLeftIsTheLeastOfAllLimits(t *testing.T) {
	const meminfo = "MemTotal: 99 kB\nMemAvailable:   1000 kB\nSwapFree:  100 kB\n"
	for what, one := range map[string]struct {
		files map[string]string
		left  uint64
		whose string
	}{
		"machine": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n"}, 1100 * 1024, "the machine"},
		"version 2, around": {map[string]string{
			"proc/meminfo":                    meminfo,
			"proc/self/cgroup":                "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":    "max\n",
			"sys/fs/cgroup/a/memory.max":      "50000\n",
			"sys/fs/cgroup/a/memory.current":  "40000\n",
			"sys/fs/cgroup/a/memory.stat":     "anon 7\ninactive_file 1000\nactive_file 100\n",
			"sys/fs/cgroup/a/memory.swap.max": "0\n", "sys/fs/cgroup/a/memory.swap.current": "0\n",
		}, 11100, "/a"},
		"version 2, swap": {map[string]string{
			"proc/meminfo":                        meminfo,
			"proc/self/cgroup":                    "0::/\n",
			"sys/fs/cgroup/memory.max":            "50000\n",
			"sys/fs/cgroup/memory.current":        "60000\n",
			"sys/fs/cgroup/memory.swap.max":       "5000\n",
			"sys/fs/cgroup/memory.swap.current":   "1000\n",
			"sys/fs/cgroup/unified/not/a/limit":   "",
			"sys/fs/cgroup/memory/memory.ignored": "",
		}, 4000, "/"},
		"version 1": {map[string]string{
			"proc/meminfo":     meminfo,
			"proc/self/cgroup": "9:name=systemd:/x\n4:cpu,memory:/job\n0::/\n",
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes":       "80000\n",
			"sys/fs/cgroup/memory/job/memory.usage_in_bytes":       "30000\n",
			"sys/fs/cgroup/memory/job/memory.stat":                 "inactive_file 1\ntotal_inactive_file 20\n",
			"sys/fs/cgroup/memory/job/memory.memsw.limit_in_bytes": "80000\n",
			"sys/fs/cgroup/memory/job/memory.memsw.usage_in_bytes": "30000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":           "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes":           "1\n",
		}, 50020, "/job"},
	} {
		left, whose, known := memoryLeft(plant(t, one.files), machine{}, math.MaxUint64)
		if !known || left != one.left || !strings.HasSuffix(whose, one.whose) {
			t.Errorf("%s: %d of %s, %v; expected %d of %s", what, left, whose, known, one.left, one.whose)
		}
	}
	if left, whose, known := memoryLeft(t.TempDir(), machine{}, math.MaxUint64); known {
		t.Errorf("without /proc: %d of %s", left, whose)
	}
}

func TestMeminfoDecidesUnlessAnEighthOfTheMachineStaysUnused(t *testing.T) {
	root := plant(t, map[string]string{"proc/meminfo": "MemAvailable: 0 kB\n"})
	for m, enough := range map[machine]bool{{11, 80}: true, {10, 80}: false, {10, 88}: false, {0, 0}: false} {
		if left, _, known := memoryLeft(root, m, 1); known == enough {
			t.Errorf("%v: %d left, %v", m, left, known)
		}
	}
	// A group counts also if the machine has enough.
	root = plant(t, map[string]string{
		"proc/self/cgroup":             "0::/\n",
		"sys/fs/cgroup/memory.max":     "50\n",
		"sys/fs/cgroup/memory.current": "40\n",
		"sys/fs/cgroup/memory.stat":    "inactive_file 1\n",
	})
	for needed, expected := range map[uint64]bool{10: false, 11: true, 12: true} {
		if left, _, known := memoryLeft(root, machine{1 << 20, 1 << 20}, needed); known != expected || known && left != 11 {
			t.Errorf("%d needed: %d left, %v", needed, left, known)
		}
	}
	if m := thisMachine(); m.unused == 0 || m.unused >= m.total {
		t.Errorf("%v", m)
	}
}

func TestFilesOfTheKernelThatAreLongerThanTheBufferAreReadWhole(t *testing.T) {
	root := plant(t, map[string]string{
		"proc/self/cgroup": strings.Repeat("9:name=systemd:/long\n", 500) + "4:memory:/job\n",
		"sys/fs/cgroup/memory/job/memory.limit_in_bytes": "50\n",
		"sys/fs/cgroup/memory/job/memory.usage_in_bytes": "40\n",
	})
	if left, _, known := memoryLeft(root, machine{}, math.MaxUint64); !known || left != 10 {
		t.Errorf("%d, %v", left, known)
	}
}
