package shm

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A control group's memory, in the files of one version of cgroups.
type controlGroups struct {
	mounts             []string // where they are mounted, usually
	limit, use         string   // bytes
	swapLimit, swapUse string   // of swap, or, in version 1, of memory and swap
	combined           bool     // memory and swap
	cached             []string // lines of memory.stat: caches of files, which the kernel gives up first
}

var (
	version2 = controlGroups{
		mounts: []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"},
		limit:  "memory.max", use: "memory.current", swapLimit: "memory.swap.max", swapUse: "memory.swap.current",
		cached: []string{"inactive_file", "active_file"},
	}
	version1 = controlGroups{
		mounts: []string{"sys/fs/cgroup/memory"},
		limit:  "memory.limit_in_bytes", use: "memory.usage_in_bytes",
		swapLimit: "memory.memsw.limit_in_bytes", swapUse: "memory.memsw.usage_in_bytes", combined: true,
		cached: []string{"total_inactive_file", "total_active_file"},
	}
)

// unlimited is the size from which on a limit is none. Version 1 reports the largest number of pages where there is no
// limit.
const unlimited = 1 << 60

// machine is the memory of the machine, in bytes.
type machine struct {
	unused, total uint64 // 0 where the system does not report it
}

// thisMachine asks the system for the memory of the machine.
func thisMachine() machine {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return machine{}
	}
	return machine{uint64(info.Freeram) * uint64(info.Unit), uint64(info.Totalram) * uint64(info.Unit)}
}

// has tells whether so much is surely left. Of its unused memory the kernel reserves a few percent. What it can reclaim
// comes on top.
func (m machine) has(needed uint64) bool {
	reserved := m.total / 8
	return m.unused > 0 && m.unused-min(m.unused, reserved) >= needed
}

// memoryLeft returns how many bytes of memory this process can still use, swap included, and who limits them: the
// machine or a control group. The kernel ends a process that uses more. known is false where the files that tell are
// missing, and if neither limits what is needed. The files are looked up under the root directory.
//
// They take more time than everything else in Open. So a file is only read if the result can depend on it. Nothing is
// kept for the next call: a process can move to another group, and limits can change.
func memoryLeft(root string, m machine, needed uint64) (left uint64, whose string, known bool) {
	meminfo := sync.OnceValue(func() map[string]uint64 { return numbers(filepath.Join(root, "proc/meminfo")) })
	swap := func() uint64 { return meminfo()["SwapFree:"] * 1024 }
	left, whose = math.MaxUint64, "the machine"
	if !m.has(needed) {
		if available, found := meminfo()["MemAvailable:"]; found {
			left, known = available*1024+swap(), true
		}
	}
	var buffer [4096]byte
	for line := range strings.Lines(string(content(filepath.Join(root, "proc/self/cgroup"), &buffer))) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) < 3 {
			continue
		}
		groups := &version2
		if parts[1] != "" {
			groups = &version1
			if !hasWord(parts[1], "memory") {
				continue
			}
		}
		if least, group, found := groups.left(root, parts[2], needed, swap); found && least < left {
			left, whose, known = least, "the control group "+group, true
		}
	}
	return left, whose, known
}

func hasWord(list, word string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one == word {
			return true
		}
	}
	return false
}

// left returns the least that a group and those around it have left, and which one it is.
func (c *controlGroups) left(root, group string, needed uint64, swap func() uint64) (least uint64, who string, known bool) {
	for _, mount := range c.mounts {
		for at := filepath.Clean("/" + group); ; at = filepath.Dir(at) {
			if left, found := c.leftIn(filepath.Join(root, mount, at), needed, swap); found && (!known || left < least) {
				least, who, known = left, at, true
			}
			if at == "/" {
				break
			}
		}
	}
	return least, who, known
}

// leftIn returns what one group has left, if it has a limit. A group counts as unlimited if it has what is needed even
// without reclaiming anything: the kernel then need not sum up memory.stat.
func (c *controlGroups) leftIn(folder string, needed uint64, swap func() uint64) (left uint64, known bool) {
	limit, limited := number(filepath.Join(folder, c.limit))
	if !limited || limit >= unlimited {
		return 0, false
	}
	use, used := number(filepath.Join(folder, c.use))
	left = limit - min(limit, use)
	if !used || left >= needed {
		return 0, false
	}
	stat := numbers(filepath.Join(folder, "memory.stat"))
	free := left
	for _, cache := range c.cached {
		left += stat[cache]
	}
	swapLimit, limited := number(filepath.Join(folder, c.swapLimit))
	swapUse, used := number(filepath.Join(folder, c.swapUse))
	swappable := swap()
	if limited && used {
		rest := swapLimit - min(swapLimit, swapUse)
		if c.combined {
			rest -= min(rest, free)
		}
		swappable = min(swappable, rest)
	}
	return left + swappable, true
}

// content returns the content of a file of the kernel, in the buffer if it fits; nil if the file cannot be read. Package
// os would first offer the file to the poller of the runtime.
func content(path string, buffer *[4096]byte) []byte {
	descriptor, err := openFile(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(descriptor) }()
	for filled := 0; filled < len(buffer); {
		n, err := unix.Read(descriptor, buffer[filled:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil
		case n == 0:
			return buffer[:filled]
		}
		filled += max(n, 0)
	}
	long, _ := os.ReadFile(path)
	return long
}

// number returns the content of a file of one number; known is false for "max".
func number(path string) (value uint64, known bool) {
	var buffer [4096]byte
	value, err := strconv.ParseUint(string(bytes.TrimSpace(content(path, &buffer))), 10, 64)
	return value, err == nil
}

// numbers returns the lines of a file, a name and a number each.
func numbers(path string) map[string]uint64 {
	var buffer [4096]byte
	found := map[string]uint64{}
	for line := range bytes.Lines(content(path, &buffer)) {
		words := bytes.Fields(line)
		if len(words) < 2 {
			continue
		}
		if value, err := strconv.ParseUint(string(words[1]), 10, 64); err == nil {
			found[string(words[0])] = value
		}
	}
	return found
}
